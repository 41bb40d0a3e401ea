//! One attempt: a connection to a host, the request on it, and the wait for the response head.

use super::{
    Forwarding,
    connection::{Connecting, Connection, forget_last_attempt},
    failure::{self, ResetReason},
    interim::is_forwarded,
};
use crate::{
    codec::{
        ClientExchange,
        h1::{EncodeError, ExchangeError, server::RequestError},
    },
    local_reply::LocalReply,
    stream::{ActiveStream, Expired, RequestEvent},
    timeout::earliest,
    upgrade::Upgrade,
};
use bytes::Bytes;
use outrigger_core::{
    HeaderId, StreamInfo,
    log::{Headers, Tags},
    log_debug,
};
use outrigger_upstream::{CloseReason, Cluster, PoolFailure};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;

/// How an attempt ended.
pub(super) enum AttemptEnd {
    /// The head of a final response stands in the stream's messages.
    Head {
        exchange: Box<ClientExchange>,
        status: u16,
        retried: bool,
    },
    /// No response; `sent`: some of the request was written; `retried`, as above: another attempt was made in the place
    /// of this one.
    Reset {
        reason: ResetReason,
        sent: bool,
        retried: bool,
    },
    /// Its time is over, and the request may be sent again beside it.
    Soft(Box<ClientExchange>),
    /// A pooled connection was already closed by the upstream: the request goes out again as if nothing had happened.
    Stale,
    /// A WebSocket was refused by what is no error: the head of the response stands in for it.
    HandshakeFailed(Box<LocalReply>),
    /// The client did not wait for the answer to its CONNECT.
    EarlyData,
    NoHost,
    /// Filters or routes made a head of the request that must not be written.
    Unwritable(EncodeError),
    PerTryTimeout {
        idle: bool,
    },
    Expired(Expired),
    Disconnected(RequestError),
}

/// What ends the wait for something upstream.
pub(super) enum Interrupt {
    PerTry,
    PerTryIdle,
    /// An attempt that was parked decides the request.
    Hedged(Box<AttemptEnd>),
    EarlyData,
    Expired(Expired),
    Disconnected(RequestError),
}

impl From<Interrupt> for AttemptEnd {
    fn from(interrupt: Interrupt) -> Self {
        match interrupt {
            Interrupt::PerTry => Self::PerTryTimeout { idle: false },
            Interrupt::PerTryIdle => Self::PerTryTimeout { idle: true },
            Interrupt::Hedged(end) => *end,
            Interrupt::EarlyData => Self::EarlyData,
            Interrupt::Expired(expired) => Self::Expired(expired),
            Interrupt::Disconnected(error) => Self::Disconnected(error),
        }
    }
}

/// The deadlines of one attempt.
#[derive(Default)]
pub(super) struct TryDeadlines {
    whole: Option<Instant>,
    idle: Option<Instant>,
}

impl Forwarding {
    /// Runs one attempt up to the head of a final response.
    pub(super) async fn attempt(&mut self, stream: &mut ActiveStream<'_>) -> AttemptEnd {
        if let Some(retry) = &mut self.retry {
            retry.begin(&self.cluster, &self.charge);
        }
        self.in_flight = true;
        if stream.info.attempt_count > 0 {
            log_debug!("router", &stream.info => "performing retry");
        }
        stream.info.attempt_count += 1;
        self.tried.extend(self.host.take());
        let wanted = stream.messages.filters.override_host.as_deref();
        let Some(host) = self.pick(wanted) else {
            return AttemptEnd::NoHost;
        };
        let described = Arc::clone(&host.info());
        forget_last_attempt(&mut stream.info);
        stream.info.upstream.host = Some(described);
        if let Some(retry) = &mut self.retry {
            retry.on_host(&host);
        }
        if stream.info.attempt_count == 1 {
            log_debug!("router", &stream.info => "router decoding headers:\n{}",
                Headers(&stream.messages.request));
        }

        let mut deadlines = TryDeadlines::default();
        stream.deadlines.upstream = None;
        let now = match stream.info.attempt_count == 1 && !stream.paused {
            // Nothing has made it wait since it began.
            true => stream.info.start,
            false => Instant::now(),
        };
        self.arm_route(stream, now);
        let mut queue = self.replay.pieces().to_vec();
        let begin = now.saturating_duration_since(stream.info.start);
        stream.info.timing.upstream_connect_begin = Some(begin);
        let mut waited = false;
        let connection = {
            let connecting =
                Connecting::new(&self.cluster, &host, self.priority, &stream.info, self.tcp);
            let mut connecting = pin!(connecting);
            self.host = Some(host);
            poll_fn(|cx| {
                if let Poll::Ready(connection) = connecting.as_mut().poll(cx) {
                    return Poll::Ready(Ok(connection));
                }
                waited = true;
                if let Some(interrupt) = self.read_ahead(cx, stream, &mut queue) {
                    return Poll::Ready(Err(interrupt));
                }
                self.poll_interrupt(cx, stream, &mut deadlines).map(Err)
            })
            .await
        };
        let connection = match connection {
            Ok(Ok(connection)) => connection,
            Ok(Err(failure)) => return self.not_connected(stream, failure),
            Err(interrupt) => return interrupt.into(),
        };
        // A connection from the pool is there at once: no need to look at the clock again.
        let now = if waited { Instant::now() } else { now };
        Self::connected(stream, &connection, begin, now);
        self.charge.attempt();
        self.arm_upstream(stream, now);
        self.arm_try(stream, &mut deadlines, now);
        self.exchange(stream, connection, queue, deadlines).await
    }

