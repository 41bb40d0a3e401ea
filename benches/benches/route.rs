//! What routing costs a request: finding its route, and changing its head.
#![allow(clippy::unwrap_used)]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use envoy_api::{
    Format, load, pb::envoy::config::route::v3::RouteConfiguration, pool, prost_types, to_typed,
};
use outrigger_core::{
    Address, ConfigError, ConnectionInfo, Context, HeaderId, HeaderMap, StreamInfo,
};
use outrigger_http::route::{FilterOverride, PerFilterConfig, RouteTable};
use outrigger_upstream::BuildContext;
use std::{fmt::Write, hint::black_box, sync::Arc, time::SystemTime};

struct NoFilters;

impl PerFilterConfig for NoFilters {
    fn compile(
        &self,
        _: &str,
        _: &prost_types::Any,
    ) -> Result<Option<FilterOverride>, ConfigError> {
        Ok(None)
    }
}

fn table(yaml: &str) -> Arc<RouteTable> {
    let descriptor = pool()
        .get_message_by_name("envoy.config.route.v3.RouteConfiguration")
        .unwrap();
    let (message, _) = load(&descriptor, Format::Yaml, yaml.as_bytes()).unwrap();
    let proto: RouteConfiguration = to_typed(&message).unwrap();
    let build = BuildContext::new(Arc::new(Context::default()));
    RouteTable::compile(&proto, &build, &NoFilters, false).unwrap()
}

/// Ten virtual hosts of ten prefix routes each, the last of which forwards with mutations and a rewrite.
fn ten_by_ten() -> Arc<RouteTable> {
    let mut yaml = String::from("name: rc\nvirtual_hosts:\n");
    for host in 0..10 {
        writeln!(
            yaml,
            "- name: v{host}\n  domains: [v{host}.example.com, '*.v{host}.example.com']\n  routes:"
        )
        .unwrap();
        for route in 0..10 {
            writeln!(
                yaml,
                "  - {{match: {{prefix: /service/{route}/}}, route: {{cluster: c, prefix_rewrite: /}}, \
                 request_headers_to_add: [{{header: {{key: x-a, value: '1'}}}}, {{header: {{key: x-b, value: '%REQ(:authority)%'}}}}]}}"
            )
            .unwrap();
        }
    }
    table(&yaml)
}

fn many_regexes() -> Arc<RouteTable> {
    let mut yaml =
        String::from("name: rc\nvirtual_hosts:\n- name: v\n  domains: ['*']\n  routes:\n");
    for route in 0..50 {
        writeln!(
            yaml,
            "  - {{match: {{safe_regex: {{regex: '/service/[a-z]+/{route}/.*'}}}}, route: {{cluster: c}}}}"
        )
        .unwrap();
    }
    table(&yaml)
}

fn request(path: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.set(HeaderId::Method, b"GET");
    headers.set(HeaderId::Authority, b"v7.example.com");
    headers.set(HeaderId::Path, path);
    headers.set(HeaderId::Scheme, b"http");
    headers.set(HeaderId::ForwardedProto, b"http");
    for name in ["accept", "user-agent", "x-one", "x-two", "x-three"] {
        headers.append_raw(name.as_bytes(), b"some value or other");
    }
    headers
}

fn info() -> StreamInfo {
    let address = Address::Ip("127.0.0.1:1".parse().unwrap());
    let now = tokio::time::Instant::now();
    let connection = ConnectionInfo {
        id: 1,
        start_time: SystemTime::UNIX_EPOCH,
        start: now,
        local_address: address.clone(),
        direct_local_address: address.clone(),
        remote_address: address.clone(),
        direct_remote_address: address,
        listener: Arc::default(),
        filter_chain: None,
        requested_server_name: None,
        local_address_restored: false,
        tls: None,
        client_hello: Default::default(),
    };
    StreamInfo::new(Arc::new(connection), SystemTime::UNIX_EPOCH, now, 7)
}

fn benches(c: &mut Criterion) {
    let info = info();
    let table = ten_by_ten();
    let headers = request(b"/service/9/some/path?and=query");
    c.bench_function("route/find/last of ten prefixes", |b| {
        b.iter(|| black_box(table.find(black_box(&headers), &info)));
    });
    let regexes = many_regexes();
    let last = request(b"/service/abc/49/some/path?and=query");
    c.bench_function("route/find/last of fifty regexes", |b| {
        b.iter(|| black_box(regexes.find(black_box(&last), &info)));
    });
    let found = table.find(&headers, &info).unwrap();
    c.bench_function("route/finalize/two headers and a prefix rewrite", |b| {
        b.iter_batched_ref(
            || headers.clone(),
            |headers| found.finalize_request_headers(headers, &info, true),
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(route, benches);
criterion_main!(route);
