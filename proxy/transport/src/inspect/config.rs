//! Compiles `listener.v3.ListenerFilter`.

use super::{HttpInspectorStats, Kind, ListenerFilter, predicate::Predicate};
use envoy_api::{
    pb::envoy::{
        config::listener::v3::{ListenerFilter as Proto, listener_filter::ConfigType},
        extensions::filters::listener::{
            http_inspector::v3::HttpInspector, original_dst::v3::OriginalDst,
        },
    },
    type_name, unpack,
};
use outrigger_core::{ConfigError, error::ConfigResult};
use std::sync::Arc;

impl ListenerFilter {
    /// `http_inspector` is the process's one group of that name: Envoy's inspectors share their stats.
    pub fn compile(
        proto: &Proto,
        http_inspector: &Arc<HttpInspectorStats>,
    ) -> Result<Self, ConfigError> {
        let Proto {
            name,
            filter_disabled,
            config_type,
        } = proto;
        let any = match config_type {
            Some(ConfigType::TypedConfig(any)) => any,
            Some(ConfigType::ConfigDiscovery(_)) => {
                return Err(ConfigError::new("give the configuration in typed_config")
                    .at("config_discovery"));
            }
            None => return Err(unknown(name, "")),
        };
        let kind = match type_name(&any.type_url) {
            "envoy.extensions.filters.listener.original_dst.v3.OriginalDst" => {
                unpack::<OriginalDst>(any).map(|_| Kind::OriginalDst)
            }
            "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector" => {
                unpack::<HttpInspector>(any).map(|_| Kind::HttpInspector(http_inspector.clone()))
            }
            other => return Err(unknown(name, other).at("typed_config")),
        };
        Ok(Self {
            kind: kind.map_err(|e| ConfigError::new(e.to_string()).at("typed_config"))?,
            disabled: match filter_disabled {
                Some(predicate) => Some(Predicate::compile(predicate).at("filter_disabled")?),
                None => None,
            },
        })
    }
}

fn unknown(name: &str, type_name: &str) -> ConfigError {
    ConfigError::new(format!(
        "Didn't find a registered implementation for '{name}' with type URL: '{type_name}'"
    ))
}
