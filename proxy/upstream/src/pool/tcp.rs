//! Connections of their own: what the TCP proxy uses. One session each, never reused.

use super::{
    CloseReason, PoolFailure, UpstreamConnectionInfo,
    connect::{self, Connected},
    connection::{ConnectionGuard, PoolParts},
};
use crate::{circuit_breaker::PendingPermit, stats::ClusterStats};
use outrigger_core::log_debug;
use outrigger_transport::Stream;
use std::sync::Arc;

/// An established connection for one session. Dropping it closes it.
#[derive(Debug)]
pub struct TcpConnection {
    pub stream: Stream,
    pub info: Arc<UpstreamConnectionInfo>,
    guard: ConnectionGuard,
}

impl TcpConnection {
    /// Counts bytes that were read and written.
    pub fn count(&self, received: u64, sent: u64) {
        self.guard.count(received, sent);
    }

    /// Ends a session that is over, and says who ended the connection.
    pub fn finish(mut self, reason: CloseReason) {
        self.guard.end_request();
        self.guard.set_reason(reason);
    }

    /// Ends the session and says who ended it.
    pub fn close(mut self, reason: CloseReason) {
        self.guard.set_reason(reason);
    }
}

/// A session that waits for its connection. It is cancelled if it goes before that.
struct Waiting<'a>(&'a ClusterStats);

impl Waiting<'_> {
    /// The answer is there.
    fn done(self) {
        std::mem::forget(self);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.upstream_rq_cancelled.inc();
    }
}

/// Connects, if the circuit breakers allow. Dropping the future gives up.
pub(crate) async fn connect(parts: Arc<PoolParts>) -> Result<TcpConnection, PoolFailure> {
    // Other than an HTTP pool, the TCP proxy does not get a first connection beyond the limit.
    if !parts.breakers.can_connect(&parts.host.stats) {
        parts.stats.upstream_cx_overflow.inc();
        // That of its host only counts.
        if !parts.breakers.connections.can_create() {
            return Err(PoolFailure::overflow(None));
        }
    }
    let pending = PendingPermit::acquire(&parts).map_err(|_| PoolFailure::overflow(None))?;
    log_debug!("pool", "trying to create new connection");
    log_debug!("pool", "creating a new connection (connecting=0)");
    let guard = ConnectionGuard::new(parts.clone());
    let waiting = Waiting(&parts.stats);
    let connected = connect::connect(parts.clone(), guard).await;
    waiting.done();
    drop(pending);
    let Connected {
        stream,
        info,
        mut guard,
    } = connected.inspect_err(|_| parts.stats.upstream_rq_pending_failure_eject.inc())?;
    log_debug!("pool", guard.tags() => "attaching to next stream");
    log_debug!("pool", guard.tags() => "creating stream");
    guard.begin_session();
    Ok(TcpConnection {
        stream,
        info,
        guard,
    })
}
