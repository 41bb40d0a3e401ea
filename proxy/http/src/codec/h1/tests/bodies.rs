//! Bodies: chunk syntax, trailers, and data that is handed on without a copy.

use super::*;
use bytes::BytesMut;

/// The data, then `!` and the trailers, or the error; what is left over in brackets.
fn decode(framing: Framing, bytes: &[u8], settings: &Http1Settings) -> String {
    let mut decoder = BodyDecoder::new(framing, settings);
    let (mut buf, mut trailers) = (BytesMut::from(bytes), HeaderMap::new());
    let mut seen = String::new();
    loop {
        match decoder.decode(&mut buf, &mut trailers) {
            Ok(Decoded::Data(data)) => seen += &data.escape_ascii().to_string(),
            Ok(Decoded::Trailers) => seen += &format!("!{}", lines(&trailers)),
            Ok(Decoded::End) => return format!("{seen}[{}]", buf.escape_ascii()),
            Ok(Decoded::NeedMore) => return format!("{seen}..."),
            Err(e) => return format!("{seen}{} {}", e.status, e.details),
        }
        if decoder.is_done() {
            return format!("{seen}[{}]", buf.escape_ascii());
        }
    }
}

#[test]
fn bodies_without_chunks() {
    let settings = Http1Settings::default();
    for (framing, bytes, expected) in [
        (Framing::None, "abc", "[abc]"),
        (Framing::Length(0), "abc", "[abc]"),
        (Framing::Length(2), "abc", "ab[c]"),
        (Framing::Length(4), "abc", "abc..."),
        (Framing::UntilClose, "abc", "abc..."),
    ] {
        assert_eq!(
            decode(framing, bytes.as_bytes(), &settings),
            expected,
            "{framing:?}"
        );
    }
}

