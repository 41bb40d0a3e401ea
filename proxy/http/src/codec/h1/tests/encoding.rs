//! The bytes that are written, as Envoy writes them.

use super::*;
use crate::codec::{buffer::WriteBuffer, h1::writer::BodyWriter};
use bytes::{Bytes, BytesMut};
use outrigger_core::{HeaderId, HeaderName, Protocol};

const ORDINARY: RequestEncoding = RequestEncoding {
    end_stream: true,
    header_key_format: HeaderKeyFormat::LowerCase,
    fully_qualified_url: false,
};

fn answer(method: Method, end_stream: bool) -> ResponseEncoding {
    ResponseEncoding {
        protocol: Protocol::Http11,
        method,
        end_stream,
        connection: ConnectionHeader::FromMap,
        header_key_format: HeaderKeyFormat::LowerCase,
    }
}

fn request(headers: &HeaderMap, how: RequestEncoding) -> Result<(String, Framing), EncodeError> {
    let mut out = BytesMut::from("before|");
    let result = encode_request(&mut out, headers, how);
    let text = String::from_utf8(out.to_vec()).unwrap();
    let text = text.strip_prefix("before|").unwrap().to_string();
    if result.is_err() {
        assert_eq!(text, "", "a failed head leaves nothing behind");
    }
    result.map(|framing| (text.replace("\r\n", "~"), framing))
}

fn response(status: &str, lines: &[(&str, &str)], how: ResponseEncoding) -> (String, Framing) {
    let mut headers = map(lines);
    headers.set(HeaderId::Status, status.as_bytes());
    let mut out = BytesMut::new();
    let framing = encode_response(&mut out, &headers, how).unwrap();
    let text = String::from_utf8(out.to_vec()).unwrap();
    (text.replace("\r\n", "~"), framing)
}

fn head(method: &str, lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = map(lines);
    headers.set(HeaderId::Method, method.as_bytes());
    headers.set(HeaderId::Path, b"/a");
    headers.set(HeaderId::Scheme, b"http");
    headers
}

#[test]
fn requests() {
    let headers = head(
        "GET",
        &[
            ("X-A", "1"),
            ("Host", "h"),
            ("x-b", ""),
            ("Transfer-Encoding", "gzip"),
        ],
    );
    assert_eq!(
        request(&headers, ORDINARY).unwrap(),
        (
            "GET /a HTTP/1.1~host: h~x-a: 1~x-b: ~~".into(),
            Framing::None
        )
    );
    let full = RequestEncoding {
        fully_qualified_url: true,
        ..ORDINARY
    };
    assert!(
        request(&headers, full)
            .unwrap()
            .0
            .starts_with("GET http://h/a HTTP/1.1~host: h~")
    );
    let proper = RequestEncoding {
        end_stream: false,
        header_key_format: HeaderKeyFormat::ProperCaseWords,
        ..ORDINARY
    };
    let headers = head(
        "GET",
        &[
            ("host", "h"),
            ("x-foo_bar-bAZ", "1"),
            ("x--y", "2"),
            ("9a.b-c", "3"),
            ("te", "trailers"),
        ],
    );
    assert_eq!(
        request(&headers, proper).unwrap(),
        (
            "GET /a HTTP/1.1~Host: h~X-Foo_Bar-Baz: 1~X--Y: 2~9a.B-C: 3~Te: trailers~Transfer-Encoding: chunked~~".into(),
            Framing::Chunked
        )
    );
}

#[test]
fn empty_requests_say_so_except_where_nobody_expects_a_body() {
    for (method, length) in [
        ("GET", false),
        ("HEAD", false),
        ("DELETE", false),
        ("TRACE", false),
        ("POST", true),
        ("PUT", true),
        ("PATCH", true),
        ("OPTIONS", true),
        ("PROPFIND", true),
    ] {
        let (text, framing) = request(&head(method, &[]), ORDINARY).unwrap();
        assert_eq!(text.ends_with("content-length: 0~~"), length, "{method}");
        assert_eq!(framing, Framing::None);
    }
}

