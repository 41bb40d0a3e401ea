//! The connection manager over HTTP/2: one connection, its streams side by side, and its drain.
//!
//! Each stream is a task of its own that runs the same straight line as a request of HTTP/1. This file drives the
//! connection under them; it never looks into a message.

use crate::{
    codec::{
        Codec,
        h1::RequestHead,
        h2::{HeadError, Http2Settings, ServerIo, ServerStream, server::Ending},
    },
    hcm::{Close, Connection, DrainState, HttpConnectionManager},
    stream::{ActiveStream, Messages},
    timeout::{Timer, earliest},
};
use bytes::Bytes;
use h2::{Ping, PingPong, Reason, RecvStream, server::SendResponse};
use http::Request;
use outrigger_core::{
    ConnectionInfo, Protocol, ResponseFlag, StreamInfo, formatter::FormatContext,
};
use outrigger_upstream::stats::Http2Stats;
use std::{
    borrow::Cow,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

/// A stream that its client resets within this time counts as premature, as in Envoy.
const PREMATURE: Duration = Duration::from_secs(1);
/// From so many streams on, a connection half of whose streams are reset prematurely is closed.
const RESETS_TOLERATED: u32 = 500;

/// How a connection ended.
enum End {
    /// The client closed it, or the network did.
    Remote,
    /// It has drained.
    Drained,
    /// We give it up.
    Abort,
    /// The client broke the protocol.
    Protocol,
    /// It did so by the head of a request, which the codec has not shown to anybody.
    UnseenHead,
    /// It did so by the head of a request, whose stream has logged it.
    Head,
}

/// How a stream ended.
struct StreamEnd {
    /// Its client reset it before it had lived long.
    premature: bool,
    /// Its head was malformed, which by default is the end of the connection.
    malformed: bool,
    /// A draining server asks the connection to close.
    drain: bool,
}

/// One connection of HTTP/2.
struct Http2Connection<'a> {
    hcm: Arc<HttpConnectionManager>,
    info: Arc<ConnectionInfo>,
    settings: Arc<Http2Settings>,
    stats: Arc<Http2Stats>,
    codec: h2::server::Connection<ServerIo<'a>, Bytes>,
    streams: JoinSet<StreamEnd>,
    timer: Timer,
    /// When the last stream ended.
    idle_since: Instant,
    duration_deadline: Option<Instant>,
    /// The connection accepts no new streams; once idle it is closed, at the latest then.
    drain: Option<Instant>,
    /// When a draining server asks the connection to close although no response does; once a drain has begun.
    drain_close: Option<Option<Instant>>,
    pings: Option<PingPong>,
    next_ping: Option<Instant>,
    pong_deadline: Option<Instant>,
    requests: u32,
    ended: u32,
    premature: u32,
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
    let io = ServerIo {
        connection: socket,
        stats: hcm.stats.clone(),
        reported: &mut connection.reported,
    };
    let end = match handshake(&settings, io, hcm.timeouts.connection_idle).await {
        Ok(codec) => {
            let mut served =
                Http2Connection::new(hcm.clone(), info, settings, stats, codec, duration_deadline);
            let end = poll_fn(|cx| served.poll(cx)).await;
            connection.active_request =
                !served.streams.is_empty() || matches!(end, End::Head | End::UnseenHead);
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
        End::Protocol | End::UnseenHead | End::Head => {
            hcm.stats.downstream_cx_protocol_error.inc();
            let flag = ResponseFlag::DownstreamProtocolError;
            connection.summary.flags.set(flag);
            Close::Delayed
        }
    }
}

/// Waits for the client's preface and settings.
async fn handshake<'a>(
    settings: &Http2Settings,
    io: ServerIo<'a>,
    idle: Option<Duration>,
) -> Result<h2::server::Connection<ServerIo<'a>, Bytes>, End> {
    let handshake = settings.server().handshake(io);
    let result = match idle {
        Some(idle) => timeout(idle, handshake).await.map_err(|_| End::Abort)?,
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
        duration_deadline: Option<Instant>,
    ) -> Self {
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
            codec,
            streams: JoinSet::new(),
            timer: Timer::default(),
            idle_since: now,
            duration_deadline,
            drain: None,
            drain_close: None,
            requests: 0,
            ended: 0,
            premature: 0,
        }
    }

    /// Moves frames, begins and buries streams, and looks at the clock.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            while let Poll::Ready(Some(end)) = self.streams.poll_join_next(cx) {
                if let Some(end) = end.ok().and_then(|end| self.stream_ended(&end)) {
                    return Poll::Ready(end);
                }
            }
            match self.codec.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.begin(request, respond);
                    continue;
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(self.failed(&error)),
                Poll::Ready(None) if self.drain.is_some() => return Poll::Ready(End::Drained),
                Poll::Ready(None) => return Poll::Ready(End::Remote),
                Poll::Pending => {}
            }
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
    fn begin(&mut self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        self.requests += 1;
        if self.hcm.max_requests_per_connection == Some(self.requests) {
            self.hcm.stats.downstream_cx_max_requests_reached.inc();
            self.start_drain();
        }
        let mut messages = Messages::take();
        let (stream, head) = ServerStream::accept(
            request,
            respond,
            self.settings.clone(),
            self.hcm.buffer_limit,
            &mut messages.request,
        );
        self.stats.streams_active.inc();
        let codec = Codec::Http2(Box::new(stream));
        let connection = Connection::new(self.hcm.clone(), self.info.clone(), codec);
        let stats = self.stats.clone();
        self.streams.spawn(async move {
            let end = run(connection, messages, head, &stats).await;
            stats.streams_active.dec();
            end
        });
    }

    /// `Some`: the connection has to go.
    fn stream_ended(&mut self, end: &StreamEnd) -> Option<End> {
        self.idle_since = Instant::now();
        self.ended += 1;
        self.premature += u32::from(end.premature);
        if end.malformed && !self.settings.stream_errors {
            return Some(End::Head);
        }
        if end.drain && self.drain.is_none() {
            self.hcm.stats.downstream_cx_drain_close.inc();
            self.start_drain();
        }
        if self.has_too_many_resets() {
            let stats = &self.hcm.stats;
            stats.downstream_rq_too_many_premature_resets.inc();
            return Some(End::Abort);
        }
        None
    }

    /// Envoy's rule against rapid resets.
    fn has_too_many_resets(&self) -> bool {
        if self.ended < RESETS_TOLERATED {
            self.premature > RESETS_TOLERATED / 2
        } else {
            self.premature > self.ended / 2
        }
    }

    fn failed(&self, error: &h2::Error) -> End {
        if !error.is_library() {
            return End::Remote;
        }
        // Where one malformed head is the end of the connection, the codec calls it one too many.
        let head = !self.settings.stream_errors
            && error.reason() == Some(Reason::ENHANCE_YOUR_CALM)
            && error.is_go_away();
        if head { End::UnseenHead } else { End::Protocol }
    }

    /// Tells the client to open no further streams; those that are open are served.
    fn start_drain(&mut self) {
        if self.drain.is_none() {
            let timeout = self.hcm.timeouts.drain.unwrap_or_default();
            self.drain = Some(Instant::now() + timeout);
            self.stats.goaway_sent.inc();
            self.codec.graceful_shutdown();
        }
    }

    fn idle_deadline(&self) -> Option<Instant> {
        if !self.streams.is_empty() {
            return None;
        }
        match self.drain {
            Some(until) => Some(until),
            None => {
                let timeout = self.hcm.timeouts.connection_idle;
                timeout.map(|timeout| self.idle_since + timeout)
            }
        }
    }

    fn drain_deadline(&mut self) -> Option<Instant> {
        if self.drain_close.is_none() && self.hcm.drain.has_begun() {
            let drain_timeout = self.hcm.timeouts.drain.unwrap_or_default();
            self.drain_close = Some(self.hcm.drain.idle_close(drain_timeout));
        }
        self.drain_close.flatten().filter(|_| self.drain.is_none())
    }

    fn deadline(&mut self) -> Option<Instant> {
        let ping = earliest(self.next_ping, self.pong_deadline);
        let end = earliest(self.drain_deadline(), self.duration_deadline);
        earliest(earliest(self.idle_deadline(), end), ping)
    }

    /// Does what is due. `Some`: the connection has to go.
    fn expire(&mut self, now: Instant) -> Option<End> {
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
        if passed(self.pong_deadline) {
            self.stats.keepalive_timeout.inc();
            return Some(End::Abort);
        }
        if passed(self.next_ping) {
            self.ping(now);
        }
        if passed(self.drain_deadline()) {
            self.hcm.stats.downstream_cx_drain_close.inc();
            self.start_drain();
        }
        if passed(self.duration_deadline) {
            self.duration_deadline = None;
            self.hcm.stats.downstream_cx_max_duration_reached.inc();
            self.start_drain();
        }
        if passed(self.idle_deadline()) {
            if self.drain.is_some() {
                return Some(End::Drained);
            }
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
    async fn finish(self, end: &End) {
        let Self {
            codec,
            mut streams,
            hcm,
            info,
            stats,
            ..
        } = self;
        if let End::UnseenHead = end {
            log_malformed(&hcm, &info, &stats);
        }
        drop(codec);
        while streams.join_next().await.is_some() {}
    }
}

/// One stream from its head to its log line.
async fn run(
    mut connection: Connection,
    messages: Box<Messages>,
    head: Result<RequestHead, HeadError>,
    stats: &Http2Stats,
) -> StreamEnd {
    let begin = Instant::now();
    let malformed = head.as_ref().is_err_and(|error| error.is_malformed());
    {
        let mut stream = ActiveStream::new(&mut connection, messages);
        match head {
            Ok(head) => {
                stream.run(&head).await;
            }
            Err(error) => stream.refuse(error),
        }
    }
    let mut end = StreamEnd {
        premature: false,
        malformed,
        drain: matches!(connection.drain, DrainState::Draining { .. }),
    };
    let Codec::Http2(stream) = &mut connection.codec else {
        return end;
    };
    match stream.ending() {
        Ending::Reset(_) => {
            stats.rx_reset.inc();
            end.premature = begin.elapsed() < PREMATURE;
        }
        Ending::Open if !stream.response_complete() => {
            stats.tx_reset.inc();
            stream.reset(match malformed {
                true => Reason::PROTOCOL_ERROR,
                false => Reason::INTERNAL_ERROR,
            });
        }
        Ending::Open | Ending::Invalid(_) | Ending::Closed => {}
    }
    end
}

/// The line about a request whose head the codec has refused, and the connection with it.
fn log_malformed(hcm: &HttpConnectionManager, info: &Arc<ConnectionInfo>, stats: &Http2Stats) {
    stats.rx_messaging_error.inc();
    hcm.stats.charge_request(Protocol::Http2);
    hcm.stats.downstream_rq_rx_reset.inc();
    let mut stream = StreamInfo::new(
        info.clone(),
        SystemTime::now(),
        Instant::now(),
        fastrand::u64(..),
    );
    stream.protocol = Some(Protocol::Http2);
    stream.set_flag(ResponseFlag::DownstreamProtocolError);
    stream.details = Cow::Borrowed("http2.violation.of.messaging.rule");
    hcm.access_logs.log(&FormatContext::new(&stream));
}