#[test]
fn chunks() {
    const BAD: &str = "400 http1.codec_error";
    const OK: &str = "abc[x]";
    for (bytes, expected) in [
        (&b"3\r\nabc\r\n0\r\n\r\nx"[..], OK),
        (b"0000000000000000000003\r\nabc\r\n00\r\n\r\nx", OK),
        (b"3 \r\nabc\r\n0\r\n\r\nx", OK),
        (b"3\t\r\nabc\r\n0\r\n\r\nx", OK),
        (b"3;\r\nabc\r\n0;x=y\r\n\r\nx", OK),
        (b"3 ;a=b\r\nabc\r\n0\r\n\r\nx", OK),
        (b"3 a\r\nabc\r\n0\r\n\r\nx", OK),
        (b"3;a\x01\x80\r\nabc\r\n0\r\n\r\nx", OK),
        (b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\nx", OK),
        (b"3\r\nabc\r\n0\r\n\nx", OK),
        (b"A\r\n0123456789\r\n", "0123456789..."),
        (b"ffffffffffffffff\r\nabc", "abc..."),
        (b"10000000000000000\r\nabc", BAD),
        (b" 3\r\nabc", BAD),
        (b"3x\r\nabc", BAD),
        (b"0x3\r\nabc", BAD),
        (b"-3\r\nabc", BAD),
        (b"+3\r\nabc", BAD),
        (b"\r\nabc", BAD),
        (b";a\r\nabc", BAD),
        (b"3\nabc", BAD),
        (b"3;a\nabc", BAD),
        (b"3;a\rb\r\nabc", BAD),
        (b"3\r\r\nabc", BAD),
        (b"3\rabc\r\n", BAD),
        (b"3\r\nabc\r\n0\n\r\n", "abc400 http1.codec_error"),
        (b"3\r\nabc\r0\r\n", "abc400 http1.codec_error"),
        (b"3\r\nabc0\r\n\r\n", "abc400 http1.codec_error"),
        // Stricter than Envoy, on purpose.
        (b"3\r\nabcX\r\n0\r\n\r\n", "abc400 http1.codec_error"),
        (b"3\r\nabc\n0\r\n\r\n", "abc400 http1.codec_error"),
        (b"3;a\0\r\nabc\r\n", BAD),
    ] {
        let decoded = decode(Framing::Chunked, bytes, &Http1Settings::default());
        assert_eq!(decoded, expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn chunk_extensions_are_capped() {
    let line = |n: usize| format!("3;{}\r\nabc", "a".repeat(n));
    let settings = Http1Settings::default();
    assert_eq!(
        decode(Framing::Chunked, line(270).as_bytes(), &settings),
        "abc..."
    );
    assert_eq!(
        decode(Framing::Chunked, line(271).as_bytes(), &settings),
        "400 http1.codec_error"
    );
    let endless = "3;".to_string() + &"a".repeat(300);
    assert_eq!(
        decode(Framing::Chunked, endless.as_bytes(), &settings),
        "400 http1.codec_error"
    );
}

#[test]
fn trailers() {
    const BAD: &str = "400 http1.codec_error";
    for (bytes, kept, dropped) in [
        ("X-T: 1\r\nY: 2\r\n\r\nrest", "!x-t=1|y=2[rest]", "[rest]"),
        ("X: a\r\n b\n\n", "!x=a b[]", "[]"),
        ("X_T: 1\r\n\r\n", "!x_t=1[]", "[]"),
        ("Content-Length: 3\r\n\r\n", "!content-length=3[]", "[]"),
        ("X: 1\r\n", "...", "..."),
        ("X : 1\r\n\r\n", BAD, BAD),
        ("noval\r\n\r\n", BAD, BAD),
        (":path: /\r\n\r\n", BAD, BAD),
        (" X: 1\r\n\r\n", BAD, BAD),
        (
            "X: \u{1}\r\n\r\n",
            "400 http1.invalid_characters",
            "400 http1.invalid_characters",
        ),
    ] {
        let bytes = format!("0\r\n{bytes}");
        assert_eq!(
            decode(Framing::Chunked, bytes.as_bytes(), &lenient()),
            kept,
            "{bytes}"
        );
        assert_eq!(
            decode(
                Framing::Chunked,
                bytes.as_bytes(),
                &Http1Settings::default()
            ),
            dropped,
            "{bytes}"
        );
    }
}

#[test]
fn trailers_obey_the_limits_of_headers() {
    let many = |n| format!("0\r\n{}\r\n", "x: 1\r\n".repeat(n));
    let outcome = |n, s: &Http1Settings| decode(Framing::Chunked, many(n).as_bytes(), s);
    assert!(outcome(100, &lenient()).starts_with('!'));
    assert_eq!(outcome(101, &lenient()), "431 http1.too_many_headers");
    assert_eq!(
        outcome(101, &Http1Settings::default()),
        "[]",
        "dropped ones are not counted"
    );
    let large = format!("0\r\nx: {}\r\n\r\n", "a".repeat(62_000));
    assert_eq!(
        decode(
            Framing::Chunked,
            large.as_bytes(),
            &Http1Settings::default()
        ),
        "431 http1.headers_too_large"
    );
    let reject = Http1Settings {
        headers_with_underscores_action: UnderscoreAction::RejectRequest,
        ..lenient()
    };
    assert_eq!(
        decode(Framing::Chunked, b"0\r\na_b: 1\r\n\r\n", &reject),
        "400 http1.unexpected_underscore"
    );
}

#[test]
fn data_is_not_copied() {
    let mut buf = BytesMut::from("5\r\nhello\r\n");
    let at = buf.as_ptr() as usize + 3;
    let mut decoder = BodyDecoder::new(Framing::Chunked, &Http1Settings::default());
    let decoded = decoder.decode(&mut buf, &mut HeaderMap::new()).unwrap();
    let Decoded::Data(data) = decoded else {
        panic!("{decoded:?}");
    };
    assert_eq!((data.as_ptr() as usize, &data[..]), (at, &b"hello"[..]));
}

#[test]
fn what_is_still_to_come() {
    let settings = Http1Settings::default();
    let mut decoder = BodyDecoder::new(Framing::Length(5), &settings);
    decoder
        .decode(&mut BytesMut::from("abc"), &mut HeaderMap::new())
        .unwrap();
    assert_eq!(decoder.remaining(), Some(2));
    assert!(!decoder.on_eof(), "cut short");
    let mut raw = BodyDecoder::new(Framing::UntilClose, &settings);
    assert_eq!(raw.remaining(), None);
    assert!(raw.on_eof());
    assert_eq!(raw.remaining(), Some(0));
}
