//! Heads and trailers between the `http` crate's types and ours: header rules of HTTP/2 as Envoy applies them.

use super::Http2Settings;
use crate::{
    codec::h1::{
        EncodeError, Framing, RequestHead, ResponseHead, UnderscoreAction, authority_is_valid,
    },
    hop_by_hop,
};
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Request, Response, StatusCode, Uri,
    header::{COOKIE, HOST},
    request::Parts,
    uri,
};
use outrigger_core::{HeaderId, HeaderMap, HeaderSet, Method, Protocol};
use std::sync::LazyLock;

/// Why a head is refused. Its stream ends by a reset, whatever the request was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// No request at all.
    Malformed,
    /// A field holds what it must not.
    InvalidField,
    TooManyHeaders,
    TooLarge,
    /// `headers_with_underscores_action: REJECT_REQUEST`.
    Underscore,
}

impl HeadError {
    /// By default it ends the connection, not the stream alone.
    pub fn is_malformed(self) -> bool {
        matches!(self, Self::Malformed | Self::InvalidField)
    }
}

/// The `:protocol` of a CONNECT with a path, which remains a CONNECT.
const BYTESTREAM: &str = "bytestream";

/// What belongs to one HTTP/1 connection only.
const HOP: HeaderSet = HeaderSet::of(&[
    HeaderId::Connection,
    HeaderId::KeepAlive,
    HeaderId::ProxyConnection,
    HeaderId::TransferEncoding,
    HeaderId::Upgrade,
    HeaderId::Http2Settings,
]);

/// Takes over a request head; `headers` is empty before.
pub(super) fn read_request(
    parts: &Parts,
    settings: &Http2Settings,
    headers: &mut HeaderMap,
) -> Result<RequestHead, HeadError> {
    let protocol = parts.extensions.get::<h2::ext::Protocol>();
    let upgrade = protocol.filter(|protocol| protocol.as_str() != BYTESTREAM);
    // Extended CONNECT is an upgrade to everything behind the codec, as in Envoy.
    let method = match upgrade {
        Some(_) => Method::Get,
        None => Method::from_bytes(parts.method.as_str().as_bytes()),
    };
    read_target(parts, method, headers)?;
    let dropped = read_fields(&parts.headers, settings, headers)?;
    if let Some(protocol) = upgrade {
        headers.append(HeaderId::Upgrade, protocol.as_str().as_bytes());
        headers.append(HeaderId::Connection, b"upgrade");
    }
    let authority = headers.get(HeaderId::Authority);
    if !authority.is_some_and(|host| authority_is_valid(host) && !host.contains(&b'@')) {
        return Err(if authority.is_none() {
            HeadError::Malformed
        } else {
            HeadError::InvalidField
        });
    }
    Ok(RequestHead {
        protocol: Protocol::Http2,
        method,
        keep_alive: true,
        framing: Framing::None,
        expect_continue: headers
            .get(HeaderId::Expect)
            .is_some_and(|e| e.eq_ignore_ascii_case(b"100-continue")),
        upgrade: headers.contains(HeaderId::Upgrade),
        absolute_form: false,
        header_bytes: headers.byte_size(),
        dropped_underscores: dropped,
    })
}

/// The pseudo headers.
fn read_target(parts: &Parts, method: Method, headers: &mut HeaderMap) -> Result<(), HeadError> {
    let uri = &parts.uri;
    let name = match method {
        Method::Get => "GET",
        _ => parts.method.as_str(),
    };
    headers.append(HeaderId::Method, name.as_bytes());
    match uri.scheme_str() {
        Some(scheme) if !scheme.is_empty() => headers.append(HeaderId::Scheme, scheme.as_bytes()),
        // One that is missing is the codec's to refuse, and without an authority it forgets what was there.
        _ if method != Method::Connect && uri.authority().is_some() => {
            return Err(HeadError::InvalidField);
        }
        _ => {}
    }
    if let Some(authority) = uri.authority() {
        headers.append(HeaderId::Authority, authority.as_str().as_bytes());
    }
    if let Some(path) = uri.path_and_query() {
        let path = path.as_str().as_bytes();
        let asterisk = method == Method::Options && path == b"*";
        if path.first() != Some(&b'/') && !asterisk {
            return Err(HeadError::Malformed);
        }
        headers.append(HeaderId::Path, path);
    }
    Ok(())
}

