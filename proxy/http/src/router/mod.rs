//! The router, last filter of every chain: picks a cluster and a host, sends the request, waits for the response head,
//! tries again where the policy says so.

mod attempt;
mod charge;
mod cluster;
mod config;
pub(crate) mod connection;
mod early_data;
mod failure;
mod hedge;
mod interim;
mod redirect;
mod replay;
mod response;
mod retry;
mod strict;
mod timeout;

pub(crate) use cluster::{cluster_of, name_cluster};
pub use config::RouterConfig;
pub(crate) use redirect::lead_to;
pub use response::UpstreamResponse;

use self::{
    attempt::AttemptEnd,
    charge::Charge,
    cluster::{find_cluster, log_unknown_cluster},
    early_data::EarlyData,
    failure::{ResetReason, unwritable},
    hedge::Parked,
    replay::{ReplayBuffer, replay_limit},
    retry::{Refusal, RetryState},
    timeout::Timeouts,
};
use crate::{
    codec::{ClientExchange, h1::server::RequestError},
    local_reply::LocalReply,
    route::{Action, Avoided, Forward, RouteMatch},
    stream::{ActiveStream, Expired},
};
use outrigger_core::{HeaderId, Method, ResponseFlag, log_debug};
use outrigger_upstream::{Cluster, Host, LbContext, OverrideHost, Priority};
use smallvec::SmallVec;
use std::{borrow::Cow, sync::Arc, time::Duration};
use tokio::time::Instant;

/// A body up to this size is kept to be sent again when a pooled connection turns out to be stale.
const STALE_REPLAY_LIMIT: usize = 64 * 1024;

/// What became of a request.
pub(crate) enum Outcome {
    Response(UpstreamResponse),
    Reply(LocalReply),
    /// The stream begins again with another request.
    Redirected,
    /// The client is gone, or its request broke off.
    Disconnected(RequestError),
}

/// One request under way: what stays the same from attempt to attempt, and what is known of them.
#[derive(Debug)]
pub struct Forwarding {
    cluster: Arc<Cluster>,
    host: Option<Arc<Host>>,
    route: RouteMatch,
    config: RouterConfig,
    priority: Priority,
    timeouts: Timeouts,
    retry: Option<RetryState>,
    /// The route has a policy for redirects.
    redirects: bool,
    replay: ReplayBuffer,
    /// What waits for the upstream's consent to an upgrade.
    early: Option<EarlyData>,
    /// The upstream gets the bytes of the request over TCP.
    tcp: bool,
    /// The hosts of the attempts before this one.
    tried: SmallVec<[Arc<Host>; 1]>,
    /// A stale connection was replaced once already.
    replaced_stale: bool,
    charge: Charge,
    /// The upstream has sent an interim response.
    interim: bool,
    /// A try that times out goes on beside the next.
    hedge: bool,
    parked: Vec<Parked>,
    /// The parked attempts are all that is left.
    alone: bool,
    /// The attempt is a retry after a timeout.
    timeout_retry: bool,
    /// An attempt is under way, other than those that are parked.
    in_flight: bool,
    /// Whether a gRPC call went well is not known before its end.
    grpc_status_follows: bool,
}

