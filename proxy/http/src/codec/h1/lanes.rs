//! Sixty-four bytes of a head at once: one bit per byte for what ends a line and for what must not be there.

use wide::u8x16;

/// Bytes looked at in one step, at most.
pub(super) const LANES: usize = 64;
/// Bytes that one instruction looks at.
const PIECE: usize = 16;

/// What stands where among up to sixty-four bytes; the first byte is the lowest bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) line_feeds: u64,
    pub(super) returns: u64,
    /// Control characters that Envoy refuses anywhere in a head: all but tab, CR and LF.
    pub(super) forbidden: u64,
}

/// A control character that Envoy refuses anywhere in a head. CR and LF are judged by the rules for lines instead.
#[inline]
pub(super) const fn is_forbidden(b: u8) -> bool {
    ((b < 0x20) & (b != b'\t') & (b != b'\r') & (b != b'\n')) | (b == 0x7f)
}

impl Marks {
    /// Looks at the first [`LANES`] of `bytes`, or at all of them.
    #[inline]
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut marks = Self::default();
        let (pieces, rest) = bytes.get(..LANES).unwrap_or(bytes).as_chunks();
        for (at, piece) in pieces.iter().enumerate() {
            marks.add(piece, at * PIECE);
        }
        if !rest.is_empty() {
            // Blanks have no marks.
            let mut piece = [b' '; PIECE];
            if let Some(start) = piece.get_mut(..rest.len()) {
                start.copy_from_slice(rest);
            }
            marks.add(&piece, pieces.len() * PIECE);
        }
        marks
    }

    /// Marks the bytes that stand at `at`, which is below [`LANES`].
    #[inline]
    fn add(&mut self, bytes: &[u8; PIECE], at: usize) {
        let bytes = u8x16::new(*bytes);
        let bits = |found: u8x16| u64::from(found.to_bitmask() as u16);
        let equal = |byte: u8| bits(bytes.simd_eq(u8x16::splat(byte)));
        let line_feeds = equal(b'\n');
        let returns = equal(b'\r');
        let controls = bits(bytes.min(u8x16::splat(0x1f)).simd_eq(bytes)) | equal(0x7f);
        self.line_feeds |= line_feeds << at;
        self.returns |= returns << at;
        self.forbidden |= (controls & !(line_feeds | returns | equal(b'\t'))) << at;
    }

    /// Only what the first `count` bytes say, `count` being 1 to 64.
    #[inline]
    pub(super) fn first(self, count: usize) -> Self {
        let kept = u64::MAX >> (LANES - count);
        Self {
            line_feeds: self.line_feeds & kept,
            returns: self.returns & kept,
            forbidden: self.forbidden & kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_by_one(bytes: &[u8]) -> Marks {
        let marks = |is: fn(u8) -> bool| {
            let bits = bytes.iter().take(LANES).rev();
            bits.fold(0, |all, &b| all << 1 | u64::from(is(b)))
        };
        Marks {
            line_feeds: marks(|b| b == b'\n'),
            returns: marks(|b| b == b'\r'),
            forbidden: marks(is_forbidden),
        }
    }

    #[test]
    fn each_byte_has_its_bit() {
        for length in [1, 15, 16, 17, 47, 63, 64, 65, 90] {
            for byte in 0..=255u8 {
                for at in 0..length {
                    let text = b"a\r\nb\xff\x80\0c\x7f\x1f \t~d-_".iter().cycle();
                    let mut bytes: Vec<u8> = text.copied().take(length).collect();
                    bytes[at] = byte;
                    assert_eq!(Marks::of(&bytes), one_by_one(&bytes), "{byte} at {at}");
                }
            }
        }
        let marks = Marks::of(b"a\r\nb\xff\x80\0c\x7f\x1f \t~d-\n");
        assert_eq!(marks.line_feeds, 1 << 2 | 1 << 15);
        assert_eq!(marks.returns, 1 << 1);
        assert_eq!(marks.forbidden, 1 << 6 | 1 << 8 | 1 << 9);
        assert_eq!(marks.first(3).line_feeds, 1 << 2);
        assert_eq!(marks.first(64), marks);
        assert_eq!(Marks::of(b""), Marks::default());
    }
}
