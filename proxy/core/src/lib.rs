//! The ground of the data path: what every floor above shares and none may own.
//!
//! Headers, stream info, stats, access-log formatting, config errors, slots and worker identity live here. Nothing in
//! this crate opens a socket of the data path or knows a cluster, a route or a listener.

pub mod access_log;
pub mod address;
pub mod base64;
pub mod connection_rate;
pub mod context;
pub mod data_source;
pub mod decoy;
pub mod drain;
pub mod error;
pub mod field;
pub mod filter_state_value;
pub mod formatter;
pub mod header;
pub mod local_info;
pub mod log;
pub mod matcher;
pub mod metadata;
pub mod network_filter;
pub mod overload;
pub mod panics;
pub mod protocol;
pub mod rbac;
pub mod response_flag;
pub mod runtime;
pub mod scaled_timer;
pub mod slot;
pub mod stats;
pub mod stream_info;
pub mod tls_info;
pub mod token_bucket;
mod uuid;
pub mod wakers;
pub mod wall_clock;
pub mod worker;

pub use address::Address;
pub use context::Context;
pub use error::ConfigError;
pub use header::{HeaderId, HeaderMap, HeaderName, HeaderSet, OriginalNames};
pub use local_info::LocalInfo;
pub use protocol::{Method, Protocol};
pub use response_flag::{ResponseFlag, ResponseFlags};
pub use slot::Slot;
pub use stream_info::{ConnectionInfo, StreamInfo};
