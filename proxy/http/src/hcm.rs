//! The HTTP connection manager: one downstream connection, its requests in order, and its end.

mod closing;
mod network_filters;
mod options;

pub use options::{AccessLogOptions, PathOptions, Timeouts};

use crate::{
    codec::{
        Codec,
        h1::{
            Http1Settings, RequestHead, ServerConnection,
            server::{CodecType, Detected, RequestError},
        },
        h2::Http2Settings,
    },
    filter::FilterChain,
    http2::{self, PrematureResets},
    local_reply::LocalReplyConfig,
    proxy_status::ProxyStatus,
    request_headers::RequestHeaderConfig,
    response_headers::ResponseHeaderConfig,
    route::{HeaderMutations, RouteTable},
    stats::{HcmStats, Http1Stats, ListenerHttpStats, RouterStats, TracingStats},
    stream::{ActiveStream, Messages, Overload},
    summary::Summary,
    timeout::{Timer, earliest},
    upgrade::UpgradeConfigs,
};
use outrigger_core::{
    ConnectionInfo, Protocol,
    access_log::AccessLogs,
    drain::DrainDecision,
    log_debug,
    network_filter::{ConnectionFilters, Verdict},
    scaled_timer::ScaledTimer,
    wakers::Watch,
};
use outrigger_transport::Stream;
use outrigger_upstream::{
    ClusterManager,
    stats::{Http2Stats, LazyStats},
};
use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::Instant;

/// One connection manager, compiled.
#[derive(Debug)]
pub struct HttpConnectionManager {
    pub(crate) stats: Arc<HcmStats>,
    pub(crate) router_stats: Arc<RouterStats>,
    /// Shown, and never moved: there is no tracer.
    pub(crate) _tracing_stats: Arc<TracingStats>,
    pub(crate) listener_stats: Arc<ListenerHttpStats>,
    pub(crate) http1_stats: Arc<Http1Stats>,
    pub(crate) http2_stats: LazyStats<Http2Stats>,
    pub(crate) codec_type: CodecType,
    pub(crate) http1: Arc<Http1Settings>,
    pub(crate) http2: Arc<Http2Settings>,
    pub(crate) premature_resets: PrematureResets,
    pub(crate) access_logs: AccessLogs,
    /// Those of the listener, for the connection as a whole.
    pub(crate) listener_access_logs: AccessLogs,
    pub(crate) access_log_options: AccessLogOptions,
    pub(crate) timeouts: Timeouts,
    pub(crate) max_requests_per_connection: Option<u32>,
    pub(crate) request_headers: RequestHeaderConfig,
    pub(crate) response_headers: ResponseHeaderConfig,
    pub(crate) proxy_status: Option<ProxyStatus>,
    /// `local_reply_config`.
    pub(crate) local_replies: Option<LocalReplyConfig>,
    pub(crate) path: PathOptions,
    /// `early_header_mutation_extensions`.
    pub(crate) early_mutations: Box<[HeaderMutations]>,
    pub(crate) proxy_100_continue: bool,
    /// A request that is answered with 400 does not end its connection.
    pub(crate) keep_after_bad_request: bool,
    /// `per_connection_buffer_limit_bytes` of the listener.
    pub(crate) buffer_limit: usize,
    pub(crate) drain: DrainDecision,
    pub(crate) overload: Overload,
    pub(crate) clusters: Arc<ClusterManager>,
    pub(crate) filters: FilterChain,
    pub(crate) upgrades: UpgradeConfigs,
    pub(crate) routes: Arc<RouteTable>,
}

/// How a connection ends once its last response is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Close {
    /// The client is gone, or must be dropped: nothing is written any more.
    Now,
    /// FIN as soon as everything is written.
    Flush,
    /// Everything is written, then the client has `delayed_close_timeout` to close first: a client that still sends
    /// would otherwise lose the response to a reset.
    Delayed,
}

