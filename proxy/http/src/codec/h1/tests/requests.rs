//! Request heads: what is refused and why, what is accepted and as what.

use super::*;
use bytes::BytesMut;
use outrigger_core::{HeaderId, Protocol};

fn parse(bytes: &[u8], settings: &Http1Settings) -> Result<(RequestHead, HeaderMap), String> {
    let mut headers = HeaderMap::new();
    let mut buf = BytesMut::from(bytes);
    match RequestParser::new().parse(&mut buf, settings, &mut headers) {
        Ok(Some(head)) => {
            assert!(head.header_bytes + buf.len() <= bytes.len());
            Ok((head, headers))
        }
        Ok(None) => Err("incomplete".into()),
        Err(e) => {
            assert!(headers.is_empty(), "nothing of a refused request stays");
            Err(format!("{} {}", e.status, e.details))
        }
    }
}

/// `400 http1.codec_error`, or the target as `:path` (`:authority` for CONNECT).
fn target(request_line: &[u8], settings: &Http1Settings) -> String {
    let bytes = [request_line, b"\r\nHost: h\r\n\r\n"].concat();
    match parse(&bytes, settings) {
        Ok((_, headers)) => {
            let get = |id| {
                headers
                    .get(id)
                    .map_or("-".into(), |v| v.escape_ascii().to_string())
            };
            format!("{} {}", get(HeaderId::Authority), get(HeaderId::Path))
        }
        Err(error) => error,
    }
}

/// The header lines after `host`, or the error.
fn fields(field_lines: &[u8], settings: &Http1Settings) -> String {
    let bytes = [b"POST / HTTP/1.1\r\nHost: h\r\n", field_lines, b"\r\n"].concat();
    match parse(&bytes, settings) {
        Ok((_, mut headers)) => {
            headers.retain(|id, _, _| !id.is_pseudo() || id == HeaderId::Authority);
            lines(&headers)
        }
        Err(error) => error,
    }
}

fn framing(field_lines: &str, settings: &Http1Settings) -> Result<Framing, String> {
    let bytes = format!("POST / HTTP/1.1\r\nHost: h\r\n{field_lines}\r\n");
    parse(bytes.as_bytes(), settings).map(|(head, _)| head.framing)
}

const CODEC: &str = "400 http1.codec_error";
const CHARS: &str = "400 http1.invalid_characters";
const URL: &str = "400 http1.invalid_url";
const SCHEME: &str = "400 http1.invalid_scheme";
const VERSION: &str = "426 low_version";
const TE: &str = "501 http1.invalid_transfer_encoding";
const CL_TE: &str = "400 http1.content_length_and_chunked_not_allowed";

#[test]
fn request_lines() {
    let settings = Http1Settings::default();
    for (line, expected) in [
        (&b"GET / HTTP/1.1"[..], "h /"),
        (b"GET  /  HTTP/1.1", "h /"),
        (b"GET\t/\tHTTP/1.1", "h /"),
        (b"GET / HTTP/1.1 ", "h /"),
        (b"GET / HTTP/1.1\r", "h /"),
        (b"\r\n\n\rGET / HTTP/1.1", "h /"),
        (b" GET / HTTP/1.1", CODEC),
        (b"\x16\x03\x01", CODEC),
        (b"\0GET / HTTP/1.1", CODEC),
        (b"get / HTTP/1.1", CODEC),
        (b"FOO / HTTP/1.1", CODEC),
        (b"M-SEARCH / HTTP/1.1", CODEC),
        (b"PRI / HTTP/1.1", CODEC),
        (b"MSEARCH / HTTP/1.1", "h /"),
        (b"QUERY / HTTP/1.1", "h /"),
        (b"G\x01T / HTTP/1.1", CHARS),
        (b"GET", CODEC),
        (b"GET ", CODEC),
        (b"GET foo HTTP/1.1", CODEC),
        (b"GET ? HTTP/1.1", CODEC),
        (b"GET / a HTTP/1.1", CODEC),
        (b"GET /a\tb HTTP/1.1", CODEC),
        (b"GET /a\rb HTTP/1.1", CODEC),
        (b"GET /\x00 HTTP/1.1", CHARS),
        (b"GET /\x0b HTTP/1.1", CHARS),
        (b"GET /\x7f HTTP/1.1", CHARS),
        (b"GET /\x80 HTTP/1.1", CODEC),
        (b"GET /a#f HTTP/1.1", "h /a#f"),
        (
            b"GET /|{}\"<>^`\\%zz?[] HTTP/1.1",
            "h /|{}\\\"<>^`\\\\%zz?[]",
        ),
        (b"GET //a HTTP/1.1", "h //a"),
        (b"OPTIONS * HTTP/1.1", "h *"),
        (b"OPTIONS *a HTTP/1.1", "h *a"),
        (b"GET * HTTP/1.1", URL),
        (b"GET /", VERSION),
        (b"GET / ", VERSION),
        (b"GET / HTTP/1.0", VERSION),
        (b"GET / HTTP/0.9", VERSION),
        (b"GET / HTTP/1.2", VERSION),
        (b"GET / HTTP/2.0", VERSION),
        (b"GET / HTTP/1.1.1", CODEC),
        (b"GET / HTTP/1", CODEC),
        (b"GET / HTTP/a.b", CODEC),
        (b"GET / http/1.1", CODEC),
        (b"GET / HTTP/1.1x", CODEC),
        (b"GET / HTTP/01.1", CODEC),
        (b"GET / ICE/1.0", CODEC),
    ] {
        assert_eq!(target(line, &settings), expected, "{}", line.escape_ascii());
    }
}

