//! What one upstream connection counts from its first SYN to its end.

use super::PoolFailure;
use crate::{
    circuit_breaker::{ConnectionPermit, Overflow, ResourceManager},
    config::ClusterConfig,
    host::HostDescription,
    stats::{ClusterStats, CodecStats},
};
use outrigger_core::{Address, log::Tags, log_debug, stream_info::HostInfo};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

/// What is known of an established connection.
#[derive(Clone, Debug)]
pub struct UpstreamConnectionInfo {
    /// Unique in the process: `%UPSTREAM_CONNECTION_ID%`.
    pub id: u64,
    /// `None`: our end of a Unix socket has none, nor has that of a peer that is gone already.
    pub local_address: Option<Address>,
    pub remote_address: Address,
    /// The host as it was when the connection was made.
    pub host: Arc<HostInfo>,
    pub connect_begin: Instant,
    pub connect_end: Instant,
}

/// Who ended a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CloseReason {
    /// We did.
    #[default]
    Local,
    /// The peer did: FIN or RST.
    Remote,
}

/// What the pool of a host and its connections share.
#[derive(Debug)]
pub struct PoolParts {
    pub(crate) config: Arc<ClusterConfig>,
    pub(crate) stats: Arc<ClusterStats>,
    pub(crate) codecs: Arc<CodecStats>,
    pub(crate) breakers: Arc<ResourceManager>,
    /// Those of the other priority.
    pub(crate) other_breakers: Arc<ResourceManager>,
    pub(crate) host: Arc<HostDescription>,
    /// What every connection begins with.
    pub(crate) header: Option<Box<[u8]>>,
    /// Connections of this pool, connecting ones included.
    pub(crate) connections: AtomicUsize,
}

impl PoolParts {
    pub(crate) fn host_info(&self) -> Arc<HostInfo> {
        Arc::clone(&self.host.info())
    }

    /// A request found a connection and no room among the active requests.
    pub(super) fn overflow(&self) -> PoolFailure {
        PoolFailure::overflow(Some(self.host_info()))
    }
}

/// One connection in the books: counts it from its making to its drop.
#[derive(Debug)]
pub(crate) struct ConnectionGuard {
    parts: Arc<PoolParts>,
    id: u64,
    _permit: ConnectionPermit,
    begin: Instant,
    connected: bool,
    /// Requests or TCP sessions that are on it.
    active: u32,
    /// Requests so far.
    requests: u32,
    reason: CloseReason,
    /// `max_connection_duration`.
    max_duration: Option<Duration>,
}

impl ConnectionGuard {
    pub(crate) fn new(parts: Arc<PoolParts>) -> Self {
        let stats = &parts.stats;
        stats.upstream_cx_total.inc();
        stats.upstream_cx_active.inc();
        parts.host.stats.cx_total.inc();
        parts.host.stats.cx_active.inc();
        parts.connections.fetch_add(1, Relaxed);
        let max_duration = parts.config.max_connection_duration;
        Self {
            id: parts.config.next_connection_id(),
            _permit: ConnectionPermit::new(parts.breakers.clone()),
            parts,
            begin: Instant::now(),
            connected: false,
            active: 0,
            requests: 0,
            reason: CloseReason::Local,
            max_duration,
        }
    }

    pub(crate) fn connected(&mut self, now: Instant) {
        self.connected = true;
        let took = now.saturating_duration_since(self.begin);
        self.parts
            .stats
            .upstream_cx_connect_ms
            .record(took.as_millis() as u64);
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// For the log.
    pub(crate) fn tags(&self) -> Tags {
        Tags::connection(self.id)
    }

    pub(crate) fn begin(&self) -> Instant {
        self.begin
    }

    pub(crate) fn requests(&self) -> u32 {
        self.requests
    }

    /// When it has to end, if its duration is limited.
    pub(crate) fn expires(&self) -> Option<Instant> {
        self.max_duration.map(|max| self.begin + max)
    }

    /// No further request may go onto it.
    pub(crate) fn exhausted(&self) -> bool {
        self.parts
            .config
            .max_requests_per_connection
            .is_some_and(|max| self.requests >= max.get())
    }

    pub(crate) fn set_reason(&mut self, reason: CloseReason) {
        if self.connected && reason == CloseReason::Remote {
            log_debug!("connection", self.tags() => "remote close");
        }
        self.reason = reason;
    }

    /// Puts a request onto it, if `max_requests` allows.
    pub(crate) fn begin_request(&mut self) -> Result<(), Overflow> {
        if !self.parts.breakers.requests.can_create() {
            self.parts.stats.upstream_rq_active_overflow.inc();
            return Err(Overflow);
        }
        self.begin_session();
        if self.exhausted() {
            self.parts.stats.upstream_cx_max_requests.inc();
        }
        Ok(())
    }

    /// Puts a TCP session onto it: counts as a request, but `max_requests` does not hold it back.
    pub(crate) fn begin_session(&mut self) {
        let PoolParts {
            stats,
            breakers,
            host,
            ..
        } = &*self.parts;
        breakers.inc_requests();
        stats.upstream_rq_total.inc();
        stats.upstream_rq_active.inc();
        host.stats.rq_total.inc();
        host.stats.rq_active.inc();
        self.active += 1;
        self.requests = self.requests.saturating_add(1);
    }

    /// Adds bytes that were read and written; a connection that moved nothing leaves the counters unused.
    pub(crate) fn count(&self, received: u64, sent: u64) {
        let stats = &self.parts.stats;
        if received > 0 {
            stats.upstream_cx_rx_bytes_total.add(received);
        }
        if sent > 0 {
            stats.upstream_cx_tx_bytes_total.add(sent);
        }
    }

    pub(crate) fn end_request(&mut self) {
        if self.active > 0 {
            self.active -= 1;
            self.parts.breakers.dec_requests();
            self.parts.stats.upstream_rq_active.dec();
            self.parts.host.stats.rq_active.dec();
        }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let active = self.active > 0;
        while self.active > 0 {
            self.end_request();
        }
        let PoolParts {
            stats,
            host,
            connections,
            ..
        } = &*self.parts;
        let remote = self.reason == CloseReason::Remote;
        log_debug!("connection", self.tags() => "closing socket: {}", u8::from(!remote));
        if self.connected {
            log_debug!("pool", self.tags() => "client disconnected, failure reason: ");
        }
        stats.upstream_cx_destroy.inc();
        if remote {
            stats.upstream_cx_destroy_remote.inc();
        } else {
            stats.upstream_cx_destroy_local.inc();
        }
        if active {
            stats.upstream_cx_destroy_with_active_rq.inc();
            if remote {
                stats.upstream_cx_destroy_remote_with_active_rq.inc();
            } else {
                stats.upstream_cx_destroy_local_with_active_rq.inc();
            }
        }
        if self.connected {
            stats.upstream_rq_per_cx.record(self.requests.into());
        } else {
            stats.upstream_cx_connect_fail.inc();
            host.stats.cx_connect_fail.inc();
        }
        stats
            .upstream_cx_length_ms
            .record(self.begin.elapsed().as_millis() as u64);
        stats.upstream_cx_active.dec();
        host.stats.cx_active.dec();
        connections.fetch_sub(1, Relaxed);
    }
}
