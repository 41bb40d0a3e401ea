//! Which bytes may stand where in a head, one table look-up per byte.

use super::lanes::is_forbidden;

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
    let stops = |&b: &u8| !is(b, TOKEN);
    bytes.iter().position(stops).unwrap_or(bytes.len())
}

pub(super) fn is_target(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| is(b, TARGET))
}

pub(super) fn is_host(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| is(b, HOST))
}

/// See [`is_forbidden`].
pub(super) fn has_forbidden(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .fold(false, |found, &b| found | is_forbidden(b))
}

/// CR, LF or NUL: what would let a value end its line. Never written to a peer.
pub(super) fn splits_lines(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |found, &b| {
        found | (b == b'\r') | (b == b'\n') | (b == 0)
    })
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
    }
}