#[test]
fn targets_with_a_host() {
    let settings = Http1Settings::default();
    for (uri, expected) in [
        ("GET http://x.y/p", "x.y /p"),
        ("GET http://x.y", "x.y /"),
        ("GET http://x.y?q=1", "x.y ?q=1"),
        ("GET HTTP://X.y/p", "X.y /p"),
        ("GET https://x.y/p", "x.y /p"),
        ("GET http://u:p@x.y:81/p", "x.y:81 /p"),
        ("GET http://@a/", "a /"),
        ("GET http://[::1]:8/p", "[::1]:8 /p"),
        ("GET http://[1.2.3.4]/", "[1.2.3.4] /"),
        ("GET http://a:000000080/", "a:000000080 /"),
        ("GET http://-a..b./x:y@z", "-a..b. /x:y@z"),
        ("GET http://x.y/p#f", "x.y /p#f"),
        ("OPTIONS http://x.y", "x.y /"),
        ("GET ftp://x.y/p", SCHEME),
        ("GET ws://x.y/p", SCHEME),
        ("GET http:///p", URL),
        ("GET http://?q", URL),
        ("GET http://a@/", URL),
        ("GET http://:80/", URL),
        ("GET http://u@v@a/", URL),
        ("GET http://x.y:/p", URL),
        ("GET http://x.y:abc/p", URL),
        ("GET http://x.y:65536/p", URL),
        ("GET http://x_y/p", URL),
        ("GET http://x%20y/p", URL),
        ("GET http://[::1/", URL),
        ("GET http://[]/", URL),
        ("GET http://[zz]/", URL),
        ("GET http://[::1]x/", URL),
        ("GET http://x.y#f", CODEC),
        ("GET http://x\"y/p", CODEC),
        ("GET http://x@@y/p", CODEC),
        ("GET http:/x", CODEC),
        ("GET x:80", CODEC),
        ("CONNECT a:1", "a:1 -"),
        ("CONNECT [::1]:4", "[::1]:4 -"),
        ("CONNECT a", URL),
        ("CONNECT /a", URL),
        ("CONNECT *", URL),
        ("CONNECT http://a/", URL),
        ("CONNECT a:b", URL),
        ("CONNECT a:1/p", URL),
        ("CONNECT a:1?x", URL),
        ("CONNECT u@a:1", URL),
        ("CONNECT a:", URL),
        ("CONNECT :1", URL),
        ("CONNECT a:99999", URL),
    ] {
        let line = format!("{uri} HTTP/1.1");
        assert_eq!(target(line.as_bytes(), &settings), expected, "{uri}");
    }
}

