//! Envoy's rules of `FilterChainMatch` written down a second time, slowly: a list of chains that each criterion narrows.

#![allow(clippy::unwrap_used)]

use envoy_api::pb::envoy::config::{core::v3::CidrRange, listener::v3::FilterChainMatch};
use std::net::IpAddr;

/// A connection from IP to IP.
#[derive(Clone, Debug)]
pub struct Connection {
    pub local: (IpAddr, u16),
    pub remote: (IpAddr, u16),
    pub direct_remote: IpAddr,
    pub server_name: String,
    pub transport_protocol: String,
    pub application_protocols: Vec<String>,
}

/// How well one value of one criterion fits: `None` does not, a greater number fits better.
type Fit = Option<usize>;

/// The index of the chain that Envoy takes.
pub fn find(chains: &[FilterChainMatch], connection: &Connection) -> Option<usize> {
    let criteria: [&dyn Fn(&FilterChainMatch) -> Fit; 9] = [
        &|m| match m.destination_port {
            None => Some(0),
            Some(port) => (port == u32::from(connection.local.1)).then_some(1),
        },
        &|m| longest(&m.prefix_ranges, connection.local.0),
        &|m| {
            best(&m.server_names, |name| {
                name_fit(name, &connection.server_name)
            })
        },
        &|m| match m.transport_protocol.as_str() {
            "" => Some(0),
            other => (other == connection.transport_protocol).then_some(1),
        },
        &|m| {
            best(&m.application_protocols, |offered| {
                let asked = &connection.application_protocols;
                // The client's first choice fits best.
                let at = asked.iter().position(|p| p == offered)?;
                Some(asked.len() - at)
            })
        },
        &|m| longest(&m.direct_source_prefix_ranges, connection.direct_remote),
        &|m| {
            let local =
                connection.remote.0.is_loopback() || connection.remote.0 == connection.local.0;
            match m.source_type {
                0 => Some(0),
                1 => local.then_some(1),
                _ => (!local).then_some(1),
            }
        },
        &|m| longest(&m.source_prefix_ranges, connection.remote.0),
        &|m| {
            best(&m.source_ports, |port| {
                (*port == u32::from(connection.remote.1)).then_some(1)
            })
        },
    ];
    let mut left: Vec<usize> = (0..chains.len()).collect();
    for fit in criteria {
        let top = left.iter().filter_map(|i| fit(&chains[*i])).max()?;
        left.retain(|i| fit(&chains[*i]) == Some(top));
    }
    assert!(left.len() <= 1, "overlapping chains are refused: {left:?}");
    left.first().copied()
}

/// Two chains that some connection would fit equally.
pub fn overlap(a: &FilterChainMatch, b: &FilterChainMatch) -> bool {
    let lower = |names: &[String]| -> Vec<String> {
        names.iter().map(|n| n.to_ascii_lowercase()).collect()
    };
    a.destination_port == b.destination_port
        && shared(&nets(&a.prefix_ranges), &nets(&b.prefix_ranges))
        && shared(&lower(&a.server_names), &lower(&b.server_names))
        && a.transport_protocol == b.transport_protocol
        && shared(&a.application_protocols, &b.application_protocols)
        && shared(
            &nets(&a.direct_source_prefix_ranges),
            &nets(&b.direct_source_prefix_ranges),
        )
        && a.source_type == b.source_type
        && shared(
            &nets(&a.source_prefix_ranges),
            &nets(&b.source_prefix_ranges),
        )
        && shared(&a.source_ports, &b.source_ports)
}

fn shared<T: PartialEq>(a: &[T], b: &[T]) -> bool {
    (a.is_empty() && b.is_empty()) || a.iter().any(|x| b.contains(x))
}

fn nets(ranges: &[CidrRange]) -> Vec<(Vec<bool>, bool)> {
    ranges.iter().map(prefix_bits).collect()
}

/// The bits of the prefix, and whether it is of IPv4.
fn prefix_bits(range: &CidrRange) -> (Vec<bool>, bool) {
    let address: IpAddr = range.address_prefix.parse().unwrap();
    let mut bits = bits(address);
    bits.truncate(range.prefix_len.unwrap_or(0) as usize);
    (bits, address.is_ipv4())
}

fn bits(address: IpAddr) -> Vec<bool> {
    let octets = match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    octets
        .iter()
        .flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1 == 1))
        .collect()
}

fn longest(ranges: &[CidrRange], address: IpAddr) -> Fit {
    best(ranges, |range| {
        let (prefix, v4) = prefix_bits(range);
        (v4 == address.is_ipv4() && bits(address).starts_with(&prefix)).then_some(1 + prefix.len())
    })
}

fn name_fit(pattern: &str, name: &str) -> Fit {
    let pattern = pattern.to_ascii_lowercase();
    match pattern.strip_prefix('*') {
        Some(suffix) => {
            (name.len() > suffix.len() && name.ends_with(suffix)).then_some(suffix.len())
        }
        None => (pattern == name).then_some(usize::MAX),
    }
}

/// The best fit of any value; without values the criterion fits everything, worst of all.
fn best<T>(values: &[T], fit: impl Fn(&T) -> Fit) -> Fit {
    if values.is_empty() {
        return Some(0);
    }
    values.iter().filter_map(fit).max()
}