/// Sends the request upstream until a response head is there that goes to the client.
pub(crate) async fn forward(stream: &mut ActiveStream<'_>) -> Outcome {
    let mut forwarding = match Forwarding::begin(stream) {
        Ok(forwarding) => forwarding,
        Err(reply) => return Outcome::Reply(*reply),
    };
    let mut next = Next::Attempt(Duration::ZERO);
    loop {
        let end = match next {
            Next::Attempt(pause) => match forwarding.pause(stream, pause).await {
                Some(end) => end,
                None => forwarding.attempt(stream).await,
            },
            Next::Wait => forwarding.wait(stream).await,
            Next::Redirected => {
                forwarding.close_parked(stream);
                return Outcome::Redirected;
            }
        };
        next = match end {
            AttemptEnd::Head {
                mut exchange,
                status,
                retried,
            } => match forwarding.on_head(stream, status, retried, exchange.response_complete()) {
                Some(next) => {
                    forwarding.account_bytes(stream, &exchange);
                    exchange.finish_or_close();
                    next
                }
                None => {
                    forwarding.close_parked(stream);
                    forwarding.watch_response(stream);
                    let agreed = forwarding.settle_early_data(stream, &mut exchange, status);
                    let ended = exchange.response_complete();
                    let response = UpstreamResponse {
                        exchange,
                        status,
                        ended,
                        agreed,
                        forwarding,
                    };
                    return Outcome::Response(response);
                }
            },
            AttemptEnd::Reset {
                reason,
                sent,
                retried,
            } => match forwarding.on_reset(stream, &reason, sent, retried) {
                Ok(next) => next,
                Err(reply) => return Outcome::Reply(reply),
            },
            AttemptEnd::HandshakeFailed(reply) => {
                forwarding.close_parked(stream);
                return Outcome::Reply(*reply);
            }
            AttemptEnd::EarlyData => {
                return Outcome::Reply(LocalReply::new(400, "", "early_connect_data"));
            }
            AttemptEnd::Stale => Next::Attempt(Duration::ZERO),
            AttemptEnd::Soft(exchange) => forwarding.on_soft_timeout(stream, exchange),
            AttemptEnd::Unwritable(error) => return Outcome::Reply(unwritable(&error)),
            AttemptEnd::NoHost => {
                let wanted = stream.messages.filters.override_host.as_deref();
                return Outcome::Reply(forwarding.no_healthy_upstream(wanted));
            }
            AttemptEnd::PerTryTimeout { idle } => match forwarding.on_per_try_timeout(stream, idle)
            {
                Ok(pause) => Next::Attempt(pause),
                Err(reply) => return Outcome::Reply(reply),
            },
            AttemptEnd::Expired(Expired::UpstreamMaxDuration) => {
                match forwarding.on_max_duration(stream) {
                    Ok(pause) => Next::Attempt(pause),
                    Err(reply) => return Outcome::Reply(reply),
                }
            }
            AttemptEnd::Expired(expired) => {
                return Outcome::Reply(forwarding.on_expired(stream, expired));
            }
            AttemptEnd::Disconnected(error) => return Outcome::Disconnected(error),
        };
    }
}

/// How a request goes on.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// Another attempt, after a pause.
    Attempt(Duration),
    /// No attempt of its own: those that are parked may still answer.
    Wait,
    /// No attempt of this request: another has taken its place.
    Redirected,
}