    #[cold]
    fn not_connected(&mut self, stream: &mut ActiveStream<'_>, failure: PoolFailure) -> AttemptEnd {
        let begin = stream.info.timing.upstream_connect_begin;
        let waited = begin.map(|begin| stream.info.elapsed().saturating_sub(begin));
        stream.info.upstream.pool_ready = waited;
        if failure.host.is_none() {
            // The request could not even wait for the host, which is not to blame.
            stream.info.upstream.host = None;
            self.host = None;
        }
        let in_its_words = failure.reason.clone();
        let reason = ResetReason::from(failure);
        failure::log(stream, reason.as_str(), in_its_words.transport_failure());
        AttemptEnd::Reset {
            reason,
            sent: false,
            retried: false,
        }
    }

    fn connected(
        stream: &mut ActiveStream<'_>,
        connection: &Connection,
        begin: Duration,
        now: Instant,
    ) {
        log_debug!("router", &stream.info => "pool ready");
        log_debug!(
            "router",
            "Attached upstream connection [C{}] to downstream connection [C{}]",
            connection.info().id,
            stream.info.connection.id
        );
        let now = now.saturating_duration_since(stream.info.start);
        let upstream = &mut stream.info.upstream;
        upstream.pool_ready = Some(now.saturating_sub(begin));
        upstream.hosts_attempted.extend(upstream.host.clone());
        upstream.connection_id = Some(connection.info().id);
        upstream.connection_ids_attempted.push(connection.info().id);
        upstream.local_address = connection.info().local_address.clone();
        upstream.remote_address = Some(connection.info().remote_address.clone());
        upstream.protocol = connection.protocol();
        stream.info.timing.upstream_connect_end.get_or_insert(now);
        stream.info.timing.upstream_tx_begin = Some(now);
    }

