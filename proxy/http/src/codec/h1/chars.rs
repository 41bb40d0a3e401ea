//! Which bytes may stand where in a head, one table look-up per byte.

/// RFC 9110 `token`: methods and header names.
const TOKEN: u8 = 1;
/// Printable ASCII without space: request targets.
const TARGET: u8 = 1 << 1;
/// What the host of a URL and the `host` header may hold.
const HOST: u8 = 1 << 2;

static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        let mut class = 0;
        if byte.is_ascii_alphanumeric() {
            class |= TOKEN | HOST;
        }
        if matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        ) {
            class |= TOKEN;
        }
        if matches!(
            byte,
            b'!' | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b'-'
                | b'.'
                | b':'
                | b';'
                | b'='
                | b'@'
                | b'['
                | b']'
                | b'_'
                | b'~'
        ) {
            class |= HOST;
        }
        if byte.is_ascii_graphic() {
            class |= TARGET;
        }
        table[at] = class;
        at += 1;
    }
    table
}

fn is(byte: u8, class: u8) -> bool {
    CLASS[usize::from(byte)] & class != 0
}

/// Length of the token at the start of `bytes`.
#[inline]
pub(super) fn token_length(bytes: &[u8]) -> usize {
    let eights = bytes.as_chunks().0.iter();
    let plain = 8 * eights.take_while(|eight| is_plain_name(**eight)).count();
    let rest = bytes.get(plain..).unwrap_or_default();
    plain
        + rest
            .iter()
            .position(|&b| !is(b, TOKEN))
            .unwrap_or(rest.len())
}

/// Letters, digits and hyphens only: what nearly all header names are made of, tested in one word.
#[inline]
fn is_plain_name(eight: [u8; 8]) -> bool {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    /// The high bit of each ASCII byte that is at least `from`.
    const fn at_least(word: u64, from: u8) -> u64 {
        word + ONES * (0x80 - from as u64)
    }
    let word = u64::from_le_bytes(eight);
    if word & HIGH != 0 {
        return false;
    }
    let lower = word | (ONES * 0x20);
    let letter = at_least(lower, b'a') & !at_least(lower, b'z' + 1);
    let digit = at_least(word, b'0') & !at_least(word, b'9' + 1);
    let hyphen = !at_least(word ^ (ONES * b'-' as u64), 1);
    (letter | digit | hyphen) & HIGH == HIGH
}

pub(super) fn is_target(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| is(b, TARGET))
}

pub(super) fn is_host(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| is(b, HOST))
}

/// A control character that Envoy refuses anywhere in a head. CR and LF are judged by the rules for lines instead.
pub(super) fn has_forbidden(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |found, &b| found | forbidden(b))
}

fn forbidden(b: u8) -> bool {
    ((b < 0x20) & (b != b'\t') & (b != b'\r') & (b != b'\n')) | (b == 0x7f)
}

/// What one look over a whole block of lines tells, so that the lines themselves need no second one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Survey {
    /// See [`has_forbidden`].
    pub(super) forbidden: bool,
    /// A CR that no LF follows.
    pub(super) bare_cr: bool,
}

/// Bytes looked at in one step; the compiler makes vector code of loops over lanes.
const LANES: usize = 32;

impl Survey {
    /// `block` ends with LF, which is why its last byte needs no successor.
    pub(super) fn of(block: &[u8]) -> Self {
        let next = block.get(1..).unwrap_or_default();
        let block = block.get(..next.len()).unwrap_or_default();
        let mut found = [0u8; LANES];
        let (steps, rest) = block.as_chunks::<LANES>();
        let (next_steps, next_rest) = next.as_chunks::<LANES>();
        for (bytes, next) in steps.iter().zip(next_steps) {
            Self::look(&mut found, bytes, next);
        }
        // The last step overlaps the one before it: looking twice finds nothing new.
        match (block.last_chunk(), next.last_chunk()) {
            (Some(bytes), Some(next)) if !rest.is_empty() => Self::look(&mut found, bytes, next),
            (Some(_), _) => {}
            (None, _) => {
                for (found, (&b, &next)) in found.iter_mut().zip(rest.iter().zip(next_rest)) {
                    *found |= Self::bits(b, next);
                }
            }
        }
        let found = found.iter().fold(0, |all, bits| all | bits);
        Self {
            forbidden: found & FORBIDDEN != 0,
            bare_cr: found & BARE_CR != 0,
        }
    }

    fn look(found: &mut [u8; LANES], bytes: &[u8; LANES], next: &[u8; LANES]) {
        for at in 0..LANES {
            found[at] |= Self::bits(bytes[at], next[at]);
        }
    }

