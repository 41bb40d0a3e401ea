//! `/listeners`.

use super::{params::Params, reply::Reply, state::AdminState};
use outrigger_core::Address;
use serde_json::{Map, Value, json};

pub fn listeners(state: &AdminState, params: &Params) -> Reply {
    let statuses = state.listeners.statuses();
    if params.get("format") != Some("json") {
        let lines = statuses.iter().flat_map(|status| {
            let name = &status.name;
            status
                .addresses
                .iter()
                .map(move |address| format!("{name}::{address}\n"))
        });
        return Reply::text(lines.collect::<String>());
    }
    let statuses: Vec<Value> = statuses
        .into_iter()
        .map(|status| {
            let mut fields = Map::new();
            fields.insert("name".into(), status.name.into());
            let mut addresses = status.addresses.iter().map(address);
            if let Some(first) = addresses.next() {
                fields.insert("local_address".into(), first);
            }
            let others: Vec<Value> = addresses.collect();
            if !others.is_empty() {
                fields.insert("additional_local_addresses".into(), others.into());
            }
            fields.into()
        })
        .collect();
    Reply::json(&match statuses.as_slice() {
        [] => json!({}),
        statuses => json!({ "listener_statuses": statuses }),
    })
}

/// A `core.v3.Address`.
pub fn address(address: &Address) -> Value {
    match address {
        Address::Ip(ip) => json!({
            "socket_address": {"address": ip.ip().to_string(), "port_value": ip.port()}
        }),
        Address::Pipe(path) => json!({"pipe": {"path": path.display().to_string()}}),
    }
}
