//! `envoy.filters.network.tcp_proxy`: one upstream connection for each downstream connection.
//!
//! It connects at once and reads nothing from downstream until then. It must never touch the bytes.

use crate::{
    copy::{Direction, End, Event, Meters, Relay, Side},
    filter::{self, ReadFilters},
    log::Log,
    session::Session,
    stats::TcpProxyStats,
    timer::{Expired, Ticks, Timer},
};
use outrigger_core::{
    ResponseFlag, Slot, StreamInfo, log_debug,
    network_filter::{ConnectionFilters, Verdict},
    stats::Counter,
    stream_info::{DetectedCloseType, FilterState},
};
use outrigger_transport::Stream;
use outrigger_upstream::{
    CloseReason, Cluster, ClusterManager, FailureReason, LbContext, PoolFailure, Priority,
    TcpConnection, UpstreamConnectionInfo,
    tunnel::{RESPONSE_HEADERS, RESPONSE_TRAILERS, Refusal, Tunnel, TunnelFailure, Tunneling},
};
use std::{borrow::Cow, future::poll_fn, io, pin::pin, sync::Arc, task::Poll, time::Duration};
use tokio::time::{sleep, sleep_until, timeout_at};

/// A compiled TCP proxy.
#[derive(Debug)]
pub struct TcpProxy {
    pub(crate) stats: Arc<TcpProxyStats>,
    pub(crate) route: Route,
    /// `tunneling_config`.
    pub(crate) tunneling: Option<Arc<dyn Tunneling>>,
    /// What somebody else counts already.
    pub(crate) uncounted: Counter,
    /// For the name of a cluster that a filter has left.
    pub(crate) clusters: Arc<ClusterManager>,
    pub(crate) max_connect_attempts: u32,
    /// Without it an attempt follows the one before at once.
    pub(crate) backoff: Option<Backoff>,
    /// Without a byte in either direction; `None`: for ever.
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_duration: Option<Duration>,
    /// Percent of `max_duration` that is added at random.
    pub(crate) jitter: f64,
    /// Bytes per direction; 0 is no limit.
    pub(crate) buffer_limit: u32,
    pub(crate) log: Log,
}

/// `backoff_options`: how long to wait before another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    pub base: Duration,
    pub max: Duration,
}

impl Backoff {
    /// The wait after the n-th failure: at random below a limit that doubles, in whole milliseconds.
    fn wait(self, failures: u32) -> Duration {
        let doubled = 2u32.saturating_pow(failures.saturating_sub(1));
        let limit = self.base.saturating_mul(doubled).min(self.max);
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(fastrand::u64(..limit.max(1)))
    }
}

/// Where connections go.
#[derive(Debug)]
pub(crate) enum Route {
    Cluster(Arc<Slot<Cluster>>),
    Weighted {
        clusters: Vec<WeightedCluster>,
        total: u64,
    },
}

#[derive(Debug)]
pub(crate) struct WeightedCluster {
    pub cluster: Arc<Slot<Cluster>>,
    /// Sum of the weights up to and with this cluster.
    pub up_to: u64,
}

/// Why a connection never got an upstream (Envoy's `UpstreamFailureReason`, whose number the log shows).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    ConnectFailed,
    NoHealthyUpstream,
    ResourceLimitExceeded,
    NoRoute,
}

impl Failure {
    /// Envoy's spelling.
    const fn close_reason(self) -> &'static str {
        match self {
            Self::ConnectFailed => "tcp_initializion_failure:0",
            Self::NoHealthyUpstream => "tcp_initializion_failure:1",
            Self::ResourceLimitExceeded => "tcp_initializion_failure:2",
            Self::NoRoute => "tcp_initializion_failure:3",
        }
    }
}

/// An upstream connection and the cluster that counts its bytes.
struct Connected {
    cluster: Arc<Cluster>,
    upstream: Upstream,
}

/// What leads to the upstream.
enum Upstream {
    Tcp(TcpConnection),
    Tunnel(Box<dyn Tunnel>),
}

/// Envoy's `PerConnectionCluster`: the filter state that names the cluster in place of the configuration.
pub(crate) const CLUSTER_STATE: &str = "envoy.tcp_proxy.cluster";

const MAX_DURATION: &str = "max_connection_duration_reached";
const IDLE_TIMEOUT: &str = "tcp_session_idle_timeout";