impl Forwarding {
    /// Resolves the cluster and prepares the request head.
    fn begin(stream: &mut ActiveStream<'_>) -> Result<Box<Self>, Box<LocalReply>> {
        let hcm = stream.hcm;
        let Some(config) = stream.filters.router else {
            return Err(Box::new(LocalReply::new(404, "", "route_not_found")));
        };
        // `take_route` has seen the route and that it forwards.
        let Some(route) = stream.route.clone() else {
            return Err(Box::new(
                LocalReply::new(404, "", "route_not_found").flag(ResponseFlag::NoRouteFound),
            ));
        };
        let Action::Forward(forward) = &route.route.action else {
            return Err(Box::new(
                LocalReply::new(503, "", "cluster_not_found").flag(ResponseFlag::NoClusterFound),
            ));
        };
        let Some(cluster) = find_cluster(forward, stream) else {
            hcm.router_stats.no_cluster.inc();
            log_unknown_cluster(forward, stream);
            let code = forward.cluster_not_found_response_code;
            return Err(Box::new(
                LocalReply::new(code, "", "cluster_not_found").flag(ResponseFlag::NoClusterFound),
            ));
        };
        stream.info.cluster = Some(cluster.info.clone());
        log_debug!("router", &stream.info => "cluster '{}' match for URL '{}'",
            cluster.info.name, stream.url());
        let virtual_cluster = route
            .route
            .virtual_host
            .virtual_cluster(&stream.messages.request);
        stream.info.virtual_cluster = virtual_cluster.and_then(|found| found.name.clone());
        let own = route.route.stats.as_ref();
        let counted = !stream.info.health_check;
        let (internal, grpc) = (stream.internal, stream.grpc);
        let charge = Charge::new(config, virtual_cluster, own, internal, grpc, counted);
        if cluster.in_maintenance(stream.info.stream_id) {
            cluster.stats.upstream_rq_maintenance_mode.inc();
            charge.reply(&cluster, 503);
            let reply = LocalReply::new(503, "maintenance mode", "maintenance_mode")
                .flag(ResponseFlag::UpstreamOverflow)
                .header(HeaderId::EnvoyOverloaded, &b"true"[..]);
            return Err(Box::new(reply));
        }
        let request = &mut stream.messages.request;
        if let Some(reply) = config.strict.check(request) {
            return Err(Box::new(reply));
        }
        if hcm.request_headers.match_upstream {
            // Connections to upstreams are not encrypted.
            request.set(HeaderId::Scheme, b"http");
        }
        let tcp = forward
            .upgrades
            .as_ref()
            .is_some_and(|upgrades| upgrades.is_tcp(stream.method));
        let hedge = match request.get(HeaderId::EnvoyHedgeOnPerTryTimeout) {
            Some(b"true") => true,
            Some(b"false") => false,
            _ => forward.hedge_on_per_try_timeout,
        };
        let timeouts = Timeouts::of(
            forward,
            forward.retry_policy.as_deref(),
            request,
            config.respect_expected_rq_timeout,
            hedge,
            cluster.config.max_stream_duration,
        );
        let retry = RetryState::new(forward.retry_policy.as_ref(), forward.priority, request);
        timeouts.write_expected(request, Duration::ZERO, !config.suppress_envoy_headers);
        route.finalize_request_headers(request, &stream.info, !config.suppress_envoy_headers);
        let redirects = forward.internal_redirect_policy.is_some();
        let limit = if retry.is_some() || redirects {
            replay_limit(&route, hcm.buffer_limit)
        } else if Self::is_idempotent(stream.method) {
            STALE_REPLAY_LIMIT
        } else {
            0
        };
        // In a box from the start: it goes from the wait for the head to that for the body.
        Ok(Box::new(Self {
            priority: forward.priority,
            cluster,
            host: None,
            config,
            timeouts,
            retry,
            redirects,
            replay: ReplayBuffer::new(limit),
            early: stream.upgrade.map(|_| EarlyData::default()),
            tcp,
            tried: SmallVec::new(),
            replaced_stale: false,
            charge,
            interim: false,
            hedge,
            parked: Vec::new(),
            alone: false,
            timeout_retry: false,
            in_flight: false,
            grpc_status_follows: false,
            route,
        }))
    }

    fn forward(&self) -> Option<&Forward> {
        match &self.route.route.action {
            Action::Forward(forward) => Some(forward),
            _ => None,
        }
    }

    /// Picks a host for the next attempt. A retry avoids what the policy says to avoid, and asks for no host of its own.
    fn pick(&mut self, wanted: Option<&OverrideHost>) -> Option<Arc<Host>> {
        let mut wishes = LbContext::new();
        let Some(retry) = self.retry.as_mut().filter(|_| !self.tried.is_empty()) else {
            wishes.override_host = wanted.filter(|_| self.tried.is_empty());
            return self.cluster.pick(&mut wishes);
        };
        let (policy, previous) = retry.host_selection();
        wishes.max_attempts = policy.host_selection_retry_max_attempts;
        wishes.retry_priority = previous;
        let avoided = Avoided {
            predicates: &policy.host_predicates,
            tried: &self.tried,
        };
        if !avoided.predicates.is_empty() {
            wishes.predicate = Some(&avoided);
        }
        self.cluster.pick(&mut wishes)
    }

