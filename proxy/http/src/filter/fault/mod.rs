//! `envoy.filters.http.fault`: delays requests, answers them itself, or slows their responses down, to see what becomes
//! of those who depend on them.

mod settings;

use self::settings::{Abort, Settings};
use super::{Decision, FilterContext, FilterState, Instance, Pause, StreamRateLimiter};
use crate::{
    local_reply::LocalReply,
    route::{Action, FilterOverride},
    stream::{ActiveStream, Transform, Way},
};
use envoy_api::pb::envoy::extensions::filters::http::fault::v3::HttpFault as Proto;
use outrigger_core::{
    ConfigError, HeaderId, ResponseFlag, runtime::Runtime, stat_group, stats::Store,
};
use std::{sync::Arc, time::Duration};

stat_group! {
    /// `http.<stat_prefix>.fault.`
    pub struct FaultStats {
        counter aborts_injected,
        counter delays_injected,
        counter faults_overflow,
        counter response_rl_injected,
        gauge active_faults,
    }
}

/// The filter.
#[derive(Debug)]
pub struct Fault {
    settings: Box<Settings>,
    stats: Arc<FaultStats>,
    /// `http.<stat_prefix>.fault.`, for the stats of downstream clusters.
    prefix: Box<str>,
    store: Arc<Store>,
}

/// A stream with a fault; it counts as active until it ends.
#[derive(Debug)]
pub struct ActiveFault(Arc<FaultStats>);

impl ActiveFault {
    fn begin(stats: &Arc<FaultStats>) -> Self {
        stats.active_faults.inc();
        Self(stats.clone())
    }
}

impl Drop for ActiveFault {
    fn drop(&mut self) {
        self.0.active_faults.dec();
    }
}

/// Compiles the faults of one level of the route configuration.
pub fn compile_override(
    proto: &Proto,
    runtime: &Arc<Runtime>,
) -> Result<FilterOverride, ConfigError> {
    Ok(Arc::new(Settings::compile(proto, runtime)?))
}

impl Fault {
    pub fn compile(proto: &Proto, context: &FilterContext<'_>) -> Result<Self, ConfigError> {
        let process = &context.build.context;
        Ok(Self {
            settings: Box::new(Settings::compile(proto, &process.runtime)?),
            stats: context.stats("fault.", FaultStats::default()),
            prefix: format!("{}fault.", context.stat_prefix).into(),
            store: process.stats.clone(),
        })
    }

    pub(crate) fn decode_headers(&self, at: &Instance, stream: &mut ActiveStream<'_>) -> Decision {
        let settings = at.most_specific(stream.route.as_ref());
        let settings: &Settings = settings.unwrap_or(&self.settings);
        if !settings.has_faults() || !settings.applies(stream) {
            return Decision::Continue;
        }
        let route = stream.route.clone();
        let settings = at
            .most_specific::<Settings>(route.as_ref())
            .unwrap_or(&self.settings);
        let faults = Injection::new(self, at, settings, stream);
        faults.limit_response(stream);
        match faults.delay(stream) {
            Some(delay) => Decision::Pause(Pause::For(delay)),
            None => faults.abort(stream),
        }
    }

    /// The delay is over.
    pub(crate) fn resume(&self, at: &Instance, stream: &mut ActiveStream<'_>) -> Decision {
        let route = stream.route.clone();
        let settings = at
            .most_specific::<Settings>(route.as_ref())
            .unwrap_or(&self.settings);
        Injection::new(self, at, settings, stream).abort(stream)
    }
}

impl Settings {
    /// Most filters have none: they wait for a route that has.
    fn has_faults(&self) -> bool {
        self.delay.is_some() || self.abort.is_some() || self.response_rate.is_some()
    }

    fn applies(&self, stream: &ActiveStream<'_>) -> bool {
        let request = &stream.messages.request;
        let node = || request.get(HeaderId::EnvoyDownstreamServiceNode);
        let nodes = &self.downstream_nodes;
        (self.upstream_cluster.is_empty() || self.is_for_cluster_of(stream))
            && (nodes.is_empty() || node().is_some_and(|node| nodes.iter().any(|n| **n == *node)))
            && self.headers.all_match(request)
    }

    fn is_for_cluster_of(&self, stream: &ActiveStream<'_>) -> bool {
        let Some(found) = &stream.route else {
            return false;
        };
        let Action::Forward(forward) = &found.route.action else {
            return false;
        };
        forward.cluster_name(&stream.messages.request) == Some(&*self.upstream_cluster)
    }
}

/// The faults of one request.
struct Injection<'a> {
    filter: &'a Fault,
    at: &'a Instance,
    settings: &'a Settings,
    /// `x-envoy-downstream-service-cluster`: it has runtime keys and stats of its own.
    downstream_cluster: Option<String>,
}