impl TcpProxy {
    /// Serves one connection to its end; `info` then says how it went.
    pub async fn serve(
        &self,
        mut downstream: Stream,
        info: &mut StreamInfo,
        mut filters: Option<Box<ReadFilters>>,
    ) {
        self.stats.downstream_cx_total.inc();
        log_debug!("filter", &*info.connection => "new tcp proxy session");
        // As in Envoy, even where no upstream connection will be made.
        info.upstream.detected_close_type = Some(DetectedCloseType::Normal);
        self.log.start(info);
        if !filter::admit(filters.as_deref_mut(), info).await {
            info.timing.complete = Some(info.elapsed());
            return;
        }
        let mut ticks = self.log.ticks();
        let end = self.max_duration.map(|max| info.start + self.jittered(max));
        let connecting = self.connect(info, &mut ticks);
        let connected = match end {
            Some(end) => timeout_at(end, connecting).await,
            None => Ok(connecting.await),
        };
        match connected {
            Ok(Ok(connected)) => {
                self.log.connected(info);
                let timer = Timer::new(self.idle_timeout, end, ticks);
                let filters = filters.as_deref_mut();
                let Connected { cluster, upstream } = connected;
                match upstream {
                    Upstream::Tcp(connection) => {
                        self.relay(&mut downstream, &cluster, connection, timer, info, filters)
                            .await;
                    }
                    // In a box: few sessions are tunnels.
                    Upstream::Tunnel(tunnel) => {
                        let relay =
                            self.relay(&mut downstream, &cluster, tunnel, timer, info, filters);
                        Box::pin(relay).await;
                    }
                }
            }
            Ok(Err(failure)) => {
                info.downstream_local_close_reason = Cow::Borrowed(failure.close_reason());
            }
            Err(_) => self.duration_reached(info),
        }
        info.timing.complete = Some(info.elapsed());
        let reset = info.downstream_detected_close_type == DetectedCloseType::RemoteReset;
        log_debug!("connection", &*info.connection => "closing socket: {}", u8::from(!reset));
        log_debug!("conn_handler", &*info.connection => "adding to cleanup list");
    }

    /// Writes the line about a connection that is over.
    pub fn log_end(&self, info: &StreamInfo) {
        self.log.end(info);
    }

    /// Whether connections are logged at all.
    pub fn is_logged(&self) -> bool {
        !self.log.is_empty()
    }

    fn jittered(&self, max: Duration) -> Duration {
        if self.jitter == 0.0 {
            return max;
        }
        max.mul_f64(1.0 + fastrand::f64() * self.jitter / 100.0)
    }

    async fn connect(
        &self,
        info: &mut StreamInfo,
        ticks: &mut Option<Ticks>,
    ) -> Result<Connected, Failure> {
        let named = match info.filter_state.get(CLUSTER_STATE) {
            Some(FilterState::String(name)) => Some(self.clusters.get(name)),
            _ => None,
        };
        let Some(cluster) = named.unwrap_or_else(|| self.route.pick()) else {
            self.stats.downstream_cx_no_route.inc();
            info.set_flag(ResponseFlag::NoClusterFound);
            return Err(Failure::NoRoute);
        };
        log_debug!("filter", &*info.connection => "Creating connection to cluster {}", cluster.info.name);
        info.cluster = Some(cluster.info.clone());
        info.timing.upstream_connect_begin = Some(info.elapsed());
        for failures in 0..self.max_connect_attempts {
            if let Some(backoff) = self.backoff.filter(|_| failures > 0) {
                // In a box, so that those who connect at once do not pay for its size.
                let mut waiting = Box::pin(sleep(backoff.wait(failures)));
                self.log.during(waiting.as_mut(), ticks, info).await;
            }
            let Some(host) = cluster.pick(&mut LbContext::new()) else {
                info.set_flag(ResponseFlag::NoHealthyUpstream);
                return Err(Failure::NoHealthyUpstream);
            };
            let connected = match &self.tunneling {
                None => {
                    let downstream = info.connection.clone();
                    let connecting =
                        pin!(cluster.tcp_connect(&host, Priority::Default, &downstream));
                    let connected = self.log.during(connecting, ticks, info).await;
                    connected.map(Upstream::Tcp).map_err(TunnelFailure::Pool)
                }
                Some(tunneling) => {
                    let opening = pin!(tunneling.open(&cluster, &host, info));
                    let opened = self.log.during(opening, ticks, info).await;
                    opened.map(Upstream::Tunnel)
                }
            };
            match connected {
                Ok(mut upstream) => {
                    if let Upstream::Tunnel(tunnel) = &mut upstream {
                        keep(info, RESPONSE_HEADERS, tunnel.headers());
                    }
                    let established = match &upstream {
                        Upstream::Tcp(connection) => connection.info(),
                        Upstream::Tunnel(tunnel) => tunnel.info(),
                    };
                    log_debug!(
                        "router",
                        "Attached upstream connection [C{}] to downstream connection [C{}]",
                        established.id,
                        info.connection.id
                    );
                    log_debug!("filter", &*info.connection => "TCP:onUpstreamEvent(), requestedServerName: {}",
                        info.connection.requested_server_name.as_deref().unwrap_or_default());
                    info.attempt_count += 1;
                    note_upstream(info, established);
                    return Ok(Connected { cluster, upstream });
                }
                Err(TunnelFailure::Pool(PoolFailure {
                    reason: FailureReason::Overflow,
                    ..
                })) => {
                    info.set_flag(ResponseFlag::UpstreamOverflow);
                    return Err(Failure::ResourceLimitExceeded);
                }
                Err(TunnelFailure::Pool(failure)) => {
                    info.attempt_count += 1;
                    note_failure(info, failure);
                }
                Err(TunnelFailure::Refused(refusal)) => {
                    info.attempt_count += 1;
                    note_refusal(info, refusal);
                }
            }
        }
        cluster.stats.upstream_cx_connect_attempts_exceeded.inc();
        info.set_flag(ResponseFlag::UpstreamRetryLimitExceeded);
        Err(Failure::ConnectFailed)
    }

