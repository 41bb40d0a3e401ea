//! Operators that read message heads: `REQ`, `RESP`, `TRAILER`, `PATH`, `QUERY_PARAM(S)` and the host part of
//! `REQUESTED_SERVER_NAME`.

use super::{FormatContext, operator::truncate, parse::Command};
use crate::{ConfigError, HeaderId, HeaderMap, HeaderName};
use std::borrow::Cow;

/// Which message a header is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Request,
    Response,
    Trailers,
}

impl Source {
    fn of<'a>(self, cx: &FormatContext<'a>) -> Option<&'a HeaderMap> {
        match self {
            Self::Request => cx.request,
            Self::Response => cx.response,
            Self::Trailers => cx.trailers,
        }
    }
}

/// `%REQ(MAIN?ALTERNATIVE):max_len%` and its like.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HeaderOperator {
    source: Source,
    main: HeaderName,
    alternative: Option<HeaderName>,
    max_len: usize,
    /// `REQ_WITHOUT_QUERY`: what follows `?` is left out.
    without_query: bool,
}

impl HeaderOperator {
    pub fn compile(command: &Command<'_>, source: Source) -> Result<Self, ConfigError> {
        let text = command.argument;
        if text.contains(['\r', '\n']) {
            return Err(ConfigError::new(
                "Invalid header configuration. Format string contains newline.",
            ));
        }
        let mut names = text.split('?');
        let main = names.next().unwrap_or_default();
        let alternative = names.next().unwrap_or_default();
        if names.next().is_some() {
            return Err(ConfigError::new(format!(
                "More than 1 alternative header specified in token: {text}"
            )));
        }
        if !is_name(main) || !is_name(alternative) {
            return Err(ConfigError::new(
                "Invalid header configuration. Format string contains invalid characters.",
            ));
        }
        Ok(Self {
            source,
            main: main.into(),
            alternative: (!alternative.is_empty()).then(|| alternative.into()),
            max_len: command.max_len.unwrap_or(usize::MAX),
            without_query: false,
        })
    }

    pub fn without_query(mut self) -> Self {
        self.without_query = true;
        self
    }

    #[inline]
    pub fn get<'a>(&self, cx: &FormatContext<'a>) -> Option<&'a [u8]> {
        let headers = self.source.of(cx)?;
        let value = headers
            .get_name(&self.main)
            .or_else(|| headers.get_name(self.alternative.as_ref()?))?;
        let value = if self.without_query {
            split_query(value).0
        } else {
            value
        };
        Some(cut(value, self.max_len))
    }
}

/// The characters of a header name (RFC 9110 token) and the colon of a pseudo header; an empty name matches nothing.
fn is_name(name: &str) -> bool {
    let name = name.strip_prefix(':').unwrap_or(name);
    name.bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// At most `max_len` bytes of a value.
fn cut(value: &[u8], max_len: usize) -> &[u8] {
    value.get(..max_len).unwrap_or(value)
}

/// A path and its query, without the `?`; `None` without one.
fn split_query(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'?', path) {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..)),
        None => (path, None),
    }
}

/// Which of the two paths: the one that is forwarded, or the one that the client sent before it was rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PathSource {
    Path,
    Original,
    OriginalOrPath,
}

impl PathSource {
    fn of(self, request: &HeaderMap) -> Option<&[u8]> {
        match self {
            Self::Path => request.get(HeaderId::Path),
            Self::Original => request.get(HeaderId::EnvoyOriginalPath),
            Self::OriginalOrPath => request
                .get(HeaderId::EnvoyOriginalPath)
                .or_else(|| request.get(HeaderId::Path)),
        }
    }
}

/// `%PATH(WQ|NQ:ORIG|PATH|ORIG_OR_PATH):max_len%`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PathOperator {
    source: PathSource,
    with_query: bool,
    max_len: usize,
}

impl PathOperator {
    pub fn compile(command: &Command<'_>) -> Result<Self, ConfigError> {
        let mut options = command.argument.split(':');
        let with_query = match options.next().unwrap_or_default() {
            "" | "WQ" => true,
            "NQ" => false,
            other => return Err(invalid("PATH", other, "'WQ'/'NQ'")),
        };
        let source = match options.next().unwrap_or_default() {
            "" | "ORIG_OR_PATH" => PathSource::OriginalOrPath,
            "ORIG" => PathSource::Original,
            "PATH" => PathSource::Path,
            other => return Err(invalid("PATH", other, "'ORIG'/'PATH'/'ORIG_OR_PATH'")),
        };
        Ok(Self {
            source,
            with_query,
            max_len: command.max_len.unwrap_or(usize::MAX),
        })
    }

    pub fn get<'a>(&self, cx: &FormatContext<'a>) -> Option<&'a [u8]> {
        let path = self.source.of(cx.request?)?;
        let path = if self.with_query {
            path
        } else {
            split_query(path).0
        };
        Some(cut(path, self.max_len))
    }
}

fn invalid(command: &str, option: &str, allowed: &str) -> ConfigError {
    ConfigError::new(format!(
        "Invalid {command} option: '{option}', only {allowed} are allowed"
    ))
}

/// `%QUERY_PARAM(key):max_len%` and `%QUERY_PARAMS(ORIG|DECODED):max_len%`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct QueryOperator {
    /// `None` for the whole query.
    key: Option<Box<str>>,
    decoded: bool,
    max_len: Option<usize>,
}

impl QueryOperator {
    /// One parameter, decoded. Envoy takes the whole argument as its key.
    pub fn parameter(command: &Command<'_>) -> Self {
        Self {
            key: Some(command.argument.into()),
            decoded: true,
            max_len: command.max_len,
        }
    }

