//! Lines that stay where they came: a head is copied into the arena once and its entries point into it.

use super::{Entry, HeaderId, HeaderMap, Span};

impl HeaderMap {
    /// Takes over the bytes of a whole head in one piece, for [`append_adopted`](Self::append_adopted) to say where
    /// the lines are. The offset at which they stand.
    pub fn adopt(&mut self, head: &[u8]) -> usize {
        self.store(head).start as usize
    }

    /// Lower-cases letters from `at` on among adopted bytes, up to the first byte that is no letter, digit or hyphen:
    /// what nearly all names are made of. How many bytes that were.
    #[inline]
    pub fn lower_plain_name(&mut self, at: usize) -> usize {
        let name = self.arena.get_mut(at..).unwrap_or_default();
        let mut length = 0;
        let (words, rest) = name.as_chunks_mut();
        for word in words {
            let (lower, plain) = lower_plain(*word);
            *word = lower;
            length += plain;
            if plain < word.len() {
                return length;
            }
        }
        for byte in rest {
            if !byte.is_ascii_alphanumeric() && *byte != b'-' {
                return length;
            }
            byte.make_ascii_lowercase();
            length += 1;
        }
        length
    }

    /// Adds a line that stands within adopted bytes, its name in lower case: what [`append_raw`](Self::append_raw)
    /// does, without copying. Names and values are given by where they start and how long they are, and the caller has
    /// seen to it that no CR, LF or NUL is in either: such a line is written again unseen.
    #[inline]
    pub fn append_adopted(
        &mut self,
        name: usize,
        name_length: usize,
        value: usize,
        value_length: usize,
    ) -> HeaderId {
        let (colon, end) = (name + name_length, value + value_length);
        let (Some(lower), true) = (self.arena.get(name..colon), end <= self.arena.len()) else {
            return HeaderId::Custom;
        };
        let id = HeaderId::lookup(lower);
        if id.is_inline() && self.contains(id) {
            self.merge(id, value..end);
            return id;
        }
        let stands = |at: usize, what: &[u8; 2]| self.arena.get(at..at + 2) == Some(what);
        self.place(Entry {
            id,
            verbatim: colon + 2 == value && stands(colon, b": ") && stands(end, b"\r\n"),
            name: Span::new(name, name_length),
            value: Span::new(value, value_length),
        });
        id
    }
}

/// How many letters, digits and hyphens eight bytes start with, and the bytes with those letters in lower case.
#[inline]
fn lower_plain(bytes: [u8; 8]) -> ([u8; 8], usize) {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    /// The high bit of each ASCII byte that is at least `from`.
    const fn at_least(word: u64, from: u8) -> u64 {
        word + ONES * (0x80 - from as u64)
    }
    let word = u64::from_le_bytes(bytes);
    let ascii = word & !HIGH;
    let folded = ascii | (ONES * 0x20);
    let letters = at_least(folded, b'a') & !at_least(folded, b'z' + 1);
    let digits = at_least(ascii, b'0') & !at_least(ascii, b'9' + 1);
    let hyphens = !at_least(ascii ^ (ONES * b'-' as u64), 1);
    let others = (!(letters | digits | hyphens) | word) & HIGH;
    // All bits below the first byte that is something else; all of them if there is none.
    let before = (others & others.wrapping_neg()).wrapping_sub(1);
    let lower = word | ((letters & HIGH & before) >> 2);
    (lower.to_le_bytes(), others.trailing_zeros() as usize / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_measured_and_lowered() {
        for byte in 0..=255u8 {
            for at in 0..20 {
                let mut text = *b"Content-0-LengthZZ-X";
                text[at] = byte;
                let mut map = HeaderMap::new();
                let base = map.adopt(&text);
                let plain = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-';
                let length = text.iter().take_while(|b| plain(b)).count();
                assert_eq!(map.lower_plain_name(base), length, "{byte} at {at}");
                let mut lower = text;
                lower[..length].make_ascii_lowercase();
                assert_eq!(map.arena, lower, "{byte} at {at}");
            }
        }
        assert_eq!(HeaderMap::new().lower_plain_name(5), 0);
    }
}