    async fn relay<S: Session>(
        &self,
        downstream: &mut Stream,
        cluster: &Cluster,
        mut session: S,
        mut timer: Timer,
        info: &mut StreamInfo,
        mut filters: Option<&mut ReadFilters>,
    ) {
        let mut relay = self.new_relay(cluster, S::COUNTS_BYTES);
        relay
            .up
            .hold(filters.as_ref().is_some_and(|filters| filters.want_data()));
        let mut sleep = pin!(sleep_until(timer.next().unwrap_or(info.start)));
        let outcome = loop {
            let event = poll_fn(|cx| {
                if let Poll::Ready(end) = relay.poll(cx, downstream, session.io()) {
                    return Poll::Ready(Ok(end));
                }
                timer
                    .poll_expired(cx, sleep.as_mut(), relay.moved())
                    .map(Err)
            });
            match event.await {
                Ok(Event::End(end)) => break Ok(Some(end)),
                Ok(Event::Held) => {
                    let verdict = filters.as_mut().map(|filters| filters.on_data(info));
                    if let Some(Verdict::Close(delay)) = verdict {
                        filter::wait(delay).await;
                        info.upstream.local_close_reason =
                            info.downstream_local_close_reason.clone();
                        break Ok(None);
                    }
                    relay
                        .up
                        .hold(filters.as_ref().is_some_and(|filters| filters.want_data()));
                }
                Err(Expired::Log) => {
                    note_bytes(info, &relay);
                    self.log.periodic(info);
                }
                Err(expired) => break Err(expired),
            }
        };
        note_bytes(info, &relay);
        keep(info, RESPONSE_TRAILERS, session.trailers());
        let reason = match outcome {
            Ok(Some(end)) => finish(end, downstream, &session, info),
            Ok(None) => CloseReason::Local,
            Err(expired) => {
                self.expire(expired, info);
                CloseReason::Local
            }
        };
        session.end(reason);
    }

    /// `counted`: the codec counts the upstream's bytes.
    fn new_relay<'a>(&'a self, cluster: &'a Cluster, counted: bool) -> Relay<'a> {
        let (tcp, cluster) = (&self.stats, &cluster.stats);
        let unless_counted = |counter: &'a Counter| match counted {
            true => &self.uncounted,
            false => counter,
        };
        let up = Meters {
            read: &tcp.downstream_cx_rx_bytes_total,
            written: unless_counted(&cluster.upstream_cx_tx_bytes_total),
            paused: &tcp.downstream_flow_control_paused_reading_total,
            resumed: &tcp.downstream_flow_control_resumed_reading_total,
            waiting: &cluster.upstream_cx_tx_bytes_buffered,
        };
        let down = Meters {
            read: unless_counted(&cluster.upstream_cx_rx_bytes_total),
            written: &tcp.downstream_cx_tx_bytes_total,
            paused: &cluster.upstream_flow_control_paused_reading_total,
            resumed: &cluster.upstream_flow_control_resumed_reading_total,
            waiting: &tcp.downstream_cx_tx_bytes_buffered,
        };
        Relay {
            up: Direction::new(up, self.buffer_limit),
            down: Direction::new(down, self.buffer_limit),
        }
    }

    fn expire(&self, expired: Expired, info: &mut StreamInfo) {
        if expired == Expired::Idle {
            self.stats.idle_timeout.inc();
            log_debug!("filter", &*info.connection => "Session timed out");
            info.downstream_local_close_reason = Cow::Borrowed(IDLE_TIMEOUT);
        } else {
            self.duration_reached(info);
        }
        info.upstream.local_close_reason = info.downstream_local_close_reason.clone();
    }

    fn duration_reached(&self, info: &mut StreamInfo) {
        self.stats.max_downstream_connection_duration.inc();
        log_debug!("filter", &*info.connection => "max connection duration reached");
        info.set_flag(ResponseFlag::DurationTimeout);
        info.downstream_local_close_reason = Cow::Borrowed(MAX_DURATION);
    }
}

