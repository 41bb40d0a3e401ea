//! Which cluster a route leads to.

use crate::{
    route::{Action, ClusterChoice, Forward},
    stream::ActiveStream,
};
use outrigger_core::log_debug;
use outrigger_upstream::Cluster;
use std::{borrow::Cow, sync::Arc};

/// Names the route's cluster to the log of a request that does not come as far as the router.
pub(crate) fn name_cluster(stream: &mut ActiveStream<'_>) {
    if let Some(cluster) = cluster_of(stream) {
        stream.info.cluster = Some(cluster.info.clone());
    }
}

/// The cluster that a filter sees: the route's, if there is one by now.
pub(crate) fn cluster_of(stream: &ActiveStream<'_>) -> Option<Arc<Cluster>> {
    match &stream.route.as_ref()?.route.action {
        Action::Forward(forward) => find_cluster(forward, stream),
        _ => None,
    }
}

pub(super) fn log_unknown_cluster(forward: &Forward, stream: &ActiveStream<'_>) {
    let name = match forward.cluster(&stream.messages.request) {
        ClusterChoice::Named(name) => String::from_utf8_lossy(name),
        ClusterChoice::Slot(_) | ClusterChoice::Missing => Cow::Borrowed(""),
    };
    log_debug!("router", &stream.info => "unknown cluster '{name}'");
}

/// The cluster of a route; `None` is Envoy's `cluster_not_found`.
pub(super) fn find_cluster(forward: &Forward, stream: &ActiveStream<'_>) -> Option<Arc<Cluster>> {
    match forward.cluster(&stream.messages.request) {
        ClusterChoice::Slot(slot) => slot.load_full(),
        ClusterChoice::Named(name) => stream.hcm.clusters.get(std::str::from_utf8(name).ok()?),
        ClusterChoice::Missing => None,
    }
}
