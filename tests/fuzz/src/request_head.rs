//! Request heads: the same in one piece as in two, and what is forwarded is one head.

use crate::support::{assert_one_head, choice, cut, lines, settings};
use bytes::BytesMut;
use outrigger_core::HeaderMap;
use outrigger_http::codec::h1::{RequestEncoding, RequestParser, encode_request};

pub fn run(data: &[u8]) {
    let (first, data) = choice(data);
    let (at, data) = choice(data);
    let settings = settings(first);
    let (mut whole, mut buf) = (HeaderMap::new(), BytesMut::from(data));
    let result = RequestParser::new().parse(&mut buf, &settings, &mut whole);

    let (start, rest) = data.split_at(cut(at, data));
    let (mut parts, mut parser) = (HeaderMap::new(), RequestParser::new());
    let mut part = BytesMut::from(start);
    let mut split = parser.parse(&mut part, &settings, &mut parts);
    if matches!(split, Ok(None)) {
        part.extend_from_slice(rest);
        split = parser.parse(&mut part, &settings, &mut parts);
    }
    // Of several errors the one that is seen first counts, and that depends on where the bytes are cut.
    match (&result, &split) {
        (Ok(a), Ok(b)) => assert_eq!(a, b),
        (Err(_), Err(_)) => {}
        (a, b) => panic!("whole: {a:?}, in parts: {b:?}"),
    }
    if result.is_ok() {
        assert_eq!(lines(&whole), lines(&parts));
    }
    if let Ok(Some(head)) = result {
        let mut out = BytesMut::new();
        let how = RequestEncoding {
            end_stream: head.framing.is_empty(),
            ..RequestEncoding::default()
        };
        if encode_request(&mut out, &whole, how).is_ok() {
            // The length or the coding of a body may be said by a line of our own.
            assert_one_head(&out, whole.len() + 1);
        }
    }
}
