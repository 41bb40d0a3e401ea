//! Heads and bodies onto the wire, byte for byte as Envoy writes them.
//!
//! The framing headers are the codec's business: `transfer-encoding` in the map of a head is never written, the codec
//! adds its own. A name or value with CR, LF or NUL makes the whole message an error and leaves nothing in the buffer: dropping
//! the byte would forward a header that nobody wrote, and no peer that we accept heads from can have sent it.

use super::chars::{is_target, splits_lines};
use super::framing::{decimal, is_upgrade};
use super::{Framing, HeaderKeyFormat, reason_phrase};
use bytes::BytesMut;
use outrigger_core::{HeaderId, HeaderMap, HeaderSet, Method, OriginalNames, Protocol};

/// A head that must not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// `:method`, `:path` (`:authority` for CONNECT) or `:status` is missing or not writable.
    #[error("missing or invalid required header: {0}")]
    Required(&'static str),
    /// CR, LF or NUL in a name or value.
    #[error("header holds CR, LF or NUL")]
    LineBreak,
    /// `content-length` is no number, or promises a body that there is not.
    #[error("invalid content-length")]
    ContentLength,
}

/// How to write a request head.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestEncoding {
    /// No body and no trailers follow.
    pub end_stream: bool,
    pub header_key_format: HeaderKeyFormat,
    /// Write `http://host/path` as the target.
    pub fully_qualified_url: bool,
}

/// What the codec says about the connection in a response, in place of a `connection` header in the map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectionHeader {
    /// Whatever the map says.
    #[default]
    FromMap,
    Close,
    /// Told to HTTP/1.0 clients that asked for it.
    KeepAlive,
}

/// How to write a response head.
#[derive(Clone, Copy, Debug)]
pub struct ResponseEncoding {
    /// The client's: `Http10` gets `HTTP/1.0` and no chunks.
    pub protocol: Protocol,
    /// The method of the request being answered.
    pub method: Method,
    /// No body and no trailers follow.
    pub end_stream: bool,
    pub connection: ConnectionHeader,
    pub header_key_format: HeaderKeyFormat,
}

