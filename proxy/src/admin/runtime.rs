//! `/runtime` and `/runtime_modify`.

use super::{params::Params, reply::Reply, state::AdminState};
use http::StatusCode;
use serde_json::{Map, json};

const USAGE: &str = "usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN\n       \
                     or send the parameters as form values\n\
                     use an empty value to remove a previously added override";

pub fn runtime(state: &AdminState, _: &Params) -> Reply {
    let entries: Map<_, _> = state
        .runtime
        .entries()
        .into_iter()
        .map(|entry| {
            let values =
                json!({"final_value": entry.final_value, "layer_values": entry.layer_values});
            (entry.key, values)
        })
        .collect();
    Reply::json(&json!({"entries": entries, "layers": state.runtime.layers()}))
}

pub fn modify(state: &AdminState, params: &Params) -> Reply {
    if params.is_empty() {
        return Reply::bad_request(USAGE);
    }
    match state.runtime.modify(params.pairs()) {
        Ok(()) => Reply::ok(),
        Err(_) => {
            Reply::text("No admin layer specified").with_status(StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}
