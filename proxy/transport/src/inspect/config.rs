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
use outrigger_core::{ConfigError, error::ConfigResult, stats::Store};

impl ListenerFilter {
    /// The `original_dst` filter as a listener with `use_original_dst` has it without naming it.
    pub fn original_dst() -> Self {
        Self {
            kind: Kind::OriginalDst,
            disabled: None,
        }
    }

    /// All filters of one kind share their stats, which are there once one is configured.
    pub fn compile(proto: &Proto, stats: &Store) -> Result<Self, ConfigError> {
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
                unpack::<HttpInspector>(any).map(|_| {
                    let stats = stats.register("http_inspector.", HttpInspectorStats::default());
                    Kind::HttpInspector(stats)
                })
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