#[test]
fn absolute_urls_can_be_left_alone() {
    let settings = Http1Settings {
        allow_absolute_url: false,
        ..Http1Settings::default()
    };
    for (uri, expected) in [
        ("GET http://x.y/p", "h http://x.y/p"),
        ("GET foo://x", "h foo://x"),
        ("GET foo", CODEC),
        ("CONNECT a:1", "a:1 -"),
    ] {
        let line = format!("{uri} HTTP/1.1");
        assert_eq!(target(line.as_bytes(), &settings), expected, "{uri}");
    }
}

#[test]
fn custom_methods_are_tokens() {
    for (line, expected) in [
        ("FOO / HTTP/1.1", "h /"),
        ("!#$%&'*+-.^_`|~ / HTTP/1.1", "h /"),
        ("G@T / HTTP/1.1", CODEC),
        ("F\u{80} / HTTP/1.1", CODEC),
        ("FOO a:1 HTTP/1.1", CODEC),
    ] {
        assert_eq!(target(line.as_bytes(), &lenient()), expected, "{line}");
    }
}

#[test]
fn header_lines() {
    let settings = Http1Settings::default();
    for (text, expected) in [
        (&b"X-Y:\r\n"[..], ":authority=h|x-y="),
        (b"X-Y:\t a\tb \t\r\n", ":authority=h|x-y=a\\tb"),
        (b"x:y:z\r\n", ":authority=h|x=y:z"),
        (
            b"X|Y!#$%&'*+.^`~: a\r\n",
            ":authority=h|x|y!#$%&\\'*+.^`~=a",
        ),
        (b"X-Y: a\x80\xff\r\n", ":authority=h|x-y=a\\x80\\xff"),
        (b"X: 1\nY: 2\n", ":authority=h|x=1|y=2"),
        (b"X: a\r\n b\r\n", ":authority=h|x=a b"),
        (b"X: a\r\n\tb\r\nY: c\r\n", ":authority=h|x=a\\tb|y=c"),
        (b"X: a  \r\n  b\r\n   c\r\n", ":authority=h|x=a    b   c"),
        (b"X: a\r\n \r\n", ":authority=h|x=a"),
        (b"X:\n b\n", ":authority=h|x=b"),
        (b" X: a\r\n", ":authority=h X: a"),
        (b"X: a\rb\r\n", ":authority=h|x=ab"),
        (b"X: \ra\r\r\n", ":authority=h|x=a"),
        (b"Host: i\r\n", CODEC),
        (b"hosT:h\r\n", CODEC),
        (b"X: a\r\nHost:\r\n i\r\n", CODEC),
        (
            b"X-Forwarded-For: 1\r\nX-Forwarded-For: 2\r\n",
            ":authority=h|x-forwarded-for=1,2",
        ),
        (b"X: 1\r\nY: 2\r\nx: 3\r\n", ":authority=h|x=1|y=2|x=3"),
        (b"X_Y: 1\r\n", ":authority=h|x_y=1"),
        (b"X : 1\r\n", CODEC),
        (b"X\t: 1\r\n", CODEC),
        (b": 1\r\n", CODEC),
        (b":path: /admin\r\n", CODEC),
        (b"novalue\r\n", CODEC),
        (b"\r\r\n", CODEC),
        (b"X Y: a\r\n", CODEC),
        (b"X\rY: a\r\n", CODEC),
        (b"X@Y: a\r\n", CODEC),
        (b"X\x80Y: a\r\n", CODEC),
        (b"X: a\x00b\r\n", CHARS),
        (b"X: a\x01b\r\n", CHARS),
        (b"X: a\x7fb\r\n", CHARS),
        (b"X: \x0b\r\n", CHARS),
        (b"X\x00Y: a\r\n", CHARS),
        (b"X Y: a\r\nX: \x01\r\n", CHARS),
    ] {
        assert_eq!(fields(text, &settings), expected, "{}", text.escape_ascii());
    }
    assert_eq!(
        parse(b"GET / HTTP/1.1\r\n X: a\r\nHost: h\r\n\r\n", &settings).unwrap_err(),
        CODEC
    );
}

