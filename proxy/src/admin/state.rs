//! What the admin interface knows of the rest of the process. The server fills it in.

use super::{guard::Guard, recent_lookups::RecentLookups};
use envoy_api::{
    DynamicMessage, Message, MessageDescriptor, json, pb::envoy::config::bootstrap::v3::Bootstrap,
};
use outrigger_core::{Address, field::Report, stats::Store};
use outrigger_upstream::ClusterManager;
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Instant, SystemTime},
};

/// `server_info.state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    Live,
    /// `/healthcheck/fail` was called.
    Draining,
    /// Clusters are still warming.
    PreInitializing,
    /// Listeners are still warming.
    Initializing,
}

impl ServerState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "LIVE",
            Self::Draining => "DRAINING",
            Self::PreInitializing => "PRE_INITIALIZING",
            Self::Initializing => "INITIALIZING",
        }
    }
}

/// What `/drain_listeners` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainRequest {
    /// Only listeners with `traffic_direction: INBOUND`.
    pub inbound_only: bool,
    /// Go on accepting for the drain time before stopping.
    pub graceful: bool,
    /// Never stop accepting.
    pub skip_exit: bool,
}

/// The life of the process.
pub trait Lifecycle: Send + Sync {
    fn state(&self) -> ServerState;
    /// Ends the process with code 0.
    fn shutdown(&self);
    /// Fails or heals health checks; the state is `Draining` while they fail.
    fn fail_health_checks(&self, fail: bool);
    fn drain_listeners(&self, request: DrainRequest);
    /// Opens the access-log files anew.
    fn reopen_logs(&self);
}

/// One listener of `/listeners`.
#[derive(Clone, Debug)]
pub struct ListenerStatus {
    pub name: String,
    /// The bound address, and then the additional ones.
    pub addresses: Vec<Address>,
}

pub trait Listeners: Send + Sync {
    /// In the order in which they were added.
    fn statuses(&self) -> Vec<ListenerStatus>;
}

/// There is no logger of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownLogger;

/// The levels of the loggers. A level is one of `trace debug info warning error critical off`.
pub trait Logging: Send + Sync {
    /// Name and level of each logger, in Envoy's order.
    fn levels(&self) -> Vec<(&'static str, &'static str)>;
    fn set(&self, logger: &str, level: &'static str) -> Result<(), UnknownLogger>;
    fn set_all(&self, level: &'static str);
}

/// One key of `/runtime`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeEntry {
    pub key: String,
    pub final_value: String,
    /// The value in each layer, "" where it has none.
    pub layer_values: Vec<String>,
}

/// The bootstrap has no admin layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAdminLayer;

pub trait Runtime: Send + Sync {
    fn layers(&self) -> Vec<String>;
    fn entries(&self) -> Vec<RuntimeEntry>;
    /// Sets keys in the admin layer; an empty value removes the key.
    fn modify(&self, values: &[(String, String)]) -> Result<(), NoAdminLayer>;
}

/// The bootstrap as it was written, encoded: it is read when somebody dumps it, and small until then.
pub struct StoredBootstrap {
    encoded: Vec<u8>,
    /// `server_info.node`.
    pub node: Option<serde_json::Value>,
}

impl StoredBootstrap {
    pub fn new(bootstrap: &DynamicMessage) -> Self {
        let node = bootstrap.get_field_by_name("node");
        Self {
            encoded: bootstrap.encode_to_vec(),
            node: node.as_ref().and_then(|n| n.as_message()).map(json::write),
        }
    }

    pub fn message(&self) -> Option<DynamicMessage> {
        let descriptor = MessageDescriptor::of::<Bootstrap>()?;
        DynamicMessage::decode(descriptor, self.encoded.as_slice()).ok()
    }

    pub fn typed(&self) -> Bootstrap {
        Bootstrap::decode(self.encoded.as_slice()).unwrap_or_default()
    }
}

/// What the configuration says in vain.
#[derive(Debug, Default)]
pub struct ConfigWarnings {
    /// Fields that change nothing here.
    pub ignored: Vec<Report>,
    /// Fields that do not exist, each with its path.
    pub unknown: Vec<String>,
}

/// Everything that the endpoints read and act on.
pub struct AdminState {
    pub stats: Arc<Store>,
    pub clusters: Arc<ClusterManager>,
    pub listeners: Arc<dyn Listeners>,
    pub lifecycle: Arc<dyn Lifecycle>,
    pub logging: Arc<dyn Logging>,
    pub runtime: Arc<dyn Runtime>,
    /// The bootstrap with its node completed, as it was loaded.
    pub bootstrap: StoredBootstrap,
    /// `server_info.command_line_options`.
    pub command_line_options: serde_json::Value,
    /// What stands for this machine in `x-forwarded-for`.
    pub local_address: Option<IpAddr>,
    /// `server_info.version`.
    pub version: String,
    pub started: Instant,
    /// The same moment on the clock of the wall: `last_updated` of static resources.
    pub started_at: SystemTime,
    /// Called before stats are read, with `stats_flush_on_admin`.
    pub flush_on_read: bool,
    pub config_warnings: ConfigWarnings,
    pub recent_lookups: RecentLookups,
    /// Who may ask over the network.
    pub guard: Guard,
}
