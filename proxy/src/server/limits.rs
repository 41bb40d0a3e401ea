//! How many downstream connections the process may have: the overload manager says it, or else the runtime.

use super::overload::Overload;
use outrigger_core::runtime::{Runtime, RuntimeUint64};
use outrigger_listener::ConnectionLimit;
use std::sync::Arc;

/// Envoy's runtime key from before the resource monitor, which counts only without the monitor.
const KEY: &str = "overload.global_downstream_max_connections";

/// The limit over all listeners.
pub fn global_limit(overload: Option<&Overload>, runtime: &Runtime) -> Arc<ConnectionLimit> {
    match overload.and_then(|overload| overload.limit.as_ref()) {
        Some(limit) => limit.clone(),
        None => {
            let max = RuntimeUint64::new(u64::MAX, KEY, runtime);
            Arc::new(ConnectionLimit::new(max).counting_exempt())
        }
    }
}

/// The limit that the admin interface shares. The overload manager's does not see it, as in Envoy.
pub fn admin_limit(
    overload: Option<&Overload>,
    limit: &Arc<ConnectionLimit>,
) -> Option<Arc<ConnectionLimit>> {
    let limited = overload.is_some_and(|overload| overload.limit.is_some());
    (!limited).then(|| limit.clone())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::{Format, load, pb::envoy::config::bootstrap::v3::LayeredRuntime, to_typed};
    use outrigger_core::stats::Store;

    #[test]
    fn the_runtime_sets_and_takes_back_the_limit_of_the_process() {
        let yaml = "layers: [{name: a, admin_layer: {}}]";
        let descriptor =
            envoy_api::MessageDescriptor::named("envoy.config.bootstrap.v3.LayeredRuntime")
                .unwrap();
        let (message, _) = load(&descriptor, Format::Yaml, yaml.as_bytes()).unwrap();
        let proto: LayeredRuntime = to_typed(&message).unwrap();
        let runtime = Runtime::compile(Some(&proto), "", &Store::default()).unwrap();
        let limit = global_limit(None, &runtime);
        assert_eq!(limit.max(), u64::MAX);
        runtime.modify([(KEY, "7")]).unwrap();
        assert_eq!(limit.max(), 7);
        runtime.modify([(KEY, "")]).unwrap();
        assert_eq!(limit.max(), u64::MAX);
    }
}
