//! Sixteen bytes of a head at once: one bit per byte for what ends a line and for what must not be there.

use wide::u8x16;

/// Bytes looked at in one step.
pub(super) const LANES: usize = 16;

/// What stands where among sixteen bytes; the first byte is the lowest bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) line_feeds: u16,
    pub(super) returns: u16,
    /// Control characters that Envoy refuses anywhere in a head: all but tab, CR and LF.
    pub(super) forbidden: u16,
}

/// A control character that Envoy refuses anywhere in a head. CR and LF are judged by the rules for lines instead.
#[inline]
pub(super) const fn is_forbidden(b: u8) -> bool {
    ((b < 0x20) & (b != b'\t') & (b != b'\r') & (b != b'\n')) | (b == 0x7f)
}

impl Marks {
    #[inline]
    pub(super) fn of(bytes: &[u8; LANES]) -> Self {
        let bytes = u8x16::new(*bytes);
        let bits = |found: u8x16| found.to_bitmask() as u16;
        let equal = |byte: u8| bits(bytes.simd_eq(u8x16::splat(byte)));
        let line_feeds = equal(b'\n');
        let returns = equal(b'\r');
        let controls = bits(bytes.min(u8x16::splat(0x1f)).simd_eq(bytes)) | equal(0x7f);
        Self {
            line_feeds,
            returns,
            forbidden: controls & !(line_feeds | returns | equal(b'\t')),
        }
    }

    /// Only what the first `count` bytes say, `count` being 1 to 16.
    #[inline]
    pub(super) fn first(self, count: usize) -> Self {
        let kept = u16::MAX >> (LANES - count);
        Self {
            line_feeds: self.line_feeds & kept,
            returns: self.returns & kept,
            forbidden: self.forbidden & kept,
        }
    }

    /// Only what the last `count` bytes say, as if they were the first; `count` being 1 to 16.
    #[inline]
    pub(super) fn last(self, count: usize) -> Self {
        let gone = LANES - count;
        Self {
            line_feeds: self.line_feeds >> gone,
            returns: self.returns >> gone,
            forbidden: self.forbidden >> gone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_by_one(bytes: &[u8; LANES]) -> Marks {
        let marks = |is: fn(u8) -> bool| {
            let bits = bytes.iter().rev();
            bits.fold(0, |all, &b| all << 1 | u16::from(is(b)))
        };
        Marks {
            line_feeds: marks(|b| b == b'\n'),
            returns: marks(|b| b == b'\r'),
            forbidden: marks(is_forbidden),
        }
    }

    #[test]
    fn each_byte_has_its_bit() {
        for byte in 0..=255u8 {
            for at in 0..LANES {
                let mut bytes = *b"a\r\nb\xff\x80\0c\x7f\x1f \t~d-_";
                bytes[at] = byte;
                assert_eq!(Marks::of(&bytes), one_by_one(&bytes), "{byte} at {at}");
            }
        }
        let marks = Marks::of(b"a\r\nb\xff\x80\0c\x7f\x1f \t~d-\n");
        assert_eq!(marks.line_feeds, 1 << 2 | 1 << 15);
        assert_eq!(marks.returns, 1 << 1);
        assert_eq!(marks.forbidden, 1 << 6 | 1 << 8 | 1 << 9);
        assert_eq!(marks.first(3).line_feeds, 1 << 2);
        assert_eq!(marks.first(16), marks);
        assert_eq!(marks.last(1).line_feeds, 1);
        assert_eq!(marks.last(10).forbidden, 1 | 1 << 2 | 1 << 3);
    }
}