#[test]
fn underscores() {
    let with = |headers_with_underscores_action| Http1Settings {
        headers_with_underscores_action,
        max_headers_count: 3,
        ..Http1Settings::default()
    };
    let reject = with(UnderscoreAction::RejectRequest);
    let drop = with(UnderscoreAction::DropHeader);
    const UNDERSCORE: &str = "400 http1.unexpected_underscore";
    for (text, rejecting, dropping) in [
        ("X_Y: 1\r\nZ: 2\r\n", UNDERSCORE, ":authority=h|z=2"),
        ("X_Y: 1\r\n 2\r\nZ: 2\r\n", UNDERSCORE, ":authority=h|z=2"),
        ("X_Y: 1\r\nX Y: 2\r\n", CODEC, CODEC),
        ("X_Y: \u{1}\r\n", CHARS, CHARS),
        (
            "a_b: 1\r\nc: 1\r\nd: 1\r\ne: 1\r\n",
            UNDERSCORE,
            "431 http1.too_many_headers",
        ),
        (
            "a_b: 1\r\na_b: 1\r\nc: 1\r\nd: 1\r\n",
            UNDERSCORE,
            ":authority=h|c=1|d=1",
        ),
        ("Content_Length: 7\r\n", UNDERSCORE, ":authority=h"),
    ] {
        assert_eq!(fields(text.as_bytes(), &reject), rejecting, "{text}");
        assert_eq!(fields(text.as_bytes(), &drop), dropping, "{text}");
    }
    let (head, _) = parse(b"GET / HTTP/1.1\r\na_b: 1\r\nc_d: 1\r\n\r\n", &drop).unwrap();
    assert_eq!(head.dropped_underscores, 2);
}

#[test]
fn content_length() {
    let settings = Http1Settings::default();
    for (value, expected) in [
        ("0", Ok(Framing::Length(0))),
        ("3", Ok(Framing::Length(3))),
        ("003", Ok(Framing::Length(3))),
        ("\t3 ", Ok(Framing::Length(3))),
        ("3\r", Ok(Framing::Length(3))),
        ("\r\n 3", Ok(Framing::Length(3))),
        ("9223372036854775807", Ok(Framing::Length(i64::MAX as u64))),
        ("9223372036854775808", Err(CODEC)),
        ("18446744073709551616", Err(CODEC)),
        ("", Err(CODEC)),
        ("+3", Err(CODEC)),
        ("-3", Err(CODEC)),
        ("3,3", Err(CODEC)),
        ("3, 3", Err(CODEC)),
        ("0x3", Err(CODEC)),
        ("3.0", Err(CODEC)),
        ("3a", Err(CODEC)),
        ("1 2", Err(CODEC)),
        ("1\r0", Err(CODEC)),
        ("3\r\n 4", Err(CODEC)),
        ("3\r\nContent-Length: 3", Err(CODEC)),
        ("\r\nContent-Length: 3", Err(CODEC)),
        ("3\r\nContent-Length:", Err(CODEC)),
    ] {
        let text = format!("Content-Length: {value}\r\n");
        assert_eq!(
            framing(&text, &settings),
            expected.map_err(String::from),
            "{text}"
        );
    }
}

#[test]
fn transfer_encoding() {
    for (value, expected) in [
        ("chunked", Ok(Framing::Chunked)),
        ("CHUNKED \t", Ok(Framing::Chunked)),
        ("\r\n chunked", Ok(Framing::Chunked)),
        ("chunked\r", Ok(Framing::Chunked)),
        ("chun\rked", Err(CODEC)),
        ("", Err(TE)),
        ("identity", Err(TE)),
        ("gzip, chunked", Err(TE)),
        ("chunked, chunked", Err(TE)),
        ("chunked,", Err(TE)),
        ("\"chunked\"", Err(TE)),
        ("chunked;a", Err(TE)),
        ("xchunked", Err(TE)),
        ("chunked\r\n x", Err(TE)),
        ("\u{b}chunked", Err(CHARS)),
        ("chunked\r\nTransfer-Encoding: chunked", Err(TE)),
        ("identity\r\nTransfer-Encoding: chunked", Err(TE)),
    ] {
        let text = format!("Transfer-Encoding: {value}\r\n");
        assert_eq!(
            framing(&text, &Http1Settings::default()),
            expected.map_err(String::from),
            "{text}"
        );
    }
    for (length, coding, strict, lax) in [
        ("3", "chunked", CL_TE, Ok(Framing::Chunked)),
        ("0", "chunked", CL_TE, Ok(Framing::Chunked)),
        ("x", "chunked", CL_TE, Ok(Framing::Chunked)),
        ("3", "identity", CL_TE, Err(CL_TE)),
        ("3\r\nContent-Length: 3", "chunked", CODEC, Err(CODEC)),
    ] {
        let text = format!("Content-Length: {length}\r\nTransfer-Encoding: {coding}\r\n");
        assert_eq!(
            framing(&text, &Http1Settings::default()),
            Err(strict.into()),
            "{text}"
        );
        assert_eq!(
            framing(&text, &lenient()),
            lax.map_err(String::from),
            "{text}"
        );
    }
    assert_eq!(
        fields(
            b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            &lenient()
        ),
        ":authority=h|transfer-encoding=chunked"
    );
}

