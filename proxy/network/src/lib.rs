//! Network (L4) filters. They see one connection and bytes; they must never know HTTP.

mod config;
mod copy;
pub mod fields;
mod scratch;
mod splice;
mod stats;
mod tcp_proxy;
mod timer;

pub use stats::TcpProxyStats;
pub use tcp_proxy::TcpProxy;
