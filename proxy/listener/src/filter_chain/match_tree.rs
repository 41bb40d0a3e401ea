//! The compiled match tree of a listener: which filter chain a connection gets. It must never look back: each criterion
//! picks one branch, and what the branch lacks is not looked for elsewhere.

use super::{criteria::Criteria, prefix::PrefixTable};
use envoy_api::pb::envoy::config::listener::v3::filter_chain_match::ConnectionSourceType;
use hashbrown::HashMap;
use outrigger_core::Address;
use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr},
};

/// What a connection has to offer, once its listener filters have run.
#[derive(Clone, Copy, Debug)]
pub struct MatchInput<'a> {
    /// Where the client connected to, original destination restored.
    pub local: &'a Address,
    pub remote: &'a Address,
    /// The peer of the socket, whatever a PROXY header says.
    pub direct_remote: &'a Address,
    /// SNI in lower case; empty if there is none.
    pub server_name: &'a str,
    /// `raw_buffer` unless a listener filter has detected another.
    pub transport_protocol: &'a str,
    pub application_protocols: &'a [Cow<'static, str>],
}

// One level per criterion, from the first to the last. A key of 0 or "" stands for chains that do not ask.
type SourcePorts<T> = HashMap<u16, T>;
type SourceIps<T> = PrefixTable<SourcePorts<T>>;
type DirectSourceIps<T> = PrefixTable<SourceTypes<T>>;
type ApplicationProtocols<T> = HashMap<Box<str>, DirectSourceIps<T>>;
type TransportProtocols<T> = HashMap<Box<str>, ApplicationProtocols<T>>;
type ServerNames<T> = HashMap<Box<str>, TransportProtocols<T>>;
type DestinationIps<T> = PrefixTable<ServerNames<T>>;

/// Envoy's order of criteria (`FilterChainMatch`): destination port, destination IP, server name, transport protocol,
/// application protocols, direct source IP, source type, source IP, source port.
#[derive(Clone, Debug)]
pub struct MatchTree<T> {
    destination_ports: HashMap<u16, DestinationIps<T>>,
}

#[derive(Clone, Debug)]
struct SourceTypes<T> {
    any: SourceIps<T>,
    same_ip_or_loopback: SourceIps<T>,
    external: SourceIps<T>,
}

impl<T> Default for MatchTree<T> {
    fn default() -> Self {
        Self {
            destination_ports: HashMap::new(),
        }
    }
}

impl<T> Default for SourceTypes<T> {
    fn default() -> Self {
        Self {
            any: PrefixTable::default(),
            same_ip_or_loopback: PrefixTable::default(),
            external: PrefixTable::default(),
        }
    }
}

/// Two filter chains would match the same connection equally well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap;

impl<T: Clone> MatchTree<T> {
    /// Adds a chain under every combination of its criteria's values.
    pub fn insert(&mut self, criteria: &Criteria, chain: &T) -> Result<(), Overlap> {
        let ips = self
            .destination_ports
            .entry(criteria.destination_port)
            .or_default();
        for range in &criteria.destination_ips {
            let names = ips.entry(*range);
            for name in &criteria.server_names {
                let protocols = names
                    .entry_ref(name)
                    .or_default()
                    .entry_ref(&criteria.transport_protocol)
                    .or_default();
                for protocol in &criteria.application_protocols {
                    insert_sources(protocols.entry_ref(protocol).or_default(), criteria, chain)?;
                }
            }
        }
        Ok(())
    }
}

fn insert_sources<T: Clone>(
    direct: &mut DirectSourceIps<T>,
    criteria: &Criteria,
    chain: &T,
) -> Result<(), Overlap> {
    for direct_range in &criteria.direct_source_ips {
        let types = direct.entry(*direct_range);
        let ips = match criteria.source_type {
            ConnectionSourceType::Any => &mut types.any,
            ConnectionSourceType::SameIpOrLoopback => &mut types.same_ip_or_loopback,
            ConnectionSourceType::External => &mut types.external,
        };
        for range in &criteria.source_ips {
            let ports = ips.entry(*range);
            for port in &criteria.source_ports {
                if ports.insert(*port, chain.clone()).is_some() {
                    return Err(Overlap);
                }
            }
        }
    }
    Ok(())
}

impl<T> MatchTree<T> {
    /// The chain of a connection; `None` means the default filter chain.
    pub fn find(&self, input: &MatchInput<'_>) -> Option<&T> {
        let ips = input
            .local
            .ip()
            .and_then(|local| self.destination_ports.get(&local.port()))
            .or_else(|| self.destination_ports.get(&0))?;
        let names = ips.get(ip_or_stand_in(input.local))?;
        let transports = server_name(names, input.server_name)?;
        let protocols = or_any(transports, input.transport_protocol)?;
        let direct = input
            .application_protocols
            .iter()
            .find_map(|protocol| protocols.get(&**protocol))
            .or_else(|| protocols.get(""))?;
        let types = direct.get(ip_or_stand_in(input.direct_remote))?;
        let ips = types.choose(input)?;
        let ports = ips.get(ip_or_stand_in(input.remote))?;
        input
            .remote
            .ip()
            .and_then(|remote| ports.get(&remote.port()))
            .or_else(|| ports.get(&0))
    }
}

impl<T> SourceTypes<T> {
    fn choose(&self, input: &MatchInput<'_>) -> Option<&SourceIps<T>> {
        let asked = !self.same_ip_or_loopback.is_empty() || !self.external.is_empty();
        let specific = if asked && is_same_ip_or_loopback(input) {
            &self.same_ip_or_loopback
        } else {
            &self.external
        };
        [specific, &self.any].into_iter().find(|t| !t.is_empty())
    }
}

/// The exact name, then `.suffix` keys from the longest, then chains that ask for no name.
fn server_name<'a, T>(names: &'a ServerNames<T>, name: &str) -> Option<&'a TransportProtocols<T>> {
    if let Some(exact) = names.get(name) {
        return Some(exact);
    }
    // A suffix starts at a dot that is neither the first nor the last character.
    name.char_indices()
        .filter(|(at, c)| *c == '.' && *at > 0 && at + 1 < name.len())
        .find_map(|(at, _)| names.get(name.get(at..)?))
        .or_else(|| names.get(""))
}

fn or_any<'a, V>(map: &'a HashMap<Box<str>, V>, key: &str) -> Option<&'a V> {
    map.get(key).or_else(|| map.get(""))
}

/// Envoy matches the address of a Unix domain socket as if it were the broadcast address.
fn ip_or_stand_in(address: &Address) -> IpAddr {
    address
        .ip()
        .map_or(IpAddr::V4(Ipv4Addr::BROADCAST), |socket| socket.ip())
}

/// Envoy's `Utility::isSameIpOrLoopback`: a peer on a Unix domain socket is on this host, too.
fn is_same_ip_or_loopback(input: &MatchInput<'_>) -> bool {
    let Some(remote) = input.remote.ip() else {
        return true;
    };
    remote.ip().is_loopback() || input.local.ip().is_some_and(|l| l.ip() == remote.ip())
}
