//! `FilterChainMatch` compiled into the keys that the match tree is built from.

use envoy_api::pb::envoy::config::{
    core::v3::CidrRange as CidrProto,
    listener::v3::{FilterChainMatch, filter_chain_match::ConnectionSourceType},
};
use ipnet::IpNet;
use outrigger_core::{ConfigError, error::ConfigResult, matcher::cidr::CidrRange};

/// The values of each criterion, never empty: a criterion that is not given has one value that stands for all.
#[derive(Clone, Debug)]
pub struct Criteria {
    /// 0: any.
    pub destination_port: u16,
    pub destination_ips: Vec<Option<IpNet>>,
    /// In lower case; `.suffix` for `*.suffix`, empty for any.
    pub server_names: Vec<Box<str>>,
    /// Empty: any.
    pub transport_protocol: Box<str>,
    /// Empty: any.
    pub application_protocols: Vec<Box<str>>,
    pub direct_source_ips: Vec<Option<IpNet>>,
    pub source_type: ConnectionSourceType,
    pub source_ips: Vec<Option<IpNet>>,
    /// 0: any.
    pub source_ports: Vec<u16>,
}

impl Criteria {
    pub fn compile(proto: &FilterChainMatch) -> Result<Self, ConfigError> {
        let destination_port = match proto.destination_port {
            Some(value) => port(value).at("destination_port")?,
            None => 0,
        };
        let mut server_names = Vec::with_capacity(proto.server_names.len());
        for (index, name) in proto.server_names.iter().enumerate() {
            server_names.push(server_name(name).at_index("server_names", index)?);
        }
        let mut source_ports = Vec::with_capacity(proto.source_ports.len());
        for (index, value) in proto.source_ports.iter().enumerate() {
            source_ports.push(port(*value).at_index("source_ports", index)?);
        }
        let source_type = ConnectionSourceType::try_from(proto.source_type).map_err(|_| {
            ConfigError::new("value must be one of the defined enum values").at("source_type")
        })?;
        Ok(Self {
            destination_port,
            destination_ips: ranges(&proto.prefix_ranges, "prefix_ranges")?,
            server_names: or_any(server_names, "".into()),
            transport_protocol: proto.transport_protocol.as_str().into(),
            application_protocols: or_any(
                proto
                    .application_protocols
                    .iter()
                    .map(|p| p.as_str().into())
                    .collect(),
                "".into(),
            ),
            direct_source_ips: ranges(
                &proto.direct_source_prefix_ranges,
                "direct_source_prefix_ranges",
            )?,
            source_type,
            source_ips: ranges(&proto.source_prefix_ranges, "source_prefix_ranges")?,
            source_ports: or_any(source_ports, 0),
        })
    }
}

fn or_any<T>(mut values: Vec<T>, any: T) -> Vec<T> {
    if values.is_empty() {
        values.push(any);
    }
    values
}

fn port(value: u32) -> Result<u16, ConfigError> {
    match u16::try_from(value) {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(ConfigError::new("value must be inside range [1, 65535]")),
    }
}

fn server_name(name: &str) -> Result<Box<str>, ConfigError> {
    let suffix = name.strip_prefix('*').filter(|rest| rest.starts_with('.'));
    if suffix.is_none() && name.contains('*') {
        return Err(ConfigError::new(
            "partial wildcards are not supported in \"server_names\"",
        ));
    }
    Ok(suffix.unwrap_or(name).to_ascii_lowercase().into())
}

fn ranges(protos: &[CidrProto], field: &str) -> Result<Vec<Option<IpNet>>, ConfigError> {
    let mut ranges = Vec::with_capacity(protos.len());
    for (index, proto) in protos.iter().enumerate() {
        let range = CidrRange::compile(proto).at_index(field, index)?;
        ranges.push(Some(range.net()));
    }
    Ok(or_any(ranges, None))
}
