//! The rules as tables, each row measured on Envoy 1.40, and properties that hold for all bytes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bodies;
mod encoding;
mod properties;
mod requests;
mod responses;

use super::*;
use outrigger_core::{HeaderMap, Method};

/// `name=value` of all lines, pseudo headers included, separated by `|`.
fn lines(headers: &HeaderMap) -> String {
    headers
        .iter()
        .map(|(n, v)| format!("{}={}", n.escape_ascii(), v.escape_ascii()))
        .collect::<Vec<_>>()
        .join("|")
}

fn map(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append_raw(name.as_bytes(), value.as_bytes());
    }
    headers
}

fn lenient() -> Http1Settings {
    Http1Settings {
        accept_http_10: true,
        enable_trailers: true,
        allow_chunked_length: true,
        allow_custom_methods: true,
        ..Http1Settings::default()
    }
}

const METHODS: [Method; 4] = [Method::Get, Method::Head, Method::Connect, Method::Post];