/// The other lines. `host` counts only where `:authority` is missing, crumbs of a cookie are joined and come last, but each
/// is a line to the limits. Returns how many lines were dropped for an underscore.
fn read_fields(
    fields: &http::HeaderMap,
    settings: &Http2Settings,
    headers: &mut HeaderMap,
) -> Result<u32, HeadError> {
    let mut dropped = 0;
    let authority = headers.contains(HeaderId::Authority);
    let mut hosts = 0;
    let mut cookie = Vec::new();
    let mut crumbs = 0_usize;
    for (name, value) in fields {
        if *name == HOST {
            hosts += 1;
            if hosts > 1 {
                return Err(HeadError::Malformed);
            }
            if authority {
                continue;
            }
        }
        if *name == COOKIE {
            crumbs += 1;
            if !cookie.is_empty() {
                cookie.extend_from_slice(b"; ");
            }
            cookie.extend_from_slice(value.as_bytes());
            continue;
        }
        match settings.headers_with_underscores_action {
            UnderscoreAction::Allow => {}
            action if name.as_str().contains('_') => {
                if action == UnderscoreAction::RejectRequest {
                    return Err(HeadError::Underscore);
                }
                dropped += 1;
                continue;
            }
            _ => {}
        }
        headers.append_raw(name.as_str().as_bytes(), value.as_bytes());
    }
    if !cookie.is_empty() {
        headers.append(HeaderId::Cookie, &cookie);
    }
    let (more, name) = (crumbs.saturating_sub(1), COOKIE.as_str().len());
    if headers.len() + more > settings.max_headers_count {
        return Err(HeadError::TooManyHeaders);
    }
    if headers.byte_size() + more * name > settings.max_head_bytes {
        return Err(HeadError::TooLarge);
    }
    Ok(dropped)
}

/// Takes over trailers; pseudo headers cannot be among them.
pub(super) fn read_trailers(
    fields: &http::HeaderMap,
    settings: &Http2Settings,
    trailers: &mut HeaderMap,
) -> Result<(), HeadError> {
    trailers.clear();
    read_fields(fields, settings, trailers).map(|_| ())
}

/// A response head as the crate wants it. That the connection is switched over is a success like others here.
pub(super) fn response(headers: &HeaderMap) -> Result<Response<()>, EncodeError> {
    let mut status = headers
        .get(HeaderId::Status)
        .and_then(|status| StatusCode::from_bytes(status).ok())
        .ok_or(EncodeError::Required(":status"))?;
    let upgrade = hop_by_hop::is_upgrade(headers);
    if upgrade && status == StatusCode::SWITCHING_PROTOCOLS {
        status = StatusCode::OK;
    }
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = fields(headers)?;
    Ok(response)
}

/// Takes over a response head; `headers` is empty before. `upgrade`: what the request has asked for; a success is the
/// switch to it.
pub(super) fn read_response(
    parts: &http::response::Parts,
    settings: &Http2Settings,
    upgrade: Option<&[u8]>,
    headers: &mut HeaderMap,
) -> Result<ResponseHead, HeadError> {
    let upgrade = upgrade.filter(|_| parts.status == StatusCode::OK);
    let status = match upgrade {
        Some(_) => StatusCode::SWITCHING_PROTOCOLS,
        None => parts.status,
    };
    headers.append(HeaderId::Status, status.as_str().as_bytes());
    read_fields(&parts.headers, settings, headers)?;
    if let Some(upgrade) = upgrade {
        headers.append(HeaderId::Upgrade, upgrade);
        headers.append(HeaderId::Connection, b"upgrade");
    }
    Ok(ResponseHead {
        status: status.as_u16(),
        protocol: Protocol::Http2,
        keep_alive: true,
        framing: Framing::None,
        header_bytes: headers.byte_size(),
    })
}