#[test]
fn a_body_is_never_more_than_its_length() {
    let end = head("POST", &[("content-length", "5")]);
    assert_eq!(request(&end, ORDINARY), Err(EncodeError::ContentLength));
    let (_, framing) = response("200", &[("content-length", "5")], answer(Method::Get, true));
    assert_eq!(framing, Framing::UntilClose);
    for (length, sent, closes) in [(3, "abc", false), (5, "abcde", false), (9, "abcdef", true)] {
        let mut writer = BodyWriter::new(Framing::Length(length), false);
        let mut out = WriteBuffer::default();
        writer.data(&mut out, Bytes::from_static(b"abcd"));
        writer.data(&mut out, Bytes::from_static(b"ef"));
        writer.end(&mut out, None);
        assert_eq!(out.len(), sent.len(), "{length}");
        assert_eq!(writer.ends_by_close(), closes, "{length}");
    }
}

#[test]
fn request_bodies() {
    let streaming = RequestEncoding {
        end_stream: false,
        ..ORDINARY
    };
    let (text, framing) = request(&head("POST", &[("content-length", "03")]), streaming).unwrap();
    assert_eq!(
        (text.as_str(), framing),
        ("POST /a HTTP/1.1~content-length: 03~~", Framing::Length(3))
    );
    let (text, framing) = request(&head("GET", &[]), streaming).unwrap();
    assert_eq!(
        (text.as_str(), framing),
        (
            "GET /a HTTP/1.1~transfer-encoding: chunked~~",
            Framing::Chunked
        )
    );
    let upgrade = head(
        "GET",
        &[("connection", "upgrade"), ("upgrade", "websocket")],
    );
    let (text, framing) = request(&upgrade, streaming).unwrap();
    assert_eq!(
        text,
        "GET /a HTTP/1.1~connection: upgrade~upgrade: websocket~~"
    );
    assert_eq!(framing, Framing::UntilClose);
    let mut connect = map(&[("host", "a:1")]);
    connect.set(HeaderId::Method, b"CONNECT");
    assert_eq!(
        request(&connect, streaming).unwrap(),
        (
            "CONNECT a:1 HTTP/1.1~host: a:1~~".into(),
            Framing::UntilClose
        )
    );
}

#[test]
fn nothing_can_split_a_head() {
    for value in [&b"a\rb"[..], b"a\nb", b"a\0b", b"\r\n"] {
        let mut headers = head("GET", &[]);
        headers.append_raw(b"x-a", value);
        assert_eq!(request(&headers, ORDINARY), Err(EncodeError::LineBreak));
        let mut headers = head("GET", &[]);
        headers.append_name(&HeaderName::from_bytes(value), b"x");
        assert_eq!(request(&headers, ORDINARY), Err(EncodeError::LineBreak));
    }
    for (id, value) in [
        (HeaderId::Path, &b"/a b"[..]),
        (HeaderId::Path, b"/a\r\nx: y"),
        (HeaderId::Path, b""),
        (HeaderId::Method, b"GET /x"),
        (HeaderId::Method, b"G\n"),
    ] {
        let mut headers = head("GET", &[]);
        headers.set(id, value);
        assert_eq!(
            request(&headers, ORDINARY),
            Err(EncodeError::Required(id.name()))
        );
    }
    assert_eq!(
        request(&head("POST", &[("content-length", "3x")]), ORDINARY),
        Err(EncodeError::ContentLength)
    );
    let mut out = BytesMut::new();
    let trailers = map(&[("x", "a\nb")]);
    assert!(encode_last_chunk(&mut out, Some(&trailers)).is_err());
    assert!(out.is_empty());
}