    /// Sends the request on a connection and waits for the head.
    async fn exchange(
        &mut self,
        stream: &mut ActiveStream<'_>,
        connection: Connection,
        queue: Vec<Bytes>,
        mut deadlines: TryDeadlines,
    ) -> AttemptEnd {
        let reused = connection.is_reused();
        let cluster = &self.cluster;
        let limit = cluster.config.per_connection_buffer_limit as usize;
        // In a box from the start: it outlives this future, whose size every connection pays.
        let exchange = connection.exchange(&cluster.config, stream.method, limit);
        let mut exchange = Box::new(exchange);
        if self.tcp {
            self.send_proxy_header(&mut exchange, &stream.info);
        }
        self.write_attempt_headers(stream);
        let no_body = stream.request_complete && queue.is_empty() && self.replay.end().is_none();
        if let Err(error) = exchange.send_head(&stream.messages.request, no_body) {
            exchange.close(CloseReason::Local);
            return AttemptEnd::Unwritable(error);
        }
        stream.info.upstream.header_bytes_sent = exchange.header_bytes_sent();
        stream.info.upstream.decompressed_header_bytes_sent = exchange.header_bytes_sent();
        if stream.request_complete {
            log_encoded(&stream.info);
            stream.info.timing.upstream_tx_end = stream.info.timing.upstream_tx_begin;
        }
        self.send_queue(stream, &mut exchange, queue);
        stream.messages.response.clear();
        let end = poll_fn(|cx| self.poll_exchange(cx, stream, &mut exchange, &mut deadlines)).await;
        let end = match end {
            Ok(status) if Self::is_failed_handshake(stream, status) => {
                return self.failed_handshake(stream, exchange, status);
            }
            Ok(status) => {
                let received = exchange.header_bytes_received();
                stream.info.upstream.header_bytes_received = received;
                stream.info.upstream.decompressed_header_bytes_received = received;
                return AttemptEnd::Head {
                    exchange,
                    status,
                    retried: false,
                };
            }
            Err(ExchangeEnd::Interrupted(Interrupt::PerTry | Interrupt::PerTryIdle))
                if self.hedges() =>
            {
                return AttemptEnd::Soft(exchange);
            }
            Err(end) => end,
        };
        self.account_bytes(stream, &exchange);
        let untouched = exchange.bytes_read() == 0;
        match end {
            ExchangeEnd::Failed(error) => {
                let reason = ResetReason::from(&error);
                close_failed(&self.cluster, *exchange, &error);
                let stale = reused && untouched && reason == ResetReason::ConnectionTermination;
                if stale && self.may_replace_stale(stream) {
                    self.replaced_stale = true;
                    stream.info.attempt_count -= 1;
                    // It is not to blame, and may be asked again.
                    self.host = None;
                    return AttemptEnd::Stale;
                }
                AttemptEnd::Reset {
                    reason,
                    sent: true,
                    retried: false,
                }
            }
            ExchangeEnd::Interrupted(interrupt) => {
                log_debug!("router", &stream.info => "resetting pool request");
                exchange.close(CloseReason::Local);
                interrupt.into()
            }
        }
    }

    /// A request that no byte of a response answers on a connection that had been idle was almost surely never seen: it
    /// is sent once more on another connection, if it may be sent twice and is still at hand.
    fn may_replace_stale(&self, stream: &ActiveStream<'_>) -> bool {
        !self.replaced_stale && self.replay.is_replayable() && Self::is_idempotent(stream.method)
    }

    /// Headers that differ from attempt to attempt.
    fn write_attempt_headers(&self, stream: &mut ActiveStream<'_>) {
        let complete = stream.received_at();
        let request = &mut stream.messages.request;
        let mut digits = itoa::Buffer::new();
        if self.route.route.virtual_host.include_request_attempt_count {
            request.set(
                HeaderId::EnvoyAttemptCount,
                digits.format(stream.info.attempt_count).as_bytes(),
            );
        }
        if stream.info.attempt_count > 1 {
            if self
                .route
                .route
                .virtual_host
                .include_is_timeout_retry_header
            {
                let value: &[u8] = match self.timeout_retry {
                    true => b"true",
                    false => b"false",
                };
                request.set(HeaderId::EnvoyIsTimeoutRetry, value);
            }
            let keep_own = !self.config.suppress_envoy_headers;
            let elapsed = complete.map_or(Duration::ZERO, |at| stream.info.elapsed() - at);
            self.timeouts.write_expected(request, elapsed, keep_own);
        }
        if let (Some(forward), Some(host)) = (self.forward(), &stream.info.upstream.host) {
            let keep_original = !self.config.suppress_envoy_headers;
            forward.rewrite_host_to_upstream(request, host.hostname.as_bytes(), keep_original);
        }
    }

