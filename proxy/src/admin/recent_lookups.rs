//! `/stats/recentlookups`: names of stats that were looked up while serving. There are none, as every stat is resolved when
//! the configuration is compiled; a list that is switched on stays empty.

use super::{params::Params, reply::Reply, state::AdminState};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Whether somebody has asked for the list.
#[derive(Debug, Default)]
pub struct RecentLookups(AtomicBool);

pub fn show(state: &AdminState, _: &Params) -> Reply {
    Reply::text(match state.recent_lookups.0.load(Relaxed) {
        true => "   Count Lookup\n\ntotal: 0\n",
        false => {
            "Lookup tracking is not enabled. Use /stats/recentlookups/enable to enable.\n\ntotal: 0\n"
        }
    })
}

/// There is nothing to clear.
pub fn clear(_: &AdminState, _: &Params) -> Reply {
    Reply::ok()
}

pub fn enable(state: &AdminState, _: &Params) -> Reply {
    state.recent_lookups.0.store(true, Relaxed);
    Reply::ok()
}

pub fn disable(state: &AdminState, _: &Params) -> Reply {
    state.recent_lookups.0.store(false, Relaxed);
    Reply::ok()
}
