//! Who this proxy is: the node, and the address that it has on the network.

use crate::cli::{IpVersion, Options};
use envoy_api::pb::envoy::config::core::v3::Node;
use outrigger_core::LocalInfo;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

pub fn local_info(node: Option<&Node>, options: &Options) -> LocalInfo {
    let none = Node::default();
    let node = node.unwrap_or(&none);
    let zone = node.locality.as_ref().map(|l| l.zone.as_str());
    LocalInfo {
        node_id: node.id.as_str().into(),
        cluster: node.cluster.as_str().into(),
        zone: zone.unwrap_or_default().into(),
        address: Some(local_address(options.local_address_ip_version)),
    }
}

/// The address that the kernel would send from to another machine, or the loopback address if it knows no way to one.
fn local_address(version: IpVersion) -> IpAddr {
    // Addresses that are reserved for documentation. Connecting a datagram socket sends nothing: it chooses a route.
    let (any, far, loopback): (IpAddr, IpAddr, IpAddr) = match version {
        IpVersion::V4 => (
            Ipv4Addr::UNSPECIFIED.into(),
            Ipv4Addr::new(192, 0, 2, 1).into(),
            Ipv4Addr::LOCALHOST.into(),
        ),
        IpVersion::V6 => (
            Ipv6Addr::UNSPECIFIED.into(),
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
            Ipv6Addr::LOCALHOST.into(),
        ),
    };
    let route = || {
        let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
        socket.connect(SocketAddr::new(far, 9))?;
        socket.local_addr()
    };
    route().map_or(loopback, |address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_of_the_family_asked_for() {
        assert!(local_address(IpVersion::V4).is_ipv4());
        assert!(local_address(IpVersion::V6).is_ipv6());
        assert!(!local_address(IpVersion::V4).is_unspecified());
    }
}
