//! Compiles `ClusterLoadAssignment`: endpoints with their localities and priorities, before names are resolved.

use super::DiscoveryType;
use crate::{
    host::{EdsHealth, Endpoint, Locality},
    host_set::Assignment,
};
use envoy_api::pb::envoy::config::{
    core::v3 as core,
    endpoint::v3::{
        ClusterLoadAssignment, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier,
    },
};
use outrigger_core::{
    Address, ConfigError,
    error::{ConfigResult, required},
    metadata::Metadata,
    stream_info::HostInfo,
};
use outrigger_transport::address::{self, HostPort};
use std::{collections::BTreeMap, sync::Arc};

/// Where an endpoint is: an address, or a name that a DNS cluster resolves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Address(Address),
    Name(HostPort),
}

/// One endpoint as configured.
#[derive(Clone, Debug)]
pub(crate) struct TemplateEndpoint {
    pub(crate) target: Target,
    hostname: Arc<str>,
    metadata: Metadata,
    locality: Arc<Locality>,
    priority: u32,
    weight: u32,
    health: EdsHealth,
}

/// An assignment as configured.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) endpoints: Vec<TemplateEndpoint>,
    /// Everything but the endpoints.
    assignment: Assignment,
}

impl TemplateEndpoint {
    /// The host that this endpoint is at an address.
    pub(crate) fn at(&self, address: Address) -> Endpoint {
        let canary = self
            .metadata
            .get("envoy.lb", &["canary"])
            .is_some_and(|value| {
                matches!(
                    value.kind,
                    Some(envoy_api::prost_types::value::Kind::BoolValue(true))
                )
            });
        Endpoint {
            info: HostInfo {
                address,
                hostname: self.hostname.clone(),
                metadata: self.metadata.clone(),
                canary,
            },
            locality: self.locality.clone(),
            priority: self.priority,
            weight: self.weight,
            health: self.health,
        }
    }
}

impl Template {
    pub(super) fn compile(
        proto: Option<&ClusterLoadAssignment>,
        discovery: &DiscoveryType,
    ) -> Result<Self, ConfigError> {
        let mut assignment = Assignment::default();
        let mut endpoints = Vec::new();
        let logical = matches!(discovery, DiscoveryType::Dns { logical: true, .. });
        let Some(proto) = proto else {
            if logical {
                return Err(ConfigError::new(
                    "LOGICAL_DNS clusters must have a single host",
                ));
            }
            return Ok(Self {
                endpoints,
                assignment,
            });
        };
        if logical && !matches!(proto.endpoints.as_slice(), [one] if one.lb_endpoints.len() == 1) {
            return Err(ConfigError::new(
                "LOGICAL_DNS clusters must have a single locality_lb_endpoint and a single lb_endpoint",
            ));
        }
        if let Some(policy) = &proto.policy {
            if let Some(factor) = policy.overprovisioning_factor {
                if factor == 0 {
                    return Err(ConfigError::new("value must be greater than 0")
                        .at("overprovisioning_factor")
                        .at("policy"));
                }
                assignment.overprovisioning_factor = factor;
            }
            assignment.weighted_priority_health = policy.weighted_priority_health;
        }
        for (index, group) in proto.endpoints.iter().enumerate() {
            locality(
                group,
                discovery,
                &mut endpoints,
                &mut assignment.locality_weights,
            )
            .at_index("endpoints", index)?;
        }
        Ok(Self {
            endpoints,
            assignment,
        })
    }

    /// The assignment with these endpoints.
    pub(crate) fn with(&self, endpoints: Vec<Endpoint>) -> Assignment {
        Assignment {
            endpoints,
            ..self.assignment.clone()
        }
    }

    /// The hosts of a cluster whose endpoints are all addresses.
    pub(crate) fn resolved(&self) -> Assignment {
        self.with(
            self.endpoints
                .iter()
                .filter_map(|endpoint| match &endpoint.target {
                    Target::Address(address) => Some(endpoint.at(address.clone())),
                    Target::Name(_) => None,
                })
                .collect(),
        )
    }
}

