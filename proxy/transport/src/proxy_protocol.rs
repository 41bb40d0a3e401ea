//! `envoy.transport_sockets.upstream_proxy_protocol`: the PROXY header that tells an upstream who is behind us.

use crate::{
    inspect::{PassThrough, proxy_header::SIGNATURE_V2, tlv_type},
    transport_socket,
};
use envoy_api::{
    pb::envoy::{
        config::core::v3::{
            ProxyProtocolConfig, TlvEntry, TransportSocket, proxy_protocol_config::Version,
            transport_socket::ConfigType,
        },
        extensions::transport_sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport as Proto,
    },
    type_name, unpack,
};
use outrigger_core::{
    Address, ConfigError, ConnectionInfo,
    error::{ConfigResult, required},
};
use std::net::{IpAddr, SocketAddr};

/// The compiled transport socket. What it wraps is a raw buffer.
#[derive(Debug)]
pub struct UpstreamProxyProtocol {
    version: Version,
    pass_through: PassThrough,
    added: Box<[Tlv]>,
    /// `tlv_as_pool_key`.
    tlvs_tell_apart: bool,
}

type Tlv = (u8, Box<[u8]>);

/// What tells the pools of a host apart: connections are shared by clients for whom they began with the same header.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProxyKey {
    source: Address,
    destination: Address,
    /// Where they count.
    tlvs: Vec<Tlv>,
}

/// The transport socket of a cluster: `None` if it is a raw buffer without a header in front.
pub fn compile(
    proto: Option<&TransportSocket>,
) -> Result<Option<UpstreamProxyProtocol>, ConfigError> {
    let any = match proto.and_then(|proto| proto.config_type.as_ref()) {
        Some(ConfigType::TypedConfig(any))
            if type_name(&any.type_url)
                == "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport" =>
        {
            any
        }
        _ => return transport_socket::require_raw(proto).map(|()| None),
    };
    let proto = unpack::<Proto>(any).map_err(|error| ConfigError::new(error.to_string()));
    proto
        .and_then(|proto| UpstreamProxyProtocol::compile(&proto))
        .map(Some)
        .at("typed_config")
}

impl UpstreamProxyProtocol {
    fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        let inner = required(proto.transport_socket.as_ref(), "transport_socket")?;
        transport_socket::require_raw(Some(inner)).at("transport_socket")?;
        if proto.allow_unspecified_address {
            return Err(ConfigError::new("is not supported").at("allow_unspecified_address"));
        }
        let config = proto.config.clone().unwrap_or_default();
        let added = config.added_tlvs.iter().enumerate();
        let pass_through = PassThrough::compile(config.pass_through_tlvs.as_ref());
        Ok(Self {
            version: config.version(),
            pass_through: pass_through.at("pass_through_tlvs").at("config")?,
            added: added
                .map(|(i, entry)| tlv(entry).at_index("added_tlvs", i))
                .collect::<Result<_, _>>()
                .at("config")?,
            tlvs_tell_apart: proto.tlv_as_pool_key,
        })
    }

    /// The header of a tunnel (`ConnectConfig.proxy_protocol_config`): Envoy gives it no TLVs, whatever is configured.
    pub fn of_tunnel(proto: &ProxyProtocolConfig) -> Self {
        Self {
            version: proto.version(),
            pass_through: PassThrough::default(),
            added: Box::default(),
            tlvs_tell_apart: false,
        }
    }

    /// Which pool serves the clients of this connection.
    pub fn key(&self, downstream: &ConnectionInfo) -> ProxyKey {
        ProxyKey {
            source: downstream.remote_address.clone(),
            destination: downstream.local_address.clone(),
            tlvs: match self.tlvs_tell_apart {
                true => self.tlvs(downstream),
                false => Vec::new(),
            },
        }
    }

    /// What a connection for these clients begins with.
    pub fn header(&self, downstream: &ConnectionInfo) -> Vec<u8> {
        let ends = (
            downstream.remote_address.ip(),
            downstream.local_address.ip(),
        );
        match (self.version, ends) {
            (Version::V1, (Some(source), Some(destination))) => {
                let (source, destination) = one_family(source, destination);
                let family = if source.is_ipv4() { 4 } else { 6 };
                format!(
                    "PROXY TCP{family} {} {} {} {}\r\n",
                    source.ip(),
                    destination.ip(),
                    source.port(),
                    destination.port()
                )
                .into_bytes()
            }
            // The client of a Unix socket has no address.
            (Version::V1, _) => b"PROXY UNKNOWN\r\n".to_vec(),
            (Version::V2, (Some(source), Some(destination))) => {
                let (source, destination) = one_family(source, destination);
                let tlvs = self.tlvs(downstream);
                // Rather none of them than a header that lies about its length.
                binary(source, destination, &tlvs)
                    .or_else(|| binary(source, destination, &[]))
                    .unwrap_or_default()
            }
            (Version::V2, _) => [&SIGNATURE_V2[..], &[0x20, 0, 0, 0]].concat(),
        }
    }

    /// Those of the configuration stand in place of those of the same type that the client's connection brought.
    fn tlvs(&self, downstream: &ConnectionInfo) -> Vec<Tlv> {
        let brought = downstream.state.iter().flat_map(|s| &s.proxy_protocol_tlvs);
        let passed = brought.filter(|(kind, _)| {
            self.pass_through.includes(*kind) && !self.added.iter().any(|(added, _)| added == kind)
        });
        self.added.iter().chain(passed).cloned().collect()
    }
}

