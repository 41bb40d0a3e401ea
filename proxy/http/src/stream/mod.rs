//! One request's life, in order: sanitize, mutate, route, decode filters, forward, encode filters, write, log.
//!
//! This is the file to read first. Each step is one call; whatever goes wrong becomes a [`LocalReply`] that takes the
//! same way out as a proxied response.

mod deadlines;
mod duration;
mod ending;
mod flow_control;
mod held_response;
mod local_response;
mod messages;
mod overload;
mod pause;
mod pipeline;
mod proxy_response;
mod recreate;
mod request_body;
mod response_body;
mod response_head;
mod tunnel;

pub(crate) use deadlines::{Deadlines, Expired};
pub(crate) use messages::Messages;
pub use overload::Overload;
pub use pipeline::{Pipeline, Transform, Way};
pub use request_body::HeldBody;

use crate::{
    codec::{
        CodecError,
        h1::{EncodeError, RequestHead, authority_is_valid, server::RequestError},
    },
    filter::{Decision, FilterChain, Paused},
    hcm::{Close, Connection, HttpConnectionManager},
    hop_by_hop,
    local_reply::{LocalReply, is_grpc},
    path,
    request_headers::{self, Unknown},
    response_headers,
    route::{Action, RouteMatch},
    router,
    timeout::earliest,
    upgrade::Upgrade,
};
use bytes::Bytes;
use envoy_api::pb::envoy::data::accesslog::v3::AccessLogType;
use outrigger_core::{
    HeaderId, HeaderMap, Method, Protocol, ResponseFlag, StreamInfo, log::Headers, log_debug,
    wall_clock,
};
use std::{
    borrow::Cow,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;

/// What reading the request body brought.
pub(crate) enum RequestEvent {
    Data(Bytes),
    /// The request is complete; trailers, if any, are in the messages.
    End {
        trailers: bool,
    },
    Failed(RequestError),
}

/// One request and its response on a downstream connection.
pub(crate) struct ActiveStream<'a> {
    pub connection: &'a mut Connection,
    pub hcm: &'a HttpConnectionManager,
    pub messages: &'a mut Messages,
    pub info: StreamInfo,
    pub route: Option<RouteMatch>,
    /// Those of all requests, or of the upgrade that this one asks for.
    pub filters: &'a FilterChain,
    /// What becomes of its connection, where that is allowed.
    pub upgrade: Option<Upgrade>,
    pub deadlines: Deadlines,
    pub method: Method,
    pub internal: bool,
    /// The router has been given the whole request.
    pub request_complete: bool,
    /// The client has sent the whole request; a filter may hold some of it.
    received: bool,
    /// A filter has made it wait: the clock has gone on since it began.
    pub paused: bool,
    pub grpc: bool,
    /// The client asked for `connection: close`.
    saw_connection_close: bool,
    response_started: bool,
    encoded_before: u64,
    held: flow_control::Held,
    /// `None`: it has not been redirected, as hardly any has.
    past: Option<Box<recreate::Past>>,
    /// What a filter answers to a body that it cannot read.
    refusal: Option<Box<LocalReply>>,
    logged: bool,
}

/// Where a request goes after its head was looked at.
enum Step {
    Reply(LocalReply),
    Forward,
    /// A filter has asked for time.
    Paused(Paused),
    /// The client is gone, or its request broke off.
    Disconnected(RequestError),
}

impl<'a> ActiveStream<'a> {
    pub fn new(
        connection: &'a mut Connection,
        hcm: &'a HttpConnectionManager,
        messages: &'a mut Messages,
    ) -> Self {
        let now = Instant::now();
        let info = StreamInfo::new(
            connection.info.clone(),
            wall_clock::at(now),
            now,
            fastrand::u64(..),
        );
        hcm.stats.downstream_rq_active.inc();
        let deadlines = Deadlines::new(hcm, now);
        let encoded_before = connection.codec.bytes_encoded();
        Self {
            connection,
            hcm,
            messages,
            info,
            route: None,
            filters: &hcm.filters,
            upgrade: None,
            deadlines,
            method: Method::Other,
            internal: false,
            request_complete: false,
            received: false,
            paused: false,
            grpc: false,
            saw_connection_close: false,
            response_started: false,
            encoded_before,
            held: Default::default(),
            past: None,
            refusal: None,
            logged: false,
        }
    }

