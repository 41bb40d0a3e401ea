//! Listeners: from an accepted socket to the end of its last network filter.
//!
//! A listener is compiled once and never changes; this crate must never speak a protocol itself.

mod accept;
mod balancer;
mod config;
mod connection;
mod directory;
pub mod fields;
pub mod filter_chain;
mod limit;
mod listener;
mod log;
mod manager;
mod network_filter;
mod stats;

pub use limit::{ConnectionLimit, ConnectionPermit};
pub use listener::{FilterChain, Listener};
pub use manager::ListenerManager;
pub use network_filter::NetworkFilter;
pub use stats::{ListenerManagerStats, ListenerStats, WorkerStats};