    /// A response head is there: `Some` if it is dropped. `retried`: another attempt was made in the place of this one.
    fn on_head(
        &mut self,
        stream: &mut ActiveStream<'_>,
        status: u16,
        retried: bool,
        ended: bool,
    ) -> Option<Next> {
        let response = &stream.messages.response;
        let canary = response.get(HeaderId::EnvoyUpstreamCanary) == Some(b"true")
            || stream.info.upstream.host.as_ref().is_some_and(|h| h.canary);
        self.charge.set_canary(canary);
        let mut unwanted = false;
        if retried {
            unwanted = self.would_retry(status, response);
        } else if let Some(retry) = &mut self.retry
            && self.replay.is_replayable()
        {
            match retry.on_response(status, response, &self.cluster, &self.charge) {
                Ok(pause) => {
                    self.charge.retried_response(&self.cluster, status);
                    self.charge_host_error();
                    stream.messages.response.clear();
                    self.timeout_retry = false;
                    return Some(Next::Attempt(pause));
                }
                Err(refusal) => {
                    unwanted = refusal != Refusal::NotRetriable;
                    self.refuse(refusal, stream);
                }
            }
        }
        if self.redirects && self.follow_redirect(stream, status) {
            return Some(Next::Redirected);
        }
        // A bad response is not the last word while another attempt may bring a better one.
        if unwanted && !self.parked.is_empty() {
            self.charge_host_error();
            stream.messages.response.clear();
            return Some(Next::Wait);
        }
        let counted = self.charge.response(&self.cluster, status);
        match &self.host {
            Some(_) if status < 500 && stream.grpc && !ended => self.grpc_status_follows = true,
            Some(host) if status < 500 && stream.grpc => {
                charge::grpc_status(host, &stream.messages.response);
            }
            Some(host) if status < 500 => host.stats.rq_success.inc(),
            Some(host) if counted => host.stats.rq_error.inc(),
            _ => {}
        }
        self.finish_head(stream, status);
        None
    }

    /// `per_try_idle_timeout` holds within the response as well. An attempt that is hedged would go on all the same.
    fn watch_response(&self, stream: &mut ActiveStream<'_>) {
        if stream.request_complete && !self.hedge && !self.interim {
            self.touch_response(stream);
        }
    }

    /// Bytes of the response have moved.
    pub(super) fn touch_response(&self, stream: &mut ActiveStream<'_>) {
        stream.deadlines.try_idle = self.timeouts.per_try_idle.map(|d| Instant::now() + d);
    }

    fn refuse(&self, refusal: Refusal, stream: &mut ActiveStream<'_>) {
        match refusal {
            Refusal::NotRetriable => {}
            Refusal::LimitExceeded => stream
                .info
                .set_flag(ResponseFlag::UpstreamRetryLimitExceeded),
            Refusal::Overflow => stream.info.set_flag(ResponseFlag::UpstreamOverflow),
        }
    }

    /// The router's own headers on the response, then the route's.
    fn finish_head(&self, stream: &mut ActiveStream<'_>, status: u16) {
        stream.info.details = Cow::Borrowed("via_upstream");
        stream.info.response_code = status;
        let received = stream.received_at();
        let response = &mut stream.messages.response;
        if !self.config.suppress_envoy_headers {
            if let Some(received) = received {
                let now = stream.info.timing.upstream_rx_begin.unwrap_or_default();
                let millis = now.saturating_sub(received).as_millis();
                response.set(
                    HeaderId::EnvoyUpstreamServiceTime,
                    itoa::Buffer::new().format(millis).as_bytes(),
                );
            }
            if self
                .route
                .route
                .virtual_host
                .include_attempt_count_in_response
            {
                let count = stream.info.attempt_count;
                response.set(
                    HeaderId::EnvoyAttemptCount,
                    itoa::Buffer::new().format(count).as_bytes(),
                );
            }
        }
        self.route
            .finalize_response_headers(response, &stream.messages.request, &stream.info);
    }

    #[cold]
    fn on_reset(
        &mut self,
        stream: &mut ActiveStream<'_>,
        reason: &ResetReason,
        sent: bool,
        retried: bool,
    ) -> Result<Next, LocalReply> {
        stream.info.upstream.transport_failure_reason = reason.transport_failure();
        if sent {
            failure::log(stream, reason.as_str(), &reason.transport_failure());
        }
        if let Some(retry) = &mut self.retry
            && self.replay.is_replayable()
            && !retried
        {
            match retry.on_reset(reason, sent, &self.cluster, &self.charge) {
                Ok(pause) => {
                    self.charge_host_error();
                    self.timeout_retry = false;
                    return Ok(Next::Attempt(pause));
                }
                Err(refusal) => self.refuse(refusal, stream),
            }
        }
        self.charge_abort(self.host.as_ref(), reason.code());
        if !self.parked.is_empty() {
            return Ok(Next::Wait);
        }
        Err(reason.reply(!self.tried.is_empty(), self.interim))
    }

