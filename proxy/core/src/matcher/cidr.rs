//! `core.v3.CidrRange`: whether an address is in a range.

use crate::{ConfigError, error::ConfigResult};
use envoy_api::pb::{
    envoy::config::core::v3::CidrRange as Proto, xds::core::v3::CidrRange as XdsProto,
};
use ipnet::IpNet;
use std::net::IpAddr;

/// One range. Bits beyond the prefix are ignored, as Envoy truncates them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CidrRange(IpNet);

impl CidrRange {
    pub fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        Self::new(&proto.address_prefix, proto.prefix_len.unwrap_or(0))
    }

    /// The same message in the xDS namespace.
    pub fn compile_xds(proto: &XdsProto) -> Result<Self, ConfigError> {
        Self::new(&proto.address_prefix, proto.prefix_len.unwrap_or(0))
    }

    /// A prefix longer than the address counts as its whole length, as in Envoy.
    pub fn new(address: &str, prefix_len: u32) -> Result<Self, ConfigError> {
        let malformed =
            || ConfigError::new(format!("malformed IP address: {address}")).at("address_prefix");
        let ip: IpAddr = address.parse().map_err(|_| malformed())?;
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        let len = u8::try_from(prefix_len).unwrap_or(longest).min(longest);
        IpNet::new(ip, len)
            .map(|net| Self(net.trunc()))
            .map_err(|_| malformed())
    }

    /// IPv4 and IPv6 never match one another, mapped addresses included.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.contains(&ip)
    }

    pub fn net(&self) -> IpNet {
        self.0
    }
}

/// A list of ranges, any of which may contain the address.
#[derive(Clone, Debug, Default)]
pub struct CidrList(Box<[CidrRange]>);

impl CidrList {
    /// Compiles a repeated field; the caller names it.
    pub fn compile(protos: &[Proto]) -> Result<Self, ConfigError> {
        protos
            .iter()
            .enumerate()
            .map(|(i, proto)| CidrRange::compile(proto).map_err(|e| e.index(i)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The same for ranges of the xDS namespace.
    pub fn compile_xds(protos: &[XdsProto]) -> Result<Self, ConfigError> {
        protos
            .iter()
            .enumerate()
            .map(|(i, proto)| CidrRange::compile_xds(proto).at_index("ranges", i))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|range| range.contains(ip))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ranges_hold_what_their_prefix_says() {
        let range = |address, len| CidrRange::new(address, len).unwrap();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(range("10.1.2.3", 8).contains(ip("10.9.9.9")));
        assert!(!range("10.1.2.3", 32).contains(ip("10.1.2.4")));
        assert!(range("10.1.2.3", 99).contains(ip("10.1.2.3")));
        assert!(range("0.0.0.0", 0).contains(ip("1.2.3.4")));
        assert!(!range("0.0.0.0", 0).contains(ip("::1")));
        assert!(range("fe80::", 10).contains(ip("febf::1")));
        assert_eq!(
            CidrRange::new("foo.bar", 8).unwrap_err().reason(),
            "malformed IP address: foo.bar"
        );
    }
}
