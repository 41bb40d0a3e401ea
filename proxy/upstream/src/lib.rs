//! Clusters: where requests and connections go. Discovery, load balancing, circuit breaking and connection pools.
//!
//! Knows nothing of HTTP's wire format, routes or filters: it hands out hosts and connected streams, and counts them.

pub mod circuit_breaker;
pub mod cluster;
pub mod config;
pub mod discovery;
pub mod fields;
pub mod frames;
pub mod host;
pub mod host_set;
pub mod lb;
pub mod manager;
pub mod pool;
pub mod stats;
pub mod tunnel;

pub use circuit_breaker::{Overflow, Priority, RequestPermit, RetryPermit};
pub use cluster::Cluster;
pub use config::{ClusterConfig, ClusterDefaults};
pub use fields::FIELDS;
pub use host::Host;
pub use host_set::HostSet;
pub use lb::{HostPredicate, LbContext, OverrideHost, PreviousPriorities};
pub use manager::{BuildContext, ClusterManager};
pub use pool::{
    CloseReason, FailureReason, Http1Connection, Http1Request, Http2Request, Http2Stream,
    PoolFailure, TcpConnection, UpstreamConnectionInfo, is_flood,
};
pub use stats::ResponseKind;
