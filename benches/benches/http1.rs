//! What the HTTP/1 codec costs: reading a head and writing one.

use bytes::BytesMut;
use criterion::Criterion;
use outrigger_core::{HeaderMap, Method, Protocol};
use outrigger_http::codec::h1::{
    ConnectionHeader, HeaderKeyFormat, Http1Settings, RequestEncoding, RequestParser,
    ResponseEncoding, ResponseParser, encode_request, encode_response,
};
use std::hint::black_box;

const REQUEST: &[u8] = b"GET /service/9/some/path?and=query HTTP/1.1\r\n\
    host: v7.example.com\r\n\
    user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    accept-language: en-US,en;q=0.5\r\n\
    accept-encoding: gzip, deflate, br\r\n\
    x-request-id: 7d0f2b2c-3c0e-4b5e-9d5e-0a4a5f6b7c8d\r\n\
    x-forwarded-proto: http\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    content-type: application/json\r\n\
    content-length: 1024\r\n\
    date: Tue, 15 Nov 1994 08:12:31 GMT\r\n\
    cache-control: no-cache\r\n\
    server: backend\r\n\r\n";

pub fn benches(c: &mut Criterion) {
    let settings = Http1Settings::default();
    let mut headers = HeaderMap::new();
    let mut buffer = BytesMut::with_capacity(16 * 1024);

    let mut requests = RequestParser::new();
    c.bench_function("http1/request/parse", |b| {
        b.iter(|| {
            fill(&mut buffer, REQUEST);
            black_box(requests.parse(&mut buffer, &settings, &mut headers)).unwrap()
        });
    });
    c.bench_function("http1/request/encode", |b| {
        let how = RequestEncoding {
            end_stream: true,
            ..RequestEncoding::default()
        };
        b.iter(|| {
            buffer.clear();
            black_box(encode_request(&mut buffer, &headers, how)).unwrap()
        });
    });

    let mut responses = ResponseParser::new();
    c.bench_function("http1/response/parse", |b| {
        b.iter(|| {
            fill(&mut buffer, RESPONSE);
            black_box(responses.parse(&mut buffer, &settings, Method::Get, &mut headers)).unwrap()
        });
    });
    c.bench_function("http1/response/encode", |b| {
        let how = ResponseEncoding {
            protocol: Protocol::Http11,
            method: Method::Get,
            end_stream: false,
            connection: ConnectionHeader::FromMap,
            header_key_format: HeaderKeyFormat::default(),
        };
        b.iter(|| {
            buffer.clear();
            black_box(encode_response(&mut buffer, &headers, how)).unwrap()
        });
    });
}

/// What the parser took before comes back: else the buffer would move through memory and grow.
fn fill(buffer: &mut BytesMut, bytes: &[u8]) {
    buffer.clear();
    if buffer.capacity() < bytes.len() {
        *buffer = BytesMut::with_capacity(16 * 1024);
    }
    buffer.extend_from_slice(bytes);
}