/// Draining says `connection: close` on each response; closing ends the connection after the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DrainState {
    NotDraining,
    Draining { until: Option<Instant> },
    Closing,
}

/// When a draining server asks this connection to close although no response asks it.
#[derive(Clone, Copy, Debug)]
enum DrainClose {
    /// No drain sequence has begun.
    Unknown,
    At(Option<Instant>),
}

/// One downstream connection under the connection manager.
pub(crate) struct Connection {
    pub hcm: Arc<HttpConnectionManager>,
    pub info: Arc<ConnectionInfo>,
    pub codec: Codec,
    pub timer: Timer,
    pub drain: DrainState,
    /// The next response of HTTP/1 asks the client to close; a stream asks its connection to drain.
    pub soft_drain: bool,
    drain_close: DrainClose,
    requests: u32,
    duration_deadline: Option<Instant>,
    /// When the last response was complete.
    pub idle_since: Option<Instant>,
    /// The protocol that the connection is counted under.
    counted: Option<Protocol>,
    /// How much of what was read and written the stats know.
    pub reported: (u64, u64),
    /// Bytes of the requests so far: where the next one begins.
    pub consumed: u64,
    remote_close: bool,
    pub active_request: bool,
    /// What the log of the listener says beside bytes.
    pub summary: Summary,
    /// The network filters in front, if there are any.
    filters: Option<Box<dyn ConnectionFilters>>,
    /// Bytes that they have been asked about.
    asked: u64,
}

/// What the wait for a request ended with.
enum Next {
    Request(RequestHead),
    /// The client speaks HTTP/2.
    Http2,
    Error(RequestError),
    HeaderTimeout,
    End(Close),
    /// A network filter ends the connection, after this time.
    Refused(Duration),
}

impl HttpConnectionManager {
    /// Serves one connection until it ends. `filters` are the network filters in front.
    pub async fn serve(
        self: Arc<Self>,
        stream: Stream,
        info: Arc<ConnectionInfo>,
        filters: Option<Box<dyn ConnectionFilters>>,
    ) {
        let codec = ServerConnection::new(
            stream,
            self.http1.clone(),
            self.codec_type,
            self.buffer_limit,
        );
        self.stats.downstream_cx_total.inc();
        self.stats.downstream_cx_active.inc();
        let mut connection = Connection::new(self, info, Codec::Http1(codec));
        connection.filters = filters;
        if let Verdict::Close(delay) =
            connection.ask(|filters, info| filters.on_new_connection(info))
        {
            return network_filters::wait(delay).await;
        }
        connection.duration_deadline = connection.max_duration_deadline();
        let _watch = connection.watch_drain().await;
        let _timers = connection.watch_timers().await;
        let close = connection.run().await;
        connection.close(close).await;
    }
}

impl Connection {
    /// A connection, or one stream of HTTP/2 as if it had its own.
    pub fn new(hcm: Arc<HttpConnectionManager>, info: Arc<ConnectionInfo>, codec: Codec) -> Self {
        Self {
            hcm,
            info,
            codec,
            timer: Timer::default(),
            drain: DrainState::NotDraining,
            soft_drain: false,
            drain_close: DrainClose::Unknown,
            requests: 0,
            duration_deadline: None,
            idle_since: None,
            counted: None,
            reported: (0, 0),
            consumed: 0,
            remote_close: false,
            active_request: false,
            summary: Summary::default(),
            filters: None,
            asked: 0,
        }
    }

    /// When `max_connection_duration` ends.
    pub fn max_duration_deadline(&self) -> Option<Instant> {
        let duration = self.hcm.timeouts.connection_duration();
        duration.map(|duration| self.info.start + duration)
    }

