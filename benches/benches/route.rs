//! What routing costs a request: finding its route, and changing its head.

use crate::support::{new_stream, proto, request_headers};
use criterion::{BatchSize, Criterion};
use envoy_api::{pb::envoy::config::route::v3::RouteConfiguration, prost_types};
use outrigger_core::{ConfigError, Context};
use outrigger_http::route::{FilterOverride, PerFilterConfig, RouteTable};
use outrigger_upstream::BuildContext;
use std::{fmt::Write, hint::black_box, sync::Arc};

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
    let proto: RouteConfiguration = proto(yaml);
    let build = BuildContext::new(Arc::new(Context::default()));
    RouteTable::compile(&proto, &build, &NoFilters, false).unwrap()
}

/// Ten virtual hosts of prefix routes, each of which forwards with mutations and a rewrite.
fn prefixes(routes: usize) -> Arc<RouteTable> {
    let mut yaml = String::from("name: rc\nvirtual_hosts:\n");
    for host in 0..10 {
        writeln!(
            yaml,
            "- name: v{host}\n  domains: [v{host}.example.com, '*.v{host}.example.com']\n  routes:"
        )
        .unwrap();
        for route in 0..routes {
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

fn regexes(routes: usize) -> Arc<RouteTable> {
    let mut yaml =
        String::from("name: rc\nvirtual_hosts:\n- name: v\n  domains: ['*']\n  routes:\n");
    for route in 0..routes {
        writeln!(
            yaml,
            "  - {{match: {{safe_regex: {{regex: '/service/[a-z]+/{route}/.*'}}}}, route: {{cluster: c}}}}"
        )
        .unwrap();
    }
    table(&yaml)
}

pub fn benches(c: &mut Criterion) {
    let info = new_stream();
    for routes in [10, 100] {
        let table = prefixes(routes);
        let path = format!("/service/{}/some/path?and=query", routes - 1);
        let headers = request_headers("v7.example.com", &path);
        c.bench_function(&format!("route/find/last of {routes} prefixes"), |b| {
            b.iter(|| black_box(table.find(black_box(&headers), &info)));
        });
    }
    let fifty = regexes(50);
    let headers = request_headers("v7.example.com", "/service/abc/49/some/path?and=query");
    c.bench_function("route/find/last of 50 regexes", |b| {
        b.iter(|| black_box(fifty.find(black_box(&headers), &info)));
    });

    let table = prefixes(10);
    let headers = request_headers("v7.example.com", "/service/9/some/path?and=query");
    let found = table.find(&headers, &info).unwrap();
    c.bench_function("route/finalize/two headers and a prefix rewrite", |b| {
        b.iter_batched_ref(
            || headers.clone(),
            |headers| found.finalize_request_headers(headers, &info, true),
            BatchSize::SmallInput,
        );
    });
}
