//! The limits of downstream connections: of the overload manager, or of the runtime.

use super::overload::Overload;
use outrigger_core::runtime::Runtime;
use outrigger_listener::{ConnectionLimit, Limits};
use std::sync::Arc;

/// Envoy's runtime key from before the resource monitor.
const GLOBAL: &str = "overload.global_downstream_max_connections";
const LISTENER: (&str, &str) = ("envoy.resource_limits.listener.", ".connection_limit");

/// The limits, and where they come from.
#[derive(Clone)]
pub struct ConnectionLimits {
    pub listeners: Limits,
    /// No resource monitor: the runtime may set, change and take back the global limit.
    global_follows_runtime: bool,
}

impl ConnectionLimits {
    pub fn new(overload: Option<&Overload>, runtime: &Runtime) -> Self {
        let limit_of = |(key, _)| -> Option<(String, u64)> {
            let key: String = key;
            let name = key.strip_prefix(LISTENER.0)?.strip_suffix(LISTENER.1)?;
            Some((name.to_owned(), runtime.get(&key)?.integer()?))
        };
        let limits = Self {
            listeners: Limits {
                global: overload.map_or_else(
                    || Arc::new(ConnectionLimit::new(u64::MAX)),
                    |overload| overload.limit.clone(),
                ),
                per_listener: runtime
                    .dump()
                    .entries
                    .into_iter()
                    .filter_map(limit_of)
                    .collect(),
            },
            global_follows_runtime: overload.is_none(),
        };
        limits.follow(runtime);
        limits
    }

    /// Takes over what the runtime says now of the process; a listener keeps the limit that it was made with.
    pub fn follow(&self, runtime: &Runtime) {
        if self.global_follows_runtime {
            let max = runtime.get(GLOBAL).and_then(|value| value.integer());
            self.listeners.global.set_max(max.unwrap_or(u64::MAX));
        }
    }

    /// Nothing limits how many connections the process may have.
    pub fn is_unlimited(&self) -> bool {
        self.listeners.global.max() == u64::MAX
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::{Format, load, pb::envoy::config::bootstrap::v3::LayeredRuntime, to_typed};
    use outrigger_core::stats::Store;

    #[test]
    fn the_runtime_limits_listeners_and_the_process() {
        let yaml = "layers: [{name: s, static_layer: {envoy.resource_limits.listener.in.connection_limit: 3}}, \
                    {name: a, admin_layer: {}}]";
        let descriptor = envoy_api::pool()
            .get_message_by_name("envoy.config.bootstrap.v3.LayeredRuntime")
            .unwrap();
        let (message, _) = load(&descriptor, Format::Yaml, yaml.as_bytes()).unwrap();
        let proto: LayeredRuntime = to_typed(&message).unwrap();
        let runtime = Runtime::compile(Some(&proto), &Store::default()).unwrap();
        let limits = ConnectionLimits::new(None, &runtime);
        assert_eq!(limits.listeners.per_listener.get("in"), Some(&3));
        assert!(limits.is_unlimited());
        runtime.modify([(GLOBAL, "7")]).unwrap();
        limits.follow(&runtime);
        assert_eq!(limits.listeners.global.max(), 7);
        runtime.modify([(GLOBAL, "")]).unwrap();
        limits.follow(&runtime);
        assert!(limits.is_unlimited());
    }
}