    async fn run(&mut self) -> Close {
        let hcm = self.hcm.clone();
        loop {
            let mut messages = None;
            let next = self.next_request(&hcm, &mut messages).await;
            match next {
                Next::End(close) => return close,
                Next::Refused(delay) => {
                    self.report_bytes();
                    network_filters::wait(delay).await;
                    return Close::Now;
                }
                // In a box: a connection of HTTP/1 pays nothing for it.
                Next::Http2 => return Box::pin(http2::serve(self)).await,
                _ => self.begin_request(),
            }
            let mut messages = messages.unwrap_or_else(Messages::take);
            let close = {
                // Lent to its futures: moved into them, each would hold a copy of its own for the connection's life.
                let mut stream = ActiveStream::new(self, &hcm, &mut messages);
                match next {
                    Next::Request(head) => stream.run(&head).await,
                    Next::Error(RequestError::Codec(error)) => stream.reject(error).await,
                    Next::HeaderTimeout => stream.header_timeout().await,
                    Next::Error(RequestError::Closed | RequestError::Refused)
                    | Next::End(_)
                    | Next::Refused(_)
                    | Next::Http2 => stream.abandon(),
                }
            };
            messages.give_back();
            self.report_bytes();
            if let Some(close) = close {
                return close;
            }
        }
    }

    fn due(&self, timer: ScaledTimer, timeout: Duration, deadline: Instant) -> Instant {
        let timers = &self.hcm.overload.state.timers;
        timers.due(timer, timeout, deadline)
    }