    fn poll_exchange(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut ActiveStream<'_>,
        exchange: &mut ClientExchange,
        deadlines: &mut TryDeadlines,
    ) -> Poll<Result<u16, ExchangeEnd>> {
        loop {
            if let Some(interrupt) = self.pump_request(cx, stream, exchange, deadlines) {
                return Poll::Ready(Err(ExchangeEnd::Interrupted(interrupt)));
            }
            let held_back = !stream.request_complete && exchange.is_backed_up();
            let flushed = exchange.poll_flush(cx).is_ready();
            if flushed || held_back {
                let backlog = (!flushed).then(|| stream.request_backlog(exchange));
                stream.hold_request(backlog, &self.cluster.stats);
            }
            // Whoever stopped reading because too much was waiting must look again: nothing else would wake him.
            if flushed && held_back {
                continue;
            }
            match exchange.poll_head(cx, &mut stream.messages.response) {
                Poll::Ready(Ok(head)) if head.status == 101 || head.status >= 200 => {
                    if !head.keep_alive {
                        let id = stream.info.upstream.connection_id.unwrap_or_default();
                        log_debug!("pool", Tags::connection(id) => "saw upstream close connection");
                        self.cluster.stats.upstream_cx_close_notify.inc();
                    }
                    log_debug!("router", &stream.info => "upstream headers complete: end_stream={}",
                        exchange.response_complete());
                    stream.info.timing.upstream_rx_begin = Some(stream.info.elapsed());
                    return Poll::Ready(Ok(head.status));
                }
                Poll::Ready(Ok(head)) => {
                    if is_forwarded(head.status) && !self.interim {
                        // Its time is no longer limited by itself.
                        *deadlines = TryDeadlines::default();
                        self.on_interim(stream, head.status);
                    }
                    stream.messages.response.clear();
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(ExchangeEnd::Failed(error))),
                Poll::Pending => break,
            }
        }
        self.poll_interrupt(cx, stream, deadlines)
            .map(|interrupt| Err(ExchangeEnd::Interrupted(interrupt)))
    }

    /// Moves request body from the client to the upstream, and keeps it for another attempt.
    fn pump_request(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut ActiveStream<'_>,
        exchange: &mut ClientExchange,
        deadlines: &mut TryDeadlines,
    ) -> Option<Interrupt> {
        while !stream.request_complete && !exchange.is_backed_up() && !self.is_early_full() {
            match stream.poll_request_body(cx) {
                Poll::Ready(RequestEvent::Data(_)) if self.rejects_early_data(stream) => {
                    return Some(Interrupt::EarlyData);
                }
                Poll::Ready(RequestEvent::Data(data)) => {
                    self.keep(&data);
                    self.send_piece(exchange, data);
                    self.touch_idle(deadlines);
                }
                Poll::Ready(RequestEvent::End { trailers }) => {
                    self.replay.set_end(trailers);
                    self.send_end(stream, exchange, trailers);
                    log_encoded(&stream.info);
                    let now = Instant::now();
                    let elapsed = now.saturating_duration_since(stream.info.start);
                    stream.info.timing.upstream_tx_end = Some(elapsed);
                    self.arm_route(stream, now);
                    self.arm_try(stream, deadlines, now);
                }
                Poll::Ready(RequestEvent::Failed(error)) => {
                    return Some(Interrupt::Disconnected(error));
                }
                Poll::Pending => break,
            }
        }
        None
    }

    /// While no connection is there yet, the client's bytes are taken all the same, up to the cluster's buffer limit:
    /// what is wrong with them is found before anything goes upstream.
    fn read_ahead(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut ActiveStream<'_>,
        queue: &mut Vec<Bytes>,
    ) -> Option<Interrupt> {
        let limit = self.cluster.config.per_connection_buffer_limit as usize;
        let mut queued: usize = queue.iter().map(Bytes::len).sum();
        while !stream.request_complete && (limit == 0 || queued < limit) {
            match stream.poll_request_body(cx) {
                Poll::Ready(RequestEvent::Data(_)) if self.rejects_early_data(stream) => {
                    return Some(Interrupt::EarlyData);
                }
                Poll::Ready(RequestEvent::Data(data)) => {
                    self.keep(&data);
                    queued += data.len();
                    queue.push(data);
                }
                Poll::Ready(RequestEvent::End { trailers }) => {
                    self.replay.set_end(trailers);
                    self.arm_route(stream, Instant::now());
                }
                Poll::Ready(RequestEvent::Failed(error)) => {
                    return Some(Interrupt::Disconnected(error));
                }
                Poll::Pending => break,
            }
        }
        None
    }

    /// Keeps a piece of the request for another attempt, as long as there may be one.
    fn keep(&mut self, data: &Bytes) {
        if !self.replay.push(data) && (self.retry.is_some() || self.redirects) {
            self.cluster.stats.retry_or_shadow_abandoned.inc();
        }
    }