    /// The straight line. Returns how the connection ends, or `None` if it serves another request.
    pub async fn run(&mut self, head: &RequestHead) -> Option<Close> {
        if let Err(error) = check_head(head, &mut self.messages.request) {
            self.messages.request.clear();
            self.note_header_bytes(head);
            return self.reject(error).await;
        }
        self.begin(head);
        let mut step = self.decode_headers(head);
        loop {
            if let Step::Paused(paused) = step {
                self.paused = true;
                // In a box: whoever is not made to wait pays nothing for it.
                step = Box::pin(self.resume(paused)).await;
            }
            let close = match step {
                Step::Reply(reply) => self.send_local_reply(reply).await,
                Step::Disconnected(error) => self.downstream_failed(error).await,
                // Only a wait leads out of a pause.
                Step::Paused(_) => self.abandon(),
                Step::Forward => match router::forward(self).await {
                    router::Outcome::Response(response) => self.proxy_response(response).await,
                    router::Outcome::Reply(reply) => self.send_local_reply(reply).await,
                    router::Outcome::Redirected => None,
                    router::Outcome::Disconnected(error) => self.downstream_failed(error).await,
                },
            };
            if !self.is_to_begin_again() {
                return close;
            }
            step = self.recreate();
        }
    }

    /// The bytes were no request: the codec's own answer.
    pub async fn reject(&mut self, error: CodecError) -> Option<Close> {
        let hcm = self.hcm;
        hcm.stats.charge_request(Protocol::Http11);
        if error == CodecError::UNDERSCORE {
            hcm.http1_stats
                .requests_rejected_with_underscores_in_headers
                .inc();
        }
        self.info.protocol = Some(Protocol::Http11);
        self.protocol_error(error).await
    }

    /// The head did not arrive in `request_headers_timeout`.
    pub async fn header_timeout(&mut self) -> Option<Close> {
        let hcm = self.hcm;
        hcm.stats.charge_request(Protocol::Http11);
        hcm.stats.downstream_rq_header_timeout.inc();
        self.info.protocol = Some(Protocol::Http11);
        self.connection.summary.protocol = Some(Protocol::Http11);
        let reply = LocalReply::new(408, "request header timeout", "request_header_timeout");
        self.send_local_reply(reply).await
    }

    /// The client has gone in the middle of a head.
    #[cold]
    pub fn abandon(&mut self) -> Option<Close> {
        let hcm = self.hcm;
        hcm.stats.charge_request(Protocol::Http11);
        self.info.protocol = Some(Protocol::Http11);
        self.connection.summary.protocol = Some(Protocol::Http11);
        self.disconnected()
    }

    fn begin(&mut self, head: &RequestHead) {
        self.connection.summary.protocol = Some(head.protocol);
        self.note_header_bytes(head);
        let stats = &self.hcm.stats;
        stats.charge_request(head.protocol);
        self.info.protocol = Some(head.protocol);
        self.method = head.method;
        self.saw_connection_close = !head.keep_alive;
        self.request_complete = self.connection.codec.request_complete();
        log_debug!("http", &self.info => "request headers complete (end_stream={}):\n{}",
            self.request_complete, Headers(&self.messages.request));
        self.grpc = is_grpc(&self.messages.request);
        if head.dropped_underscores > 0 {
            let hcm = self.hcm;
            let dropped = if self.connection.codec.is_multiplexed() {
                &hcm.http2_stats.get().dropped_headers_with_underscores
            } else {
                &hcm.http1_stats.dropped_headers_with_underscores
            };
            dropped.add(head.dropped_underscores.into());
        }
        self.note_last_request();
        if self.request_complete {
            // The stream began with the last byte of its request.
            self.receive_end(Duration::ZERO);
        }
    }

