//! Compiles `core.v3.Address` where an IP address or a pipe is wanted; names are the business of DNS clusters.

use envoy_api::pb::envoy::config::core::v3 as core;
use outrigger_core::{
    Address, ConfigError,
    error::{ConfigResult, required},
};
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

/// A host and a port, not resolved yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    pub host: String,
    pub port: u16,
}

/// An IP address with a port, or a pipe.
pub fn compile(proto: &core::Address) -> Result<Address, ConfigError> {
    match required(proto.address.as_ref(), "address")? {
        core::address::Address::SocketAddress(socket) => {
            ip(socket).at("socket_address").map(Address::Ip)
        }
        core::address::Address::Pipe(pipe) => compile_pipe(pipe).at("pipe"),
        core::address::Address::EnvoyInternalAddress(_) => Err(ConfigError::new(
            "internal addresses are not supported in this version",
        )
        .at("envoy_internal_address")),
    }
}

/// Envoy's address resolver, which resolves nothing but literals. There is no other.
const IP_RESOLVER: &str = "envoy.ip";

/// The literal IP address of a socket address, in Envoy's words if it is none.
pub fn ip(proto: &core::SocketAddress) -> Result<SocketAddr, ConfigError> {
    let resolver = proto.resolver_name.as_str();
    if !["", IP_RESOLVER].contains(&resolver) {
        return Err(
            ConfigError::new(format!("Unknown address resolver: {resolver}")).at("resolver_name"),
        );
    }
    let HostPort { host, port } = host_port(proto)?;
    let ip: IpAddr = host
        .parse()
        .map_err(|_| ConfigError::new(format!("malformed IP address: {host}")).at("address"))?;
    Ok(SocketAddr::new(ip, port))
}

/// Host and port of a TCP socket address.
pub fn host_port(proto: &core::SocketAddress) -> Result<HostPort, ConfigError> {
    let core::SocketAddress {
        protocol,
        address,
        // Who compiles the address looks at it: it matters only where a name may stand.
        resolver_name: _,
        // Only says something of a listener's IPv6 socket, which reads it itself.
        ipv4_compat: _,
        network_namespace_filepath,
        port_specifier,
    } = proto;
    if *protocol != core::socket_address::Protocol::Tcp as i32 {
        return Err(ConfigError::new("only TCP is supported").at("protocol"));
    }
    if address.is_empty() {
        return Err(ConfigError::new("value length must be at least 1 characters").at("address"));
    }
    if !network_namespace_filepath.is_empty() {
        return Err(ConfigError::new("network namespaces are not supported")
            .at("network_namespace_filepath"));
    }
    let port = match required(port_specifier.as_ref(), "port_specifier")? {
        core::socket_address::PortSpecifier::PortValue(port) => {
            u16::try_from(*port).map_err(|_| {
                ConfigError::new("value must be less than or equal to 65535").at("port_value")
            })?
        }
        core::socket_address::PortSpecifier::NamedPort(_) => {
            return Err(ConfigError::new("named ports are not supported").at("named_port"));
        }
    };
    Ok(HostPort {
        host: address.clone(),
        port,
    })
}

fn compile_pipe(proto: &core::Pipe) -> Result<Address, ConfigError> {
    // `mode` is for the listener that creates the socket; to a client it says nothing.
    let core::Pipe { path, mode: _ } = proto;
    if path.is_empty() {
        return Err(ConfigError::new("value length must be at least 1 characters").at("path"));
    }
    Ok(Address::Pipe(Arc::new(PathBuf::from(path))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn socket(address: &str, port: u32) -> core::Address {
        core::Address {
            address: Some(core::address::Address::SocketAddress(core::SocketAddress {
                address: address.into(),
                port_specifier: Some(core::socket_address::PortSpecifier::PortValue(port)),
                ..Default::default()
            })),
        }
    }

    #[test]
    fn literals_compile_and_names_do_not() {
        assert_eq!(compile(&socket("::1", 80)).unwrap().to_string(), "[::1]:80");
        assert_eq!(
            compile(&socket("foo.bar", 80)).unwrap_err().to_string(),
            "socket_address.address: malformed IP address: foo.bar"
        );
        assert_eq!(
            compile(&socket("1.2.3.4", 70000)).unwrap_err().path(),
            "socket_address.port_value"
        );
    }
}
