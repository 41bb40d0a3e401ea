//! What several targets need: settings chosen by a byte, streams to render, what every written head must be.

use envoy_api::{Format, Message, MessageDescriptor, Name, load, to_typed};
use outrigger_core::{Address, ConnectionInfo, HeaderId, HeaderMap, Protocol, StreamInfo};
use outrigger_http::codec::h1::{Http1Settings, UnderscoreAction};
use std::{sync::Arc, time::SystemTime};

/// The first byte and the rest.
pub fn choice(data: &[u8]) -> (u8, &[u8]) {
    data.split_first()
        .map_or((0, data), |(&first, rest)| (first, rest))
}

/// A place to cut `data` at, which the choice and the data decide.
pub fn cut(choice: u8, data: &[u8]) -> usize {
    usize::from(choice).wrapping_mul(7) % (data.len() + 1)
}

/// Settings of an HTTP/1 codec, one for each bit.
pub fn settings(choice: u8) -> Http1Settings {
    let bit = |n: u8| choice & 1 << n != 0;
    Http1Settings {
        accept_http_10: bit(0),
        enable_trailers: bit(1),
        allow_chunked_length: bit(2),
        allow_absolute_url: bit(3),
        allow_custom_methods: bit(4),
        headers_with_underscores_action: match (bit(5), bit(6)) {
            (false, _) => UnderscoreAction::Allow,
            (true, false) => UnderscoreAction::RejectRequest,
            (true, true) => UnderscoreAction::DropHeader,
        },
        max_head_bytes: if bit(7) { 64 } else { 60 * 1024 },
        ..Http1Settings::default()
    }
}

/// The lines of a map, to compare two.
pub fn lines(headers: &HeaderMap) -> Vec<(Vec<u8>, Vec<u8>)> {
    headers
        .iter()
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect()
}

/// Whatever was in the map, a head that was written has as many lines as it has headers, and one empty line at its end.
pub fn assert_one_head(head: &[u8], headers: usize) {
    let text = head.strip_suffix(b"\r\n\r\n");
    let text = text.unwrap_or_else(|| panic!("{:?} has no end", head.escape_ascii().to_string()));
    let mut lines = 0;
    for line in text.split(|&b| b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(
            !line.is_empty(),
            "an empty line in {:?}",
            head.escape_ascii().to_string()
        );
        assert!(
            !line.contains(&b'\r') && !line.contains(&0),
            "{:?}",
            line.escape_ascii().to_string()
        );
        lines += 1;
    }
    assert!(
        lines <= headers + 1,
        "{lines} lines of {headers} headers: {:?}",
        head.escape_ascii().to_string()
    );
}

/// A typed message from YAML that is part of a target.
pub fn proto<T: Message + Name + Default>(yaml: &str) -> T {
    read(Format::Yaml, yaml.as_bytes()).unwrap_or_else(|| panic!("{yaml}"))
}

/// A typed message, if the bytes are one.
pub fn read<T: Message + Name + Default>(format: Format, bytes: &[u8]) -> Option<T> {
    let descriptor = MessageDescriptor::of::<T>()?;
    let (message, _) = load(&descriptor, format, bytes).ok()?;
    to_typed(&message).ok()
}

pub fn connection_info() -> Arc<ConnectionInfo> {
    let address = Address::Ip(([127, 0, 0, 1], 1).into());
    Arc::new(ConnectionInfo::new(1, address.clone(), address))
}

/// A stream with a response.
pub fn stream_info() -> StreamInfo {
    let connection = connection_info();
    let start = connection.start;
    let mut info = StreamInfo::new(connection, SystemTime::UNIX_EPOCH, start, 7);
    info.protocol = Some(Protocol::Http11);
    info.response_code = 200;
    info
}

/// A request for `path`.
pub fn request(authority: &[u8], path: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.set(HeaderId::Method, b"GET");
    headers.set(HeaderId::Authority, authority);
    headers.set(HeaderId::Path, path);
    headers.set(HeaderId::Scheme, b"http");
    headers.set(HeaderId::ForwardedProto, b"http");
    headers
}