fn locality(
    group: &LocalityLbEndpoints,
    discovery: &DiscoveryType,
    endpoints: &mut Vec<TemplateEndpoint>,
    weights: &mut BTreeMap<(u32, Arc<Locality>), u32>,
) -> Result<(), ConfigError> {
    if group.priority > 128 {
        return Err(ConfigError::new("value must be less than or equal to 128").at("priority"));
    }
    let core::Locality {
        region,
        zone,
        sub_zone,
    } = group.locality.clone().unwrap_or_default();
    let locality = Arc::new(Locality {
        region,
        zone,
        sub_zone,
    });
    if let Some(weight) = group.load_balancing_weight {
        weights.insert((group.priority, locality.clone()), weight);
    }
    for (index, proto) in group.lb_endpoints.iter().enumerate() {
        let compiled = endpoint(proto, group, &locality, discovery);
        endpoints.push(compiled.at_index("lb_endpoints", index)?);
    }
    Ok(())
}

fn endpoint(
    proto: &LbEndpoint,
    group: &LocalityLbEndpoints,
    locality: &Arc<Locality>,
    discovery: &DiscoveryType,
) -> Result<TemplateEndpoint, ConfigError> {
    if proto.load_balancing_weight == Some(0) {
        return Err(ConfigError::new("value must be greater than or equal to 1")
            .at("load_balancing_weight"));
    }
    let endpoint = match required(proto.host_identifier.as_ref(), "host_identifier")? {
        HostIdentifier::Endpoint(endpoint) => endpoint,
        HostIdentifier::EndpointName(_) => {
            return Err(ConfigError::new("named endpoints are not supported").at("endpoint_name"));
        }
    };
    let (target, default_hostname) = required(endpoint.address.as_ref(), "address")
        .and_then(|address| target(address, discovery).at("address"))
        .at("endpoint")?;
    Ok(TemplateEndpoint {
        target,
        hostname: match endpoint.hostname.as_str() {
            "" => default_hostname.into(),
            hostname => hostname.into(),
        },
        metadata: Metadata::compile(proto.metadata.as_ref()),
        locality: locality.clone(),
        priority: group.priority,
        weight: proto.load_balancing_weight.unwrap_or(1),
        health: EdsHealth::from_number(proto.health_status),
    })
}

/// Where the endpoint is, and its hostname unless it has one of its own: a DNS host is called by the name it came from.
fn target(
    proto: &core::Address,
    discovery: &DiscoveryType,
) -> Result<(Target, String), ConfigError> {
    use core::address::Address::SocketAddress;
    match (discovery, &proto.address) {
        (DiscoveryType::Static, Some(SocketAddress(socket))) => {
            // Envoy adds what to do about it.
            let advised = |error: ConfigError| match error.reason().strip_prefix("malformed IP") {
                Some(rest) => ConfigError::new(format!(
                    "malformed IP{rest}. Consider setting resolver_name or setting cluster type to \
                     'STRICT_DNS' or 'LOGICAL_DNS'"
                ))
                .at(error.path()),
                None => error,
            };
            let ip = address::ip(socket).map_err(advised).at("socket_address")?;
            Ok((Target::Address(Address::Ip(ip)), String::new()))
        }
        (DiscoveryType::Static, _) => {
            Ok((Target::Address(address::compile(proto)?), String::new()))
        }
        (DiscoveryType::Dns { .. }, Some(SocketAddress(socket))) => {
            let target = address::host_port(socket).at("socket_address")?;
            let hostname = target.host.clone();
            Ok((Target::Name(target), hostname))
        }
        (DiscoveryType::Dns { .. }, _) => Err(ConfigError::new(
            "a DNS cluster resolves names: only socket_address is possible",
        )),
    }
}
