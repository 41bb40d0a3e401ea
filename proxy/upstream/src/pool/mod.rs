//! Envoy's connection pools: established connections to hosts, with the accounting of each.
//!
//! Pools belong to a worker, a host and a routing priority; a connection never changes its pool.

mod connect;
mod connection;
pub mod http1;
pub mod http2;
mod http2_driver;
mod janitor;
mod pending;
pub(crate) mod proxied;
mod tcp;
#[cfg(test)]
mod tests;

pub use connection::{CloseReason, UpstreamConnectionInfo};
pub use http1::{Http1Connection, Http1Request};
pub use http2::{Http2Request, Http2Stream};
pub use http2_driver::is_flood;
use outrigger_core::stream_info::HostInfo;
use std::{fmt, sync::Arc};
pub use tcp::TcpConnection;
pub(crate) use tcp::connect as tcp_connect;

/// Why there is no connection (Envoy's `ConnectionPool::PoolFailureReason`). The texts are Envoy's transport failure
/// reasons, such as `delayed connect error: Connection refused`; logs print `_` in place of their spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureReason {
    /// A circuit breaker is open: nothing was tried.
    Overflow,
    /// The host or the network refused.
    RemoteConnectionFailure(Arc<str>),
    /// This machine did, such as for a source address that it has not.
    LocalConnectionFailure(Arc<str>),
    /// `connect_timeout` ran out.
    Timeout,
}

impl FailureReason {
    /// The transport failure reason, empty if there is none.
    pub fn transport_failure(&self) -> &str {
        match self {
            Self::RemoteConnectionFailure(text) | Self::LocalConnectionFailure(text) => text,
            Self::Overflow | Self::Timeout => "",
        }
    }
}

/// A request for a connection failed.
#[derive(Clone, Debug)]
pub struct PoolFailure {
    pub reason: FailureReason,
    /// The host that was tried. A request that could not even wait has none, as Envoy logs it.
    pub host: Option<Arc<HostInfo>>,
}

impl PoolFailure {
    pub(crate) fn overflow(host: Option<Arc<HostInfo>>) -> Self {
        Self {
            reason: FailureReason::Overflow,
            host,
        }
    }
}

impl fmt::Display for PoolFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            FailureReason::Overflow => f.write_str("overflow"),
            FailureReason::Timeout => f.write_str("connection timeout"),
            other => f.write_str(other.transport_failure()),
        }
    }
}

impl std::error::Error for PoolFailure {}
