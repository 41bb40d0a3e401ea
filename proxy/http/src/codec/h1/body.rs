//! Message bodies: length, chunks and trailers taken off the wire without copying the data.

use super::fields::{FieldRules, read_fields};
use super::scan::LineScanner;
use super::{Framing, Http1Settings, UnderscoreAction};
use crate::codec::CodecError;
use bytes::{Buf, Bytes, BytesMut};
use outrigger_core::HeaderMap;

/// A chunk-size line: 16 digits and 256 bytes of extension, or any other mix of the same length.
const MAX_CHUNK_LINE: usize = 16 + 256;

/// One step of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// Bytes of the body, as many as are in hand of this chunk; never empty.
    Data(Bytes),
    /// The trailers are in the map and the body is done.
    Trailers,
    /// The body is done.
    End,
    /// Nothing more can be said before more bytes come.
    NeedMore,
}

/// Reads the body that follows one head.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    trailers: TrailerRules,
    lines: LineScanner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Done,
    Length(u64),
    UntilClose,
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
}

#[derive(Clone, Copy, Debug)]
struct TrailerRules {
    enabled: bool,
    max_bytes: usize,
    fields: FieldRules,
}

impl BodyDecoder {
    /// `settings` are those of the side that reads.
    pub fn new(framing: Framing, settings: &Http1Settings) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(n) => State::Length(n),
            Framing::Chunked => State::ChunkSize,
            Framing::UntilClose => State::UntilClose,
        };
        // Trailers that are dropped anyway are only checked for syntax and size.
        let fields = if settings.enable_trailers {
            FieldRules {
                max_count: settings.max_headers_count,
                underscores: settings.headers_with_underscores_action,
            }
        } else {
            FieldRules {
                max_count: usize::MAX,
                underscores: UnderscoreAction::Allow,
            }
        };
        Self {
            state,
            trailers: TrailerRules {
                enabled: settings.enable_trailers,
                max_bytes: settings.max_head_bytes,
                fields,
            },
            lines: LineScanner::default(),
        }
    }

    /// The body ended; what is left in the buffer belongs to the next message.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Bytes of data known to come: the rest of the body, or of the chunk at hand.
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Done => Some(0),
            State::Length(n) | State::ChunkData(n) => Some(n),
            _ => None,
        }
    }

    /// The peer closed: true if that is how this body ends, false if it was cut short.
    pub fn on_eof(&mut self) -> bool {
        if self.state == State::UntilClose {
            self.state = State::Done;
        }
        self.is_done()
    }

    /// The next step, taken off the front of `buf`. `trailers` is filled only when `Trailers` is returned.
    pub fn decode(
        &mut self,
        buf: &mut BytesMut,
        trailers: &mut HeaderMap,
    ) -> Result<Decoded, CodecError> {
        loop {
            match self.state {
                State::Done => return Ok(Decoded::End),
                _ if buf.is_empty() => return Ok(Decoded::NeedMore),
                State::UntilClose => return Ok(Decoded::Data(buf.split().freeze())),
                State::Length(left) => {
                    let (data, left) = take(buf, left);
                    self.state = if left == 0 {
                        State::Done
                    } else {
                        State::Length(left)
                    };
                    return Ok(Decoded::Data(data));
                }
                State::ChunkData(left) => {
                    let (data, left) = take(buf, left);
                    self.state = if left == 0 {
                        State::ChunkEnd
                    } else {
                        State::ChunkData(left)
                    };
                    return Ok(Decoded::Data(data));
                }
                State::ChunkSize => match chunk_line(buf)? {
                    None => return Ok(Decoded::NeedMore),
                    Some((length, size)) => {
                        buf.advance(length);
                        self.state = if size == 0 {
                            State::Trailers
                        } else {
                            State::ChunkData(size)
                        };
                    }
                },
                State::ChunkEnd => {
                    if buf.iter().zip(b"\r\n").any(|(a, b)| a != b) {
                        return Err(CodecError::malformed("no line end after chunk data"));
                    }
                    if buf.len() < 2 {
                        return Ok(Decoded::NeedMore);
                    }
                    buf.advance(2);
                    self.state = State::ChunkSize;
                }
                State::Trailers => return self.decode_trailers(buf, trailers),
            }
        }
    }

    fn decode_trailers(
        &mut self,
        buf: &mut BytesMut,
        trailers: &mut HeaderMap,
    ) -> Result<Decoded, CodecError> {
        let Some(length) = self.lines.scan(buf, 0, self.trailers.max_bytes)? else {
            return Ok(Decoded::NeedMore);
        };
        trailers.clear();
        let block = buf.get(..length).unwrap_or_default();
        let read = read_fields(block, &self.lines, 0, self.trailers.fields, trailers);
        if read.is_err() || !self.trailers.enabled {
            trailers.clear();
        }
        read?;
        buf.advance(length);
        self.lines.reset();
        self.state = State::Done;
        if trailers.is_empty() {
            Ok(Decoded::End)
        } else {
            Ok(Decoded::Trailers)
        }
    }
}

/// Up to `left` bytes off the front, and how many are still to come.
fn take(buf: &mut BytesMut, left: u64) -> (Bytes, u64) {
    let in_hand = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
    (buf.split_to(in_hand).freeze(), left - in_hand as u64)
}

/// Length of the chunk-size line with its CRLF, and the size it names.
fn chunk_line(buf: &[u8]) -> Result<Option<(usize, u64)>, CodecError> {
    const INVALID: CodecError = CodecError::malformed("invalid chunk size");
    let window = buf
        .get(..buf.len().min(MAX_CHUNK_LINE + 2))
        .unwrap_or_default();
    let Some(end) = memchr::memchr(b'\n', window) else {
        if window.len() < buf.len() {
            return Err(CodecError::malformed("chunk size line too long"));
        }
        return Ok(None);
    };
    let line = window
        .get(..end)
        .and_then(|l| l.strip_suffix(b"\r"))
        .ok_or(INVALID)?;
    let digits = line
        .iter()
        .position(|b| !b.is_ascii_hexdigit())
        .unwrap_or(line.len());
    let (digits, extension) = line.split_at(digits);
    let starts_well = matches!(extension.first(), None | Some(b' ' | b'\t' | b';'));
    if digits.is_empty() || !starts_well || memchr::memchr2(b'\r', 0, extension).is_some() {
        return Err(INVALID);
    }
    let size = digits.iter().try_fold(0u64, |n, &d| {
        n.checked_mul(16)?
            .checked_add(u64::from(char::from(d).to_digit(16)?))
    });
    Ok(Some((end + 1, size.ok_or(INVALID)?)))
}
