//! Values that occur all over the configuration.

use envoy_api::{
    pb::envoy::config::core::v3::{BindConfig, ExtraSourceAddress},
    prost_types, type_name,
};
use outrigger_core::{
    ConfigError,
    error::{ConfigResult, required},
};
use outrigger_transport::{SocketOption, Source, address};
use std::time::Duration;

/// The only selector of local addresses; what it does is what happens without one.
const DEFAULT_SELECTOR: &str =
    "envoy.config.upstream.local_address_selector.v3.DefaultLocalAddressSelector";

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

/// `upstream_bind_config`: where connections come from.
#[derive(Clone, Debug, Default)]
pub(super) struct Binding {
    pub(super) sources: Vec<Source>,
    pub(super) freebind: bool,
    pub(super) socket_options: Vec<SocketOption>,
}

/// `owner` is whose configuration it is, in Envoy's words. What it leaves open is as in `defaults`, but for the source.
pub(super) fn bind_config(
    proto: &BindConfig,
    owner: &str,
    defaults: &Binding,
) -> Result<Binding, ConfigError> {
    if let Some(selector) = &proto.local_address_selector {
        let default = selector
            .typed_config
            .as_ref()
            .is_some_and(|any| type_name(&any.type_url) == DEFAULT_SELECTOR);
        if !default {
            return Err(ConfigError::new(format!(
                "Didn't find a registered implementation for name: '{}'",
                selector.name
            ))
            .at("local_address_selector"));
        }
    }
    let own = SocketOption::compile_all(&proto.socket_options)?;
    Ok(Binding {
        sources: sources(proto, owner)?,
        freebind: proto.freebind.unwrap_or(defaults.freebind),
        socket_options: if proto.socket_options.is_empty() {
            defaults.socket_options.clone()
        } else {
            own
        },
    })
}

/// The source address and at most one more, of the other family. Envoy's words where it refuses.
// Envoy still honours `additional_source_addresses`.
#[allow(deprecated)]
fn sources(proto: &BindConfig, owner: &str) -> Result<Vec<Source>, ConfigError> {
    let BindConfig {
        source_address,
        extra_source_addresses: extra,
        additional_source_addresses: additional,
        ..
    } = proto;
    if !extra.is_empty() && !additional.is_empty() {
        return Err(ConfigError::new(format!(
            "Can't specify both `extra_source_addresses` and `additional_source_addresses` in the {owner}'s \
             upstream binding config"
        )));
    }
    let Some(address) = source_address else {
        if !extra.is_empty() || !additional.is_empty() {
            return Err(ConfigError::new(format!(
                "{owner}'s upstream binding config has extra/additional source addresses but no \
                 source_address. Extra/additional addresses cannot be specified if source_address is not set."
            )));
        }
        return Ok(Vec::new());
    };
    if extra.len() + additional.len() > 1 {
        return Err(ConfigError::new(format!(
            "{owner}'s upstream binding config has more than one extra/additional source addresses. Only \
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
            "{owner}'s upstream binding config has two same IP version source addresses. Only two \
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
