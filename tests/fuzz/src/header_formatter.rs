//! Header mutations whose values are formats: whatever is put into a head, one head is written.

use crate::support::{assert_one_head, choice, cut, request, stream_info};
use bytes::BytesMut;
use envoy_api::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use outrigger_http::{
    codec::h1::{RequestEncoding, encode_request},
    route::HeaderParser,
};

pub fn run(data: &[u8]) {
    let (action, data) = choice(data);
    let (at, data) = choice(data);
    let (format, value) = data.split_at(cut(at, data));
    let Ok(format) = std::str::from_utf8(format) else {
        return;
    };
    let (key, format) = format.split_once('\n').unwrap_or(("x-added", format));
    let option = HeaderValueOption {
        header: Some(HeaderValue {
            key: key.to_owned(),
            value: format.to_owned(),
            ..HeaderValue::default()
        }),
        append_action: i32::from(action % 4),
        keep_empty_value: action & 4 != 0,
        ..HeaderValueOption::default()
    };
    let Ok(parser) = HeaderParser::compile(&[option], &[], "request_headers") else {
        return;
    };
    let mut headers = request(b"a.test", b"/a?b");
    headers.append_raw(b"x-a", value);
    parser.evaluate_request(&mut headers, &stream_info());
    let mut out = BytesMut::new();
    let how = RequestEncoding {
        end_stream: true,
        ..RequestEncoding::default()
    };
    if encode_request(&mut out, &headers, how).is_ok() {
        assert_one_head(&out, headers.len() + 1);
    }
}