    fn note_last_request(&mut self) {
        if self.connection.is_last_request() {
            self.hcm.stats.downstream_cx_max_requests_reached.inc();
            self.saw_connection_close = true;
        }
    }

    /// The client has sent the whole request.
    pub fn is_received(&self) -> bool {
        self.received
    }

    fn note_header_bytes(&mut self, head: &RequestHead) {
        let header_bytes = head.header_bytes as u64;
        self.info.downstream_header_bytes_received = header_bytes;
        self.info.downstream_decompressed_header_bytes_received = header_bytes;
    }

    /// The last byte of the request has arrived.
    fn receive_end(&mut self, now: Duration) {
        log_debug!("http", &self.info => "request end stream timestamp recorded");
        self.received = true;
        self.info.timing.downstream_rx_end = Some(now);
        self.deadlines.request = None;
    }

    /// Everything between the codec and the router, in Envoy's order.
    fn decode_headers(&mut self, head: &RequestHead) -> Step {
        let hcm = self.hcm;
        if hcm.overload.state.refuses_request() {
            return Step::Reply(self.overloaded());
        }
        if head.expect_continue && !hcm.proxy_100_continue {
            self.messages.request.remove(HeaderId::Expect);
            hcm.stats.charge_response(100);
            hcm.listener_stats.charge_response(100);
            let mut head = HeaderMap::new();
            head.set(HeaderId::Status, b"100");
            let to = self.response_context();
            self.connection.codec.send_informational(&head, to);
        }
        let request = &mut self.messages.request;
        if let Err(reply) = path::sanitize(request, hcm, &self.connection.info, self.method) {
            return Step::Reply(reply);
        }
        for mutations in &hcm.early_mutations {
            mutations.evaluate_request(request, &self.info);
        }
        let origin = request_headers::mutate(
            request,
            &hcm.request_headers,
            &self.connection.info,
            hcm.routes.internal_only_headers(),
        );
        let origin = match origin {
            Ok(origin) => origin,
            Err(Unknown(code)) => {
                hcm.stats.downstream_rq_rejected_via_ip_detection.inc();
                let details = "rejecting_because_detection_failed";
                return Step::Reply(LocalReply::new(code, "", details));
            }
        };
        self.internal = origin.internal;
        self.info.remote_address = origin.remote_address;

        self.enter_filters()
    }

    /// Chooses the route of the request as it stands.
    pub fn find_route(&mut self) {
        let request = &self.messages.request;
        // Envoy finds no route for a request that says by what it came, but says nothing.
        let nameless = request.get(HeaderId::ForwardedProto) == Some(b"");
        self.route = match nameless {
            true => None,
            false => self.hcm.routes.find(request, &self.info),
        };
        let found = self.route.as_ref();
        self.info.route = found.map(|found| found.route.info.clone());
    }

    /// The route, and the filters before the router.
    fn enter_filters(&mut self) -> Step {
        let hcm = self.hcm;
        self.find_route();
        if let Some(idle) = self.route.as_ref().and_then(|r| r.route.idle_timeout()) {
            self.deadlines.idle_timeout = (!idle.is_zero()).then_some(idle);
            self.deadlines.idle = self.deadlines.idle_timeout.map(|d| self.begun() + d);
        }
        self.limit_duration();
        if let Some(refused) = self.begin_upgrade() {
            return Step::Reply(refused);
        }
        if hcm.access_log_options.on_new_request {
            router::name_cluster(self);
            self.log_line(AccessLogType::DownstreamStart);
        }
        match self.filters.decode_headers(self) {
            Decision::Continue => self.take_route(),
            Decision::Reply(reply) => {
                router::name_cluster(self);
                self.filter_reply(*reply)
            }
            Decision::Pause(paused) => {
                router::name_cluster(self);
                Step::Paused(paused)
            }
        }
    }

