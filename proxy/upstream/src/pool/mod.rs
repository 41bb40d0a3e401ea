//! Envoy's connection pools: established connections to hosts, with the accounting of each.
//!
//! Pools belong to a worker, a host and a routing priority; a connection never changes its pool.

mod connect;
mod connection;
pub mod http1;
mod janitor;
mod tcp;

pub use connection::{CloseReason, UpstreamConnectionInfo};
pub use http1::{Http1Connection, Http1Request};
use outrigger_core::stream_info::HostInfo;
use std::{fmt, sync::Arc};
pub use tcp::TcpConnection;
pub(crate) use tcp::connect as tcp_connect;

/// Why there is no connection (Envoy's `ConnectionPool::PoolFailureReason`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureReason {
    /// A circuit breaker is open: nothing was tried.
    Overflow,
    /// Envoy's transport failure reason, such as `delayed connect error: Connection refused`. Logs print it with `_`
    /// in place of spaces.
    ConnectFailed(Arc<str>),
    /// `connect_timeout` ran out.
    ConnectTimeout,
}

impl FailureReason {
    /// The transport failure reason, empty if there is none.
    pub fn transport_failure(&self) -> &str {
        match self {
            Self::ConnectFailed(text) => text,
            Self::Overflow | Self::ConnectTimeout => "",
        }
    }
}

/// A request for a connection failed.
#[derive(Clone, Debug)]
pub struct PoolFailure {
    pub reason: FailureReason,
    /// The host that was tried.
    pub host: Arc<HostInfo>,
}

impl fmt::Display for PoolFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            FailureReason::Overflow => f.write_str("overflow"),
            FailureReason::ConnectFailed(text) => f.write_str(text),
            FailureReason::ConnectTimeout => f.write_str("connection timeout"),
        }
    }
}

impl std::error::Error for PoolFailure {}