#[test]
fn of_several_faults_envoy_names_this_one() {
    let settings = Http1Settings::default();
    for (bytes, expected) in [
        ("GET http:///p HTTP/1.0\r\n\r\n", URL),
        ("GET foo HTTP/1.0\r\n\r\n", CODEC),
        (
            "GET http:///p HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            CL_TE,
        ),
        (
            "GET ftp://a/p HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
            TE,
        ),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n", TE),
        (
            "POST / HTTP/1.0\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
            CODEC,
        ),
        (
            "CONNECT a:1 HTTP/1.1\r\nContent-Length: 3\r\n\r\n",
            "400 http1.body_disallowed",
        ),
        (
            "CONNECT a:1 HTTP/1.1\r\nContent-Length: 00\r\n\r\n",
            "400 http1.body_disallowed",
        ),
        (
            "CONNECT a:1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            TE,
        ),
    ] {
        assert_eq!(
            parse(bytes.as_bytes(), &settings).unwrap_err(),
            expected,
            "{bytes}"
        );
    }
}

#[test]
fn limits_are_exact() {
    let small = Http1Settings {
        max_head_bytes: 1024,
        max_headers_count: 3,
        ..Http1Settings::default()
    };
    let head = |total: usize| {
        let frame = "GET /a HTTP/1.1\r\nHost: h\r\nX: \r\n\r\n".len();
        format!(
            "GET /a HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n",
            "a".repeat(total - frame)
        )
    };
    assert!(parse(head(1024).as_bytes(), &small).is_ok());
    const LARGE: &str = "431 http1.headers_too_large";
    assert_eq!(parse(head(1025).as_bytes(), &small).unwrap_err(), LARGE);
    let endless = format!("GET /{}", "a".repeat(1020));
    assert_eq!(parse(endless.as_bytes(), &small).unwrap_err(), LARGE);
    let blank = "\r\n".repeat(3000) + &head(1024);
    assert!(
        parse(blank.as_bytes(), &small).is_ok(),
        "empty lines before do not count"
    );
    assert_eq!(fields(b"a: 1\r\nb: 1\r\n", &small), ":authority=h|a=1|b=1");
    assert_eq!(
        fields(b"a: 1\r\nb: 1\r\nc: 1\r\n", &small),
        "431 http1.too_many_headers"
    );
    assert_eq!(
        fields(b"Via: a\r\nVia: b\r\nVia: c\r\n", &small),
        ":authority=h|via=a,b,c",
        "merged lines count once"
    );
}

