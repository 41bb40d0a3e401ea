//! Finds the frames in a stream of bytes that comes in pieces.

use super::{DATA, GOAWAY, HEADERS, PADDED, RST_STREAM};

/// Bytes of a frame header.
const HEADER: usize = 9;
/// Bytes of a client's preface.
const PREFACE: usize = 24;
/// The most bytes of a payload that anybody asks about: a GOAWAY's.
const PEEK: usize = 8;

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    /// Bytes of the payload.
    pub length: u32,
    /// The first bytes of the payload, of those kinds that [`peek`] names.
    payload: [u8; PEEK],
}

impl Frame {
    /// Whether all bits of `flag` are set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag == flag
    }

    /// What the payload holds beside padding, in bytes.
    pub fn content_length(&self) -> u32 {
        let padded = self.has(PADDED) && matches!(self.kind, DATA | HEADERS) && self.length > 0;
        let padding = if padded {
            1 + u32::from(self.payload[0])
        } else {
            0
        };
        self.length.saturating_sub(padding)
    }

    /// The error of a RST_STREAM.
    pub fn reset_code(&self) -> u32 {
        let [a, b, c, d, ..] = self.payload;
        u32::from_be_bytes([a, b, c, d])
    }

    /// The last stream and the error of a GOAWAY.
    pub fn go_away(&self) -> (u32, u32) {
        let [a, b, c, d, e, f, g, h] = self.payload;
        (
            u32::from_be_bytes([a & 0x7f, b, c, d]),
            u32::from_be_bytes([e, f, g, h]),
        )
    }
}

/// How much of the payload belongs to what is known of a frame.
fn peek(kind: u8, flags: u8, length: u32) -> usize {
    let wanted = match kind {
        DATA | HEADERS if flags & PADDED != 0 => 1,
        RST_STREAM => 4,
        GOAWAY => PEEK,
        _ => 0,
    };
    wanted.min(length as usize)
}

/// One direction of a connection, between two pieces.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scanner {
    /// The beginning of the frame that is being read.
    head: [u8; HEADER + PEEK],
    filled: usize,
    /// Bytes of its payload that are still to pass.
    skip: usize,
}

impl Scanner {
    /// What a client sends begins with a preface, which is no frame.
    pub fn of_client() -> Self {
        Self {
            skip: PREFACE,
            ..Self::default()
        }
    }

    /// Shows each frame that `bytes` begin or complete the head of. `each` says whether to go on; if not, the result is
    /// where that frame begins: at zero if in an earlier piece.
    pub fn scan(&mut self, bytes: &[u8], mut each: impl FnMut(&Frame) -> bool) -> Option<usize> {
        let mut rest = bytes;
        let mut begin = 0;
        while !rest.is_empty() {
            if self.skip > 0 {
                let step = self.skip.min(rest.len());
                self.skip -= step;
                rest = rest.get(step..).unwrap_or_default();
                continue;
            }
            if self.filled == 0 {
                begin = bytes.len() - rest.len();
            }
            rest = self.fill(rest);
            let Some(frame) = self.complete() else {
                continue;
            };
            self.skip = frame.length as usize + HEADER - self.filled;
            self.filled = 0;
            if !each(&frame) {
                return Some(begin);
            }
        }
        None
    }

    /// How much of the head there has to be, as far as that is known.
    fn wanted(&self) -> usize {
        let [a, b, c, kind, flags, ..] = self.head;
        if self.filled < HEADER {
            return HEADER;
        }
        HEADER + peek(kind, flags, u32::from_be_bytes([0, a, b, c]))
    }

    fn fill<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let missing = self.wanted() - self.filled;
        let (now, later) = bytes.split_at(missing.min(bytes.len()));
        if let Some(place) = self.head.get_mut(self.filled..self.filled + now.len()) {
            place.copy_from_slice(now);
        }
        self.filled += now.len();
        later
    }

    fn complete(&self) -> Option<Frame> {
        if self.filled < self.wanted() {
            return None;
        }
        let [a, b, c, kind, flags, s, t, u, v, payload @ ..] = self.head;
        Some(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes([s & 0x7f, t, u, v]),
            length: u32::from_be_bytes([0, a, b, c]),
            payload,
        })
    }

    /// Nothing of a payload is missing, nor is there the beginning of a frame.
    pub fn is_between_frames(&self) -> bool {
        self.skip == 0 && self.filled == 0
    }

    /// The payload of the last frame has passed; the next may have begun.
    pub fn payload_passed(&self) -> bool {
        self.skip == 0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn bytes(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut out = length[1..].to_vec();
        out.extend([kind, flags]);
        out.extend(stream.to_be_bytes());
        out.extend(payload);
        out
    }

    fn scan(pieces: &[&[u8]]) -> Vec<Frame> {
        let mut scanner = Scanner::default();
        let mut frames = Vec::new();
        for piece in pieces {
            scanner.scan(piece, |frame| {
                frames.push(*frame);
                true
            });
        }
        assert!(scanner.is_between_frames());
        frames
    }

    #[test]
    fn the_preface_of_a_client_is_no_frame() {
        let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        sent.extend(bytes(DATA, 0, 1, b"x"));
        for cut in 0..sent.len() {
            let (mut scanner, mut kinds) = (Scanner::of_client(), Vec::new());
            for piece in [&sent[..cut], &sent[cut..]] {
                scanner.scan(piece, |frame| {
                    kinds.push(frame.kind);
                    true
                });
            }
            assert_eq!(kinds, [DATA], "{cut}");
        }
    }

    #[test]
    fn what_is_asked_of_payloads_is_there() {
        let all = [
            bytes(GOAWAY, 0, 0, &[0x80, 0, 0, 3, 0, 0, 0, 11, b'x']),
            bytes(RST_STREAM, 0, 5, &[0, 0, 0, 8]),
            bytes(DATA, PADDED, 7, &[2, b'x', 0, 0]),
            bytes(DATA, PADDED, 7, &[]),
        ]
        .concat();
        let frames = scan(&[&all]);
        assert_eq!(frames[0].go_away(), (3, 11));
        assert_eq!((frames[1].stream, frames[1].reset_code()), (5, 8));
        assert_eq!(frames[2].content_length(), 1);
        assert_eq!(frames[3].content_length(), 0);
    }

    #[test]
    fn a_stop_names_the_beginning_of_its_frame() {
        let all = [bytes(PADDED, 0, 0, b"1234"), bytes(6, 0, 0, b"12345678")].concat();
        let mut scanner = Scanner::default();
        assert_eq!(scanner.scan(&all, |frame| frame.kind != 6), Some(13));
        let mut scanner = Scanner::default();
        assert_eq!(scanner.scan(&all[..15], |frame| frame.kind != 6), None);
        assert_eq!(scanner.scan(&all[15..], |frame| frame.kind != 6), Some(0));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            frames in prop::collection::vec((0u8..12, any::<u8>(), 0u32..9, prop::collection::vec(any::<u8>(), 0..20)), 0..8),
            cuts in prop::collection::vec(0usize..200, 0..8),
        ) {
            let all: Vec<u8> = frames.iter().flat_map(|(k, f, s, p)| bytes(*k, *f, *s, p)).collect();
            let whole = scan(&[&all]);
            prop_assert_eq!(whole.len(), frames.len());
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(all.len())).collect();
            cuts.extend([0, all.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &all[pair[0]..pair[1]]).collect();
            prop_assert_eq!(scan(&pieces), whole);
        }
    }
}
