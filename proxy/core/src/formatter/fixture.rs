//! Streams for tests of formats and access logs, with the values of a request that Envoy 1.40 logged.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::{
    Address, HeaderMap, Protocol, StreamInfo,
    metadata::Metadata,
    stream_info::{
        ClusterInfo, ConnectionInfo, FilterChainInfo, FilterState, HostInfo, ListenerInfo,
        RouteInfo,
    },
};
use prost_types::{ListValue, Struct, Value, value::Kind};
use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use tokio::time::Instant;

pub(crate) fn address(text: &str) -> Address {
    Address::Ip(text.parse().unwrap())
}

pub(crate) fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

pub(crate) fn object<const N: usize>(fields: [(&str, Value); N]) -> Struct {
    Struct {
        fields: fields.map(|(k, v)| (k.to_owned(), v)).into(),
    }
}

pub(crate) fn string(text: &str) -> Value {
    value(Kind::StringValue(text.to_owned()))
}

fn metadata() -> Metadata {
    let mut metadata = Metadata::default();
    let deep = object([("deep", value(Kind::NumberValue(2.0)))]);
    for (key, entry) in [
        ("k", string("v")),
        ("n", value(Kind::NumberValue(1.5))),
        ("i", value(Kind::NumberValue(3.0))),
        ("b", value(Kind::BoolValue(true))),
        ("nul", value(Kind::NullValue(0))),
        (
            "l",
            value(Kind::ListValue(ListValue {
                values: vec![value(Kind::NumberValue(1.0)), string("x")],
            })),
        ),
        (
            "s",
            value(Kind::StructValue(object([
                ("z", string("q\"")),
                ("a", value(Kind::StructValue(deep))),
            ]))),
        ),
        ("str2", string("a\"b")),
    ] {
        metadata.set("ns", key, entry);
    }
    metadata
}

pub(crate) fn connection() -> ConnectionInfo {
    ConnectionInfo {
        start_time: UNIX_EPOCH,
        listener: Arc::new(ListenerInfo {
            name: "lis".into(),
            metadata: metadata(),
            traffic_direction: 0,
        }),
        filter_chain: Some(Arc::new(FilterChainInfo {
            name: "fc".into(),
            metadata: Metadata::default(),
        })),
        ..ConnectionInfo::new(7, address("127.0.0.1:28131"), address("127.0.0.1:44482"))
    }
}

/// A stream of which nothing is known but that it started.
pub(crate) fn bare() -> StreamInfo {
    let start = UNIX_EPOCH + Duration::new(1_795_263_133, 687_657_000);
    StreamInfo::new(Arc::new(connection()), start, Instant::now(), 1)
}

/// A proxied request.
pub(crate) fn proxied() -> StreamInfo {
    let mut info = bare();
    let ms = Duration::from_millis;
    info.protocol = Some(Protocol::Http11);
    info.response_code = 200;
    info.details = "via_upstream".into();
    info.body_bytes_sent = 2;
    info.request_id = Some("19544bdc-815d-4cfc-8fe0-3e47ec9e8f6a".into());
    info.attempt_count = 1;
    info.timing.downstream_rx_end = Some(ms(0));
    info.timing.upstream_connect_begin = Some(Duration::from_micros(100));
    info.timing.upstream_connect_end = Some(Duration::from_micros(116));
    info.timing.upstream_tx_end = Some(Duration::from_micros(900));
    info.timing.upstream_rx_begin = Some(Duration::from_micros(1_194));
    info.timing.downstream_tx_end = Some(Duration::from_nanos(1_968_197));
    info.timing.complete = Some(Duration::from_micros(1_999));
    info.route_resolutions = 1;
    info.route_resolution_time = Duration::from_micros(6);
    info.route = Some(Arc::new(RouteInfo {
        name: "r1".into(),
        metadata: metadata(),
        virtual_host_name: "vh".into(),
        virtual_host_metadata: metadata(),
    }));
    info.cluster = Some(Arc::new(ClusterInfo {
        name: "up".into(),
        observability_name: "upalt".into(),
        metadata: metadata(),
    }));
    let host = Arc::new(HostInfo {
        address: address("127.0.0.1:28132"),
        hostname: "hn".into(),
        metadata: metadata(),
        canary: false,
    });
    info.upstream.host = Some(host.clone());
    info.upstream.hosts_attempted = [host.clone(), host].into_iter().collect();
    info.upstream.connection_id = Some(1);
    info.upstream.connection_ids_attempted = [0, 1].into_iter().collect();
    info.upstream.local_address = Some(address("127.0.0.1:35976"));
    info.upstream.remote_address = Some(address("127.0.0.1:28132"));
    info.upstream.protocol = Some(Protocol::Http2);
    info.upstream.pool_ready = Some(Duration::from_micros(20));
    info.dynamic_metadata = metadata();
    info.filter_state
        .insert("k".to_owned(), FilterState::String("fsv \"GET".to_owned()));
    info
}

pub(crate) fn headers(lines: &[(&str, &[u8])]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        map.append_raw(name.as_bytes(), value);
    }
    map
}