#[test]
fn responses() {
    let (get, http) = (Method::Get, HeaderKeyFormat::LowerCase);
    for (status, lines, how, text, framing) in [
        (
            "200",
            &[("content-length", "2")][..],
            answer(get, false),
            "200 OK~content-length: 2~~",
            Framing::Length(2),
        ),
        (
            "200",
            &[],
            answer(get, false),
            "200 OK~transfer-encoding: chunked~~",
            Framing::Chunked,
        ),
        (
            "404",
            &[("server", "envoy")],
            answer(get, true),
            "404 Not Found~server: envoy~content-length: 0~~",
            Framing::None,
        ),
        (
            "200",
            &[("content-length", "5")],
            answer(Method::Head, true),
            "200 OK~content-length: 5~~",
            Framing::None,
        ),
        (
            "200",
            &[],
            answer(Method::Head, true),
            "200 OK~transfer-encoding: chunked~~",
            Framing::None,
        ),
        (
            "204",
            &[("content-length", "0")],
            answer(get, true),
            "204 No Content~~",
            Framing::None,
        ),
        (
            "304",
            &[],
            answer(get, true),
            "304 Not Modified~~",
            Framing::None,
        ),
        (
            "304",
            &[("content-length", "5")],
            answer(get, true),
            "304 Not Modified~content-length: 5~~",
            Framing::None,
        ),
        (
            "103",
            &[("link", "a")],
            answer(get, false),
            "103 Unknown~link: a~~",
            Framing::None,
        ),
        (
            "999",
            &[("content-length", "0")],
            answer(get, true),
            "999 Unknown~content-length: 0~~",
            Framing::None,
        ),
        (
            "599",
            &[("content-length", "0")],
            answer(get, true),
            "599 Last Unassigned Server Error Code~content-length: 0~~",
            Framing::None,
        ),
        (
            "101",
            &[("connection", "upgrade"), ("upgrade", "websocket")],
            answer(get, false),
            "101 Switching Protocols~connection: upgrade~upgrade: websocket~~",
            Framing::UntilClose,
        ),
        (
            "200",
            &[],
            answer(Method::Connect, false),
            "200 OK~~",
            Framing::UntilClose,
        ),
        (
            "503",
            &[],
            answer(Method::Connect, true),
            "503 Service Unavailable~content-length: 0~~",
            Framing::None,
        ),
        (
            "200",
            &[("transfer-encoding", "gzip"), ("x-a", "b")],
            answer(get, false),
            "200 OK~x-a: b~transfer-encoding: chunked~~",
            Framing::Chunked,
        ),
    ] {
        assert_eq!(how.header_key_format, http);
        let expected = (format!("HTTP/1.1 {text}"), framing);
        assert_eq!(response(status, lines, how), expected, "{status} {lines:?}");
    }
}

#[test]
fn the_connection_header_stands_before_the_framing() {
    let close = ResponseEncoding {
        connection: ConnectionHeader::Close,
        ..answer(Method::Get, true)
    };
    assert_eq!(
        response("400", &[("connection", "foo"), ("server", "envoy")], close).0,
        "HTTP/1.1 400 Bad Request~server: envoy~connection: close~content-length: 0~~"
    );
    let old = ResponseEncoding {
        protocol: Protocol::Http10,
        connection: ConnectionHeader::KeepAlive,
        ..answer(Method::Get, false)
    };
    assert_eq!(
        response("200", &[("content-length", "1")], old),
        (
            "HTTP/1.0 200 OK~content-length: 1~connection: keep-alive~~".into(),
            Framing::Length(1)
        )
    );
    assert_eq!(
        response("200", &[], old).1,
        Framing::UntilClose,
        "no chunks for HTTP/1.0"
    );
}

#[test]
fn chunks() {
    let mut out = BytesMut::new();
    encode_chunk(&mut out, b"0123456789");
    encode_chunk(&mut out, b"");
    encode_chunk_start(&mut out, 0x1_0000);
    encode_chunk_end(&mut out);
    encode_chunk_start(&mut out, u64::MAX);
    encode_last_chunk(&mut out, Some(&map(&[("X-T", "1")]))).unwrap();
    encode_last_chunk(&mut out, None).unwrap();
    assert_eq!(
        out.escape_ascii().to_string().replace("\\r\\n", "~"),
        "a~0123456789~10000~~ffffffffffffffff~0~x-t: 1~~0~~"
    );
}

#[test]
fn kept_spellings_are_written_whatever_the_format() {
    let mut headers = map(&[(":status", "200")]);
    headers.keep_original_names(true);
    for name in ["X-FooBar", "server"] {
        headers.remember(name.as_bytes());
    }
    headers.append_raw(b"X-FooBar", b"1");
    headers.append_raw(b"server", b"a");
    headers.append_raw(b"x-new", b"b");
    headers.set_reason(b"Fine");
    let how = ResponseEncoding {
        protocol: Protocol::Http11,
        method: Method::Get,
        end_stream: true,
        connection: ConnectionHeader::FromMap,
        header_key_format: HeaderKeyFormat::ProperCaseWords,
    };
    let mut out = BytesMut::new();
    assert_eq!(encode_response(&mut out, &headers, how), Ok(Framing::None));
    assert_eq!(
        out.escape_ascii().to_string().replace("\\r\\n", "~"),
        "HTTP/1.1 200 Fine~X-FooBar: 1~server: a~X-New: b~Content-Length: 0~~"
    );
}
