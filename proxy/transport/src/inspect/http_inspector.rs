//! `envoy.filters.listener.http_inspector`: tells HTTP by its first line or by HTTP/2's preface. It must never be
//! stricter than Envoy's, which knows no list of methods.

use super::{Inspected, Verdict, peek};
use outrigger_core::stat_group;
use smallvec::smallvec;

stat_group! {
    /// `http_inspector.`, one for the process.
    pub struct HttpInspectorStats {
        counter http10_found,
        counter http11_found,
        counter http2_found,
        counter http_not_found,
        counter read_error,
    }
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub fn inspect(bytes: &[u8], stats: &HttpInspectorStats, found: &mut Inspected) -> Verdict {
    let (counter, protocol) = match detect(bytes) {
        Detected::NeedMore => return Verdict::NeedMore,
        Detected::Nothing => {
            stats.http_not_found.inc();
            return Verdict::Continue;
        }
        Detected::Http10 => (&stats.http10_found, "http/1.0"),
        Detected::Http11 => (&stats.http11_found, "http/1.1"),
        Detected::Http2 => (&stats.http2_found, "h2c"),
    };
    counter.inc();
    found.application_protocols = smallvec![protocol.into()];
    Verdict::Continue
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detected {
    NeedMore,
    Nothing,
    /// Any version but 1.1, none included.
    Http10,
    Http11,
    Http2,
}

fn detect(bytes: &[u8]) -> Detected {
    if bytes.starts_with(PREFACE) {
        return Detected::Http2;
    }
    if PREFACE.starts_with(bytes) {
        return Detected::NeedMore;
    }
    if !bytes.first().copied().is_some_and(is_token) {
        return Detected::Nothing;
    }
    let Some(end) = bytes.iter().position(|b| *b == b'\n') else {
        let more = bytes.len() < peek::MOST;
        return if more {
            Detected::NeedMore
        } else {
            Detected::Nothing
        };
    };
    request_line(bytes.get(..end).unwrap_or_default())
}

/// Method, target and version, apart by any number of spaces and tabs.
fn request_line(line: &[u8]) -> Detected {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = line
        .split(|b| matches!(b, b' ' | b'\t'))
        .filter(|word| !word.is_empty());
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Detected::Nothing;
    };
    let version = words.next();
    if words.next().is_some()
        || !method.iter().copied().all(is_token)
        || !is_target(target, method == b"CONNECT")
    {
        return Detected::Nothing;
    }
    match version {
        Some(b"HTTP/1.1") => Detected::Http11,
        None => Detected::Http10,
        Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor])
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Detected::Http10
        }
        Some(_) => Detected::Nothing,
    }
}

/// A path, `*`, or an absolute URL; after CONNECT an authority.
fn is_target(target: &[u8], connect: bool) -> bool {
    let visible = |b: &u8| matches!(b, 0x0c | b'!'..=b'~');
    if matches!(target.first(), Some(b'/' | b'*')) {
        return target.iter().all(visible);
    }
    let rest = if connect {
        target
    } else {
        let scheme = target
            .iter()
            .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
            .count();
        let after = target.get(scheme..).and_then(|t| t.strip_prefix(b"://"));
        match after {
            Some(after) if target.first().is_some_and(u8::is_ascii_alphabetic) => after,
            _ => return false,
        }
    };
    let path = rest
        .iter()
        .position(|b| matches!(b, b'/' | b'?'))
        .unwrap_or(rest.len());
    let (host, path) = rest.split_at(path);
    host.iter()
        .all(|b| b.is_ascii_alphanumeric() || b"!$%&'()*+,-.:;=@[]_~".contains(b))
        && path.iter().all(visible)
}

fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line was sent to Envoy 1.40.
    #[test]
    fn tells_what_envoy_tells() {
        use Detected::{Http2, Http10, Http11, NeedMore, Nothing};
        let cases: [(&[u8], Detected); 37] = [
            (b"GET / HTTP/1.1\r\n", Http11),
            (b"GET / HTTP/1.1\n", Http11),
            (b"GET / HTTP/1.1", NeedMore),
            (b"GET / HTTP/1.1\rX", NeedMore),
            (b"GET / HTTP/1.0\r\n", Http10),
            (b"GET / HTTP/0.9\r\n", Http10),
            (b"GET / HTTP/2.0\r\n", Http10),
            (b"GET /\r\n", Http10),
            (b"GET\r\n", Nothing),
            (b"\r\nGET / HTTP/1.1\r\n", Nothing),
            (b"\n", Nothing),
            (b"\x16\x03\x01", Nothing),
            (b"SSH-2.0\r\n", Nothing),
            (b"SSH", NeedMore),
            (b"g", NeedMore),
            (b"GEX", NeedMore),
            (b"GEX / HTTP/1.1\r\n", Http11),
            (b"PROPFIND / HTTP/1.1\r\n", Http11),
            (b"M-SEARCH / HTTP/1.1\r\n", Http11),
            (b"PRI", NeedMore),
            (b"PRX", NeedMore),
            (b"PRI * HTTP/2.0", NeedMore),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Http2),
            (b"PRI * HTTP/2.0\r\nX", Http10),
            (b"GET  / HTTP/1.1\r\n", Http11),
            (b"GET\t/\tHTTP/1.1\r\n", Http11),
            (b"GET / HTTP/1.1 x\r\n", Nothing),
            (b"GET / HTTP/1.x\r\n", Nothing),
            (b"GET / HTTP/1.10\r\n", Nothing),
            (b"GET / HTTP/11\r\n", Nothing),
            (b"GET / http/1.1\r\n", Nothing),
            (b"GET / FOO/1.1\r\n", Nothing),
            (b" GET / HTTP/1.1\r\n", Nothing),
            (b"HTTP/1.1 200 OK\r\n", Nothing),
            (b"GET \x01 HTTP/1.1\r\n", Nothing),
            (b"GET a HTTP/1.1\r\n", Nothing),
            (b"CONNECT a:1 HTTP/1.1\r\n", Http11),
        ];
        for (bytes, expected) in cases {
            let text = String::from_utf8_lossy(bytes);
            assert_eq!(detect(bytes), expected, "{text:?}");
        }
    }

    #[test]
    fn gives_up_on_a_line_without_end() {
        let mut line = b"GET /".to_vec();
        line.resize(peek::MOST - 1, b'a');
        assert_eq!(detect(&line), Detected::NeedMore);
        line.push(b'a');
        assert_eq!(detect(&line), Detected::Nothing);
    }
}
