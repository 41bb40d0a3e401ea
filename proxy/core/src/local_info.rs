//! Envoy's local info: who this proxy says it is. It never changes while the process runs.

use std::{net::IpAddr, sync::Arc};

/// The node of the bootstrap, with what the command line fills in.
#[derive(Clone, Debug, Default)]
pub struct LocalInfo {
    /// `node.id` or `--service-node`.
    pub node_id: Arc<str>,
    /// `node.cluster` or `--service-cluster`.
    pub cluster: Arc<str>,
    /// `node.locality.zone` or `--service-zone`.
    pub zone: Arc<str>,
    /// The machine's address of the family that `--local-address-ip-version` names: the first that is not a loopback
    /// address, or the loopback address if there is no other. `None` only before the server has looked.
    pub address: Option<IpAddr>,
}
