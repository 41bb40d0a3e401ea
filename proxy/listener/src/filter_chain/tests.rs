#![allow(clippy::unwrap_used)]
use super::{
    MatchInput, compile,
    model::{self, Connection},
};
use envoy_api::pb::envoy::config::{
    core::v3::CidrRange,
    listener::v3::{FilterChain, FilterChainMatch},
};
use outrigger_core::Address;
use proptest::{collection::vec, prelude::*, sample::select};
use std::borrow::Cow;

fn chains(matches: &[FilterChainMatch]) -> Vec<FilterChain> {
    matches
        .iter()
        .enumerate()
        .map(|(index, matcher)| FilterChain {
            name: format!("c{index}"),
            filter_chain_match: Some(matcher.clone()),
            ..Default::default()
        })
        .collect()
}

fn tree(matches: &[FilterChainMatch]) -> Result<super::MatchTree<usize>, String> {
    let indexes: Vec<usize> = (0..matches.len()).collect();
    compile("127.0.0.1:80", &chains(matches), &indexes).map_err(|error| error.to_string())
}

fn found(matches: &[FilterChainMatch], connection: &Connection) -> Option<usize> {
    let tree = tree(matches).unwrap();
    let protocols: Vec<Cow<'static, str>> = connection
        .application_protocols
        .iter()
        .map(|p| p.clone().into())
        .collect();
    tree.find(&MatchInput {
        local: &Address::Ip(connection.local.into()),
        remote: &Address::Ip(connection.remote.into()),
        direct_remote: &Address::Ip((connection.direct_remote, 9).into()),
        server_name: &connection.server_name,
        transport_protocol: &connection.transport_protocol,
        application_protocols: &protocols,
    })
    .copied()
}

fn connection() -> Connection {
    Connection {
        local: ("10.0.0.1".parse().unwrap(), 80),
        remote: ("10.1.2.3".parse().unwrap(), 1000),
        direct_remote: "10.1.2.3".parse().unwrap(),
        server_name: String::new(),
        transport_protocol: "raw_buffer".into(),
        application_protocols: vec![],
    }
}

fn range(text: &str) -> CidrRange {
    let (address, length) = text.split_once('/').unwrap();
    CidrRange {
        address_prefix: address.into(),
        prefix_len: Some(length.parse().unwrap()),
    }
}

#[test]
fn transport_protocol_comes_before_application_protocols() {
    let raw = FilterChainMatch {
        transport_protocol: "raw_buffer".into(),
        ..Default::default()
    };
    let http = FilterChainMatch {
        application_protocols: vec!["http/1.1".into()],
        ..Default::default()
    };
    let connection = Connection {
        application_protocols: vec!["http/1.1".into()],
        ..connection()
    };
    assert_eq!(found(&[http, raw], &connection), Some(1));
}

#[test]
fn what_a_branch_lacks_is_not_looked_for_elsewhere() {
    let narrow = FilterChainMatch {
        prefix_ranges: vec![range("10.0.0.0/24")],
        source_ports: vec![1],
        ..Default::default()
    };
    assert_eq!(
        found(&[narrow, FilterChainMatch::default()], &connection()),
        None
    );
    let port = FilterChainMatch {
        destination_port: Some(80),
        source_ports: vec![1],
        ..Default::default()
    };
    assert_eq!(
        found(&[port, FilterChainMatch::default()], &connection()),
        None
    );
}

#[test]
fn a_wildcard_name_matches_any_depth_but_not_its_own_domain() {
    let wild = FilterChainMatch {
        server_names: vec!["*.A.com".into()],
        ..Default::default()
    };
    let matches = [wild];
    for (name, expected) in [
        ("x.a.com", Some(0)),
        ("y.x.a.com", Some(0)),
        ("a.com", None),
        ("xa.com", None),
        (".a.com", Some(0)),
        ("", None),
    ] {
        let connection = Connection {
            server_name: name.into(),
            ..connection()
        };
        assert_eq!(found(&matches, &connection), expected, "{name}");
    }
}

#[test]
fn unix_peers_are_local_and_have_no_port() {
    let local = FilterChainMatch {
        source_type: 1,
        ..Default::default()
    };
    let port = FilterChainMatch {
        source_type: 2,
        ..Default::default()
    };
    let tree = tree(&[local, port]).unwrap();
    let pipe = Address::Pipe(std::sync::Arc::new("/run/x".into()));
    let input = MatchInput {
        local: &pipe,
        remote: &pipe,
        direct_remote: &pipe,
        server_name: "",
        transport_protocol: "raw_buffer",
        application_protocols: &[],
    };
    assert_eq!(tree.find(&input), Some(&0));
}

