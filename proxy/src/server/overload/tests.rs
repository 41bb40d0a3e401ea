#![allow(clippy::unwrap_used)]
use super::*;
use envoy_api::{Format, MessageDescriptor, load, to_typed};
use monitor::CONNECTIONS;

fn compile(yaml: &str) -> Result<Overload, String> {
    let descriptor = MessageDescriptor::named("envoy.config.overload.v3.OverloadManager").unwrap();
    let (message, _) = load(&descriptor, Format::Yaml, yaml.as_bytes()).unwrap();
    let proto: OverloadManager = to_typed(&message).unwrap();
    let overload = Overload::compile(Some(&proto), &Store::default(), &Arc::default());
    overload.map(Option::unwrap).map_err(|e| e.to_string())
}

fn monitor(name: &str, max: i64) -> String {
    format!(
        "{{name: {name}, typed_config: {{'@type': type.googleapis.com/envoy.extensions.resource_monitors.\
         downstream_connections.v3.DownstreamConnectionsConfig, max_active_downstream_connections: {max}}}}}"
    )
}

#[test]
fn pressure_moves_the_actions() {
    let trigger = format!("triggers: [{{name: {CONNECTIONS}, threshold: {{value: 0.5}}}}]");
    let overload = compile(&format!(
        "{{resource_monitors: [{}], actions: [{{name: envoy.overload_actions.stop_accepting_requests, {trigger}}}], \
         loadshed_points: [{{name: envoy.load_shed_points.tcp_listener_accept, {trigger}}}]}}",
        monitor(CONNECTIONS, 4)
    ))
    .unwrap();
    let limit = overload.limit.clone().unwrap();
    let first = limit.acquire();
    overload.refresh();
    assert!(!overload.state.is_active());
    let second = limit.acquire();
    overload.refresh();
    assert_eq!(overload.parts.lock().resources[0].stats.pressure.get(), 50);
    assert!(overload.state.refuses_request() && overload.state.rejects_connection());
    assert!(!overload.state.disables_keepalive());
    drop((first, second));
    overload.refresh();
    assert!(!overload.state.is_active());
}

#[test]
fn what_is_wrong_is_refused_with_its_path() {
    let good = monitor(CONNECTIONS, 1);
    let action = |action: &str| format!("{{resource_monitors: [{good}], actions: [{action}]}}");
    let trigger = format!("{{name: {CONNECTIONS}, threshold: {{value: 1}}}}");
    let shrink = "name: envoy.overload_actions.shrink_heap";
    for (yaml, error) in [
        (
            format!("{{resource_monitors: [{}]}}", monitor("other", 1)),
            "overload_manager.resource_monitors[0].name: this monitor must be named \
             envoy.resource_monitors.global_downstream_max_connections",
        ),
        (
            format!("{{resource_monitors: [{}]}}", monitor(CONNECTIONS, 0)),
            "overload_manager.resource_monitors[0].typed_config.max_active_downstream_connections: value must be \
             greater than 0",
        ),
        (
            format!("{{resource_monitors: [{good}, {good}]}}"),
            "overload_manager: Duplicate resource monitor envoy.resource_monitors.global_downstream_max_connections",
        ),
        (
            "{resource_monitors: [{name: nobody}]}".to_owned(),
            "overload_manager.resource_monitors[0]: Didn't find a registered implementation for 'nobody' with type \
             URL: ''",
        ),
        (
            action(&format!("{{name: nothing, triggers: [{trigger}]}}")),
            "overload_manager.actions[0]: Unknown Overload Manager Action nothing",
        ),
        (
            action(&format!(
                "{{{shrink}, triggers: [{{name: b, threshold: {{value: 1}}}}]}}"
            )),
            "overload_manager.actions[0].triggers[0]: Unknown trigger resource b for overload action \
             envoy.overload_actions.shrink_heap",
        ),
        (
            action(&format!("{{{shrink}, triggers: [{trigger}, {trigger}]}}")),
            "overload_manager.actions[0]: Duplicate trigger resource for overload action \
             envoy.overload_actions.shrink_heap",
        ),
        (
            action("{name: envoy.overload_actions.reduce_timeouts}"),
            "overload_manager.actions[0]: Overload action \"envoy.overload_actions.reduce_timeouts\" requires typed_config",
        ),
        (
            action("{name: envoy.overload_actions.reset_high_memory_stream}"),
            "overload_manager.actions[0].name: envoy.overload_actions.reset_high_memory_stream is not supported in \
             this version",
        ),
    ] {
        assert_eq!(compile(&yaml).unwrap_err(), error);
    }
}
