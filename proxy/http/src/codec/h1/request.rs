//! The downstream side: a request head from the bytes of a client.

use super::chars::{has_forbidden, is_blank, token_length};
use super::fields::{FieldRules, read_fields};
use super::framing::{self, Framing};
use super::ignored_upgrade::{strip_h2c, strip_ignored};
use super::scan::LineScanner;
use super::target;
use super::{HeaderKeyFormat, Http1Settings};
use crate::codec::{CodecError, buffer::consume};
use bytes::{Buf, BytesMut};
use outrigger_core::{HeaderId, HeaderMap, Method, Protocol};

/// What a request head says beside its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// `Http11`, or `Http10` for every other version.
    pub protocol: Protocol,
    pub method: Method,
    /// The client lets the connection stay open after the response.
    pub keep_alive: bool,
    /// Where the body ends; `UntilClose` for upgrades and CONNECT, whose bytes are not HTTP any more.
    pub framing: Framing,
    /// `expect: 100-continue`.
    pub expect_continue: bool,
    /// `connection: upgrade` with an `upgrade` other than `h2c`, which the codec strips as Envoy does.
    pub upgrade: bool,
    /// The target named scheme and host; they replaced the `host` header.
    pub absolute_form: bool,
    /// Names, values, colons and line ends of the headers, as Envoy counts the header bytes that it receives.
    pub header_bytes: usize,
    /// Headers dropped by `headers_with_underscores_action: DROP_HEADER`.
    pub dropped_underscores: u32,
}

/// Reads request heads off one connection. After an error the connection is lost.
#[derive(Debug, Default)]
pub struct RequestParser {
    lines: LineScanner,
    line: Option<RequestLine>,
}

/// The parts of the request line as offsets into the head.
#[derive(Clone, Copy, Debug)]
struct RequestLine {
    method: Method,
    method_end: usize,
    target: (usize, usize),
    protocol: Protocol,
}

impl RequestParser {
    pub fn new() -> Self {
        Self::default()
    }

    /// Some bytes of a head were seen, but not all.
    pub fn in_progress(&self) -> bool {
        !self.lines.is_new()
    }

    /// Takes one head off `buf` into `headers`, whose former content is forgotten. `None`: more bytes are needed.
    ///
    /// On error `headers` is empty: Envoy logs and routes nothing of a request that its codec refuses.
    pub fn parse(
        &mut self,
        buf: &mut BytesMut,
        settings: &Http1Settings,
        headers: &mut HeaderMap,
    ) -> Result<Option<RequestHead>, CodecError> {
        let result = self.try_parse(buf, settings, headers);
        if result.is_err() {
            headers.clear();
        }
        result
    }

    fn try_parse(
        &mut self,
        buf: &mut BytesMut,
        settings: &Http1Settings,
        headers: &mut HeaderMap,
    ) -> Result<Option<RequestHead>, CodecError> {
        if self.lines.is_new() {
            skip_line_ends(buf);
            // Most often this is a TLS client: answer before it waits for us.
            if buf.first().is_some_and(|&b| b <= b' ') {
                return Err(CodecError::malformed("invalid method"));
            }
        }
        let scan = self.lines.scan(buf, 1, settings.max_head_bytes);
        if self.line.is_none()
            && let Some(first) = self.lines.first(buf)
        {
            if self.lines.found().forbidden && has_forbidden(first) {
                return Err(CodecError::INVALID_CHARACTERS);
            }
            self.line = Some(RequestLine::parse(first, settings)?);
        }
        let Some(length) = scan? else {
            return Ok(None);
        };
        let Some(line) = self.line.take() else {
            return Ok(None);
        };
        headers.clear();
        if let HeaderKeyFormat::PreserveCase(format) = settings.header_key_format {
            headers.keep_original_names(format.proper_case_others);
        }
        let block = buf.get(..length).unwrap_or_default();
        let head = read_head(block, line, &self.lines, settings, headers)?;
        consume(buf, length);
        self.lines.reset();
        Ok(Some(head))
    }
}

fn skip_line_ends(buf: &mut BytesMut) {
    let skip = buf
        .iter()
        .take_while(|b| matches!(b, b'\r' | b'\n'))
        .count();
    if skip > 0 {
        buf.advance(skip);
    }
}

impl RequestLine {
    /// Parts are separated by runs of blanks. No version at all is HTTP/0.9, which Envoy treats as 1.0.
    fn parse(line: &[u8], settings: &Http1Settings) -> Result<Self, CodecError> {
        let method_end = token_length(line);
        let method_bytes = line.get(..method_end).unwrap_or_default();
        let method = Method::from_bytes(method_bytes);
        let known = method != Method::Other || is_registered(method_bytes);
        if method_end == 0 || !(known || settings.allow_custom_methods) {
            return Err(CodecError::malformed("invalid method"));
        }
        let rest = line.get(method_end..).unwrap_or_default();
        let blanks = rest.iter().take_while(|&&b| is_blank(b)).count();
        if blanks == 0 {
            return Err(CodecError::malformed("invalid request line"));
        }
        let start = method_end + blanks;
        let rest = line.get(start..).unwrap_or_default();
        let length = rest.iter().position(|&b| is_blank(b)).unwrap_or(rest.len());
        let (target, version) = rest.split_at(length);
        if !target::has_valid_shape(target, method == Method::Connect) {
            return Err(CodecError::malformed("invalid url"));
        }
        Ok(Self {
            method,
            method_end,
            target: (start, start + length),
            protocol: parse_version(version.trim_ascii())?,
        })
    }
}

