//! The connection manager over HTTP/2: one connection, its streams side by side, and its drain.
//!
//! Each stream is a task of its own that runs the same straight line as a request of HTTP/1. This file drives the
//! connection under them; it never looks into a message.

mod stream;
mod unseen;

use crate::{
    codec::{
        Codec,
        h2::{
            Http2Settings, ServerIo, ServerStream, Signals, Violation, Wire,
            server::{CODEC_ERROR, Ending},
        },
    },
    hcm::{Close, Connection, HttpConnectionManager},
    stream::Messages,
    timeout::{Timer, earliest},
};
use bytes::Bytes;
use h2::{Ping, PingPong, Reason, RecvStream, server::SendResponse};
use http::Request;
use outrigger_core::{
    ConnectionInfo, Protocol, ResponseFlag,
    panics::contained,
    runtime::{Runtime, RuntimeUint64},
    scaled_timer::ScaledTimer,
};
use outrigger_upstream::{frames, stats::Http2Stats};
use parking_lot::Mutex;
use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use stream::{StreamEnd, run};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

/// When a connection ends because its client resets streams too soon.
#[derive(Debug)]
pub struct PrematureResets {
    /// From so many streams on, half of them may be.
    total: RuntimeUint64,
    /// Whole seconds up to which a stream without a response was reset too soon.
    lifetime: RuntimeUint64,
}

impl PrematureResets {
    pub fn compile(runtime: &Runtime) -> Self {
        let handle = |default, key| RuntimeUint64::new(default, key, runtime);
        Self {
            total: handle(500, "overload.premature_reset_total_stream_count"),
            lifetime: handle(1, "overload.premature_reset_min_stream_lifetime_seconds"),
        }
    }

    /// Whether a stream that is reset at this age counts.
    fn is_premature(&self, age: Duration) -> bool {
        age.as_secs() <= self.lifetime.get()
    }

    /// Whether they are too many, of all streams that have ended.
    fn are_too_many(&self, premature: u64, ended: u64) -> bool {
        let limit = self.total.get();
        ended > 0 && premature.saturating_mul(2) >= limit.max(ended)
    }
}

/// The details of streams whose client does not answer pings.
const PING_TIMEOUT: &str = "downstream_local_disconnect(http2_ping_timeout)";
/// The highest stream that there can be: a GOAWAY with it refuses none.
const ANY_STREAM: u32 = i32::MAX.cast_unsigned();

/// A connection that is to close.
#[derive(Clone, Copy, Debug)]
enum Drain {
    /// The client has been told; what it still sends is served until then.
    Noticed { until: Instant },
    /// Streams after this one are refused.
    Closing { last: u32 },
}

/// How a connection ended.
enum End {
    /// The client closed it, or the network did.
    Remote,
    /// It has drained, on our side or on the client's.
    Drained,
    /// We give it up.
    Abort,
    /// The client does not answer our pings.
    PingTimeout,
    /// The client broke the protocol.
    Protocol,
    /// It did so by the head of a request, whose stream has logged it.
    Head,
    Violation(Violation),
}

/// One connection of HTTP/2.
struct Http2Connection<'a> {
    hcm: Arc<HttpConnectionManager>,
    info: Arc<ConnectionInfo>,
    settings: Arc<Http2Settings>,
    stats: Arc<Http2Stats>,
    signals: Arc<Signals>,
    codec: h2::server::Connection<ServerIo<'a>, Bytes>,
    io: ServerIo<'a>,
    streams: JoinSet<StreamEnd>,
    timer: Timer,
    /// When the last stream ended.
    idle_since: Instant,
    duration_deadline: Option<Instant>,
    drain: Option<Drain>,
    /// When a draining server asks the connection to close although no response does; once a drain has begun.
    drain_close: Option<Option<Instant>>,
    pings: Option<PingPong>,
    next_ping: Option<Instant>,
    pong_deadline: Option<Instant>,
    requests: u32,
    ended: u64,
    premature: u64,
    /// The head that is on its way, and since when.
    head: Option<(u32, Instant)>,
    /// Streams whose heads came too late.
    late: Vec<u32>,
}

/// A stream in `streams_active`, until it ends in whatever way.
struct ActiveStreams(Arc<Http2Stats>);

impl Drop for ActiveStreams {
    fn drop(&mut self) {
        self.0.streams_active.dec();
    }
}

