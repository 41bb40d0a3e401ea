//! What the overload manager demands of requests and responses.

use super::ActiveStream;
use crate::{hcm::DrainState, local_reply::LocalReply};
use outrigger_core::{HeaderId, log_debug, overload::OverloadState};
use std::sync::Arc;
use tokio::time::Instant;

/// The overload manager as one connection manager sees it.
#[derive(Debug)]
pub struct Overload {
    pub(crate) state: Arc<OverloadState>,
    /// `append_local_overload`
    pub(crate) append_header: bool,
}

impl ActiveStream<'_> {
    /// The answer to a request that there is no room for. Neither a route nor a filter has seen it.
    #[cold]
    pub(super) fn overloaded(&self) -> LocalReply {
        self.hcm.stats.downstream_rq_overload_close.inc();
        let reply = LocalReply::new(503, "envoy overloaded", "overload");
        if self.hcm.overload.append_header {
            return reply.header(HeaderId::EnvoyLocalOverloaded, &b"true"[..]);
        }
        reply
    }

    /// Lets the connection drain from this response on, if its listener drains or the process is overloaded.
    pub(super) fn decide_drain(&mut self, now: Instant) {
        if self.connection.drain != DrainState::NotDraining {
            return;
        }
        if self.hcm.drain.drain_close() {
            log_debug!("http", &self.info => "drain closing connection");
            self.connection.begin_drain(now);
        } else if self.hcm.overload.state.disables_keepalive() {
            log_debug!("http", &self.info => "disabling keepalive due to envoy overload");
            let stats = &self.hcm.stats;
            stats.downstream_cx_overload_disable_keepalive.inc();
            self.connection.begin_drain(now);
        }
    }
}