impl Route {
    fn pick(&self) -> Option<Arc<Cluster>> {
        match self {
            Self::Cluster(cluster) => cluster.load_full(),
            Self::Weighted { clusters, total } => {
                let random = fastrand::u64(..*total);
                clusters
                    .iter()
                    .find(|c| random < c.up_to)
                    .and_then(|c| c.cluster.load_full())
            }
        }
    }
}

fn note_upstream(info: &mut StreamInfo, established: &UpstreamConnectionInfo) {
    let now = info.elapsed();
    info.timing.upstream_connect_end = Some(now);
    let begin = info.timing.upstream_connect_begin.unwrap_or_default();
    let upstream = &mut info.upstream;
    upstream.pool_ready = Some(now.saturating_sub(begin));
    upstream.host = Some(established.host.clone());
    upstream.hosts_attempted.push(established.host.clone());
    upstream.connection_id = Some(established.id);
    upstream.connection_ids_attempted.push(established.id);
    upstream.local_address = established.local_address.clone();
    upstream.remote_address = Some(established.remote_address.clone());
}

/// Envoy sets no flag for a failure of this machine's own.
fn note_failure(info: &mut StreamInfo, failure: PoolFailure) {
    if !matches!(failure.reason, FailureReason::LocalConnectionFailure(_)) {
        info.set_flag(ResponseFlag::UpstreamConnectionFailure);
    }
    let reason = failure.reason.transport_failure().replace(' ', "_");
    info.upstream.transport_failure_reason = Cow::Owned(reason);
    info.upstream.hosts_attempted.extend(failure.host.clone());
    info.upstream.host = failure.host;
}

/// Later filters and the log may read it.
fn keep(info: &mut StreamInfo, key: &str, value: Option<FilterState>) {
    if let Some(value) = value {
        info.filter_state.insert(key.to_owned(), value);
    }
}

/// A host has not opened a tunnel.
fn note_refusal(info: &mut StreamInfo, refusal: Refusal) {
    keep(info, RESPONSE_HEADERS, refusal.headers);
    info.set_flag(ResponseFlag::UpstreamConnectionFailure);
    let (upstream, established) = (&mut info.upstream, refusal.connection);
    upstream.transport_failure_reason = match refusal.status {
        Some(status) => Cow::Owned(format!("tunnel_response:{status}")),
        None => Cow::Borrowed(""),
    };
    upstream.hosts_attempted.push(established.host.clone());
    upstream.host = Some(established.host.clone());
}

/// What has moved so far, as the log counts it.
fn note_bytes(info: &mut StreamInfo, relay: &Relay<'_>) {
    info.body_bytes_received = relay.up.bytes_read;
    info.body_bytes_sent = relay.down.bytes_written;
    info.downstream_wire_bytes_received = relay.up.bytes_read;
    info.downstream_wire_bytes_sent = relay.down.bytes_written;
    info.upstream.wire_bytes_sent = relay.up.bytes_written;
    info.upstream.wire_bytes_received = relay.down.bytes_read;
}

/// A reset of one end is a reset of the other; any other end is FIN.
fn finish<S: Session>(
    end: End,
    downstream: &Stream,
    upstream: &S,
    info: &mut StreamInfo,
) -> CloseReason {
    let reset = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset;
    match end {
        End::Finished(Side::Downstream) => CloseReason::Local,
        End::Finished(Side::Upstream) => CloseReason::Remote,
        End::Failed(Side::Downstream, error) => {
            if reset(&error) {
                info.downstream_detected_close_type = DetectedCloseType::RemoteReset;
                upstream.reset();
            }
            CloseReason::Local
        }
        End::Failed(Side::Upstream, error) => {
            if reset(&error) {
                info.set_flag(ResponseFlag::UpstreamRemoteReset);
                info.upstream.detected_close_type = Some(DetectedCloseType::RemoteReset);
                info.downstream_detected_close_type = DetectedCloseType::LocalReset;
                downstream.reset();
            }
            CloseReason::Remote
        }
    }
}

#[cfg(test)]
mod tests;