    /// Counts our own answer in place of this host's, unless that has begun.
    fn charge_abort(&self, host: Option<&Arc<Host>>, code: u16) {
        let counted = !self.interim && self.charge.reply(&self.cluster, code);
        if let Some(host) = host
            && counted
            && code >= 500
        {
            host.stats.rq_error.inc();
        }
    }

    /// The attempt has failed, and the client does not see it.
    fn charge_host_error(&self) {
        if let Some(host) = &self.host {
            host.stats.rq_error.inc();
        }
    }

    #[cold]
    fn on_per_try_timeout(
        &mut self,
        stream: &mut ActiveStream<'_>,
        idle: bool,
    ) -> Result<Duration, LocalReply> {
        let stats = &self.cluster.stats;
        let details = if idle {
            stats.upstream_rq_per_try_idle_timeout.inc();
            "upstream_per_try_idle_timeout"
        } else {
            stats.upstream_rq_per_try_timeout.inc();
            "upstream_per_try_timeout"
        };
        log_debug!("router", &stream.info => "upstream per try{} timeout", if idle { " idle" } else { "" });
        self.charge_host_timeout();
        if let Some(retry) = &mut self.retry
            && self.replay.is_replayable()
        {
            match retry.on_per_try_timeout(&self.cluster, &self.charge) {
                Ok(pause) => {
                    self.charge_host_error();
                    self.timeout_retry = true;
                    return Ok(pause);
                }
                Err(refusal) => self.refuse(refusal, stream),
            }
        }
        self.charge_abort(self.host.as_ref(), self.timeouts.code());
        Err(self.timeout_reply(details))
    }

    /// The cluster's `max_stream_duration` has passed before a response began.
    #[cold]
    fn on_max_duration(&mut self, stream: &mut ActiveStream<'_>) -> Result<Duration, LocalReply> {
        self.cluster.stats.upstream_rq_max_duration_reached.inc();
        if let Some(retry) = &mut self.retry
            && self.replay.is_replayable()
        {
            match retry.on_per_try_timeout(&self.cluster, &self.charge) {
                Ok(pause) => {
                    self.charge_host_error();
                    self.timeout_retry = false;
                    return Ok(pause);
                }
                Err(refusal) => self.refuse(refusal, stream),
            }
        }
        Err(stream.expired_reply(Expired::UpstreamMaxDuration))
    }

    #[cold]
    fn on_expired(&mut self, stream: &mut ActiveStream<'_>, expired: Expired) -> LocalReply {
        if expired != Expired::Route {
            self.close_parked(stream);
            return stream.expired_reply(expired);
        }
        log_debug!("router", &stream.info => "upstream timeout");
        // Between two attempts there is nobody to blame.
        let code = self.timeouts.code();
        if self.in_flight {
            self.charge.timeout(&self.cluster);
            self.charge_host_timeout();
            self.charge_abort(self.host.as_ref(), code);
        }
        self.time_out_parked(stream, code);
        self.timeout_reply("response_timeout")
    }

    /// The host of the last attempt did not answer in time.
    #[cold]
    pub(super) fn charge_host_timeout(&self) {
        if let Some(host) = &self.host {
            host.stats.rq_timeout.inc();
        }
    }

    /// Adds what the exchange moved to what the stream shows: it is over, and holds nothing back. The cluster's byte counts
    /// are the connection's business.
    pub(super) fn account_bytes(&self, stream: &mut ActiveStream<'_>, exchange: &ClientExchange) {
        stream.info.upstream.wire_bytes_sent += exchange.bytes_written();
        stream.info.upstream.wire_bytes_received += exchange.bytes_read();
        stream.release(&self.cluster.stats);
    }

    /// Methods that a server may see twice without harm.
    fn is_idempotent(method: Method) -> bool {
        matches!(
            method,
            Method::Get
                | Method::Head
                | Method::Options
                | Method::Trace
                | Method::Put
                | Method::Delete
        )
    }
}
