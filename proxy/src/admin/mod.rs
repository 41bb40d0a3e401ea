//! Envoy's administration interface. It may read everything and must never be in the way of the data path: it runs on
//! the main runtime and takes no lock that a worker waits for.

mod clusters;
mod config;
mod config_dump;
mod connection;
mod control;
mod endpoints;
mod guard;
mod home;
mod listeners;
mod log;
mod logging;
mod memory;
mod page;
mod params;
mod profiling;
mod recent_lookups;
mod reply;
mod runtime;
mod server;
mod server_info;
mod state;
mod stats;

pub use config::{AdminConfig, FIELDS};
pub use connection::AdminStats;
pub use guard::Guard;
pub use recent_lookups::RecentLookups;
pub use server::Admin;
pub use state::{
    AdminState, ConfigWarnings, DrainRequest, Lifecycle, ListenerStatus, Listeners, Logging,
    NoAdminLayer, Runtime, RuntimeEntry, ServerState, StoredBootstrap, UnknownLogger,
};

#[cfg(test)]
mod tests;
