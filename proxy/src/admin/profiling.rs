//! `/cpuprofiler`, `/heapprofiler`, `/allocprofiler`, the heap dumps and `/contention`: this build has no profiler, and
//! each answers as an Envoy that was built without.

use super::{params::Params, reply::Reply, state::AdminState};
use http::StatusCode;

pub fn cpu(_: &AdminState, params: &Params) -> Reply {
    match enable(params) {
        None => usage(),
        Some(true) => Reply::text("failure to start the profiler")
            .with_status(StatusCode::INTERNAL_SERVER_ERROR),
        Some(false) => Reply::ok(),
    }
}

pub fn heap(_: &AdminState, _: &Params) -> Reply {
    missing("The current build does not support heap profiler")
}

pub fn allocations(_: &AdminState, params: &Params) -> Reply {
    match enable(params) {
        None => usage(),
        Some(_) => missing("The current build does not support allocation profiler"),
    }
}

pub fn heap_dump(_: &AdminState, _: &Params) -> Reply {
    missing("The current build does not support heap dump")
}

/// Mutexes are not traced, and no flag makes them so.
pub fn contention(_: &AdminState, _: &Params) -> Reply {
    Reply::text("The current build does not trace mutex contention.\n")
}

/// `?enable=y` or `?enable=n`, and nothing else.
fn enable(params: &Params) -> Option<bool> {
    match params.pairs() {
        [(key, value)] if key == "enable" => match value.as_str() {
            "y" => Some(true),
            "n" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn usage() -> Reply {
    Reply::bad_request("?enable=<y|n>\n")
}

fn missing(text: &str) -> Reply {
    Reply::text(text).with_status(StatusCode::NOT_IMPLEMENTED)
}
