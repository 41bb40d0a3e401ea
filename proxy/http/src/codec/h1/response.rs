//! The upstream side: a response head from the bytes of a server. Every error is a "protocol error" reset (502, UPE).

use super::UnderscoreAction;
use super::chars::{is_blank, splits_lines};
use super::fields::{FieldRules, read_fields};
use super::framing::{self, Framing};
use super::scan::LineScanner;
use super::{HeaderKeyFormat, Http1Settings};
use crate::codec::{CodecError, buffer::consume};
use bytes::BytesMut;
use outrigger_core::{HeaderId, HeaderMap, Method, Protocol};

/// What a response head says beside its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// From 100 on; Envoy passes unassigned codes (999, 1000) as they are.
    pub status: u16,
    /// `Http11`, or `Http10` for every other version.
    pub protocol: Protocol,
    /// The connection may carry another request after this response.
    pub keep_alive: bool,
    /// Where the body ends. `None` for 1xx too: the next head of the same response follows.
    pub framing: Framing,
    /// Names, values, colons and line ends of the headers, as Envoy counts the header bytes that it receives.
    pub header_bytes: usize,
}

impl ResponseHead {
    /// An interim response: another head follows. 101 is final, the connection speaks another protocol after it.
    pub const fn is_informational(&self) -> bool {
        self.status < 200 && self.status != 101
    }
}

/// Reads response heads off one connection. After an error the connection is lost.
#[derive(Debug, Default)]
pub struct ResponseParser {
    lines: LineScanner,
}

impl ResponseParser {
    pub fn new() -> Self {
        Self::default()
    }

    /// Some bytes of a head were seen, but not all.
    pub fn in_progress(&self) -> bool {
        !self.lines.is_new()
    }

    /// Takes one head off `buf` into `headers`, whose former content is forgotten. `None`: more bytes are needed.
    /// `method` is that of the request being answered.
    pub fn parse(
        &mut self,
        buf: &mut BytesMut,
        settings: &Http1Settings,
        method: Method,
        headers: &mut HeaderMap,
    ) -> Result<Option<ResponseHead>, CodecError> {
        let result = self.try_parse(buf, settings, method, headers);
        if result.is_err() {
            headers.clear();
        }
        result
    }

    fn try_parse(
        &mut self,
        buf: &mut BytesMut,
        settings: &Http1Settings,
        method: Method,
        headers: &mut HeaderMap,
    ) -> Result<Option<ResponseHead>, CodecError> {
        // A server of another protocol is told by its first bytes, it may never send a line.
        if buf.iter().zip(b"HTTP/").any(|(a, b)| a != b) {
            return Err(CodecError::malformed("invalid version"));
        }
        let Some(length) = self.lines.scan(buf, 1, settings.max_head_bytes)? else {
            return Ok(None);
        };
        headers.clear();
        let block = buf.get(..length).unwrap_or_default();
        let line = self.lines.first(block).unwrap_or_default();
        if let HeaderKeyFormat::PreserveCase(format) = settings.header_key_format {
            headers.keep_original_names(format.proper_case_others);
            if format.forward_reason_phrase {
                headers.set_reason(reason(line));
            }
        }
        let head = read_head(block, line, &self.lines, settings, method, headers)?;
        consume(buf, length);
        self.lines.reset();
        Ok(Some(head))
    }
}

/// What stands behind the status, if it can be written again as it is.
fn reason(line: &[u8]) -> &[u8] {
    let line = line.trim_ascii_end();
    let mut parts = line.splitn(3, |&b| is_blank(b));
    let reason = parts.nth(2).unwrap_or_default().trim_ascii();
    if splits_lines(reason) { b"" } else { reason }
}

/// `HTTP/1.1 200 OK`: the reason is not looked at.
fn parse_status_line(line: &[u8]) -> Option<(Protocol, u16)> {
    let (version, rest) = line.split_at_checked(8)?;
    let protocol = match version {
        b"HTTP/1.1" => Protocol::Http11,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Protocol::Http10
        }
        _ => return None,
    };
    let blanks = rest.iter().take_while(|&&b| is_blank(b)).count();
    if blanks == 0 {
        return None;
    }
    let rest = rest.get(blanks..)?;
    let end = rest
        .iter()
        .position(|&b| is_blank(b) || b == b'\r')
        .unwrap_or(rest.len());
    let status = framing::decimal(rest.get(..end)?)?;
    let status = u16::try_from(status)
        .ok()
        .filter(|s| (100..=999).contains(s))?;
    Some((protocol, status))
}

fn read_head(
    block: &[u8],
    line: &[u8],
    lines: &LineScanner,
    settings: &Http1Settings,
    method: Method,
    headers: &mut HeaderMap,
) -> Result<ResponseHead, CodecError> {
    if lines.found().forbidden {
        return Err(CodecError::INVALID_CHARACTERS);
    }
    let (protocol, status) =
        parse_status_line(line).ok_or(CodecError::malformed("invalid status line"))?;
    headers.append(
        HeaderId::Status,
        itoa::Buffer::new().format(status).as_bytes(),
    );
    let rules = FieldRules {
        max_count: settings.max_headers_count,
        underscores: UnderscoreAction::Allow,
    };
    let fields = read_fields(block, lines, 1, rules, headers)?;

    if status < 200 || status == 204 {
        never_has_a_body(headers)?;
    }
    let declared = framing::declared(headers, settings.allow_chunked_length)?;
    let framing = match status {
        200 if method == Method::Connect => Framing::UntilClose,
        ..200 | 204 | 304 => Framing::None,
        _ if method == Method::Head => Framing::None,
        _ => declared.unwrap_or(Framing::UntilClose),
    };
    Ok(ResponseHead {
        status,
        protocol,
        keep_alive: framing::keep_alive(protocol, headers),
        framing,
        header_bytes: fields.counted_bytes(),
    })
}

/// 1xx and 204 must not announce a body; Envoy removes a `content-length` of 0 and refuses all else.
fn never_has_a_body(headers: &mut HeaderMap) -> Result<(), CodecError> {
    if headers.contains(HeaderId::TransferEncoding) {
        return Err(CodecError::malformed(
            "transfer encoding not allowed in 1xx or 204",
        ));
    }
    if headers
        .get(HeaderId::ContentLength)
        .is_some_and(|l| l != b"0")
    {
        return Err(CodecError::malformed(
            "content length not allowed in 1xx or 204",
        ));
    }
    headers.remove(HeaderId::ContentLength);
    Ok(())
}