    /// Waits for a request head, under the timeouts that hold between requests.
    async fn next_request(
        &mut self,
        hcm: &HttpConnectionManager,
        messages: &mut Option<Box<Messages>>,
    ) -> Next {
        let since = self.idle_since.take();
        let idle_timeout = hcm.timeouts.connection_idle;
        let mut idle_deadline = idle_timeout.map(|d| since.unwrap_or_else(Instant::now) + d);
        let mut head_deadline = None;
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(next) = self.poll_next(cx, messages) {
                    return Poll::Ready(next);
                }
                if !self.codec.head_started()
                    && let Some(unused) = messages.take()
                {
                    unused.give_back();
                }
                if self.codec.head_started() && head_deadline.is_none() {
                    self.count_codec(Protocol::Http11);
                    head_deadline = hcm.timeouts.request_headers.map(|d| Instant::now() + d);
                }
                let idle_due = idle_deadline
                    .zip(idle_timeout)
                    .map(|(at, timeout)| self.due(ScaledTimer::ConnectionIdle, timeout, at));
                let duration_deadline = self.duration_deadline();
                let drain_close = self.drain_close();
                let drain_deadline = match self.drain {
                    // A request that has begun is served.
                    DrainState::Draining { .. } if self.codec.head_started() => None,
                    DrainState::Draining { until } => until,
                    _ => earliest(earliest(duration_deadline, drain_close), idle_due),
                };
                let deadline = earliest(drain_deadline, head_deadline);
                if self.timer.poll_deadline(cx, deadline).is_pending() {
                    return Poll::Pending;
                }
                let now = Instant::now();
                let passed = |deadline: Option<Instant>| deadline.is_some_and(|d| d <= now);
                if passed(head_deadline) {
                    return Poll::Ready(Next::HeaderTimeout);
                }
                if matches!(self.drain, DrainState::Draining { .. }) {
                    return Poll::Ready(Next::End(Close::Delayed));
                }
                if passed(drain_close) {
                    hcm.stats.downstream_cx_drain_close.inc();
                } else if passed(duration_deadline) {
                    self.max_duration_reached();
                    if self.soft_drain {
                        continue;
                    }
                } else {
                    idle_deadline = None;
                    hcm.stats.downstream_cx_idle_timeout.inc();
                    if self.counted.is_none() {
                        self.summary.local_close_reason = "on_idle_timeout".into();
                    }
                }
                if self.counted.is_none() {
                    // Nothing was ever received: there is no codec to drain.
                    return Poll::Ready(Next::End(Close::Flush));
                }
                self.start_drain(now);
            }
        })
        .await
    }

    /// Wakes this task when a drain sequence begins.
    async fn watch_drain(&self) -> Watch {
        let decision = &self.hcm.drain;
        poll_fn(|cx| Poll::Ready(decision.watch(cx.waker().clone()))).await
    }

    /// Wakes this task when timeouts become shorter.
    pub async fn watch_timers(&self) -> Option<Box<Watch>> {
        let timers = &self.hcm.overload.state.timers;
        poll_fn(|cx| Poll::Ready(timers.watch(cx.waker()))).await
    }

    /// When the connection is to be asked to close, as a drain sequence has begun.
    fn drain_close(&mut self) -> Option<Instant> {
        if matches!(self.drain_close, DrainClose::Unknown) && self.hcm.drain.has_begun() {
            let drain_timeout = self.hcm.timeouts.drain.unwrap_or_default();
            self.drain_close = DrainClose::At(self.hcm.drain.idle_close(drain_timeout));
        }
        match self.drain_close {
            DrainClose::At(at) if self.drain == DrainState::NotDraining => at,
            _ => None,
        }
    }

    /// What the client's bytes bring.
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        messages: &mut Option<Box<Messages>>,
    ) -> Poll<Next> {
        let detected = ready!(self.codec.poll_protocol(cx));
        if let Ok(Detected::Closed) | Err(_) = detected {
            self.set_remote_close();
            return Poll::Ready(Next::End(Close::Now));
        }
        if let Ok(Detected::Http2) = detected {
            let refused = self.refused();
            return Poll::Ready(refused.map_or(Next::Http2, Next::Refused));
        }
        let head = &mut messages.get_or_insert_with(Messages::take).request;
        let head = self.codec.poll_head(cx, head);
        if let Some(delay) = self.refused() {
            return Poll::Ready(Next::Refused(delay));
        }
        match ready!(head) {
            Ok(Some(head)) => Poll::Ready(Next::Request(head)),
            Ok(None) => {
                self.set_remote_close();
                Poll::Ready(Next::End(Close::Now))
            }
            Err(RequestError::Closed) if !self.codec.head_started() => {
                self.set_remote_close();
                Poll::Ready(Next::End(Close::Now))
            }
            Err(error) => {
                if matches!(error, RequestError::Closed) {
                    self.set_remote_close();
                }
                Poll::Ready(Next::Error(error))
            }
        }
    }

    /// `max_connection_duration` has passed: the connection drains.
    #[cold]
    pub fn max_duration_reached(&mut self) {
        self.duration_deadline = None;
        self.hcm.stats.downstream_cx_max_duration_reached.inc();
        // A connection that has never spoken closes at once in any case.
        self.soft_drain = self.hcm.timeouts.safe_max_connection_duration && self.counted.is_some();
    }

    pub fn duration_deadline(&self) -> Option<Instant> {
        let deadline = self.duration_deadline?;
        let duration = deadline.saturating_duration_since(self.info.start);
        Some(self.due(ScaledTimer::ConnectionMax, duration, deadline))
    }

    /// A draining server asks the connection to close with this response. A stream leaves the count to its connection.
    #[cold]
    pub fn begin_drain(&mut self, now: Instant) {
        if !self.codec.is_multiplexed() {
            self.hcm.stats.downstream_cx_drain_close.inc();
        }
        self.codec.ask_to_drain();
        self.start_drain(now);
    }

    pub fn start_drain(&mut self, now: Instant) {
        if self.drain == DrainState::NotDraining {
            self.drain = DrainState::Draining {
                until: self
                    .hcm
                    .timeouts
                    .drain_period()
                    .map(|d| now + d)
                    .or(Some(now)),
            };
        }
    }

    fn begin_request(&mut self) {
        self.count_codec(Protocol::Http11);
        log_debug!("http", &*self.info => "new stream");
        self.active_request = true;
        self.count_request();
    }

    /// `max_requests_per_connection` counts the requests of redirects that we follow as well.
    pub fn count_request(&mut self) {
        self.requests += 1;
    }

    /// This request is the last that `max_requests_per_connection` allows.
    pub fn is_last_request(&self) -> bool {
        self.hcm
            .max_requests_per_connection
            .is_some_and(|max| self.requests >= max)
    }

    /// The first byte makes a codec of the connection.
    pub fn count_codec(&mut self, protocol: Protocol) {
        if self.counted.is_some() {
            return;
        }
        self.counted = Some(protocol);
        let stats = &self.hcm.stats;
        if protocol == Protocol::Http2 {
            stats.downstream_cx_http2_total.inc();
            stats.downstream_cx_http2_active.inc();
        } else {
            stats.downstream_cx_http1_total.inc();
            stats.downstream_cx_http1_active.inc();
        }
    }

    /// Adds what was read and written since the last report.
    fn report_bytes(&mut self) {
        let (rx, tx) = (self.codec.bytes_read(), self.codec.bytes_written());
        let (reported_rx, reported_tx) = self.reported;
        let stats = &self.hcm.stats;
        stats.downstream_cx_rx_bytes_total.add(rx - reported_rx);
        stats.downstream_cx_tx_bytes_total.add(tx - reported_tx);
        self.reported = (rx, tx);
    }

    /// The codec gives the connection up with a response under way.
    #[cold]
    pub fn break_off_request(&mut self) {
        self.active_request = false;
        let stats = &self.hcm.stats;
        stats.downstream_cx_destroy_active_rq.inc();
        stats.downstream_cx_destroy_local_active_rq.inc();
    }

    /// We close the connection without a word, which Envoy does not tell from a client that does so in the count of
    /// connections with requests.
    pub fn close_silently(&mut self) {
        if std::mem::take(&mut self.active_request) {
            let stats = &self.hcm.stats;
            stats.downstream_cx_destroy_active_rq.inc();
            stats.downstream_cx_destroy_remote_active_rq.inc();
        }
    }

    /// The client has closed or reset the connection.
    pub fn set_remote_close(&mut self) {
        log_debug!("connection", &*self.info => "remote close");
        self.remote_close = true;
    }
}