/// A request head as the crate wants it.
pub(super) fn request(headers: &HeaderMap) -> Result<Request<()>, EncodeError> {
    let piece = |id, name| {
        let value = headers.get(id).ok_or(EncodeError::Required(name))?;
        Ok::<_, EncodeError>(Bytes::copy_from_slice(value))
    };
    let mut method = headers
        .get(HeaderId::Method)
        .and_then(|method| http::Method::from_bytes(method).ok())
        .ok_or(EncodeError::Required(":method"))?;
    let mut request = Request::new(());
    *request.headers_mut() = fields(headers)?;
    // Without a path, as in Envoy, even where it came with one.
    let connect = method == http::Method::CONNECT;
    let upgrade = hop_by_hop::is_upgrade(headers);
    if upgrade {
        // The other way round: an upgrade is extended CONNECT here.
        method = http::Method::CONNECT;
        let protocol = headers.get_str(HeaderId::Upgrade);
        let protocol = h2::ext::Protocol::from(protocol.ok_or(EncodeError::LineBreak)?);
        request.extensions_mut().insert(protocol);
    }
    let mut target = uri::Parts::default();
    let authority = uri::Authority::from_maybe_shared(piece(HeaderId::Authority, "host")?);
    target.authority = Some(authority.map_err(|_| EncodeError::Required("host"))?);
    if !connect || upgrade {
        target.scheme = Some(match headers.get(HeaderId::Scheme) {
            Some(b"https") => uri::Scheme::HTTPS,
            _ => uri::Scheme::HTTP,
        });
        let path = uri::PathAndQuery::from_maybe_shared(piece(HeaderId::Path, ":path")?);
        target.path_and_query = Some(path.map_err(|_| EncodeError::Required(":path"))?);
    }
    *request.version_mut() = http::Version::HTTP_2;
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_parts(target).map_err(|_| EncodeError::Required(":path"))?;
    Ok(request)
}

/// The names that need no parsing, by their ids.
static WELL_KNOWN: LazyLock<Vec<Option<HeaderName>>> = LazyLock::new(|| {
    let mut names = vec![None];
    for id in HeaderId::all() {
        let place = id as usize;
        names.resize(names.len().max(place + 1), None);
        names[place] = (!id.is_pseudo()).then(|| HeaderName::from_static(id.name()));
    }
    names
});

