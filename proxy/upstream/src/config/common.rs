//! Values that occur all over the configuration.

use envoy_api::{
    pb::envoy::config::{
        cluster::v3::Cluster,
        core::v3::{BindConfig, ExtraSourceAddress},
    },
    prost_types,
};
use outrigger_core::{
    ConfigError,
    error::{ConfigResult, required},
};
use outrigger_transport::{ConnectOptions, SocketOption, Source, address};
use std::time::Duration;

/// A duration that may not be negative, as in all of Envoy's configuration.
pub(super) fn duration(
    proto: &Option<prost_types::Duration>,
) -> Result<Option<Duration>, ConfigError> {
    proto
        .map(|d| {
            Duration::try_from(d)
                .map_err(|_| ConfigError::new("Invalid duration: Expected positive duration"))
        })
        .transpose()
}

/// A duration greater than 0.
pub(super) fn positive(
    proto: &Option<prost_types::Duration>,
) -> Result<Option<Duration>, ConfigError> {
    match duration(proto)? {
        Some(Duration::ZERO) => Err(ConfigError::new("value must be greater than 0s")),
        other => Ok(other),
    }
}

/// `upstream_bind_config`: what a connection is made with.
pub(super) fn bind_config(cluster: &Cluster) -> Result<ConnectOptions, ConfigError> {
    let Some(proto) = &cluster.upstream_bind_config else {
        return Ok(ConnectOptions::default());
    };
    Ok(ConnectOptions {
        sources: sources(proto, &cluster.name)?,
        freebind: proto.freebind.unwrap_or(false),
        keepalive: None,
        socket_options: SocketOption::compile_all(&proto.socket_options)?,
    })
}

/// The source address and at most one more, of the other family. Envoy's words where it refuses.
// Envoy still honours `additional_source_addresses`.
#[allow(deprecated)]
fn sources(proto: &BindConfig, cluster: &str) -> Result<Vec<Source>, ConfigError> {
    let BindConfig {
        source_address,
        extra_source_addresses: extra,
        additional_source_addresses: additional,
        ..
    } = proto;
    if !extra.is_empty() && !additional.is_empty() {
        return Err(ConfigError::new(format!(
            "Can't specify both `extra_source_addresses` and `additional_source_addresses` in the Cluster {cluster}'s \
             upstream binding config"
        )));
    }
    let Some(address) = source_address else {
        if !extra.is_empty() || !additional.is_empty() {
            return Err(ConfigError::new(format!(
                "Cluster {cluster}'s upstream binding config has extra/additional source addresses but no \
                 source_address. Extra/additional addresses cannot be specified if source_address is not set."
            )));
        }
        return Ok(Vec::new());
    };
    if extra.len() + additional.len() > 1 {
        return Err(ConfigError::new(format!(
            "Cluster {cluster}'s upstream binding config has more than one extra/additional source addresses. Only \
             one extra/additional source can be supported in BindConfig's \
             extra_source_addresses/additional_source_addresses field"
        )));
    }
    let mut sources = vec![Source {
        address: address::ip(address).at("source_address")?,
        socket_options: None,
    }];
    for proto in extra {
        sources.push(extra_source(proto).at_index("extra_source_addresses", 0)?);
    }
    for proto in additional {
        sources.push(Source {
            address: address::ip(proto).at_index("additional_source_addresses", 0)?,
            socket_options: None,
        });
    }
    if let [first, second] = sources.as_slice()
        && first.address.is_ipv4() == second.address.is_ipv4()
    {
        return Err(ConfigError::new(format!(
            "Cluster {cluster}'s upstream binding config has two same IP version source addresses. Only two \
             different IP version source addresses can be supported in BindConfig's source_address and \
             extra_source_addresses/additional_source_addresses fields"
        )));
    }
    Ok(sources)
}

fn extra_source(proto: &ExtraSourceAddress) -> Result<Source, ConfigError> {
    let ExtraSourceAddress {
        address,
        socket_options,
    } = proto;
    let options = socket_options.as_ref();
    Ok(Source {
        address: required(address.as_ref(), "address")
            .and_then(|address| address::ip(address).at("address"))?,
        socket_options: options
            .map(|own| SocketOption::compile_all(&own.socket_options))
            .transpose()
            .at("socket_options")?,
    })
}