    /// A filter's own answer. Only a route to a cluster adds headers to it.
    fn filter_reply(&self, mut reply: LocalReply) -> Step {
        let found = self.route.as_ref();
        reply.route_headers =
            found.is_some_and(|found| matches!(found.route.action, Action::Forward(_)));
        Step::Reply(reply)
    }

    /// The router's own decisions that need no upstream.
    fn take_route(&mut self) -> Step {
        let hcm = self.hcm;
        hcm.router_stats.rq_total.inc();
        let Some(found) = &self.route else {
            hcm.router_stats.no_route.inc();
            log_debug!("router", &self.info => "no route match for URL '{}'", self.url());
            return Step::Reply(
                LocalReply::new(404, "", "route_not_found").flag(ResponseFlag::NoRouteFound),
            );
        };
        match &found.route.action {
            Action::Forward(_) => Step::Forward,
            Action::Redirect(redirect) => {
                hcm.router_stats.rq_direct_response.inc();
                let mut reply = LocalReply::new(redirect.code(), "", "direct_response");
                // There is no way from a CONNECT to another place.
                if self.messages.request.contains(HeaderId::Path) {
                    let location = redirect.location(&self.messages.request, &self.info);
                    reply = reply.header(HeaderId::Location, location);
                }
                Step::Reply(reply)
            }
            Action::DirectResponse(direct) => {
                hcm.router_stats.rq_direct_response.inc();
                Step::Reply(direct.reply(&self.messages.request, &self.info))
            }
            Action::NonForwarding => {
                hcm.router_stats.no_cluster.inc();
                Step::Reply(
                    LocalReply::new(503, "", "cluster_not_found")
                        .flag(ResponseFlag::NoClusterFound),
                )
            }
        }
    }

    /// The connection manager's own headers, then the codec. The encode filters have seen the head.
    fn send_response_head(
        &mut self,
        code: u16,
        end: bool,
        now: Duration,
    ) -> Result<(), EncodeError> {
        let hcm = self.hcm;
        response_headers::mutate(
            &mut self.messages.response,
            &self.messages.request,
            &hcm.response_headers,
            self.info.start_time,
        );
        // Envoy says nothing to what was no request.
        if let Some(config) = &hcm.proxy_status
            && self.messages.request.contains(HeaderId::Method)
            && !self.info.flags.has(ResponseFlag::DownstreamProtocolError)
        {
            config.apply(&mut self.messages.response, &self.info);
        }
        self.decide_drain(self.info.start + now);
        if !self.received {
            hcm.stats.downstream_rq_response_before_rq_complete.inc();
        }
        if !self.connection.codec.is_multiplexed() {
            self.decide_close();
        }
        let code = self
            .messages
            .response
            .get_str(HeaderId::Status)
            .and_then(|s| s.parse().ok())
            .unwrap_or(code);
        self.info.response_code = code;
        self.response_started = true;
        self.info.timing.downstream_tx_begin = Some(now);
        if !self.info.health_check {
            hcm.stats.charge_response(code);
            hcm.listener_stats.charge_response(code);
        }
        log_debug!("http", &self.info => "encoding headers via codec (end_stream={end}):\n{}",
            Headers(&self.messages.response));
        let to = self.response_context();
        let codec = &mut self.connection.codec;
        codec.send_head(&self.messages.response, to, end)?;
        let header_bytes = codec.header_bytes_sent();
        self.info.downstream_header_bytes_sent = header_bytes;
        self.info.downstream_decompressed_header_bytes_sent = header_bytes;
        if self.upgrade.is_some() {
            self.log_tunnel();
        }
        Ok(())
    }

