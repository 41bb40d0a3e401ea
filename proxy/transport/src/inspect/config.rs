//! Compiles `listener.v3.ListenerFilter`.

use super::{
    HttpInspectorStats, Kind, ListenerFilter, LocalRateLimit, ProxyProtocol, TlsInspector,
    predicate::Predicate,
};
use envoy_api::{
    Message, Name,
    pb::envoy::{
        config::listener::v3::{ListenerFilter as Proto, listener_filter::ConfigType},
        extensions::filters::listener::{
            http_inspector::v3::HttpInspector, local_ratelimit::v3::LocalRateLimit as LimitProto,
            original_dst::v3::OriginalDst, proxy_protocol::v3::ProxyProtocol as ProxyProto,
            tls_inspector::v3::TlsInspector as TlsProto,
        },
    },
    prost_types::Any,
    type_name, unpack,
};
use outrigger_core::{ConfigError, Context, error::ConfigResult};

impl ListenerFilter {
    /// The `original_dst` filter as a listener with `use_original_dst` has it without naming it.
    pub fn original_dst() -> Self {
        Self {
            kind: Kind::OriginalDst,
            disabled: None,
        }
    }

    /// All filters of one kind share their stats, which are there once one is configured.
    pub fn compile(proto: &Proto, context: &Context) -> Result<Self, ConfigError> {
        let stats = &*context.stats;
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
                open::<OriginalDst>(any).map(|_| Kind::OriginalDst)
            }
            "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector" => {
                open::<HttpInspector>(any).map(|_| {
                    let stats = stats.register("http_inspector.", HttpInspectorStats::default());
                    Kind::HttpInspector(stats)
                })
            }
            "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector" => {
                open::<TlsProto>(any)
                    .and_then(|proto| TlsInspector::compile(&proto, stats))
                    .map(|filter| Kind::TlsInspector(Box::new(filter)))
            }
            "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol" => {
                open::<ProxyProto>(any)
                    .and_then(|proto| ProxyProtocol::compile(&proto, stats))
                    .map(|filter| Kind::ProxyProtocol(Box::new(filter)))
            }
            "envoy.extensions.filters.listener.local_ratelimit.v3.LocalRateLimit" => {
                open::<LimitProto>(any)
                    .and_then(|proto| LocalRateLimit::compile(&proto, context))
                    .map(|filter| Kind::LocalRateLimit(Box::new(filter)))
            }
            other => return Err(unknown(name, other).at("typed_config")),
        };
        Ok(Self {
            kind: kind.at("typed_config")?,
            disabled: match filter_disabled {
                Some(predicate) => Some(Predicate::compile(predicate).at("filter_disabled")?),
                None => None,
            },
        })
    }
}

fn open<M: Message + Name + Default>(any: &Any) -> Result<M, ConfigError> {
    unpack(any).map_err(|error| ConfigError::new(error.to_string()))
}

fn unknown(name: &str, type_name: &str) -> ConfigError {
    ConfigError::new(format!(
        "Didn't find a registered implementation for '{name}' with type URL: '{type_name}'"
    ))
}
