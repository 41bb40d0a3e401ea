//! What a route does with a request: forwards it, or answers it itself.

use outrigger_core::{HeaderMap, HeaderName, Slot, metadata::Metadata};
use outrigger_upstream::{Cluster, Priority};
use std::{sync::Arc, time::Duration};

use super::{
    direct_response::DirectResponse,
    internal_redirect::InternalRedirectPolicy,
    rate_limit_policy::RateLimitPolicy,
    redirect::Redirect,
    retry_policy::RetryPolicy,
    rewrite::{HostRewrite, PathRewrite, update_authority},
    upgrade::RouteUpgrades,
};

/// The `action` of a route.
#[derive(Debug)]
pub enum Action {
    Forward(Box<Forward>),
    Redirect(Box<Redirect>),
    DirectResponse(DirectResponse),
    /// The router answers 503 `cluster_not_found`.
    NonForwarding,
}

/// `RouteAction`: where a request goes and for how long.
#[derive(Clone, Debug)]
pub struct Forward {
    pub(super) cluster: ClusterSpecifier,
    /// The status of the local reply when there is no such cluster (503 by default).
    pub cluster_not_found_response_code: u16,
    /// Subset load balancing criteria (`envoy.lb`), those of the weighted cluster over those of the route.
    pub metadata_match: Metadata,
    /// From the end of the request to the end of the response: 15 s by default, nothing if disabled.
    pub timeout: Option<Duration>,
    /// Overrides the HTTP connection manager's stream idle timeout; zero disables it.
    pub idle_timeout: Option<Duration>,
    pub flush_timeout: Option<Duration>,
    /// With it, `timeout` does not hold.
    pub max_stream_duration: Option<MaxStreamDuration>,
    /// Legacy form of `grpc_timeout_header_max`, for the route timeout.
    pub max_grpc_timeout: Option<Duration>,
    pub grpc_timeout_offset: Option<Duration>,
    /// The route's policy, or its virtual host's.
    pub retry_policy: Option<Arc<RetryPolicy>>,
    /// Which redirects of the upstream are followed here.
    pub internal_redirect_policy: Option<Arc<InternalRedirectPolicy>>,
    /// An attempt that takes longer than `per_try_timeout` goes on beside the next one; whoever answers first wins.
    pub hedge_on_per_try_timeout: bool,
    pub priority: Priority,
    /// The authority becomes the chosen endpoint's hostname: see [`rewrite_host_to_upstream`](Self::rewrite_host_to_upstream).
    pub auto_host_rewrite: bool,
    pub append_x_forwarded_host: bool,
    pub rate_limits: RateLimitPolicy,
    /// Those of the virtual host count as well, whatever a limiter says.
    pub include_virtual_host_rate_limits: bool,
    /// Which upgrades the route allows, where it says so.
    pub upgrades: Option<Box<RouteUpgrades>>,
    pub(super) host_rewrite: HostRewrite,
    pub(super) path_rewrite: PathRewrite,
}

/// `RouteAction.MaxStreamDuration`; a zero disables what it stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaxStreamDuration {
    pub max_stream_duration: Option<Duration>,
    pub grpc_timeout_header_max: Option<Duration>,
    pub grpc_timeout_header_offset: Option<Duration>,
}

/// How the cluster is named. Weighted clusters are routes of their own and already chosen here.
#[derive(Clone, Debug)]
pub(super) enum ClusterSpecifier {
    Slot(Arc<Slot<Cluster>>),
    Header(HeaderName),
}

/// Where to send a request.
#[derive(Clone, Copy, Debug)]
pub enum ClusterChoice<'a> {
    Slot(&'a Arc<Slot<Cluster>>),
    /// `cluster_header`: look the cluster up by this name.
    Named(&'a [u8]),
    /// The `cluster_header` is missing: the same answer as for an unknown cluster.
    Missing,
}

impl Forward {
    /// The cluster that this request goes to.
    pub fn cluster<'a>(&'a self, headers: &'a HeaderMap) -> ClusterChoice<'a> {
        match &self.cluster {
            ClusterSpecifier::Slot(slot) => ClusterChoice::Slot(slot),
            ClusterSpecifier::Header(name) => headers
                .get_name(name)
                .map_or(ClusterChoice::Missing, ClusterChoice::Named),
        }
    }

    /// The name of the cluster that this request goes to, whether or not there is one of that name.
    pub fn cluster_name<'a>(&'a self, headers: &'a HeaderMap) -> Option<&'a [u8]> {
        match self.cluster(headers) {
            ClusterChoice::Slot(slot) => Some(slot.name().as_bytes()),
            ClusterChoice::Named(name) => Some(name),
            ClusterChoice::Missing => None,
        }
    }

    /// `auto_host_rewrite`, once the endpoint is chosen; an endpoint without a hostname changes nothing.
    /// `keep_original` asks for `x-envoy-original-host`, as unless the router suppresses Envoy's headers.
    pub fn rewrite_host_to_upstream(
        &self,
        headers: &mut HeaderMap,
        hostname: &[u8],
        keep_original: bool,
    ) {
        if self.auto_host_rewrite && !hostname.is_empty() {
            update_authority(
                headers,
                hostname,
                self.append_x_forwarded_host,
                keep_original,
            );
        }
    }
}
