//! What several benches start from: messages from YAML, a typical request, a finished stream.

use envoy_api::{Format, Message, MessageDescriptor, Name, load, to_typed};
use outrigger_core::{
    Address, ConnectionInfo, HeaderId, HeaderMap, Protocol, StreamInfo,
    stream_info::{HostInfo, RouteInfo},
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

pub fn proto<T: Message + Name + Default>(yaml: &str) -> T {
    let descriptor = MessageDescriptor::of::<T>().unwrap();
    let (message, _) = load(&descriptor, Format::Yaml, yaml.as_bytes()).unwrap();
    to_typed(&message).unwrap()
}

/// The headers of a request as a browser or a mesh sends them, its pseudo headers first.
pub fn request_headers(authority: &str, path: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.set(HeaderId::Method, b"GET");
    headers.set(HeaderId::Authority, authority.as_bytes());
    headers.set(HeaderId::Path, path.as_bytes());
    headers.set(HeaderId::Scheme, b"http");
    headers.set(HeaderId::ForwardedProto, b"http");
    for name in ["accept", "user-agent", "x-one", "x-two", "x-three"] {
        headers.append_raw(name.as_bytes(), b"some value or other");
    }
    headers
}

pub fn connection_info() -> Arc<ConnectionInfo> {
    let address = Address::Ip(([127, 0, 0, 1], 1).into());
    Arc::new(ConnectionInfo::new(1, address.clone(), address))
}

pub fn new_stream() -> StreamInfo {
    let connection = connection_info();
    let start = connection.start;
    StreamInfo::new(connection, SystemTime::UNIX_EPOCH, start, 7)
}

/// A stream that has got its whole response.
pub fn finished_stream() -> StreamInfo {
    let mut info = new_stream();
    info.start_time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
    info.protocol = Some(Protocol::Http11);
    info.response_code = 200;
    info.details = "via_upstream".into();
    info.body_bytes_sent = 1024;
    info.attempt_count = 1;
    info.timing.complete = Some(Duration::from_millis(12));
    info.route = Some(Arc::new(RouteInfo {
        name: "default".into(),
        ..RouteInfo::default()
    }));
    info.upstream.host = Some(Arc::new(HostInfo {
        address: Address::Ip(([10, 0, 0, 7], 8080).into()),
        hostname: "".into(),
        metadata: Default::default(),
        canary: false,
    }));
    info
}
