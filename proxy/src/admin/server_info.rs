//! `/ready`, `/server_info`, `/hot_restart_version`, and what `/certs` and `/init_dump` say of a server that has neither.

use super::{
    params::Params,
    reply::Reply,
    state::{AdminState, ServerState},
};
use http::StatusCode;
use serde_json::json as object;
use std::hash::{DefaultHasher, Hash, Hasher};

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

/// Envoy prints the node with its names and lists even where they are empty.
fn with_empty_fields(node: &serde_json::Value) -> serde_json::Value {
    let mut node = with_names(node, &["id", "cluster"]);
    if let Some(fields) = node.as_object_mut() {
        if let Some(locality) = fields.get_mut("locality") {
            *locality = with_names(locality, &["region", "zone", "sub_zone"]);
        }
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

/// `message` with these strings first, whether or not it has them.
fn with_names(message: &serde_json::Value, names: &[&str]) -> serde_json::Value {
    let mut fields = serde_json::Map::new();
    for name in names {
        let value = message.get(name).cloned();
        fields.insert((*name).to_owned(), value.unwrap_or_else(|| "".into()));
    }
    for (name, value) in message.as_object().into_iter().flatten() {
        fields.entry(name).or_insert_with(|| value.clone());
    }
    serde_json::Value::Object(fields)
}

/// Without TLS no certificate is loaded.
pub fn certs(_: &AdminState, _: &Params) -> Reply {
    Reply::json(&object!({"certificates": []}))
}

/// The listeners, for as long as the server starts: they wait for clusters. Nothing else is ever waited for.
pub fn init_dump(state: &AdminState, params: &Params) -> Reply {
    let starting = match state.lifecycle.state() {
        ServerState::PreInitializing | ServerState::Initializing => true,
        ServerState::Live | ServerState::Draining => false,
    };
    let listeners = params.get("mask").is_none_or(|mask| mask == "listener");
    if !starting || !listeners {
        return Reply::json(&object!({}));
    }
    let targets = state.listeners.statuses().into_iter().map(|listener| {
        // Envoy ends the name with a hash of the listener's config; ours only has to differ between listeners.
        let mut hash = DefaultHasher::new();
        listener.name.hash(&mut hash);
        let (name, hash) = (listener.name, hash.finish());
        object!({"name": format!("init manager Listener-local-init-manager {name} {hash}")})
    });
    let targets: Vec<_> = targets.collect();
    match targets.is_empty() {
        true => Reply::json(&object!({})),
        false => Reply::json(&object!({"unready_targets_dumps": targets})),
    }
}

pub fn hot_restart_version(_: &AdminState, _: &Params) -> Reply {
    Reply::text(HOT_RESTART_VERSION)
}