/// Serves a connection whose client speaks HTTP/2 until it ends.
pub(crate) async fn serve(connection: &mut Connection) -> Close {
    connection.count_codec(Protocol::Http2);
    connection.summary.protocol = Some(Protocol::Http2);
    let hcm = connection.hcm.clone();
    let info = connection.info.clone();
    let duration_deadline = connection.max_duration_deadline();
    let Codec::Http1(socket) = &mut connection.codec else {
        return Close::Now;
    };
    let settings = hcm.http2.clone();
    let stats = hcm.http2_stats.get().clone();
    stats.nghttp2_downstream_connections.inc();
    let signals = Arc::new(Signals::default());
    let wire = Mutex::new(Wire::new(
        socket,
        hcm.stats.clone(),
        &mut connection.reported,
        signals.clone(),
        settings.options.frames,
        settings.stream_errors,
    ));
    let io = ServerIo::new(&wire);
    let builder = settings.server(hcm.buffer_limit);
    let idle = hcm.timeouts.connection_idle.map(|timeout| {
        let (now, timers) = (Instant::now(), &hcm.overload.state.timers);
        timers.due(ScaledTimer::ConnectionIdle, timeout, now + timeout)
    });
    let end = match handshake(&builder, io, idle).await {
        Ok(codec) => {
            let mut served = Http2Connection::new(hcm.clone(), info, settings, stats, codec, io);
            served.signals = signals;
            served.duration_deadline = duration_deadline;
            let end = poll_fn(|cx| served.poll_and_send(cx)).await;
            let ended_by_head = matches!(end, End::Head | End::Violation(Violation::Head(_)));
            connection.active_request = served.is_active() || ended_by_head;
            served.finish(&end).await;
            end
        }
        Err(end) => end,
    };
    match end {
        End::Remote => {
            connection.set_remote_close();
            Close::Now
        }
        End::Drained => Close::Delayed,
        End::Abort => Close::Now,
        End::PingTimeout => {
            connection.close_silently();
            Close::Now
        }
        End::Protocol | End::Head | End::Violation(_) => {
            if !matches!(end, End::Violation(Violation::Flood(..))) {
                hcm.stats.downstream_cx_protocol_error.inc();
            }
            let flag = ResponseFlag::DownstreamProtocolError;
            connection.summary.flags.set(flag);
            Close::Delayed
        }
    }
}

/// Waits for the client's preface and settings.
async fn handshake<'a>(
    builder: &h2::server::Builder,
    io: ServerIo<'a>,
    idle: Option<Instant>,
) -> Result<h2::server::Connection<ServerIo<'a>, Bytes>, End> {
    let handshake = builder.handshake(io);
    let result = match idle {
        Some(idle) => timeout_at(idle, handshake).await.map_err(|_| End::Abort)?,
        None => handshake.await,
    };
    result.map_err(|error| match error.is_library() {
        true => End::Protocol,
        false => End::Remote,
    })
}

impl<'a> Http2Connection<'a> {
    fn new(
        hcm: Arc<HttpConnectionManager>,
        info: Arc<ConnectionInfo>,
        settings: Arc<Http2Settings>,
        stats: Arc<Http2Stats>,
        mut codec: h2::server::Connection<ServerIo<'a>, Bytes>,
        io: ServerIo<'a>,
    ) -> Self {
        io.gather();
        let now = Instant::now();
        let keepalive = settings.options.keepalive;
        Self {
            hcm,
            info,
            pings: keepalive.and_then(|_| codec.ping_pong()),
            next_ping: keepalive.and_then(|k| k.next_interval()).map(|d| now + d),
            pong_deadline: None,
            settings,
            stats,
            signals: Arc::default(),
            codec,
            io,
            streams: JoinSet::new(),
            timer: Timer::default(),
            idle_since: now,
            duration_deadline: None,
            drain: None,
            drain_close: None,
            requests: 0,
            ended: 0,
            premature: 0,
            head: None,
            late: Vec::new(),
        }
    }

    /// Whether a stream is open, if only by the beginning of its head.
    fn is_active(&self) -> bool {
        !self.streams.is_empty() || self.signals.head().is_some()
    }

    /// Whatever ends the connection, what was said before goes out as far as the client takes it.
    fn poll_and_send(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let end = self.poll(cx);
        if end.is_ready() {
            // An error means that the client is gone, and what remains is the connection's to write.
            let _ = self.io.poll_send(cx);
        }
        end
    }

