//! Envoy's transport sockets: what stands between a socket and the bytes. Only `raw_buffer` so far; anything that
//! would protect the connection is refused, because to go on without it would send in the clear.

use envoy_api::{
    pb::envoy::{
        config::core::v3::{TransportSocket, transport_socket::ConfigType},
        extensions::transport_sockets::raw_buffer::v3::RawBuffer,
    },
    type_name, unpack,
};
use outrigger_core::ConfigError;

/// Accepts no transport socket and `raw_buffer`.
pub fn require_raw(proto: Option<&TransportSocket>) -> Result<(), ConfigError> {
    let Some(TransportSocket { name, config_type }) = proto else {
        return Ok(());
    };
    match config_type {
        Some(ConfigType::TypedConfig(any)) => match unpack::<RawBuffer>(any) {
            Ok(RawBuffer {}) => Ok(()),
            Err(_) => Err(ConfigError::new(format!(
                "transport socket '{name}' of type {} is not supported in this version",
                type_name(&any.type_url)
            ))
            .at("typed_config")),
        },
        None if name == "envoy.transport_sockets.raw_buffer" => Ok(()),
        None => Err(ConfigError::new(format!(
            "transport socket '{name}' is not supported in this version"
        ))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn raw_passes_and_tls_does_not() {
        let raw = TransportSocket {
            name: "envoy.transport_sockets.raw_buffer".into(),
            config_type: Some(ConfigType::TypedConfig(envoy_api::pack(&RawBuffer {}))),
        };
        assert_eq!(require_raw(Some(&raw)), Ok(()));
        assert_eq!(require_raw(None), Ok(()));
        let tls = TransportSocket {
            name: "envoy.transport_sockets.tls".into(),
            config_type: None,
        };
        assert_eq!(
            require_raw(Some(&tls)).unwrap_err().reason(),
            "transport socket 'envoy.transport_sockets.tls' is not supported in this version"
        );
    }
}