    /// The route's timeout runs from the end of the request, which has none behind the head of a WebSocket.
    fn arm_route(&self, stream: &mut ActiveStream<'_>, now: Instant) {
        let complete = stream.request_complete || stream.upgrade == Some(Upgrade::WebSocket);
        if complete && stream.deadlines.route.is_none() {
            stream.deadlines.route = self.timeouts.global.map(|d| now + d);
        }
    }

    /// The cluster's limit runs from the moment that the request has a connection.
    fn arm_upstream(&self, stream: &mut ActiveStream<'_>, now: Instant) {
        stream.deadlines.upstream = self.timeouts.max_duration.map(|d| now + d);
    }

    /// A try's timeouts run once it has a connection and the request is complete.
    fn arm_try(&self, stream: &ActiveStream<'_>, deadlines: &mut TryDeadlines, now: Instant) {
        if !stream.request_complete || self.interim {
            return;
        }
        deadlines.whole = self.timeouts.per_try.map(|d| now + d);
        deadlines.idle = self.timeouts.per_try_idle.map(|d| now + d);
    }

    fn touch_idle(&self, deadlines: &mut TryDeadlines) {
        if deadlines.idle.is_some() {
            deadlines.idle = self.timeouts.per_try_idle.map(|d| Instant::now() + d);
        }
    }

    /// Ready when a deadline passes or the client is gone.
    pub(super) fn poll_interrupt(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut ActiveStream<'_>,
        deadlines: &mut TryDeadlines,
    ) -> Poll<Interrupt> {
        if let Some(interrupt) = self.poll_parked(cx, stream) {
            return Poll::Ready(interrupt);
        }
        if stream.request_complete && stream.connection.codec.poll_closed(cx).is_ready() {
            return Poll::Ready(Interrupt::Disconnected(RequestError::Closed));
        }
        // `100 Continue` may still wait to be written.
        if matches!(stream.connection.codec.poll_flush(cx), Poll::Ready(Err(_))) {
            return Poll::Ready(Interrupt::Disconnected(RequestError::Closed));
        }
        let own = earliest(deadlines.whole, deadlines.idle);
        stream.poll_deadlines(cx, own).map(|expired| {
            let now = Instant::now();
            let passed = |deadline: Option<Instant>| deadline.is_some_and(|d| d <= now);
            match expired {
                Expired::Route if passed(stream.deadlines.route) => Interrupt::Expired(expired),
                Expired::Route if passed(deadlines.whole) => Interrupt::PerTry,
                Expired::Route => Interrupt::PerTryIdle,
                expired => Interrupt::Expired(expired),
            }
        })
    }

    /// Waits before the next attempt; `Some` if there will be none.
    pub(super) async fn pause(
        &mut self,
        stream: &mut ActiveStream<'_>,
        pause: Duration,
    ) -> Option<AttemptEnd> {
        self.in_flight = false;
        if pause.is_zero() {
            return None;
        }
        stream.deadlines.upstream = None;
        let until = Instant::now() + pause;
        let interrupt = poll_fn(|cx| {
            let mut deadlines = TryDeadlines {
                whole: Some(until),
                idle: None,
            };
            self.poll_interrupt(cx, stream, &mut deadlines)
        })
        .await;
        match interrupt {
            Interrupt::PerTry | Interrupt::PerTryIdle => None,
            end => Some(end.into()),
        }
    }
}

/// The whole request is on its way.
fn log_encoded(info: &StreamInfo) {
    if let Some(connection) = info.upstream.connection_id {
        log_debug!("client", Tags::connection(connection) => "encode complete");
    }
}

/// Closes the connection of an attempt that failed.
#[cold]
pub(super) fn close_failed(cluster: &Cluster, exchange: ClientExchange, error: &ExchangeError) {
    let reason = match error {
        _ if exchange.ends_connect() => CloseReason::Local,
        ExchangeError::Terminated
        | ExchangeError::Truncated
        | ExchangeError::Reset
        | ExchangeError::Refused => CloseReason::Remote,
        ExchangeError::Protocol(_) => {
            cluster.stats.upstream_cx_protocol_error.inc();
            match exchange.ended() {
                true => CloseReason::Remote,
                false => CloseReason::Local,
            }
        }
    };
    exchange.close(reason);
}

/// Why no head came.
enum ExchangeEnd {
    Failed(ExchangeError),
    Interrupted(Interrupt),
}
