//! What it costs a request to get a host.

use crate::support::proto;
use criterion::Criterion;
use envoy_api::pb::envoy::config::cluster::v3;
use outrigger_core::Context;
use outrigger_upstream::{BuildContext, Cluster, LbContext};
use std::{fmt::Write, hint::black_box, sync::Arc};

const HOSTS: usize = 10;

fn cluster(policy: &str, weighted: bool) -> Arc<Cluster> {
    let mut yaml = format!(
        "name: c\ntype: STATIC\nconnect_timeout: 1s\nlb_policy: {policy}\n\
         load_assignment:\n  cluster_name: c\n  endpoints:\n  - lb_endpoints:\n"
    );
    for host in 0..HOSTS {
        let weight = if weighted { host + 1 } else { 1 };
        writeln!(
            yaml,
            "    - {{endpoint: {{address: {{socket_address: {{address: 10.0.0.{host}, port_value: 80}}}}}}, load_balancing_weight: {weight}}}"
        )
        .unwrap();
    }
    let build = BuildContext::new(Arc::new(Context::default()));
    build
        .clusters
        .add_static(&proto::<v3::Cluster>(&yaml))
        .unwrap();
    build.clusters.get("c").unwrap()
}

pub fn benches(c: &mut Criterion) {
    for (name, policy, weighted) in [
        ("round robin", "ROUND_ROBIN", false),
        ("round robin with weights (EDF)", "ROUND_ROBIN", true),
        ("least request", "LEAST_REQUEST", false),
        ("least request with weights (EDF)", "LEAST_REQUEST", true),
        ("random", "RANDOM", false),
    ] {
        let cluster = cluster(policy, weighted);
        assert!(cluster.pick(&mut LbContext::new()).is_some());
        c.bench_function(&format!("lb/pick/{name}"), |b| {
            b.iter(|| black_box(cluster.pick(&mut LbContext::new())));
        });
    }
}
