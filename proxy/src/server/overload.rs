//! Envoy's overload manager, as far as the limit of downstream connections: `global_downstream_max_connections`.

use envoy_api::{
    pb::envoy::{
        config::overload::v3::{OverloadManager, ResourceMonitor, resource_monitor::ConfigType},
        extensions::resource_monitors::downstream_connections::v3::DownstreamConnectionsConfig,
    },
    unpack,
};
use outrigger_core::{
    ConfigError, error::ConfigResult, runtime::RuntimeUint64, stat_group, stats::Store,
};
use outrigger_listener::ConnectionLimit;
use std::sync::Arc;

const MONITOR: &str = "envoy.resource_monitors.global_downstream_max_connections";

stat_group! {
    /// `overload.envoy.resource_monitors.global_downstream_max_connections.`
    pub struct MonitorStats {
        counter failed_updates,
        gauge pressure,
    }
}

/// The configured limit with its stats.
pub struct Overload {
    pub limit: Arc<ConnectionLimit>,
    stats: Arc<MonitorStats>,
}

impl Overload {
    /// `None` if no limit is configured.
    pub fn compile(
        proto: Option<&OverloadManager>,
        store: &Store,
    ) -> Result<Option<Self>, ConfigError> {
        let mut max = None;
        let monitors = proto.map_or(&[][..], |p| &p.resource_monitors);
        for (index, monitor) in monitors.iter().enumerate() {
            let limit = compile_monitor(monitor)
                .at_index("resource_monitors", index)
                .at("overload_manager")?;
            if max.replace(limit).is_some() {
                return Err(
                    ConfigError::new(format!("Duplicate resource monitor {MONITOR}"))
                        .at("overload_manager"),
                );
            }
        }
        Ok(max.map(|max| Self {
            limit: Arc::new(ConnectionLimit::new(RuntimeUint64::fixed(max))),
            stats: store.register(&format!("overload.{MONITOR}."), MonitorStats::default()),
        }))
    }

    /// `pressure`: connections in percent of the limit.
    pub fn update(&self) {
        let open = self.limit.open().saturating_mul(100);
        self.stats.pressure.set(open / self.limit.max().max(1));
    }
}

fn compile_monitor(monitor: &ResourceMonitor) -> Result<u64, ConfigError> {
    if monitor.name != MONITOR {
        return Err(ConfigError::new(format!("only {MONITOR} is supported")).at("name"));
    }
    let Some(ConfigType::TypedConfig(any)) = &monitor.config_type else {
        return Err(ConfigError::new("is required").at("typed_config"));
    };
    let config: DownstreamConnectionsConfig = unpack(any)
        .map_err(|error| ConfigError::new(error.to_string()))
        .at("typed_config")?;
    u64::try_from(config.max_active_downstream_connections)
        .ok()
        .filter(|max| *max > 0)
        .ok_or_else(|| ConfigError::new("value must be greater than 0"))
        .at("max_active_downstream_connections")
        .at("typed_config")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn monitor(name: &str, max: i64) -> ResourceMonitor {
        ResourceMonitor {
            name: name.into(),
            config_type: Some(ConfigType::TypedConfig(envoy_api::pack(
                &DownstreamConnectionsConfig {
                    max_active_downstream_connections: max,
                },
            ))),
        }
    }

    fn compile(monitors: Vec<ResourceMonitor>) -> Result<Option<Overload>, String> {
        let proto = OverloadManager {
            resource_monitors: monitors,
            ..Default::default()
        };
        Overload::compile(Some(&proto), &Store::default()).map_err(|e| e.to_string())
    }

    #[test]
    fn one_limit_and_its_pressure() {
        assert!(compile(vec![]).unwrap().is_none());
        let overload = compile(vec![monitor(MONITOR, 4)]).unwrap().unwrap();
        let _open = overload.limit.acquire().unwrap();
        overload.update();
        assert_eq!(overload.stats.pressure.get(), 25);
    }

    #[test]
    fn anything_else_is_refused_with_its_path() {
        for (monitors, error) in [
            (
                vec![monitor("envoy.resource_monitors.fixed_heap", 1)],
                "overload_manager.resource_monitors[0].name: only envoy.resource_monitors.global_downstream_max_connections \
                 is supported",
            ),
            (
                vec![monitor(MONITOR, 0)],
                "overload_manager.resource_monitors[0].typed_config.max_active_downstream_connections: value must be \
                 greater than 0",
            ),
            (
                vec![monitor(MONITOR, 1), monitor(MONITOR, 1)],
                "overload_manager: Duplicate resource monitor envoy.resource_monitors.global_downstream_max_connections",
            ),
        ] {
            assert_eq!(compile(monitors).err().unwrap(), error);
        }
    }
}
