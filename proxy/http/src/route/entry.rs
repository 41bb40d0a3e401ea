//! One route as the data path uses it, and what it does to the heads that pass.

use outrigger_core::{
    HeaderId, HeaderMap, StreamInfo, formatter::FormatContext, stream_info::RouteInfo,
};
use std::{sync::Arc, time::Duration};

use super::{
    action::Action,
    header_mutation::HeaderParser,
    matcher::RouteMatcher,
    per_filter::PerFilter,
    rewrite::{Scratch, update_path},
    virtual_cluster::RequestStats,
    virtual_host::VirtualHostPolicy,
};

/// A route; of a weighted route, the chosen cluster's variant.
#[derive(Debug)]
pub struct Route {
    /// Names and metadata, as logs and filters see them.
    pub info: Arc<RouteInfo>,
    pub action: Action,
    /// With a `stat_prefix`: `vhost.<virtual host>.route.<stat_prefix>.`
    pub stats: Option<Arc<RequestStats>>,
    pub virtual_host: Arc<VirtualHostPolicy>,
    /// What filters are told to do otherwise here.
    pub per_filter: PerFilter,
    /// Most bytes of a request kept for retries, of route or virtual host.
    pub request_body_buffer_limit: Option<u64>,
    pub(super) matcher: Arc<RouteMatcher>,
    pub(super) mutations: Mutations,
    /// `host_rewrite_literal` of a weighted cluster, which leaves no trace of the host in front.
    pub(super) weighted_host: Option<Box<[u8]>>,
}

/// Header parsers of all levels in the order of evaluation; the last one wins.
#[derive(Clone, Debug, Default)]
pub(super) struct Mutations {
    /// The weighted cluster's own, always evaluated first.
    pub weighted: Option<Arc<LevelMutations>>,
    /// Route, virtual host and route configuration, or the other way round where the most specific shall win.
    pub levels: Vec<Arc<LevelMutations>>,
}

/// The mutations of one level.
#[derive(Debug, Default)]
pub(super) struct LevelMutations {
    pub request: HeaderParser,
    pub response: HeaderParser,
}

impl LevelMutations {
    pub(super) fn is_empty(&self) -> bool {
        self.request.is_empty() && self.response.is_empty()
    }
}

impl Mutations {
    fn in_order(&self) -> impl Iterator<Item = &LevelMutations> {
        self.weighted
            .iter()
            .chain(&self.levels)
            .map(|level| &**level)
    }
}

impl Route {
    /// Everything that the route does to a request before it goes upstream, in Envoy's order: header mutations, host
    /// rewrite, path rewrite. `keep_original` asks for `x-envoy-original-host` and `-path`, as unless the router
    /// suppresses Envoy's headers. (`auto_host_rewrite` waits for the upstream host.)
    pub fn finalize_request_headers(
        &self,
        headers: &mut HeaderMap,
        info: &StreamInfo,
        keep_original: bool,
    ) {
        if let Some(level) = &self.mutations.weighted {
            level.request.evaluate_request(headers, info);
        }
        if let Some(host) = &self.weighted_host {
            headers.set(HeaderId::Authority, host);
        }
        for level in &self.mutations.levels {
            level.request.evaluate_request(headers, info);
        }
        let Action::Forward(forward) = &self.action else {
            return;
        };
        forward.host_rewrite.apply(
            headers,
            info,
            forward.append_x_forwarded_host,
            keep_original,
        );
        let mut path = Scratch::new();
        let cx = FormatContext {
            request: Some(headers),
            ..FormatContext::new(info)
        };
        let old = headers.get(HeaderId::Path).unwrap_or_default();
        if forward
            .path_rewrite
            .apply(&self.matcher.path, old, &cx, &mut path)
        {
            update_path(headers, &path, keep_original);
        }
    }

    /// What the route does to a response, local replies included. `request` are the request's headers as they went
    /// upstream.
    pub fn finalize_response_headers(
        &self,
        headers: &mut HeaderMap,
        request: &HeaderMap,
        info: &StreamInfo,
    ) {
        for level in self.mutations.in_order() {
            level
                .response
                .evaluate_response(headers, Some(request), info);
        }
    }

    /// The flush timeout that the route asks for; zero disables it.
    pub fn flush_timeout(&self) -> Option<Duration> {
        match &self.action {
            Action::Forward(forward) => forward.flush_timeout,
            _ => None,
        }
    }

    /// The stream idle timeout that the route asks for; zero disables it.
    pub fn idle_timeout(&self) -> Option<Duration> {
        match &self.action {
            Action::Forward(forward) => forward.idle_timeout,
            _ => None,
        }
    }
}