    pub fn all(command: &Command<'_>) -> Result<Self, ConfigError> {
        let decoded = match command.argument {
            "" | "ORIG" => false,
            "DECODED" => true,
            other => return Err(invalid("QUERY_PARAMS", other, "'ORIG'/'DECODED'")),
        };
        Ok(Self {
            key: None,
            decoded,
            max_len: command.max_len,
        })
    }

    pub fn text(&self, cx: &FormatContext<'_>, out: &mut Vec<u8>) -> Option<()> {
        let path = cx.request?.get(HeaderId::Path)?;
        let query = split_query(path).1?;
        let start = out.len();
        match &self.key {
            None if self.decoded => readable(query, out),
            None => out.extend_from_slice(query),
            Some(key) => out.extend(decoded(parameter(query, key.as_bytes())?)),
        }
        truncate(out, start, self.max_len);
        Some(())
    }
}

/// The value of the first query parameter of that name, undecoded. Names are compared decoded.
fn parameter<'q>(query: &'q [u8], key: &[u8]) -> Option<&'q [u8]> {
    query.split(|b| *b == b'&').find_map(|pair| {
        let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let name = pair.get(..at).unwrap_or_default();
        decoded(name)
            .eq(key.iter().copied())
            .then(|| pair.get(at + 1..).unwrap_or_default())
    })
}

/// The decoding of `%QUERY_PARAMS(DECODED)%`: only escapes of characters that may stand in a log as they are. A `%` in front
/// of two characters that are no hex digits is dropped, as Envoy does.
fn readable(query: &[u8], out: &mut Vec<u8>) {
    let mut rest = query;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match tail {
            [high, low, after @ ..] if *first == b'%' => {
                let (Some(high), Some(low)) = (hex(*high), hex(*low)) else {
                    continue;
                };
                let byte = high << 4 | low;
                if byte.is_ascii_graphic() && !b"\"<>\\^{|}".contains(&byte) {
                    out.push(byte);
                    rest = after;
                } else {
                    out.push(b'%');
                }
            }
            _ => out.push(*first),
        }
    }
}

/// Percent-decoding that leaves what is no valid escape as it stands; `+` is no space here.
fn decoded(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (first, tail) = rest.split_first()?;
        rest = tail;
        if *first == b'%'
            && let [high, low, after @ ..] = tail
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            rest = after;
            return Some(high << 4 | low);
        }
        Some(*first)
    })
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|d| d as u8)
}

/// `%REQUESTED_SERVER_NAME(SNI_ONLY|SNI_FIRST|HOST_FIRST:ORIG_OR_HOST|HOST|ORIG)%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ServerNameOperator {
    order: ServerNameOrder,
    host: HostSource,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServerNameOrder {
    SniOnly,
    SniFirst,
    HostFirst,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HostSource {
    OriginalOrHost,
    Host,
    Original,
}

impl ServerNameOperator {
    pub fn compile(command: &Command<'_>) -> Result<Self, ConfigError> {
        const NAME: &str = "REQUESTED_SERVER_NAME";
        let mut options = command.argument.split(':');
        let order = match options.next().unwrap_or_default() {
            "" | "SNI_ONLY" => ServerNameOrder::SniOnly,
            "SNI_FIRST" => ServerNameOrder::SniFirst,
            "HOST_FIRST" => ServerNameOrder::HostFirst,
            other => return Err(invalid(NAME, other, "'SNI_ONLY'/'SNI_FIRST'/'HOST_FIRST'")),
        };
        let host = match options.next().unwrap_or_default() {
            "" | "ORIG_OR_HOST" => HostSource::OriginalOrHost,
            "HOST" => HostSource::Host,
            "ORIG" => HostSource::Original,
            other => return Err(invalid(NAME, other, "'ORIG_OR_HOST'/'HOST'/'ORIG'")),
        };
        Ok(Self { order, host })
    }

    pub fn get<'a>(&self, cx: &FormatContext<'a>) -> Option<Cow<'a, [u8]>> {
        let sni = || {
            let name = cx.info.connection.requested_server_name.as_deref();
            name.filter(|name| !name.is_empty()).map(sanitized)
        };
        let host = || self.host(cx).map(Cow::Borrowed);
        match self.order {
            ServerNameOrder::SniOnly => sni(),
            ServerNameOrder::SniFirst => sni().or_else(host),
            ServerNameOrder::HostFirst => host().or_else(sni),
        }
    }

    fn host<'a>(&self, cx: &FormatContext<'a>) -> Option<&'a [u8]> {
        let request = cx.request?;
        let original = || request.get(HeaderId::EnvoyOriginalHost);
        let host = || request.get(HeaderId::Authority);
        let host = match self.host {
            HostSource::OriginalOrHost => original().or_else(host),
            HostSource::Host => host(),
            HostSource::Original => original(),
        }?;
        Some(without_port(host)).filter(|host| !host.is_empty())
    }
}

/// A client may send anything as a server name: what is no name of a host is marked, and harmless in a line of text.
fn sanitized(name: &str) -> Cow<'_, [u8]> {
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    if name.chars().all(sound) {
        return Cow::Borrowed(name.as_bytes());
    }
    let name: String = name
        .chars()
        .map(|c| if sound(c) { c } else { '_' })
        .collect();
    Cow::Owned(format!("invalid:{name}").into_bytes())
}

/// A host without its port; the brackets of an IPv6 address stay.
fn without_port(host: &[u8]) -> &[u8] {
    let from = host.iter().rposition(|b| *b == b']').unwrap_or(0);
    let colon = host
        .iter()
        .skip(from)
        .position(|b| *b == b':')
        .map(|at| from + at);
    colon.and_then(|at| host.get(..at)).unwrap_or(host)
}