#[test]
fn a_bad_request_line_is_refused_before_the_head_is_complete() {
    for (bytes, expected) in [
        (&b"FOO / HTTP/1.1\r\n"[..], CODEC),
        (b"GET / HTTP/x\n", CODEC),
        (b"GET foo HTTP/1.1\r\n", CODEC),
        (b"\x16", CODEC),
        (b"X", "incomplete"),
        (b"GET / HTTP/1.0\r\n", "incomplete"),
        (b"GET / HTTP/1.1\r\nfoo\r\n", "incomplete"),
        (b"\r\n", "incomplete"),
    ] {
        let outcome = parse(bytes, &Http1Settings::default()).unwrap_err();
        assert_eq!(outcome, expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn http_10_when_accepted() {
    let settings = Http1Settings {
        default_host_for_http_10: Some("dflt".into()),
        ..lenient()
    };
    for (bytes, host, keep_alive) in [
        ("GET / HTTP/1.0\r\n\r\n", Some("dflt"), false),
        ("GET /\n\n", Some("dflt"), false),
        ("GET / HTTP/1.0\r\nHost:\r\n\r\n", Some(""), false),
        ("GET http://x/ HTTP/1.0\r\n\r\n", Some("x"), false),
        (
            "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            Some("dflt"),
            true,
        ),
    ] {
        let (head, headers) = parse(bytes.as_bytes(), &settings).unwrap();
        assert_eq!(head.protocol, Protocol::Http10);
        assert_eq!(headers.get_str(HeaderId::Authority), host, "{bytes}");
        assert_eq!(head.keep_alive, keep_alive, "{bytes}");
    }
    let (head, headers) = parse(b"GET / HTTP/1.1\r\n\r\n", &settings).unwrap();
    assert_eq!((head.protocol, head.keep_alive), (Protocol::Http11, true));
    assert!(
        !headers.contains(HeaderId::Authority),
        "the default is for 1.0 only"
    );
}

#[test]
fn upgrades_and_expectations() {
    let head = |text: &str| {
        let bytes = format!("GET / HTTP/1.1\r\n{text}\r\n");
        parse(bytes.as_bytes(), &Http1Settings::default()).unwrap()
    };
    let (ws, _) =
        head("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n");
    assert_eq!((ws.upgrade, ws.framing), (true, Framing::UntilClose));
    let (alone, _) = head("Upgrade: websocket\r\n");
    assert_eq!((alone.upgrade, alone.framing), (false, Framing::None));
    let (h2c, headers) = head(
        "Connection: Upgrade, x-foo, HTTP2-Settings\r\nUpgrade: H2C\r\nHTTP2-Settings: AA\r\nContent-Length: 3\r\n",
    );
    assert_eq!((h2c.upgrade, h2c.framing), (false, Framing::Length(3)));
    assert_eq!(headers.get_str(HeaderId::Connection), Some("x-foo"));
    assert!(!headers.contains(HeaderId::Upgrade) && !headers.contains(HeaderId::Http2Settings));
    let (_, headers) = head("Connection: Upgrade\r\nUpgrade: h2c\r\n");
    assert!(!headers.contains(HeaderId::Connection));
    let (both, _) = head("Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n");
    assert!(both.upgrade);
    assert!(head("Expect: 100-Continue\r\n").0.expect_continue);
    assert!(!head("Expect: 100-continue, foo\r\n").0.expect_continue);
    let (connect, headers) = parse(
        b"CONNECT a:1 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
        &Http1Settings::default(),
    )
    .unwrap();
    assert_eq!(
        (connect.method, connect.framing),
        (Method::Connect, Framing::UntilClose)
    );
    assert_eq!(lines(&headers), ":method=CONNECT|:authority=a:1");
}

#[test]
fn pipelined_requests_are_taken_one_by_one() {
    let mut buf =
        BytesMut::from("GET /1 HTTP/1.1\r\nhost: a\r\n\r\n\r\nGET https://b/2 HTTP/1.1\n\nGET");
    let (mut parser, mut headers) = (RequestParser::new(), HeaderMap::new());
    let settings = Http1Settings::default();
    let first = parser
        .parse(&mut buf, &settings, &mut headers)
        .unwrap()
        .unwrap();
    assert_eq!(lines(&headers), ":method=GET|:path=/1|:authority=a");
    assert!(!first.absolute_form);
    let second = parser
        .parse(&mut buf, &settings, &mut headers)
        .unwrap()
        .unwrap();
    assert_eq!(
        lines(&headers),
        ":method=GET|:path=/2|:scheme=https|:authority=b"
    );
    assert!(second.absolute_form);
    assert!(!parser.in_progress());
    assert_eq!(parser.parse(&mut buf, &settings, &mut headers), Ok(None));
    assert!(parser.in_progress());
}

#[test]
fn authorities() {
    for valid in ["", "a", "a:80", "[::1]:80", "u@h", "a,b", "a_b~!$&'()*+;=%"] {
        assert!(authority_is_valid(valid.as_bytes()), "{valid}");
    }
    for byte in b" \"#/<>?\\^`{|}\x7f\x80\xff\x01" {
        assert!(!authority_is_valid(&[b'a', *byte, b'b']), "{byte}");
    }
}
