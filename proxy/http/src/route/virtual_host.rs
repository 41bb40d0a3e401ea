//! `VirtualHost`: the routes of some domains, in order.

use outrigger_core::{HeaderId, HeaderMap, StreamInfo};
use std::sync::Arc;

use super::{
    entry::Route,
    matcher::RouteMatcher,
    path::{without_parameters, without_query},
    rate_limit_policy::RateLimitPolicy,
    rewrite::Scratch,
    routes::Routes,
    virtual_cluster::{VirtualCluster, VirtualClusters},
    weighted::Weighted,
};

/// A compiled virtual host.
#[derive(Debug)]
pub struct VirtualHost {
    pub name: Arc<str>,
    pub(super) require_tls: TlsRequirement,
    pub(super) ignore_path_parameters: bool,
    pub(super) routes: Routes,
}

/// What a virtual host says about the requests of all its routes; each of them holds it.
#[derive(Debug, Default)]
pub struct VirtualHostPolicy {
    /// Adds `x-envoy-attempt-count` to requests.
    pub include_request_attempt_count: bool,
    /// Adds `x-envoy-attempt-count` to responses.
    pub include_attempt_count_in_response: bool,
    /// Adds `x-envoy-is-timeout-retry` to requests that are retried after a timeout.
    pub include_is_timeout_retry_header: bool,
    pub(super) rate_limits: RateLimitPolicy,
    pub(super) virtual_clusters: VirtualClusters,
}

impl VirtualHostPolicy {
    /// The virtual cluster that counts a request, if there are any.
    pub fn virtual_cluster(&self, headers: &HeaderMap) -> Option<&VirtualCluster> {
        self.virtual_clusters.find(headers)
    }
}

/// One route in its place: what it matches and what it leads to.
#[derive(Debug)]
pub(super) struct Candidate {
    pub matcher: Arc<RouteMatcher>,
    pub target: Target,
}

/// What a match leads to.
#[derive(Debug)]
pub(super) enum Target {
    Route(Arc<Route>),
    Weighted(Weighted),
}

/// `require_tls`, with the route that redirects.
#[derive(Debug)]
pub(super) enum TlsRequirement {
    None,
    All(Arc<Route>),
    ExternalOnly(Arc<Route>),
}

impl VirtualHost {
    /// The first route that takes the request, or the redirect to TLS.
    pub(super) fn find(&self, headers: &HeaderMap, info: &StreamInfo) -> Option<&Arc<Route>> {
        match &self.require_tls {
            TlsRequirement::All(redirect) if !is_tls(headers) => return Some(redirect),
            TlsRequirement::ExternalOnly(redirect)
                if !is_tls(headers) && headers.get(HeaderId::EnvoyInternal) != Some(b"true") =>
            {
                return Some(redirect);
            }
            _ => {}
        }
        let mut stripped = Scratch::new();
        let mut path = headers.get(HeaderId::Path).map(without_query);
        if let Some(full) = path.filter(|path| self.ignore_path_parameters && path.contains(&b';'))
        {
            without_parameters(full, &mut stripped);
            path = Some(&stripped);
        }
        self.routes
            .find(headers, path, info)
            .and_then(|target| target.pick(headers, info))
    }
}

impl Target {
    pub(super) fn pick(&self, headers: &HeaderMap, info: &StreamInfo) -> Option<&Arc<Route>> {
        match self {
            Self::Route(route) => Some(route),
            Self::Weighted(weighted) => weighted.pick(headers, info.stream_id),
        }
    }
}

/// TLS as the client saw it: a proxy in front may have ended it.
fn is_tls(headers: &HeaderMap) -> bool {
    headers.get(HeaderId::ForwardedProto) == Some(b"https")
}