impl Drop for Connection {
    /// The connection is accounted for however it ends.
    fn drop(&mut self) {
        if self.codec.is_multiplexed() {
            // A stream; the connection that it shares has its own books.
            return;
        }
        self.report_bytes();
        let stats = &self.hcm.stats;
        stats.downstream_cx_active.dec();
        match self.counted {
            Some(Protocol::Http2) => stats.downstream_cx_http2_active.dec(),
            Some(_) => stats.downstream_cx_http1_active.dec(),
            None => {}
        }
        stats.downstream_cx_destroy.inc();
        if self.remote_close {
            stats.downstream_cx_destroy_remote.inc();
        } else {
            stats.downstream_cx_destroy_local.inc();
        }
        if self.active_request {
            stats.downstream_cx_destroy_active_rq.inc();
            if self.remote_close {
                stats.downstream_cx_destroy_remote_active_rq.inc();
            } else {
                stats.downstream_cx_destroy_local_active_rq.inc();
            }
        }
        log_debug!("connection", &*self.info => "closing socket: {}", u8::from(!self.remote_close));
        log_debug!("conn_handler", &*self.info => "adding to cleanup list");
        self.summary.log(self);
        let age = self.info.start.elapsed().as_millis();
        stats
            .downstream_cx_length_ms
            .record(u64::try_from(age).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Filters = Option<Box<dyn ConnectionFilters>>;

    fn size_of_output<F>(
        _: impl FnOnce(Arc<HttpConnectionManager>, Stream, Arc<ConnectionInfo>, Filters) -> F,
    ) -> usize {
        size_of::<F>()
    }

    /// It lives as long as the connection: what an idle one costs is mostly this.
    #[test]
    fn the_future_of_a_connection_is_small() {
        let size = size_of_output(HttpConnectionManager::serve);
        assert!(size <= 3840, "{size}");
    }
}
