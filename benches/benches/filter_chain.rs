//! What it costs a connection to find its filter chain.

use crate::support::proto;
use criterion::Criterion;
use envoy_api::pb::envoy::config::listener::v3::Listener;
use outrigger_core::Address;
use outrigger_listener::filter_chain::{MatchInput, MatchTree, compile};
use std::{borrow::Cow, fmt::Write, hint::black_box};

/// As in a sidecar's virtual listener: chains by address and port, each for TLS with its ALPN and for plaintext.
fn tree(services: usize) -> MatchTree<usize> {
    let mut yaml = String::from("name: l\nfilter_chains:\n");
    for service in 0..services {
        let criteria = format!(
            "prefix_ranges: [{{address_prefix: 10.0.{}.{}, prefix_len: 32}}], destination_port: 8080",
            service / 256,
            service % 256
        );
        writeln!(
            yaml,
            "- {{name: t{service}, filter_chain_match: {{{criteria}, transport_protocol: tls, application_protocols: [istio]}}}}\n\
             - {{name: p{service}, filter_chain_match: {{{criteria}, transport_protocol: raw_buffer}}}}"
        )
        .unwrap();
    }
    let listener: Listener = proto(&yaml);
    let chains: Vec<usize> = (0..listener.filter_chains.len()).collect();
    compile("0.0.0.0:15006", &listener.filter_chains, &chains).unwrap()
}

pub fn benches(c: &mut Criterion) {
    let protocols = [Cow::Borrowed("istio")];
    let remote = Address::Ip(([10, 9, 9, 9], 40_000).into());
    for services in [1, 100] {
        let tree = tree(services);
        let last = u8::try_from(services - 1).unwrap();
        let local = Address::Ip(([10, 0, 0, last], 8080).into());
        let input = MatchInput {
            local: &local,
            remote: &remote,
            direct_remote: &remote,
            server_name: "",
            transport_protocol: "tls",
            application_protocols: &protocols,
        };
        assert_eq!(tree.find(&input), Some(&(2 * services - 2)));
        c.bench_function(&format!("filter_chain/find/{} chains", 2 * services), |b| {
            b.iter(|| black_box(tree.find(black_box(&input))));
        });
    }
}