impl<'a> Injection<'a> {
    fn new(
        filter: &'a Fault,
        at: &'a Instance,
        settings: &'a Settings,
        stream: &ActiveStream<'_>,
    ) -> Self {
        let request = &stream.messages.request;
        let cluster = request.get(HeaderId::EnvoyDownstreamServiceCluster);
        let cluster = cluster.filter(|name| !name.is_empty());
        Self {
            filter,
            at,
            settings,
            downstream_cluster: cluster.map(|name| String::from_utf8_lossy(name).into_owned()),
        }
    }

    fn key(&self, below: &str) -> Option<String> {
        let cluster = self.downstream_cluster.as_ref()?;
        Some(format!("fault.http.{cluster}.{below}"))
    }

    /// A number by the key of the downstream cluster, if there is one.
    fn own_number(&self, below: &str, default: u64) -> u64 {
        let value = self
            .key(below)
            .and_then(|key| self.settings.runtime.get(&key));
        value.and_then(|value| value.integer()).unwrap_or(default)
    }

    /// Whether one more stream may have a fault. A stream counts once, however many it has.
    fn begin(&self, stream: &mut ActiveStream<'_>) -> bool {
        let states = &mut stream.messages.filters;
        if states.contains(self.at.place) {
            return true;
        }
        let stats = &self.filter.stats;
        if stats.active_faults.get() >= self.settings.max_active_faults.get() {
            stats.faults_overflow.inc();
            return false;
        }
        let active = FilterState::Fault(ActiveFault::begin(stats));
        states.set(self.at.place, active);
        true
    }

    fn limit_response(&self, stream: &mut ActiveStream<'_>) {
        let Some(rate) = &self.settings.response_rate else {
            return;
        };
        let request = &stream.messages.request;
        if rate.percentage.hits(request, None, &self.settings.runtime)
            && let Some(kbps) = rate.kbps(request)
            && self.begin(stream)
        {
            self.filter.stats.response_rl_injected.inc();
            let limiter = Transform::RateLimit(Box::new(StreamRateLimiter::new(kbps)));
            let body = &mut stream.messages.response_body;
            body.add(Way::Response, self.at.place, limiter);
        }
    }

    fn delay(&self, stream: &mut ActiveStream<'_>) -> Option<Duration> {
        let delay = self.settings.delay.as_ref()?;
        let request = &stream.messages.request;
        let own_key = self.key("delay.fixed_delay_percent");
        let runtime = &self.settings.runtime;
        if !delay.percentage.hits(request, own_key.as_deref(), runtime) {
            return None;
        }
        let configured = delay.duration(request)?;
        let duration = delay.duration_key.get_or(configured);
        let duration = self.own_number("delay.fixed_duration_ms", duration);
        if duration == 0 || !self.begin(stream) {
            return None;
        }
        self.filter.stats.delays_injected.inc();
        self.injected(stream, ResponseFlag::DelayInjected, "delays_injected");
        Some(Duration::from_millis(duration))
    }

    fn abort(&self, stream: &mut ActiveStream<'_>) -> Decision {
        let Some(abort) = &self.settings.abort else {
            return Decision::Continue;
        };
        let request = &stream.messages.request;
        let own_key = self.key("abort.abort_percent");
        let runtime = &self.settings.runtime;
        if !abort.percentage.hits(request, own_key.as_deref(), runtime) {
            return Decision::Continue;
        }
        let Some(mut reply) = self.reply(abort, stream) else {
            return Decision::Continue;
        };
        if !self.begin(stream) {
            return Decision::Continue;
        }
        reply.body = abort.body.clone();
        self.filter.stats.aborts_injected.inc();
        self.injected(stream, ResponseFlag::FaultInjected, "aborts_injected");
        Decision::reply(reply)
    }

    fn reply(&self, abort: &Abort, stream: &ActiveStream<'_>) -> Option<LocalReply> {
        let request = &stream.messages.request;
        if let Some(status) = abort.http_status(request) {
            let status = abort.http_status_key.get_or(status);
            let status = self.own_number("abort.http_status", status);
            let status = u16::try_from(status).unwrap_or(u16::MAX);
            return Some(LocalReply::new(status, "", "fault_filter_abort"));
        }
        let status = abort.grpc_status(request)?;
        let status = abort.grpc_status_key.get_or(status);
        let status = self.own_number("abort.grpc_status", status);
        let status = u32::try_from(status).unwrap_or(u32::MAX);
        Some(LocalReply::new(200, "", "fault_filter_abort").grpc_status(status))
    }

    fn injected(&self, stream: &mut ActiveStream<'_>, flag: ResponseFlag, counter: &str) {
        if let Some(cluster) = &self.downstream_cluster
            && self.settings.downstream_cluster_stats
        {
            let name = format!("{}{cluster}.{counter}", self.filter.prefix);
            self.filter.store.counter(&name).inc();
        }
        stream.info.set_flag(flag);
        let metadata = &mut stream.info.dynamic_metadata;
        metadata.merge(self.at.name.to_string(), &self.settings.metadata);
    }
}
