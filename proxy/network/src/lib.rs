//! Network (L4) filters. They see one connection and bytes; they must never know HTTP.

mod config;
mod copy;
mod direct_response;
pub mod echo;
pub mod fields;
mod filter;
mod log;
mod scratch;
mod session;
mod splice;
mod stats;
mod tcp_proxy;
mod timer;

pub use direct_response::DirectResponse;
pub use filter::{ConnectionLimit, LocalRateLimit, Rbac, ReadFilter, ReadFilters, SetFilterState};
pub use stats::TcpProxyStats;
pub use tcp_proxy::TcpProxy;