fn parse_version(version: &[u8]) -> Result<Protocol, CodecError> {
    match version {
        b"HTTP/1.1" => Ok(Protocol::Http11),
        b"" => Ok(Protocol::Http10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Ok(Protocol::Http10)
        }
        _ => Err(CodecError::malformed("invalid version")),
    }
}

/// The methods that Envoy's parser knows beyond those of [`Method`].
fn is_registered(method: &[u8]) -> bool {
    const REGISTERED: [&[u8]; 26] = [
        b"ACL",
        b"BIND",
        b"CHECKOUT",
        b"COPY",
        b"LINK",
        b"LOCK",
        b"MERGE",
        b"MKACTIVITY",
        b"MKCALENDAR",
        b"MKCOL",
        b"MOVE",
        b"MSEARCH",
        b"NOTIFY",
        b"PROPFIND",
        b"PROPPATCH",
        b"PURGE",
        b"QUERY",
        b"REBIND",
        b"REPORT",
        b"SEARCH",
        b"SOURCE",
        b"SUBSCRIBE",
        b"UNBIND",
        b"UNLINK",
        b"UNLOCK",
        b"UNSUBSCRIBE",
    ];
    REGISTERED.contains(&method)
}

/// The whole head is there: headers, framing, target, version, in the order in which Envoy finds fault with them.
fn read_head(
    block: &[u8],
    line: RequestLine,
    lines: &LineScanner,
    settings: &Http1Settings,
    headers: &mut HeaderMap,
) -> Result<RequestHead, CodecError> {
    let target = block.get(line.target.0..line.target.1).unwrap_or_default();
    let connect = line.method == Method::Connect;
    let asterisk = line.method == Method::Options && target.first() == Some(&b'*');
    let origin_form = !connect && (target.first() == Some(&b'/') || asterisk);
    headers.append(
        HeaderId::Method,
        block.get(..line.method_end).unwrap_or_default(),
    );
    if origin_form {
        headers.append(HeaderId::Path, target);
    }

    let rules = FieldRules {
        max_count: settings.max_headers_count,
        underscores: settings.headers_with_underscores_action,
    };
    let fields = read_fields(block, lines, 1, rules, headers)?;
    if fields.hosts > 1 {
        return Err(CodecError::malformed("multiple host lines"));
    }

    let upgrade = framing::is_upgrade(headers)
        && !strip_h2c(headers)
        && !strip_ignored(headers, &settings.ignored_upgrades);
    if connect && let Some(length) = headers.get(HeaderId::ContentLength) {
        if length != b"0" {
            return Err(CodecError::bad_request(
                "http1.body_disallowed",
                "unsupported content length",
            ));
        }
        headers.remove(HeaderId::ContentLength);
    }
    let declared = framing::declared(headers, settings.allow_chunked_length)?;
    if connect && declared.is_some() {
        return Err(CodecError::TRANSFER_ENCODING);
    }
    let framing = if upgrade || connect {
        Framing::UntilClose
    } else {
        declared.unwrap_or(Framing::None)
    };

    let absolute_form = !origin_form && !connect && settings.allow_absolute_url;
    if connect {
        if !target::connect_is_valid(target) {
            return Err(CodecError::INVALID_URL);
        }
        headers.set(HeaderId::Authority, target);
    } else if absolute_form {
        let url = target::parse_absolute(target)?;
        headers.append(HeaderId::Path, url.path);
        headers.append(HeaderId::Scheme, url.scheme);
        headers.set(HeaderId::Authority, url.authority);
    } else if !origin_form {
        headers.append(HeaderId::Path, target);
    }

    if line.protocol == Protocol::Http10 {
        if !settings.accept_http_10 {
            return Err(CodecError::LOW_VERSION);
        }
        if let Some(host) = &settings.default_host_for_http_10
            && !headers.contains(HeaderId::Authority)
        {
            headers.set(HeaderId::Authority, host.as_bytes());
        }
    }
    Ok(RequestHead {
        protocol: line.protocol,
        method: line.method,
        keep_alive: framing::keep_alive(line.protocol, headers),
        framing,
        expect_continue: headers
            .get(HeaderId::Expect)
            .is_some_and(|e| e.eq_ignore_ascii_case(b"100-continue")),
        upgrade,
        absolute_form,
        header_bytes: fields.counted_bytes(),
        dropped_underscores: fields.dropped,
    })
}