    #[inline]
    fn bits(b: u8, next: u8) -> u8 {
        let bare_cr = (b == b'\r') & (next != b'\n');
        (u8::from(forbidden(b)) * FORBIDDEN) | (u8::from(bare_cr) * BARE_CR)
    }
}

const FORBIDDEN: u8 = 1;
const BARE_CR: u8 = 2;

/// CR, LF or NUL: what would let a value end its line. Never written to a peer.
pub(super) fn splits_lines(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |found, &b| {
        found | (b == b'\r') | (b == b'\n') | (b == 0)
    })
}

/// How many bytes are CR, LF or NUL: in a head that was written well, two for each line.
pub(super) fn count_splits(bytes: &[u8]) -> usize {
    let splits = |b: u8| u8::from((b == b'\r') | (b == b'\n') | (b == 0));
    let (steps, rest) = bytes.as_chunks::<LANES>();
    let mut total = 0;
    // Lanes are bytes: they are summed up before they can overflow.
    for steps in steps.chunks(usize::from(u8::MAX)) {
        let mut counts = [0u8; LANES];
        for bytes in steps {
            for at in 0..LANES {
                counts[at] += splits(bytes[at]);
            }
        }
        total += counts.iter().map(|&n| usize::from(n)).sum::<usize>();
    }
    total + rest.iter().map(|&b| usize::from(splits(b))).sum::<usize>()
}

pub(super) fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Without spaces and tabs at both ends.
pub(super) fn trim(bytes: &[u8]) -> &[u8] {
    trim_end(trim_start(bytes))
}

/// Without spaces and tabs in front.
#[inline]
pub(super) fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// Without spaces and tabs behind.
#[inline]
pub(super) fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Envoy's `caseFindToken`: one of the comma-separated tokens of `list`, whatever its case.
pub(super) fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|&b| b == b',')
        .any(|t| trim(t).eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_those_of_envoy() {
        let members = |class| {
            (0..=255u8)
                .filter(|&b| is(b, class))
                .map(char::from)
                .collect::<String>()
        };
        assert_eq!(
            members(TOKEN),
            "!#$%&'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~"
        );
        assert_eq!(
            members(HOST),
            "!$%&'()*+,-.0123456789:;=@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_abcdefghijklmnopqrstuvwxyz~"
        );
        assert_eq!(members(TARGET).len(), 94);
    }

    #[test]
    fn controls_are_found_anywhere() {
        for byte in 0..=255u8 {
            let text = [b'a', b' ', byte, 0xff];
            let control = byte.is_ascii_control();
            assert_eq!(
                has_forbidden(&text),
                control && !matches!(byte, b'\t' | b'\r' | b'\n'),
                "{byte}"
            );
            assert_eq!(splits_lines(&text), matches!(byte, 0 | b'\r' | b'\n'));
            for length in [1, 31, 32, 33, 64, 32 * 256] {
                let mut long = vec![b'a'; length + 2];
                (long[length], long[length + 1]) = (byte, b'\n');
                let split = matches!(byte, 0 | b'\r' | b'\n');
                assert_eq!(
                    count_splits(&long),
                    1 + usize::from(split),
                    "{byte} {length}"
                );
                long[length + 1] = b'b';
                long.push(b'\n');
                let survey = Survey::of(&long);
                assert_eq!(survey.forbidden, has_forbidden(&text), "{byte} {length}");
                assert_eq!(survey.bare_cr, byte == b'\r', "{byte} {length}");
            }
            let survey = Survey::of(&[b'a', byte, b'b', b'\r', b'\n']);
            assert_eq!(survey.forbidden, has_forbidden(&text), "{byte}");
            assert_eq!(survey.bare_cr, byte == b'\r', "{byte}");
        }
    }

    #[test]
    fn tokens_of_a_list() {
        assert_eq!(trim(b"\t a b \t"), b"a b");
        assert_eq!(trim(b"  "), b"");
        assert!(has_token(b"foo, Close ", b"close"));
        assert!(!has_token(b"close;a", b"close"));
        assert_eq!(token_length(b"X-A: 1"), 3);
        assert_eq!(token_length(b"abc"), 3);
        for byte in 0..=255u8 {
            for at in 0..20 {
                let mut name = *b"Content-0-LengthZ_~x";
                name[at] = byte;
                let naive = name.iter().position(|&b| !is(b, TOKEN)).unwrap_or(20);
                assert_eq!(token_length(&name), naive, "{byte} at {at}");
            }
        }
    }
}
