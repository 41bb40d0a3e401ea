//! `/ready`, `/server_info`, `/hot_restart_version`, and what `/certs` and `/init_dump` say of a server that has neither.

use super::{
    params::Params,
    reply::Reply,
    state::{AdminState, ServerState},
};
use http::StatusCode;
use serde_json::json as object;

/// Hot restart is not offered, so the answer is that of `--disable-hot-restart`.
const HOT_RESTART_VERSION: &str = "disabled";

/// 200 only while the server is live: what probes ask.
pub fn ready(state: &AdminState, _: &Params) -> Reply {
    let server = state.lifecycle.state();
    let status = match server {
        ServerState::Live => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    Reply::text(format!("{}\n", server.as_str())).with_status(status)
}

pub fn server_info(state: &AdminState, _: &Params) -> Reply {
    let uptime = format!("{}s", state.started.elapsed().as_secs());
    let mut info = object!({
        "version": state.version,
        "state": state.lifecycle.state().as_str(),
        "uptime_current_epoch": uptime,
        "uptime_all_epochs": uptime,
        "hot_restart_version": HOT_RESTART_VERSION,
        "command_line_options": state.command_line_options,
    });
    if let Some(fields) = info.as_object_mut() {
        if let Some(node) = &state.bootstrap.node {
            fields.insert("node".into(), with_empty_fields(node));
        }
        fields.insert("hot_restart_initializing".into(), false.into());
    }
    Reply::json(&info)
}

/// Envoy prints the node with the lists that are empty.
fn with_empty_fields(node: &serde_json::Value) -> serde_json::Value {
    let mut node = node.clone();
    if let Some(fields) = node.as_object_mut() {
        for (name, empty) in [
            ("extensions", object!([])),
            ("client_features", object!([])),
            ("listening_addresses", object!([])),
            ("dynamic_parameters", object!({})),
        ] {
            fields.entry(name).or_insert(empty);
        }
    }
    node
}

/// Without TLS no certificate is loaded.
pub fn certs(_: &AdminState, _: &Params) -> Reply {
    Reply::json(&object!({"certificates": []}))
}

/// Static resources are ready at once: no target is ever waited for.
pub fn init_dump(_: &AdminState, _: &Params) -> Reply {
    Reply::json(&object!({}))
}

pub fn hot_restart_version(_: &AdminState, _: &Params) -> Reply {
    Reply::text(HOT_RESTART_VERSION)
}
