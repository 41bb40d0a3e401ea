//! Envoy's `FrameInspector`: where gRPC messages begin in a body, without looking at what they say.

/// A byte of flags and four of length stand before each message.
const FRAME_HEADER: usize = 5;

/// Counts the messages of a body that comes in pieces.
#[derive(Debug, Default)]
pub struct FrameCounter {
    count: u64,
    /// Bytes of the present frame's header that have come.
    header: usize,
    length: u32,
    /// Bytes that are still to come of the present frame.
    remaining: usize,
}

impl FrameCounter {
    /// Messages that have begun so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Looks at the next bytes and lends the flags of every frame that begins in them, then its payload as far as it is
    /// there, then that it is over.
    pub fn inspect(&mut self, mut data: &[u8], mut see: impl FnMut(Seen<'_>)) {
        while let Some((&byte, rest)) = data.split_first() {
            if self.remaining > 0 {
                let (payload, rest) = data.split_at(self.remaining.min(data.len()));
                self.remaining -= payload.len();
                data = rest;
                see(Seen::Payload(payload));
                if self.remaining == 0 {
                    see(Seen::End);
                }
                continue;
            }
            data = rest;
            if self.header == 0 {
                self.count += 1;
                self.length = 0;
                see(Seen::Flags(byte));
            } else {
                self.length = self.length << 8 | u32::from(byte);
                see(Seen::Length(byte));
            }
            self.header += 1;
            if self.header == FRAME_HEADER {
                self.header = 0;
                self.remaining = self.length as usize;
                if self.remaining == 0 {
                    see(Seen::End);
                }
            }
        }
    }
}

/// What of a frame has been seen.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen<'a> {
    Flags(u8),
    /// One of its four bytes.
    Length(u8),
    Payload(&'a [u8]),
    End,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(messages: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for message in messages {
            bytes.push(1);
            bytes.extend_from_slice(&(message.len() as u32).to_be_bytes());
            bytes.extend_from_slice(message);
        }
        bytes
    }

    proptest! {
        #[test]
        fn messages_are_found_however_the_body_is_cut(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..9),
            piece in 1_usize..20,
        ) {
            let mut counter = FrameCounter::default();
            let mut found: Vec<Vec<u8>> = Vec::new();
            let mut ends = 0;
            for piece in encode(&messages).chunks(piece) {
                counter.inspect(piece, |seen| match seen {
                    Seen::Flags(flags) => {
                        assert_eq!(flags, 1);
                        found.push(Vec::new());
                    }
                    Seen::Length(_) => {}
                    Seen::Payload(payload) => {
                        if let Some(last) = found.last_mut() {
                            last.extend_from_slice(payload);
                        }
                    }
                    Seen::End => ends += 1,
                });
            }
            prop_assert_eq!(counter.count(), messages.len() as u64);
            prop_assert_eq!(ends, messages.len());
            prop_assert_eq!(found, messages);
        }
    }

    #[test]
    fn a_message_counts_from_its_first_byte() {
        let mut counter = FrameCounter::default();
        counter.inspect(&[0, 0, 0, 0, 2, b'h'], |_| {});
        assert_eq!(counter.count(), 1);
        counter.inspect(b"i\0", |_| {});
        assert_eq!(counter.count(), 2);
    }
}