    /// Moves frames, begins and buries streams, and looks at the clock.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            while let Poll::Ready(Some(end)) = self.streams.poll_join_next(cx) {
                self.idle_since = Instant::now();
                // What has panicked has nothing to say.
                if let Some(end) = end.ok().and_then(|end| self.stream_ended(&end)) {
                    return Poll::Ready(end);
                }
            }
            if self.drain.is_none() && self.signals.is_asked_to_drain() {
                self.hcm.stats.downstream_cx_drain_close.inc();
                self.start_drain();
            }
            match self.codec.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.begin(request, respond);
                    continue;
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(match error.is_library() {
                        true => End::Protocol,
                        false => End::Remote,
                    });
                }
                Poll::Ready(None) => return Poll::Ready(self.codec_ended()),
                Poll::Pending => {}
            }
            if let Poll::Ready(Err(_)) = self.io.poll_send(cx) {
                return Poll::Ready(End::Remote);
            }
            if let Some(violation) = self.signals.violation() {
                return Poll::Ready(End::Violation(violation));
            }
            if self.has_drained() {
                return Poll::Ready(End::Drained);
            }
            self.log_unseen();
            self.watch_head();
            self.poll_pong(cx);
            let deadline = self.deadline();
            if self.timer.poll_deadline(cx, deadline).is_pending() {
                return Poll::Pending;
            }
            if let Some(end) = self.expire(Instant::now()) {
                return Poll::Ready(end);
            }
        }
    }

    /// A stream is there with the head of its request.
    fn begin(&mut self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let id = request.body().stream_id().as_u32();
        if matches!(self.drain, Some(Drain::Closing { last }) if id > last) {
            // Its client may send it again elsewhere.
            return respond.send_reset(Reason::REFUSED_STREAM);
        }
        if let Some(late) = self.late.iter().position(|&late| late == id) {
            self.late.swap_remove(late);
            return;
        }
        self.requests += 1;
        let max = self.hcm.max_requests_per_connection;
        if max.is_some_and(|max| self.requests >= max) {
            self.hcm.stats.downstream_cx_max_requests_reached.inc();
            self.start_drain();
        }
        let mut messages = Messages::take();
        let (stream, head) = ServerStream::accept(
            request,
            respond,
            self.settings.clone(),
            self.signals.clone(),
            self.hcm.buffer_limit,
            &mut messages.request,
        );
        self.stats.streams_active.inc();
        let codec = Codec::Http2(Box::new(stream));
        let connection = Connection::new(self.hcm.clone(), self.info.clone(), codec);
        let stats = self.stats.clone();
        // It has a panic to itself: the other streams of the connection go on.
        // In a box: the runtime moves a task's future several times, and this one is large.
        self.streams.spawn(contained(Box::pin(async move {
            let active = ActiveStreams(stats);
            run(connection, messages, head, &active.0).await
        })));
    }

    /// The codec has nothing more to do: because the client has closed, or because it has said that it goes away and has
    /// no stream any more. It may still send pings before it closes, which must not meet a closed socket.
    fn codec_ended(&self) -> End {
        match self.io.has_ended() {
            true => End::Remote,
            false => End::Drained,
        }
    }

    /// `Some`: the connection has to go.
    fn stream_ended(&mut self, end: &StreamEnd) -> Option<End> {
        self.ended += 1;
        self.premature += u64::from(end.premature);
        if end.malformed && !self.settings.stream_errors {
            return Some(End::Head);
        }
        if end.close {
            self.start_drain();
        }
        if end.premature
            && self
                .hcm
                .premature_resets
                .are_too_many(self.premature, self.ended)
        {
            let stats = &self.hcm.stats;
            stats.downstream_rq_too_many_premature_resets.inc();
            stats.downstream_cx_protocol_error.inc();
            return Some(End::Abort);
        }
        None
    }

    /// Tells the client to open no further streams; those that it opens until it has heard of that are served.
    fn start_drain(&mut self) {
        if self.drain.is_none() {
            let timeout = self.hcm.timeouts.drain_period().unwrap_or_default();
            self.drain = Some(Drain::Noticed {
                until: Instant::now() + self.hcm.drain.notice(timeout),
            });
            self.go_away(ANY_STREAM);
        }
    }

    /// The time for that is over: once the last stream has ended, so does the connection.
    fn finish_drain(&mut self) {
        let last = self.signals.accepted();
        self.drain = Some(Drain::Closing { last });
        self.stats.goaway_sent.inc();
        self.go_away(last);
    }

    fn go_away(&self, last: u32) {
        let mut frame = Vec::new();
        frames::write_go_away(&mut frame, last);
        self.signals.write(&frame);
    }

    /// The last stream has ended behind our last GOAWAY.
    fn has_drained(&self) -> bool {
        matches!(self.drain, Some(Drain::Closing { .. })) && self.streams.is_empty()
    }

    fn idle_deadline(&self) -> Option<Instant> {
        if self.is_active() {
            return None;
        }
        let timeout = self.hcm.timeouts.connection_idle?;
        let timers = &self.hcm.overload.state.timers;
        self.drain.is_none().then(|| {
            let deadline = self.idle_since + timeout;
            timers.due(ScaledTimer::ConnectionIdle, timeout, deadline)
        })
    }

    fn duration_deadline(&self) -> Option<Instant> {
        let deadline = self.duration_deadline?;
        let duration = deadline.saturating_duration_since(self.info.start);
        let timers = &self.hcm.overload.state.timers;
        Some(timers.due(ScaledTimer::ConnectionMax, duration, deadline))
    }

    /// When a drain that has begun has lasted long enough.
    fn notice_deadline(&self) -> Option<Instant> {
        match self.drain {
            Some(Drain::Noticed { until }) => Some(until),
            _ => None,
        }
    }

    fn drain_deadline(&mut self) -> Option<Instant> {
        if self.hcm.drain.ends() {
            // Long since: nothing is lost by asking a client that has streams open.
            return self.drain.is_none().then_some(self.info.start);
        }
        if self.drain_close.is_none() && self.hcm.drain.has_begun() {
            let drain_timeout = self.hcm.timeouts.drain.unwrap_or_default();
            self.drain_close = Some(self.hcm.drain.idle_close(drain_timeout));
        }
        self.drain_close.flatten().filter(|_| self.drain.is_none())
    }

    fn deadline(&mut self) -> Option<Instant> {
        let ping = earliest(self.next_ping, self.pong_deadline);
        let end = earliest(self.drain_deadline(), self.duration_deadline());
        let end = earliest(end, self.notice_deadline());
        let deadline = earliest(earliest(self.idle_deadline(), end), ping);
        earliest(deadline, self.head_deadline())
    }

    /// Does what is due. `Some`: the connection has to go.
    fn expire(&mut self, now: Instant) -> Option<End> {
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
        if passed(self.pong_deadline) {
            self.stats.keepalive_timeout.inc();
            return Some(End::PingTimeout);
        }
        if passed(self.next_ping) {
            self.ping(now);
        }
        if passed(self.head_deadline()) {
            self.head_timeout();
        }
        if passed(self.drain_deadline()) {
            self.hcm.stats.downstream_cx_drain_close.inc();
            self.start_drain();
        }
        if passed(self.duration_deadline()) {
            self.duration_deadline = None;
            self.hcm.stats.downstream_cx_max_duration_reached.inc();
            self.start_drain();
        }
        if passed(self.notice_deadline()) {
            self.finish_drain();
        }
        if passed(self.idle_deadline()) {
            self.hcm.stats.downstream_cx_idle_timeout.inc();
            self.start_drain();
        }
        None
    }

    fn ping(&mut self, now: Instant) {
        self.next_ping = None;
        if let (Some(pings), Some(keepalive)) = (&mut self.pings, self.settings.options.keepalive)
            && pings.send_ping(Ping::opaque()).is_ok()
        {
            self.pong_deadline = Some(now + keepalive.timeout);
        }
    }

    fn poll_pong(&mut self, cx: &mut Context<'_>) {
        let Some(pings) = &mut self.pings else { return };
        if self.pong_deadline.is_some() && matches!(pings.poll_pong(cx), Poll::Ready(Ok(_))) {
            self.pong_deadline = None;
            let keepalive = self.settings.options.keepalive;
            let interval = keepalive.and_then(|keepalive| keepalive.next_interval());
            self.next_ping = interval.map(|interval| Instant::now() + interval);
        }
    }

    /// The connection is over: its streams learn of it and end.
    async fn finish(mut self, end: &End) {
        self.tell(end);
        drop(self.codec);
        while self.streams.join_next().await.is_some() {}
    }

    /// Says to the streams how the connection has ended, and logs those that nobody has seen.
    fn tell(&mut self, end: &End) {
        match end {
            End::Protocol | End::Head | End::Violation(Violation::Head(_)) => {
                self.signals.set_cause(Ending::Violation(CODEC_ERROR));
            }
            End::PingTimeout => {
                self.signals.set_cause(Ending::Local(PING_TIMEOUT));
            }
            End::Violation(Violation::Flood(flood, _)) => {
                flood.count(&self.stats);
                let details = flood.codec_error();
                self.signals.set_cause(Ending::Violation(details));
            }
            End::Violation(Violation::Trailers(_)) => {
                self.stats.rx_messaging_error.inc();
                self.signals.set_cause(Ending::Violation(CODEC_ERROR));
            }
            End::Remote | End::Drained | End::Abort => {}
        }
        self.log_unseen();
        self.log_unfinished_head(end);
    }
}
