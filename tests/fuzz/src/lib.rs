//! Fuzz targets: what a stranger can send, and what must hold whatever it is.
//!
//! A target is a function of any bytes that panics when something does not hold. libFuzzer calls it with bytes that it
//! finds (`make fuzz`); the tests call it with those it has found before (`corpus/`).

mod access_log_format;
mod body;
mod client_hello;
mod connection;
mod header_formatter;
mod json;
mod path;
mod proxy_header;
mod request_head;
mod response_head;
mod route;
mod support;
mod yaml;

/// What a target does with some bytes.
pub type Target = fn(&[u8]);

/// All targets by name, which is also the name of a folder of the corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("access_log_format", access_log_format::run),
    ("body", body::run),
    ("client_hello", client_hello::run),
    ("header_formatter", header_formatter::run),
    ("http1_connection", connection::http1),
    ("http2_connection", connection::http2),
    ("json", json::run),
    ("path", path::run),
    ("proxy_header", proxy_header::run),
    ("request_head", request_head::run),
    ("response_head", response_head::run),
    ("route", route::run),
    ("yaml", yaml::run),
];
