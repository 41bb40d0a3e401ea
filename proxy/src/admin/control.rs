//! Endpoints that change the process: shutdown, draining, health, logs and counters.

use super::{
    params::Params,
    reply::Reply,
    state::{AdminState, DrainRequest},
};

pub fn quit(state: &AdminState, _: &Params) -> Reply {
    state.lifecycle.shutdown();
    Reply::ok()
}

pub fn fail_health_checks(state: &AdminState, _: &Params) -> Reply {
    state.lifecycle.fail_health_checks(true);
    Reply::ok()
}

pub fn pass_health_checks(state: &AdminState, _: &Params) -> Reply {
    state.lifecycle.fail_health_checks(false);
    Reply::ok()
}

pub fn drain_listeners(state: &AdminState, params: &Params) -> Reply {
    state.lifecycle.drain_listeners(DrainRequest {
        inbound_only: params.has("inboundonly"),
        graceful: params.has("graceful"),
        skip_exit: params.has("skip_exit"),
    });
    Reply::ok()
}

pub fn reopen_logs(state: &AdminState, _: &Params) -> Reply {
    state.lifecycle.reopen_logs();
    Reply::ok()
}

pub fn reset_counters(state: &AdminState, _: &Params) -> Reply {
    state.stats.reset_counters();
    Reply::ok()
}
