//! Lines that stay where they came: a head is copied into the arena once and its entries point into it.

use super::{Entry, HeaderId, HeaderMap, Span};
use wide::u8x16;

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
        let (pieces, rest) = name.as_chunks_mut();
        for piece in pieces {
            let plain = lower_plain(piece);
            length += plain;
            if plain < piece.len() {
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

/// How many letters, digits and hyphens the bytes start with; those letters are in lower case then.
#[inline]
fn lower_plain(bytes: &mut [u8; 16]) -> usize {
    const PLACES: u8x16 = u8x16::new([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    let all = u8x16::splat;
    let text = u8x16::new(*bytes);
    let within = |text: u8x16, from: u8, to: u8| {
        text.max(all(from)).simd_eq(text) & text.min(all(to)).simd_eq(text)
    };
    let letters = within(text | all(0x20), b'a', b'z');
    let plain = letters | within(text, b'0', b'9') | text.simd_eq(all(b'-'));
    let length = (plain.to_bitmask() as u16).trailing_ones() as usize;
    let Some(last) = length.checked_sub(1) else {
        return 0;
    };
    let in_front = PLACES.min(all(last as u8)).simd_eq(PLACES);
    *bytes = (text | (letters & in_front & all(0x20))).to_array();
    length
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