fn tlv(entry: &TlvEntry) -> Result<Tlv, ConfigError> {
    if entry.format_string.is_some() {
        return Err(ConfigError::new("is not supported").at("format_string"));
    }
    Ok((
        tlv_type(entry.r#type).at("type")?,
        entry.value.as_slice().into(),
    ))
}

/// Two addresses of one family; IPv4 is mapped if only one is.
fn one_family(a: SocketAddr, b: SocketAddr) -> (SocketAddr, SocketAddr) {
    let mapped = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    };
    match a.is_ipv4() == b.is_ipv4() {
        true => (a, b),
        false => (mapped(a), mapped(b)),
    }
}

/// `None`: longer than a header can be.
fn binary(source: SocketAddr, destination: SocketAddr, tlvs: &[Tlv]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    for ip in [source.ip(), destination.ip()] {
        match ip {
            IpAddr::V4(ip) => body.extend(ip.octets()),
            IpAddr::V6(ip) => body.extend(ip.octets()),
        }
    }
    for address in [source, destination] {
        body.extend(address.port().to_be_bytes());
    }
    for (kind, value) in tlvs {
        body.push(*kind);
        body.extend(u16::try_from(value.len()).ok()?.to_be_bytes());
        body.extend_from_slice(value);
    }
    let family = if source.is_ipv4() { 0x11 } else { 0x21 };
    let length = u16::try_from(body.len()).ok()?.to_be_bytes();
    Some([&SIGNATURE_V2[..], &[0x21, family], &length, &body].concat())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::inspect::proxy_header::{Inspection, inspect};
    use outrigger_core::stream_info::ConnectionState;
    use std::sync::Arc;

    fn connection(source: &str, destination: &str, tlvs: &[(u8, &[u8])]) -> ConnectionInfo {
        let ends = [source, destination].map(|text| Address::Ip(text.parse().unwrap()));
        let [remote, local] = ends;
        ConnectionInfo {
            state: Some(Arc::new(ConnectionState {
                proxy_protocol_tlvs: tlvs.iter().map(|(k, v)| (*k, (*v).into())).collect(),
                ..Default::default()
            })),
            ..ConnectionInfo::new(1, local, remote)
        }
    }

    fn socket(version: Version, added: &[(u8, &[u8])]) -> UpstreamProxyProtocol {
        UpstreamProxyProtocol {
            version,
            pass_through: PassThrough::All,
            added: added.iter().map(|(k, v)| (*k, (*v).into())).collect(),
            tlvs_tell_apart: false,
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let long = vec![0; 40_000];
        for version in [Version::V1, Version::V2] {
            let socket = socket(version, &[(2, b"own")]);
            for (source, destination) in [
                ("1.2.3.4:5", "6.7.8.9:10"),
                ("[2001::1]:5", "[2001::2]:10"),
                ("1.2.3.4:5", "[2001::2]:10"),
            ] {
                for tlvs in [
                    &[(2, &b"brought"[..]), (3, b"x")][..],
                    &[(4, &long), (5, &long)],
                ] {
                    let connection = connection(source, destination, tlvs);
                    let header = socket.header(&connection);
                    let Inspection::Found(found) = inspect(&header) else {
                        panic!("{:?}", inspect(&header))
                    };
                    assert_eq!(found.length, header.len());
                    let (a, b) = found.addresses.unwrap();
                    assert_eq!(
                        a.ip().to_canonical().to_string(),
                        connection.remote_address.ip().unwrap().ip().to_string()
                    );
                    assert_eq!((a.port(), b.port()), (5, 10));
                    let kinds: Vec<_> = found.tlvs.iter().map(|(kind, _)| *kind).collect();
                    match (version, tlvs.len(), tlvs.first()) {
                        (Version::V2, _, Some((2, _))) => assert_eq!(kinds, [2, 3]),
                        _ => assert!(kinds.is_empty(), "{kinds:?}"),
                    }
                }
            }
        }
    }

    #[test]
    fn clients_of_one_address_share_whatever_their_tlvs() {
        let mut socket = socket(Version::V2, &[]);
        let one = connection("1.2.3.4:5", "6.7.8.9:10", &[(2, b"a")]);
        let other = connection("1.2.3.4:5", "6.7.8.9:10", &[(2, b"b")]);
        assert_eq!(socket.key(&one), socket.key(&other));
        socket.tlvs_tell_apart = true;
        assert_ne!(socket.key(&one), socket.key(&other));
        let third = connection("1.2.3.4:6", "6.7.8.9:10", &[(2, b"a")]);
        assert_ne!(socket.key(&one), socket.key(&third));
    }
}
