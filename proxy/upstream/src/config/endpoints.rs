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
use outrigger_transport::{
    HappyEyeballs,
    address::{self, HostPort},
};
use std::{collections::BTreeMap, sync::Arc};

/// Where an endpoint is: at its addresses, or at those of a name that a DNS cluster resolves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `address`, then `additional_addresses`.
    Addresses(Vec<Address>),
    Name(HostPort),
}

/// One endpoint as configured.
#[derive(Clone, Debug)]
pub(crate) struct TemplateEndpoint {
    pub(crate) target: Target,
    happy_eyeballs: HappyEyeballs,
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
    /// The host that this endpoint is at these addresses; the first is the one that it is known by.
    pub(crate) fn at_all(&self, addresses: &[Address]) -> Option<Endpoint> {
        let endpoint = self.at(addresses.first()?.clone());
        Some(Endpoint {
            addresses: (addresses.len() > 1)
                .then(|| Arc::new(self.happy_eyeballs.order(addresses))),
            ..endpoint
        })
    }

    /// The host that this endpoint is at one address.
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
            addresses: None,
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
        happy_eyeballs: HappyEyeballs,
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
                (discovery, happy_eyeballs),
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
                    Target::Addresses(addresses) => endpoint.at_all(addresses),
                    Target::Name(_) => None,
                })
                .collect(),
        )
    }
}

fn locality(
    group: &LocalityLbEndpoints,
    cluster: (&DiscoveryType, HappyEyeballs),
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
        let compiled = endpoint(proto, group, &locality, cluster);
        endpoints.push(compiled.at_index("lb_endpoints", index)?);
    }
    Ok(())
}

fn endpoint(
    proto: &LbEndpoint,
    group: &LocalityLbEndpoints,
    locality: &Arc<Locality>,
    (discovery, happy_eyeballs): (&DiscoveryType, HappyEyeballs),
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
    let (mut target, default_hostname) = required(endpoint.address.as_ref(), "address")
        .and_then(|address| target(address, discovery).at("address"))
        .at("endpoint")?;
    let check = endpoint.health_check_config.as_ref();
    if check.is_some_and(|check| check.port_value != 0)
        && matches!(&target, Target::Addresses(addresses) if addresses.iter().any(|a| a.ip().is_none()))
    {
        return Err(ConfigError::new(
            "Invalid host configuration: non-zero port for non-IP address",
        ))
        .at("health_check_config")
        .at("endpoint");
    }
    // A DNS cluster has the addresses that its names resolve to; Envoy does not look at these there.
    if let Target::Addresses(addresses) = &mut target {
        for (index, more) in endpoint.additional_addresses.iter().enumerate() {
            let address = required(more.address.as_ref(), "address")
                .and_then(|address| static_address(address).at("address"))
                .at_index("additional_addresses", index)
                .at("endpoint")?;
            addresses.push(address);
        }
    }
    Ok(TemplateEndpoint {
        target,
        happy_eyeballs,
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
        (DiscoveryType::Static, _) => {
            let address = static_address(proto)?;
            Ok((Target::Addresses(vec![address]), String::new()))
        }
        (DiscoveryType::Dns { logical, .. }, Some(SocketAddress(socket))) => {
            if !socket.resolver_name.is_empty() {
                return Err(ConfigError::new(format!(
                    "{} clusters must NOT have a custom resolver name set",
                    if *logical {
                        "LOGICAL_DNS"
                    } else {
                        "STRICT_DNS"
                    }
                ))
                .at("resolver_name")
                .at("socket_address"));
            }
            let target = address::host_port(socket).at("socket_address")?;
            let hostname = target.host.clone();
            Ok((Target::Name(target), hostname))
        }
        (DiscoveryType::Dns { .. }, _) => Err(ConfigError::new(
            "a DNS cluster resolves names: only socket_address is possible",
        )),
    }
}

fn static_address(proto: &core::Address) -> Result<Address, ConfigError> {
    // Envoy adds what to do about it.
    let advised = |error: ConfigError| {
        if !["malformed IP", "Unknown address resolver"]
            .iter()
            .any(|known| error.reason().starts_with(known))
        {
            return error;
        }
        ConfigError::new(format!(
            "{}. Consider setting resolver_name or setting cluster type to 'STRICT_DNS' or \
             'LOGICAL_DNS'",
            error.reason()
        ))
        .at(error.path())
    };
    address::compile(proto).map_err(advised)
}
/// `PerHostConfig` would change what a PROXY header says.
pub(crate) fn refuse_tlvs_of_hosts(
    assignment: Option<&ClusterLoadAssignment>,
) -> Result<(), ConfigError> {
    for (i, locality) in assignment.iter().flat_map(|a| &a.endpoints).enumerate() {
        for (j, host) in locality.lb_endpoints.iter().enumerate() {
            let metadata = host.metadata.as_ref();
            let key = "envoy.transport_sockets.proxy_protocol";
            if metadata.is_some_and(|m| m.typed_filter_metadata.contains_key(key)) {
                return Err(ConfigError::new("TLVs of single hosts are not supported"))
                    .at(&format!("typed_filter_metadata[{key}]"))
                    .at("metadata")
                    .at_index("lb_endpoints", j)
                    .at_index("endpoints", i);
            }
        }
    }
    Ok(())
}