/// Writes a request head; the framing tells how the body must be written: `Chunked` through [`encode_chunk`], all
/// others as they are.
pub fn encode_request(
    out: &mut BytesMut,
    headers: &HeaderMap,
    how: RequestEncoding,
) -> Result<Framing, EncodeError> {
    let start = out.len();
    let result = request_head(out, headers, how);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// Writes the head of a response, interim ones included; the framing tells how the body must be written.
/// `UntilClose` means that closing the connection ends it.
pub fn encode_response(
    out: &mut BytesMut,
    headers: &HeaderMap,
    how: ResponseEncoding,
) -> Result<Framing, EncodeError> {
    let start = out.len();
    let result = response_head(out, headers, how);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

fn request_head(
    out: &mut BytesMut,
    headers: &HeaderMap,
    how: RequestEncoding,
) -> Result<Framing, EncodeError> {
    let method_bytes = required(headers, HeaderId::Method)?;
    let method = Method::from_bytes(method_bytes);
    out.extend_from_slice(method_bytes);
    out.extend_from_slice(b" ");
    if method == Method::Connect {
        out.extend_from_slice(required(headers, HeaderId::Authority)?);
    } else {
        let path = required(headers, HeaderId::Path)?;
        if how.fully_qualified_url {
            out.extend_from_slice(required(headers, HeaderId::Scheme)?);
            out.extend_from_slice(b"://");
            out.extend_from_slice(required(headers, HeaderId::Authority)?);
        }
        out.extend_from_slice(path);
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let names = Names::of(headers, how.header_key_format);
    let written = write_lines(out, headers, names, FRAMING)?;
    let framing = if method == Method::Connect || is_upgrade(headers) {
        Framing::UntilClose
    } else if let Some(length) = written.length {
        match (how.end_stream, length) {
            (false, _) => Framing::Length(length),
            (true, 0) => Framing::None,
            // The next request on the connection would be read as this body.
            (true, _) => return Err(EncodeError::ContentLength),
        }
    } else if how.end_stream {
        let bodiless = matches!(
            method,
            Method::Get | Method::Head | Method::Delete | Method::Trace
        );
        if !bodiless {
            write_line(out, b"content-length", b"0", names);
        }
        Framing::None
    } else {
        write_line(out, b"transfer-encoding", b"chunked", names);
        Framing::Chunked
    };
    out.extend_from_slice(b"\r\n");
    Ok(framing)
}

fn response_head(
    out: &mut BytesMut,
    headers: &HeaderMap,
    how: ResponseEncoding,
) -> Result<Framing, EncodeError> {
    let missing = EncodeError::Required(":status");
    let status = headers.get(HeaderId::Status).and_then(decimal);
    let status = status.and_then(|s| u16::try_from(s).ok()).ok_or(missing)?;
    let version: &[u8] = match how.protocol {
        Protocol::Http10 => b"HTTP/1.0 ",
        _ => b"HTTP/1.1 ",
    };
    out.extend_from_slice(version);
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.extend_from_slice(b" ");
    let names = Names::of(headers, how.header_key_format);
    match names {
        Names::Original(original) if !original.reason.is_empty() => {
            out.extend_from_slice(&original.reason);
        }
        _ => out.extend_from_slice(reason_phrase(status).as_bytes()),
    }
    out.extend_from_slice(b"\r\n");

    let no_length = status < 200 || status == 204;
    let own_connection = how.connection != ConnectionHeader::FromMap;
    let mut skipped = FRAMING;
    if no_length {
        skipped = skipped.union(HeaderSet::of(&[HeaderId::ContentLength]));
    }
    if own_connection {
        skipped = skipped.union(HeaderSet::of(&[HeaderId::Connection]));
    }
    let written = write_lines(out, headers, names, skipped)?;
    match how.connection {
        ConnectionHeader::FromMap => {}
        ConnectionHeader::Close => write_line(out, b"connection", b"close", names),
        ConnectionHeader::KeepAlive => {
            write_line(out, b"connection", b"keep-alive", names);
        }
    }

    let head = how.method == Method::Head;
    let framing = if status == 101 || (status == 200 && how.method == Method::Connect) {
        Framing::UntilClose
    } else if no_length || status == 304 {
        Framing::None
    } else if let Some(length) = written.length {
        match (head, how.end_stream, length) {
            (true, _, _) | (_, true, 0) => Framing::None,
            // The next response on the connection would be read as this body.
            (_, true, _) => Framing::UntilClose,
            // Behind a response that switches over, whatever it says of its length, comes another protocol.
            (_, false, _) if is_upgrade(headers) => Framing::UntilClose,
            (_, false, _) => Framing::Length(length),
        }
    } else if how.end_stream && !head {
        write_line(out, b"content-length", b"0", names);
        Framing::None
    } else if how.protocol == Protocol::Http10 {
        if head {
            Framing::None
        } else {
            Framing::UntilClose
        }
    } else {
        write_line(out, b"transfer-encoding", b"chunked", names);
        if head {
            Framing::None
        } else {
            Framing::Chunked
        }
    };
    out.extend_from_slice(b"\r\n");
    Ok(framing)
}

/// A part of the request line: there, and without anything that could end it early.
fn required(headers: &HeaderMap, id: HeaderId) -> Result<&[u8], EncodeError> {
    headers
        .get(id)
        .filter(|v| !v.is_empty() && is_target(v))
        .ok_or(EncodeError::Required(id.name()))
}

/// Envoy's header bytes of a head that was written: its header lines, without the first line and the empty one.
pub(super) fn header_bytes(head: &[u8]) -> u64 {
    let first = memchr::memchr(b'\n', head).map_or(0, |at| at + 1);
    head.len().saturating_sub(first + b"\r\n".len()) as u64
}

struct Written {
    /// `content-length`, if it was written.
    length: Option<u64>,
}

/// What is written elsewhere: in the first line, or not at all on HTTP/1. `:authority` is the `host` line.
const NO_LINES: HeaderSet = HeaderSet::of(&[
    HeaderId::Method,
    HeaderId::Path,
    HeaderId::Scheme,
    HeaderId::Protocol,
    HeaderId::Status,
]);

/// The lines of a head that the codec writes by itself.
const FRAMING: HeaderSet = NO_LINES.union(HeaderSet::of(&[HeaderId::TransferEncoding]));

/// All lines but those of `skipped`, in the order of the map.
fn write_lines(
    out: &mut BytesMut,
    headers: &HeaderMap,
    names: Names<'_>,
    skipped: HeaderSet,
) -> Result<Written, EncodeError> {
    let mut length = None;
    let verbatim = matches!(names, Names::LowerCase);
    // Lines that are still as they came, one behind the other, are copied as one.
    let mut run = 0..0;
    for line in headers.lines() {
        let id = line.id();
        if skipped.has(id) {
            continue;
        }
        if id == HeaderId::ContentLength {
            let value = line.value();
            length = Some(decimal(value).ok_or(if splits_lines(value) {
                EncodeError::LineBreak
            } else {
                EncodeError::ContentLength
            })?);
        }
        match line.wire().filter(|_| verbatim) {
            Some(wire) if wire.start == run.end => run.end = wire.end,
            Some(wire) => {
                out.extend_from_slice(headers.wire(std::mem::replace(&mut run, wire)));
            }
            None => {
                let name = match id {
                    HeaderId::Authority => b"host",
                    _ => line.name(),
                };
                if name.first().is_none_or(|&b| b == b':') {
                    continue;
                }
                let value = line.value();
                if splits_lines(value) || (id == HeaderId::Custom && splits_lines(name)) {
                    return Err(EncodeError::LineBreak);
                }
                out.extend_from_slice(headers.wire(std::mem::take(&mut run)));
                write_line(out, name, value, names);
            }
        }
    }
    out.extend_from_slice(headers.wire(run));
    Ok(Written { length })
}

/// How the names of one message are written.
#[derive(Clone, Copy)]
enum Names<'a> {
    LowerCase,
    ProperCase,
    /// As they were spelt, others by the rule that goes with it.
    Original(&'a OriginalNames),
}

impl<'a> Names<'a> {
    /// A message that kept its spelling has it written, whatever the side that writes is told.
    fn of(headers: &'a HeaderMap, format: HeaderKeyFormat) -> Self {
        match (headers.original_names(), format) {
            (Some(original), _) => Self::Original(original),
            (None, HeaderKeyFormat::ProperCaseWords) => Self::ProperCase,
            (None, _) => Self::LowerCase,
        }
    }

    #[inline]
    fn write(self, out: &mut BytesMut, name: &[u8]) {
        match self {
            Self::LowerCase => out.extend_from_slice(name),
            Self::ProperCase => write_proper_case(out, name),
            Self::Original(original) => match original.spelling(name) {
                Some(spelling) => out.extend_from_slice(spelling),
                None if original.proper_case_others => write_proper_case(out, name),
                None => out.extend_from_slice(name),
            },
        }
    }
}

fn write_proper_case(out: &mut BytesMut, name: &[u8]) {
    let mut capital = true;
    out.extend(name.iter().map(|b| {
        let written = if capital { b.to_ascii_uppercase() } else { *b };
        capital = !b.is_ascii_alphanumeric();
        written
    }));
}

#[inline]
fn write_line(out: &mut BytesMut, name: &[u8], value: &[u8], names: Names<'_>) {
    out.reserve(name.len() + value.len() + b": \r\n".len());
    names.write(out, name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// One whole chunk. Nothing for no data: an empty chunk would end the body.
pub fn encode_chunk(out: &mut BytesMut, data: &[u8]) {
    if !data.is_empty() {
        encode_chunk_start(out, data.len() as u64);
        out.extend_from_slice(data);
        encode_chunk_end(out);
    }
}

/// The size line of a chunk whose `length` bytes the caller writes by itself; `length` must not be 0.
pub fn encode_chunk_start(out: &mut BytesMut, length: u64) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let significant = (67 - length.max(1).leading_zeros()) / 4;
    for at in (0..significant).rev() {
        let digit = (length >> (4 * at)) & 0xf;
        out.extend(DIGITS.get(digit as usize));
    }
    out.extend_from_slice(b"\r\n");
}

/// The line end after a chunk's data.
pub fn encode_chunk_end(out: &mut BytesMut) {
    out.extend_from_slice(b"\r\n");
}

/// The end of a chunked body, with the trailers that `enable_trailers` lets through. Their names are in lower case,
/// whatever the format of headers is.
pub fn encode_last_chunk(
    out: &mut BytesMut,
    trailers: Option<&HeaderMap>,
) -> Result<(), EncodeError> {
    let start = out.len();
    out.extend_from_slice(b"0\r\n");
    if let Some(trailers) = trailers
        && let Err(error) = write_lines(out, trailers, Names::LowerCase, NO_LINES)
    {
        out.truncate(start);
        return Err(error);
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}
