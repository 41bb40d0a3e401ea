//! Response heads: every refusal is a protocol error, so only what is accepted is told apart.

use super::*;
use bytes::BytesMut;
use outrigger_core::Protocol;

fn parse(
    text: &[u8],
    method: Method,
    settings: &Http1Settings,
) -> Option<(ResponseHead, HeaderMap)> {
    let mut headers = HeaderMap::new();
    let head = ResponseParser::new()
        .parse(&mut BytesMut::from(text), settings, method, &mut headers)
        .ok()?
        .expect("the head is complete");
    Some((head, headers))
}

fn settings() -> Http1Settings {
    Http1Settings::upstream(None, None).unwrap()
}

#[test]
fn status_lines() {
    for (line, status) in [
        (&b"HTTP/1.1 200 OK"[..], Some(200)),
        (b"HTTP/1.1 200", Some(200)),
        (b"HTTP/1.1 200 ", Some(200)),
        (b"HTTP/1.1  200  OK", Some(200)),
        (b"HTTP/1.1\t200\tOK", Some(200)),
        (b"HTTP/1.1 0200 OK", Some(200)),
        (b"HTTP/1.1 999 x", Some(999)),
        (b"HTTP/1.1 1000 x", None),
        (b"HTTP/1.1 200 O\x80K", Some(200)),
        (b"HTTP/1.1 200 O\rK", Some(200)),
        (b"HTTP/1.0 200 OK", Some(200)),
        (b"HTTP/2.0 200 OK", Some(200)),
        (b"HTTP/1.1 200 O\x01K", None),
        (b"HTTP/1.1 99 x", None),
        (b"HTTP/1.1 099 x", None),
        (b"HTTP/1.1 2x0 OK", None),
        (b"HTTP/1.1 200a OK", None),
        (b"HTTP/1.1 -200 OK", None),
        (b"HTTP/1.1 +200 OK", None),
        (b"HTTP/1.1 70000 OK", None),
        (b"HTTP/1.1", None),
        (b"HTTP/1.1x 200 OK", None),
        (b"http/1.1 200 OK", None),
        (b" HTTP/1.1 200 OK", None),
        (b"\r\nHTTP/1.1 200 OK", None),
        (b"ICY 200 OK", None),
    ] {
        let text = [line, b"\r\nContent-Length: 2\r\n\r\n"].concat();
        let parsed = parse(&text, Method::Get, &settings());
        assert_eq!(
            parsed.map(|(h, _)| h.status),
            status,
            "{}",
            line.escape_ascii()
        );
    }
}

#[test]
fn another_protocol_is_told_by_its_first_bytes() {
    let mut parser = ResponseParser::new();
    let mut headers = HeaderMap::new();
    for (bytes, known) in [("H", true), ("HTTP/", true), ("G", false), ("HTTQ", false)] {
        let result = parser.parse(
            &mut BytesMut::from(bytes),
            &settings(),
            Method::Get,
            &mut headers,
        );
        assert_eq!(result.is_ok(), known, "{bytes}");
    }
}

#[test]
fn framing_by_status_and_headers() {
    use Framing::{Chunked, Length, None as Empty, UntilClose};
    let get = Method::Get;
    for (status, fields, method, expected) in [
        (200, "Content-Length: 2\r\n", get, Some(Length(2))),
        (200, "Content-Length: 0\r\n", get, Some(Length(0))),
        (200, "", get, Some(UntilClose)),
        (200, "Transfer-Encoding: Chunked\r\n", get, Some(Chunked)),
        (200, "Transfer-Encoding: identity\r\n", get, None),
        (200, "Transfer-Encoding: gzip, chunked\r\n", get, None),
        (
            200,
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            get,
            None,
        ),
        (
            200,
            "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
            get,
            None,
        ),
        (200, "Content-Length: 2\r\nContent-Length: 2\r\n", get, None),
        (200, "Content-Length: 2, 2\r\n", get, None),
        (200, "Content-Length: +2\r\n", get, None),
        (200, "Content-Length:\r\n", get, None),
        (200, "Content-Length: 5\r\n", Method::Head, Some(Empty)),
        (
            200,
            "Transfer-Encoding: chunked\r\n",
            Method::Head,
            Some(Empty),
        ),
        (200, "", Method::Head, Some(Empty)),
        (
            200,
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            Method::Head,
            None,
        ),
        (
            200,
            "Content-Length: 5\r\n",
            Method::Connect,
            Some(UntilClose),
        ),
        (
            403,
            "Content-Length: 5\r\n",
            Method::Connect,
            Some(Length(5)),
        ),
        (204, "", get, Some(Empty)),
        (204, "Content-Length: 0\r\n", get, Some(Empty)),
        (204, "Content-Length: 2\r\n", get, None),
        (204, "Transfer-Encoding: chunked\r\n", get, None),
        (204, "Content-Length: 5\r\n", Method::Head, None),
        (205, "", get, Some(UntilClose)),
        (304, "Content-Length: 5\r\n", get, Some(Empty)),
        (304, "Transfer-Encoding: chunked\r\n", get, Some(Empty)),
        (304, "", get, Some(Empty)),
        (100, "", get, Some(Empty)),
        (103, "Link: a\r\n", get, Some(Empty)),
        (100, "Content-Length: 2\r\n", get, None),
        (103, "Transfer-Encoding: chunked\r\n", get, None),
        (101, "", get, Some(Empty)),
        (101, "Content-Length: 3\r\n", get, None),
    ] {
        let text = format!("HTTP/1.1 {status} x\r\n{fields}\r\n");
        let parsed = parse(text.as_bytes(), method, &settings());
        assert_eq!(parsed.map(|(h, _)| h.framing), expected, "{text}{method:?}");
    }
    let (head, headers) = parse(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
        get,
        &lenient(),
    )
    .unwrap();
    assert_eq!(head.framing, Chunked);
    assert_eq!(lines(&headers), ":status=200|transfer-encoding=chunked");
    let (_, headers) = parse(
        b"HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n",
        get,
        &settings(),
    )
    .unwrap();
    assert_eq!(lines(&headers), ":status=204");
}

