//! Headers that concern one connection only: what `Connection` nominates is removed before anything reads the request.

use outrigger_core::{HeaderId, HeaderMap, HeaderName, HeaderSet};

/// More nominated headers than this are refused.
const MAX_NOMINATED: usize = 9;
/// A longer nominated `te` is refused.
const MAX_TE: usize = 255;

/// The request is refused with `http1.connection_header_rejected`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected;

/// Tokens of a comma-separated header, trimmed, empty ones skipped.
pub fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&b| b == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|t| !t.is_empty())
}

/// One of the tokens equals `token`, whatever its case.
pub fn has_token(value: &[u8], token: &[u8]) -> bool {
    tokens(value).any(|t| t.eq_ignore_ascii_case(token))
}

/// Envoy's `isUpgrade`: `connection: upgrade` with an `upgrade` header.
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains(HeaderId::Upgrade)
        && headers
            .get(HeaderId::Connection)
            .is_some_and(|c| has_token(c, b"upgrade"))
}

/// Removes the headers that `Connection` nominates. Nominating what tells the origin of a request is an attack.
pub fn remove_nominated(headers: &mut HeaderMap) -> Result<(), Rejected> {
    let Some(connection) = headers.get(HeaderId::Connection) else {
        return Ok(());
    };
    if tokens(connection).all(is_plain) {
        return Ok(());
    }
    if tokens(connection).count() > MAX_NOMINATED {
        return Err(Rejected);
    }
    let nominated: Vec<HeaderName> = tokens(connection)
        .filter(|t| !is_plain(t))
        .map(HeaderName::from_bytes)
        .collect();
    for name in nominated {
        match name.id() {
            HeaderId::Connection => {}
            HeaderId::ForwardedFor | HeaderId::ForwardedHost | HeaderId::ForwardedProto => {
                return Err(Rejected);
            }
            HeaderId::Te => match headers.get(HeaderId::Te) {
                Some(te) if te.len() > MAX_TE => return Err(Rejected),
                Some(te) if tokens(te).any(|t| t == b"trailers") => {
                    headers.set(HeaderId::Te, b"trailers")
                }
                _ => {
                    headers.remove(HeaderId::Te);
                }
            },
            // `host` goes as any other: the request is then refused for having none.
            HeaderId::Authority => {
                headers.remove(HeaderId::Authority);
            }
            _ if name.as_str().starts_with(':') => return Err(Rejected),
            _ => {
                headers.remove_name(&name);
            }
        }
    }
    Ok(())
}

/// Tokens that speak of the connection and nominate no header.
fn is_plain(token: &[u8]) -> bool {
    [&b"close"[..], b"keep-alive", b"upgrade", b"http2-settings"]
        .iter()
        .any(|t| token.eq_ignore_ascii_case(t))
}

/// What a request never carries across a proxy.
const REQUEST_HOP: HeaderSet = HeaderSet::of(&[
    HeaderId::KeepAlive,
    HeaderId::ProxyConnection,
    HeaderId::TransferEncoding,
    HeaderId::EnvoyInternal,
]);

/// What neither message carries across a proxy unless it upgrades the connection.
pub const UPGRADE: HeaderSet = HeaderSet::of(&[HeaderId::Connection, HeaderId::Upgrade]);

/// Removes what never crosses a proxy; an upgrade keeps `connection` and `upgrade`. `te` survives as `trailers` only.
pub fn strip_request(headers: &mut HeaderMap) {
    headers.remove_all(if is_upgrade(headers) {
        REQUEST_HOP
    } else {
        REQUEST_HOP.union(UPGRADE)
    });
    match headers.get(HeaderId::Te) {
        None | Some(b"trailers") => {}
        Some(te) if tokens(te).any(|t| t == b"trailers") => headers.set(HeaderId::Te, b"trailers"),
        Some(_) => {
            headers.remove(HeaderId::Te);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (n, v) in lines {
            map.append_raw(n.as_bytes(), v.as_bytes());
        }
        map
    }

    #[test]
    fn nominated_headers_are_removed() {
        let mut headers = map(&[
            ("connection", "close, X-Foo"),
            ("x-foo", "1"),
            ("x-bar", "2"),
        ]);
        assert_eq!(remove_nominated(&mut headers), Ok(()));
        assert!(!headers.contains_name(&"x-foo".into()));
        assert!(headers.contains_name(&"x-bar".into()));
    }

    #[test]
    fn nominating_the_origin_is_refused() {
        for nominated in [
            "x-forwarded-for",
            "X-Forwarded-Proto",
            ":path",
            "a,b,c,d,e,f,g,h,i,j",
        ] {
            assert_eq!(
                remove_nominated(&mut map(&[("connection", nominated)])),
                Err(Rejected),
                "{nominated}"
            );
        }
        assert_eq!(
            remove_nominated(&mut map(&[("connection", "te"), ("te", &"x".repeat(256))])),
            Err(Rejected)
        );
    }

    #[test]
    fn te_survives_as_trailers_only() {
        let mut headers = map(&[("connection", "te"), ("te", "gzip, trailers")]);
        assert_eq!(remove_nominated(&mut headers), Ok(()));
        strip_request(&mut headers);
        assert_eq!(headers.get(HeaderId::Te), Some(&b"trailers"[..]));
        let mut headers = map(&[("te", "gzip"), ("keep-alive", "5")]);
        strip_request(&mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn an_upgrade_keeps_its_headers() {
        let mut headers = map(&[("connection", "Upgrade"), ("upgrade", "websocket")]);
        strip_request(&mut headers);
        assert!(is_upgrade(&headers));
    }
}
