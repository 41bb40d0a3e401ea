//! `/stats/recentlookups`: names of stats that were looked up while serving. There are none, as every stat is resolved when
//! the configuration is compiled.

use super::{params::Params, reply::Reply, state::AdminState};
use http::StatusCode;

pub fn show(_: &AdminState, _: &Params) -> Reply {
    Reply::text("Lookup tracking is not enabled.\n\ntotal: 0\n")
}

/// Also answers `disable`: in both cases what is asked for is so already.
pub fn clear(_: &AdminState, _: &Params) -> Reply {
    Reply::ok()
}

pub fn enable(_: &AdminState, _: &Params) -> Reply {
    Reply::text("The current build does not support lookup tracking")
        .with_status(StatusCode::NOT_IMPLEMENTED)
}