#[test]
fn header_lines_are_read_as_in_requests() {
    for (fields, expected) in [
        (&b"X: a\x80\r\n"[..], Some(":status=200|x=a\\x80")),
        (b"X: a\r\n b\r\n", Some(":status=200|x=a b")),
        (b"X: a\rb\r\n", Some(":status=200|x=ab")),
        (b"X_Y: a\n", Some(":status=200|x_y=a")),
        (b"X : 1\r\n", None),
        (b"X: a\x01\r\n", None),
        (b"X@Y: a\r\n", None),
        (b":status: 300\r\n", None),
        (b"noval\r\n", None),
        (b" X: a\r\n", None),
    ] {
        let text = [b"HTTP/1.1 200 OK\r\n", fields, b"\r\n"].concat();
        let strict = Http1Settings {
            headers_with_underscores_action: UnderscoreAction::RejectRequest,
            ..settings()
        };
        let parsed = parse(&text, Method::Get, &strict);
        assert_eq!(
            parsed.map(|(_, h)| lines(&h)).as_deref(),
            expected,
            "{}",
            fields.escape_ascii()
        );
    }
}

#[test]
fn limits_are_exact() {
    let head = |total: usize| {
        let frame = "HTTP/1.1 200 OK\r\nX: \r\n\r\n".len();
        format!(
            "HTTP/1.1 200 OK\r\nX: {}\r\n\r\n",
            "a".repeat(total - frame)
        )
    };
    assert!(parse(head(81920).as_bytes(), Method::Get, &settings()).is_some());
    assert!(parse(head(81921).as_bytes(), Method::Get, &settings()).is_none());
    let many = |n| format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: 1\r\n".repeat(n));
    assert!(parse(many(100).as_bytes(), Method::Get, &settings()).is_some());
    assert!(parse(many(101).as_bytes(), Method::Get, &settings()).is_none());
}

#[test]
fn connections_that_can_be_used_again() {
    for (text, keep_alive) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            false,
        ),
        ("HTTP/1.1 200 OK\r\n\r\n", true),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n",
            true,
        ),
        ("HTTP/1.1 204 x\r\n\r\n", true),
    ] {
        let (head, _) = parse(text.as_bytes(), Method::Get, &settings()).unwrap();
        assert_eq!(head.keep_alive, keep_alive, "{text}");
    }
    let (head, _) = parse(b"HTTP/0.9 304 x\r\n\r\n", Method::Get, &settings()).unwrap();
    assert_eq!(head.protocol, Protocol::Http10);
}

#[test]
fn interim_responses_come_as_heads_of_their_own() {
    let mut buf = BytesMut::from("HTTP/1.1 103 x\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
    let (mut parser, mut headers) = (ResponseParser::new(), HeaderMap::new());
    let mut next = || {
        parser
            .parse(&mut buf, &settings(), Method::Get, &mut headers)
            .unwrap()
            .unwrap()
    };
    assert!(next().is_informational());
    assert!(!next().is_informational());
    assert_eq!(lines(&headers), ":status=200");
}