    /// How long a response that is complete may wait for the client's window. Unless it is set, the connection manager
    /// lends its idle timeout; the route's has no part in it, whatever Envoy's documentation says.
    fn flush_timeout(&self) -> Option<Duration> {
        let of_route = self.route.as_ref().and_then(|r| r.route.flush_timeout());
        match of_route.or(self.hcm.timeouts.stream_flush) {
            Some(timeout) => (!timeout.is_zero()).then_some(timeout),
            None => self.hcm.timeouts.stream_idle,
        }
    }

    /// The path of the request, for the log.
    pub fn url(&self) -> &str {
        let path = self.messages.request.get_str(HeaderId::Path);
        path.unwrap_or_default()
    }

    /// Ready when one of the stream's deadlines, or the router's own, has passed.
    pub fn poll_deadlines(&mut self, cx: &mut Context<'_>, own: Option<Instant>) -> Poll<Expired> {
        loop {
            let timers = &self.hcm.overload.state.timers;
            let deadline = earliest(own, self.deadlines.earliest(timers));
            let deadline = earliest(deadline, self.connection.duration_deadline());
            let deadline = earliest(deadline, self.deadlines.periodic_log);
            if self
                .connection
                .timer
                .poll_deadline(cx, deadline)
                .is_pending()
            {
                return Poll::Pending;
            }
            let now = Instant::now();
            if let Some(expired) = self.deadlines.expired(now, timers) {
                return Poll::Ready(expired);
            }
            if own.is_some_and(|d| d <= now) {
                return Poll::Ready(Expired::Route);
            }
            if self.deadlines.periodic_log.is_some_and(|d| d <= now) {
                let interval = self.hcm.access_log_options.flush_interval;
                self.deadlines.periodic_log = interval.map(|d| now + d);
                self.log_line(AccessLogType::DownstreamPeriodic);
            }
            if self
                .connection
                .duration_deadline()
                .is_some_and(|d| d <= now)
            {
                // Requests in flight are served: the connection drains behind them.
                self.connection.max_duration_reached();
                if !self.connection.soft_drain {
                    self.connection.start_drain(now);
                }
            }
        }
    }
}

/// The details of a stream whose connection went with its worker.
const CUT_OFF: &str =
    "downstream_local_disconnect(purging_socket_that_have_not_progressed_to_connections)";

impl Drop for ActiveStream<'_> {
    /// A stream that is dropped before its end was cut off with its connection, as the process or the listener went; the
    /// log says so in Envoy's words.
    fn drop(&mut self) {
        if !self.logged {
            self.hcm.stats.downstream_rq_rx_reset.inc();
            self.info
                .set_flag(ResponseFlag::DownstreamConnectionTermination);
            self.info.details = Cow::Borrowed(CUT_OFF);
            self.log();
        }
        self.hcm.stats.downstream_rq_active.dec();
        if self.upgrade.is_some() {
            self.hcm.stats.downstream_cx_upgrades_active.dec();
        }
        self.connection.consumed = self.connection.codec.bytes_consumed();
    }
}

/// What Envoy's codec finds wrong with a whole head beyond its syntax.
fn check_head(head: &RequestHead, request: &mut HeaderMap) -> Result<(), CodecError> {
    // Envoy leaves the headers of what will not be HTTP any more alone.
    if !head.upgrade && head.method != Method::Connect {
        hop_by_hop::remove_nominated(request).map_err(|_| CodecError::CONNECTION_HEADER)?;
    }
    match request.get(HeaderId::Authority) {
        Some(authority) if !authority_is_valid(authority) => Err(CodecError::INVALID_AUTHORITY),
        _ => Ok(()),
    }
}

/// Details are one word in a log line: white space becomes `_`.
pub(crate) fn sanitize_details(details: &str) -> String {
    details
        .chars()
        .map(|c| if c.is_whitespace() { '_' } else { c })
        .collect()
}
