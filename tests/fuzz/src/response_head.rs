//! Response heads: the same in one piece as in two, and what is forwarded is one head.

use crate::support::{assert_one_head, choice, cut, lines, settings};
use bytes::BytesMut;
use outrigger_core::{HeaderMap, Method, Protocol};
use outrigger_http::codec::h1::{
    ConnectionHeader, HeaderKeyFormat, ResponseEncoding, ResponseParser, encode_response,
};

pub fn run(data: &[u8]) {
    let (first, data) = choice(data);
    let (at, data) = choice(data);
    let settings = settings(first);
    let method = Method::from_bytes(match at % 3 {
        0 => b"GET",
        1 => b"HEAD",
        _ => b"CONNECT",
    });
    let (mut whole, mut buf) = (HeaderMap::new(), BytesMut::from(data));
    let result = ResponseParser::new().parse(&mut buf, &settings, method, &mut whole);

    let (start, rest) = data.split_at(cut(at, data));
    let (mut parts, mut parser) = (HeaderMap::new(), ResponseParser::new());
    let mut part = BytesMut::from(start);
    let mut split = parser.parse(&mut part, &settings, method, &mut parts);
    if matches!(split, Ok(None)) {
        part.extend_from_slice(rest);
        split = parser.parse(&mut part, &settings, method, &mut parts);
    }
    match (&result, &split) {
        (Ok(a), Ok(b)) => assert_eq!(a, b),
        (Err(_), Err(_)) => {}
        (a, b) => panic!("whole: {a:?}, in parts: {b:?}"),
    }
    if let Ok(Some(head)) = result {
        assert_eq!(lines(&whole), lines(&parts));
        assert!(head.status >= 100);
        let mut out = BytesMut::new();
        let how = ResponseEncoding {
            protocol: Protocol::Http11,
            method,
            end_stream: head.framing.is_empty(),
            connection: ConnectionHeader::Close,
            header_key_format: HeaderKeyFormat::LowerCase,
        };
        if encode_response(&mut out, &whole, how).is_ok() {
            // The connection and the body may be said by lines of our own.
            assert_one_head(&out, whole.len() + 2);
        }
    }
}
