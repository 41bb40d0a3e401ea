//! Values that occur all over the configuration.

use envoy_api::{pb::envoy::config::core::v3::BindConfig, prost_types};
use outrigger_core::{ConfigError, error::ConfigResult};
use outrigger_transport::{ConnectOptions, SocketOption, address};
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
pub(super) fn bind_config(proto: Option<&BindConfig>) -> Result<ConnectOptions, ConfigError> {
    let Some(proto) = proto else {
        return Ok(ConnectOptions::default());
    };
    let source = proto
        .source_address
        .as_ref()
        .map(address::ip)
        .transpose()
        .at("source_address")?;
    Ok(ConnectOptions {
        source,
        freebind: proto.freebind.unwrap_or(false),
        keepalive: None,
        socket_options: SocketOption::compile_all(&proto.socket_options)?,
    })
}
