//! Puts a body behind a head that was written: as chunks or as it is, whatever the head promised. It must never write more
//! than that: who reads it would take the rest for another message.

use super::{Framing, encode_chunk_end, encode_chunk_start, encode_last_chunk};
use crate::codec::buffer::WriteBuffer;
use bytes::Bytes;
use outrigger_core::HeaderMap;

/// Writes the body of one message.
#[derive(Debug)]
pub struct BodyWriter {
    /// Of a length, what is left of it.
    framing: Framing,
    trailers: bool,
}

impl Default for BodyWriter {
    fn default() -> Self {
        Self {
            framing: Framing::None,
            trailers: false,
        }
    }
}

impl BodyWriter {
    /// `framing` is what encoding the head returned; `trailers`: `enable_trailers`.
    pub fn new(framing: Framing, trailers: bool) -> Self {
        Self { framing, trailers }
    }

    /// Data behind a head that promised none (a response to HEAD), or less (a mutation of its length), is dropped.
    pub fn data(&mut self, out: &mut WriteBuffer, mut data: Bytes) {
        match &mut self.framing {
            Framing::None => {}
            Framing::Chunked => {
                encode_chunk_start(out.tail(), data.len() as u64);
                out.push(data);
                encode_chunk_end(out.tail());
            }
            Framing::Length(left) => {
                if data.len() as u64 > *left {
                    data.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                }
                *left -= data.len() as u64;
                out.push(data);
            }
            Framing::UntilClose => out.push(data),
        }
    }

    pub fn end(&mut self, out: &mut WriteBuffer, trailers: Option<&HeaderMap>) {
        match self.framing {
            Framing::Chunked => {}
            Framing::Length(1..) => {
                self.framing = Framing::UntilClose;
                return;
            }
            _ => return,
        }
        let trailers = trailers.filter(|_| self.trailers);
        if encode_last_chunk(out.tail(), trailers).is_err() {
            // Trailers that would split lines are left out; the body itself is whole.
            let _ = encode_last_chunk(out.tail(), None);
        }
    }

    /// Only closing the connection ends this body, or tells that there is no more of it.
    pub fn ends_by_close(&self) -> bool {
        self.framing == Framing::UntilClose
    }
}