/// Lines without those that only HTTP/1 knows.
pub(super) fn fields(headers: &HeaderMap) -> Result<http::HeaderMap, EncodeError> {
    let mut out = http::HeaderMap::with_capacity(headers.len());
    // A tunnel has no length.
    let tunnel = hop_by_hop::is_upgrade(headers);
    for (id, name, value) in headers.iter_ids() {
        if tunnel && id == HeaderId::ContentLength && value == b"0" {
            continue;
        }
        if name.first() == Some(&b':') || HOP.has(id) || id == HeaderId::Authority {
            continue;
        }
        // In a response of HTTP/1; to a client of HTTP/2 it would be an error of the protocol.
        if id == HeaderId::Te && value != b"trailers" {
            continue;
        }
        let name = match WELL_KNOWN.get(id as usize) {
            Some(Some(known)) => known.clone(),
            _ => HeaderName::from_lowercase(name).map_err(|_| EncodeError::LineBreak)?,
        };
        let mut value = HeaderValue::from_bytes(value).map_err(|_| EncodeError::LineBreak)?;
        // Never the same twice: in the peer's table it would only push out what is.
        value.set_sensitive(id == HeaderId::RequestId);
        out.try_append(name, value)
            .map_err(|_| EncodeError::LineBreak)?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::codec::h1::Http1Settings;
    use outrigger_upstream::config::Http2Options;

    fn read(
        lines: &[(&str, &str)],
        change: impl FnOnce(&mut Http2Settings),
    ) -> Result<Vec<String>, HeadError> {
        let mut request = Request::builder().uri("http://a.test/x");
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let mut settings =
            Http2Settings::new(Http2Options::default(), &Http1Settings::default(), false);
        change(&mut settings);
        let mut headers = HeaderMap::new();
        read_request(&parts, &settings, &mut headers)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let lines = headers.iter().skip(4);
        Ok(lines
            .map(|(n, v)| format!("{}: {}", text(n), text(v)))
            .collect())
    }

    #[test]
    fn crumbs_are_joined_and_host_gives_way() {
        let lines = [
            ("cookie", "a=1"),
            ("host", "b.test"),
            ("x", "y"),
            ("cookie", "b=2"),
        ];
        assert_eq!(read(&lines, |_| {}).unwrap(), ["x: y", "cookie: a=1; b=2"]);
        let twice = [("host", "b.test"), ("host", "c.test")];
        assert_eq!(read(&twice, |_| {}), Err(HeadError::Malformed));
    }

    #[test]
    fn limits_hold() {
        let lines = [("a", "1"), ("b", "2")];
        assert!(read(&lines, |settings| settings.max_headers_count = 6).is_ok());
        let few = read(&lines, |settings| settings.max_headers_count = 5);
        assert_eq!(few, Err(HeadError::TooManyHeaders));
        let crumbs = [("cookie", "a=1"), ("cookie", "b=2")];
        let few = read(&crumbs, |settings| settings.max_headers_count = 5);
        assert_eq!(few, Err(HeadError::TooManyHeaders));
        let small = read(&lines, |settings| settings.max_head_bytes = 40);
        assert_eq!(small, Err(HeadError::TooLarge));
    }

    #[test]
    fn underscores_go_or_are_refused() {
        let lines = [("a_b", "1"), ("c", "2")];
        let with = |action| {
            read(&lines, |settings| {
                settings.headers_with_underscores_action = action;
            })
        };
        assert_eq!(with(UnderscoreAction::DropHeader).unwrap(), ["c: 2"]);
        assert_eq!(
            with(UnderscoreAction::RejectRequest),
            Err(HeadError::Underscore)
        );
    }

    #[test]
    fn a_response_loses_what_only_http1_knows() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (":status", "200"),
            ("connection", "close"),
            ("transfer-encoding", "chunked"),
            ("x-a", "1"),
        ] {
            headers.append_raw(name.as_bytes(), value.as_bytes());
        }
        let head = response(&headers).unwrap();
        assert_eq!(head.headers().len(), 1);
        headers.append_raw(b"x-b", b"1\r\nx-c: 2");
        assert_eq!(response(&headers).unwrap_err(), EncodeError::LineBreak);
    }

    #[test]
    fn names_are_those_of_the_lines() {
        let mut headers = HeaderMap::new();
        for id in HeaderId::all() {
            headers.append(id, b"1");
        }
        headers.append_raw(b"x-a", b"2");
        let out = fields(&headers).unwrap();
        // Of `te` only one value may be said.
        let others = HeaderSet::of(&[HeaderId::Authority, HeaderId::Te]).union(HOP);
        let expected = headers
            .iter_ids()
            .filter(|(id, name, _)| name[0] != b':' && !others.has(*id));
        let expected: Vec<_> = expected.map(|(_, name, _)| name.to_vec()).collect();
        let names = out.keys().map(|name| name.as_str().as_bytes().to_vec());
        assert_eq!(names.collect::<Vec<_>>(), expected);
        let sensitive: Vec<_> = out.iter().filter(|(_, v)| v.is_sensitive()).collect();
        assert!(matches!(sensitive[..], [(name, _)] if name == "x-request-id"));
    }

    #[test]
    fn an_upgrade_is_extended_connect() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "a.test"),
            (":path", "/ws"),
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("content-length", "0"),
        ] {
            headers.append_raw(name.as_bytes(), value.as_bytes());
        }
        let head = request(&headers).unwrap();
        assert_eq!(head.method(), http::Method::CONNECT);
        assert_eq!(head.uri(), "http://a.test/ws");
        assert!(head.headers().is_empty());
        let protocol = head.extensions().get::<h2::ext::Protocol>().unwrap();
        assert_eq!(protocol.as_str(), "websocket");
        let (parts, ()) = head.into_parts();
        let settings =
            Http2Settings::new(Http2Options::default(), &Http1Settings::default(), false);
        let mut back = HeaderMap::new();
        let head = read_request(&parts, &settings, &mut back).unwrap();
        assert!(head.upgrade && head.method == Method::Get);
        assert_eq!(back.get(HeaderId::Method), Some(&b"GET"[..]));
        assert!(hop_by_hop::is_upgrade(&back));
    }

    #[test]
    fn connect_has_an_authority_alone() {
        let mut headers = HeaderMap::new();
        headers.append(HeaderId::Method, b"CONNECT");
        headers.append(HeaderId::Authority, b"a.test:443");
        headers.append(HeaderId::Path, b"/x");
        let head = request(&headers).unwrap();
        assert_eq!(head.uri(), "a.test:443");
        assert!(head.extensions().get::<h2::ext::Protocol>().is_none());
    }

    #[test]
    fn a_success_is_the_switch_that_was_asked_for() {
        let settings =
            Http2Settings::new(Http2Options::default(), &Http1Settings::default(), false);
        let read = |status: u16, upgrade: Option<&[u8]>| {
            let (parts, ()) = Response::builder()
                .status(status)
                .body(())
                .unwrap()
                .into_parts();
            let mut headers = HeaderMap::new();
            let head = read_response(&parts, &settings, upgrade, &mut headers).unwrap();
            (head.status, hop_by_hop::is_upgrade(&headers), headers)
        };
        let (status, upgrade, headers) = read(200, Some(b"websocket"));
        assert!(status == 101 && upgrade);
        assert_eq!(response(&headers).unwrap().status(), 200);
        assert!(response(&headers).unwrap().headers().is_empty());
        let (status, upgrade, _) = read(403, Some(b"websocket"));
        assert!(status == 403 && !upgrade);
        let (status, upgrade, _) = read(200, None);
        assert!(status == 200 && !upgrade);
    }
}