#[test]
fn refuses_in_envoys_words() {
    let port = |port| FilterChainMatch {
        destination_port: Some(port),
        ..Default::default()
    };
    let name = |name: &str| FilterChainMatch {
        server_names: vec![name.into()],
        ..Default::default()
    };
    let refused = |matches: &[FilterChainMatch]| tree(matches).unwrap_err();
    assert_eq!(
        refused(&[port(1), port(1)]),
        "filter_chains[1]: error adding listener '127.0.0.1:80': filter chain 'c1' has the same matching rules \
         defined as 'c0'. duplicate matcher is: {\"destination_port\":1}"
    );
    assert_eq!(
        refused(&[name("a.com"), name("A.com")]),
        "filter_chains[1]: error adding listener '127.0.0.1:80': multiple filter chains with overlapping matching \
         rules are defined"
    );
    for partial in ["a*.com", "*a.com", "*"] {
        assert_eq!(
            refused(&[name(partial)]),
            "filter_chains[0].filter_chain_match.server_names[0]: partial wildcards are not supported in \
             \"server_names\""
        );
    }
    assert_eq!(
        refused(&[FilterChainMatch {
            suffix_len: Some(1),
            ..Default::default()
        }]),
        "filter_chains[0]: error adding listener '127.0.0.1:80': filter chain 'c0' contains unimplemented fields"
    );
    assert_eq!(
        refused(&[port(0)]),
        "filter_chains[0].filter_chain_match.destination_port: value must be inside range [1, 65535]"
    );
    assert_eq!(
        refused(&[FilterChainMatch {
            prefix_ranges: vec![CidrRange {
                address_prefix: "1.2.3".into(),
                prefix_len: None
            }],
            ..Default::default()
        }]),
        "filter_chains[0].filter_chain_match.prefix_ranges[0].address_prefix: malformed IP address: 1.2.3"
    );
}

const ADDRESSES: [&str; 7] = [
    "10.0.0.1",
    "10.0.1.1",
    "10.1.0.1",
    "11.0.0.1",
    "127.0.0.1",
    "fd00::1",
    "::1",
];
const RANGES: [&str; 8] = [
    "10.0.0.0/8",
    "10.0.0.0/16",
    "10.0.0.0/24",
    "10.0.0.1/32",
    "0.0.0.0/0",
    "fd00::/8",
    "::/0",
    "127.0.0.0/8",
];
const NAMES: [&str; 6] = ["a.com", "x.a.com", "*.a.com", "*.com", "*.x.a.com", "B.org"];
const PROTOCOLS: [&str; 3] = ["h2", "http/1.1", "h2c"];

fn some_of<T: Clone + std::fmt::Debug + PartialEq + 'static>(
    values: Vec<T>,
) -> impl Strategy<Value = Vec<T>> {
    // Mostly nothing: matches that ask for everything never meet.
    prop_oneof![
        2 => Just(Vec::new()),
        1 => vec(select(values), 1..3).prop_map(|mut picked| {
            let first = picked.remove(0);
            picked.retain(|p| *p != first);
            picked.push(first);
            picked
        }),
    ]
}

fn ranges() -> impl Strategy<Value = Vec<CidrRange>> {
    some_of(RANGES.map(range).to_vec())
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|v| (*v).to_owned()).collect()
}

prop_compose! {
    fn a_match()(
        destination_port in proptest::option::weighted(0.3, 80u32..82),
        prefix_ranges in ranges(),
        server_names in some_of(texts(&NAMES)),
        transport_protocol in select(texts(&["", "", "tls", "raw_buffer"])),
        application_protocols in some_of(texts(&PROTOCOLS)),
        direct_source_prefix_ranges in ranges(),
        source_type in select(vec![0, 0, 1, 2]),
        source_prefix_ranges in ranges(),
        source_ports in some_of(vec![1u32, 2]),
    ) -> FilterChainMatch {
        FilterChainMatch {
            destination_port, prefix_ranges, server_names, transport_protocol, application_protocols,
            direct_source_prefix_ranges, source_type, source_prefix_ranges, source_ports,
            ..Default::default()
        }
    }
}

prop_compose! {
    fn a_connection()(
        local in (select(ADDRESSES.to_vec()), 80u16..83),
        remote in (select(ADDRESSES.to_vec()), 1u16..4),
        direct in select(ADDRESSES.to_vec()),
        server_name in select(texts(&["", "a.com", "x.a.com", "y.x.a.com", "b.org", "com", "c.com"])),
        transport_protocol in select(texts(&["tls", "raw_buffer"])),
        application_protocols in some_of(texts(&PROTOCOLS)),
    ) -> Connection {
        Connection {
            local: (local.0.parse().unwrap(), local.1),
            remote: (remote.0.parse().unwrap(), remote.1),
            direct_remote: direct.parse().unwrap(),
            server_name, transport_protocol, application_protocols,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_tree_finds_what_the_rules_say(
        mut matches in vec(a_match(), 1..12),
        connections in vec(a_connection(), 1..24),
    ) {
        let mut kept: Vec<FilterChainMatch> = Vec::new();
        matches.retain(|m| {
            let keep = !kept.iter().any(|other| model::overlap(other, m));
            if keep { kept.push(m.clone()); }
            keep
        });
        for connection in &connections {
            prop_assert_eq!(found(&matches, connection), model::find(&matches, connection), "{:?}", connection);
        }
    }

    #[test]
    fn overlaps_are_refused_and_nothing_else(matches in vec(a_match(), 1..6)) {
        let expected = matches.iter().enumerate()
            .any(|(i, a)| matches[..i].iter().any(|b| model::overlap(a, b)));
        prop_assert_eq!(tree(&matches).is_err(), expected);
    }
}
