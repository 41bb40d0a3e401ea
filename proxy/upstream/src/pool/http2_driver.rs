//! Drives one upstream HTTP/2 connection: its frames, its pings, and its end.

use super::{
    CloseReason, FailureReason, PoolFailure,
    connect::Connected,
    connection::PoolParts,
    http2::{ConnectedParts, Http2Pool, Shared},
};
use crate::{
    config::{ClusterConfig, Http2Keepalive},
    frames::{self, Constraints, Scanner, send_buffer},
    stats::{ClusterStats, CodecStats},
};
use bytes::Bytes;
use h2::{
    Ping, PingPong,
    client::{Builder, Connection, SendRequest},
};
use outrigger_transport::Stream;
use std::{
    future::{Future, poll_fn},
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, sleep_until},
};

/// How long a stream that we have reset is remembered.
const RESET_MEMORY: Duration = Duration::from_secs(30);

/// A connection before it ends, apart from what its streams share.
pub(super) struct Driver {
    codec: Connection<Metered, Bytes>,
    pings: Option<(PingPong, Http2Keepalive)>,
    expires: Option<Instant>,
    /// As long as it lives, the codec leaves it to us to end the connection.
    _hold: SendRequest<Bytes>,
}

/// Sends preface and settings; the peer's are not waited for.
pub(super) async fn handshake(
    connected: Connected,
    parts: &PoolParts,
) -> Result<(Shared, Driver), PoolFailure> {
    let (stream, info, guard) = ConnectedParts::split(connected);
    let expires = guard.expires();
    let io = Metered {
        stream,
        stats: parts.stats.clone(),
        codecs: parts.codecs.clone(),
        inbound: Scanner::default(),
        outbound: Scanner::of_client(),
        constraints: Constraints::new(parts.config.http2.frames),
    };
    let result = builder(&parts.config).handshake(io).await;
    let (send, mut codec) = result.map_err(|error| PoolFailure {
        reason: FailureReason::RemoteConnectionFailure(error.to_string().into()),
        host: Some(parts.host_info()),
    })?;
    let keepalive = parts.config.http2.keepalive;
    let pings = keepalive.and_then(|keepalive| Some((codec.ping_pong()?, keepalive)));
    let hold = send.clone();
    let shared = Shared::new(ConnectedParts { info, send, guard });
    parts.codecs.http2().nghttp2_upstream_connections.inc();
    Ok((
        shared,
        Driver {
            _hold: hold,
            codec,
            pings,
            expires,
        },
    ))
}

fn builder(config: &ClusterConfig) -> Builder {
    let options = &config.http2;
    // The codec counts 32 bytes for each line on top; the limit itself is the HTTP floor's business.
    let lines = config.max_headers_count.saturating_mul(32);
    let bytes = config.max_response_headers_kb.saturating_mul(2 * 1024);
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .header_table_size(options.hpack_table_size)
        .max_concurrent_streams(options.max_concurrent_streams)
        .initial_max_send_streams(options.max_concurrent_streams as usize)
        .initial_window_size(options.initial_stream_window_size)
        .initial_connection_window_size(options.initial_connection_window_size)
        .max_header_list_size(bytes.saturating_add(lines))
        .max_send_buffer_size(send_buffer(config.per_connection_buffer_limit as usize))
        // What an upstream still sends for requests that were given up is dropped, and is no error.
        .max_concurrent_reset_streams(2 * options.max_concurrent_streams.min(1024) as usize)
        .reset_stream_duration(RESET_MEMORY);
    builder
}

/// Runs until the connection has ended.
pub(super) async fn run(shared: Arc<Shared>, driver: Driver, pool: Arc<Http2Pool>) {
    let _open = Open {
        shared: shared.clone(),
        pool: pool.clone(),
    };
    // Behind it, and so gone before it.
    let mut driver = driver;
    let stats = pool.parts.stats.clone();
    let idle = pool.parts.config.idle_timeout;
    let mut pinging = Pinging::new(&driver);
    let mut goaway = false;
    // Whoever ends first: the streams, or the connection under them.
    let mut streams_first = false;
    let reason = loop {
        let idle_deadline = shared
            .idle_since()
            .and_then(|at| idle.map(|idle| at + idle));
        let expires = driver.expires.filter(|_| !shared.is_retired());
        let deadline = [idle_deadline, expires, pinging.deadline()]
            .into_iter()
            .flatten()
            .min();
        let step = tokio::select! {
            biased;
            step = poll_fn(|cx| poll_codec(cx, &mut driver, &mut pinging, &shared, goaway)) => step,
            () = shared.changed.notified() => Step::Look,
            () = sleep(deadline) => Step::Due,
        };
        match step {
            Step::Ended { remote, flood } => {
                streams_first = flood;
                break match remote {
                    true => CloseReason::Remote,
                    false => CloseReason::Local,
                };
            }
            Step::GoAway { ended } => {
                goaway = true;
                stats.upstream_cx_close_notify.inc();
                shared.retire();
                if ended {
                    break CloseReason::Local;
                }
            }
            Step::Look => {}
            Step::Due => {
                let now = Instant::now();
                let passed = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
                if pinging.is_lost(now) {
                    break CloseReason::Local;
                }
                if passed(expires) {
                    stats.upstream_cx_max_duration_reached.inc();
                    shared.retire();
                } else if passed(idle_deadline) {
                    stats.upstream_cx_idle_timeout.inc();
                    break CloseReason::Local;
                }
                pinging.ping(&mut driver, now);
            }
        }
        if shared.is_retired() && shared.idle_since().is_some() {
            break CloseReason::Local;
        }
    };
    // The streams learn of it, then the books are closed.
    drop(driver);
    streams_first |= goaway;
    while streams_first && shared.idle_since().is_none() {
        // The upstream has said that it leaves, or Envoy counts it so: nobody is cut off.
        shared.changed.notified().await;
    }
    shared.bury(reason);
    pool.ended();
}

/// A connection whose books a panic leaves open: nobody may be given a stream on it any more.
struct Open {
    shared: Arc<Shared>,
    pool: Arc<Http2Pool>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.bury(CloseReason::Local);
            self.pool.ended();
        }
    }
}

/// What woke the driver.
enum Step {
    /// `flood`: the upstream has sent too many frames of some kind.
    Ended {
        remote: bool,
        flood: bool,
    },
    /// The upstream takes no further request; `ended`: and has closed.
    GoAway {
        ended: bool,
    },
    Look,
    Due,
}

fn poll_codec(
    cx: &mut Context<'_>,
    driver: &mut Driver,
    pinging: &mut Pinging,
    shared: &Shared,
    goaway: bool,
) -> Poll<Step> {
    if let Poll::Ready(result) = Pin::new(&mut driver.codec).poll(cx) {
        let error = result.err();
        let said_so = |error: &h2::Error| error.is_go_away() && error.is_remote();
        if !goaway && (error.as_ref().is_some_and(said_so) || shared.is_going_away()) {
            return Poll::Ready(Step::GoAway { ended: true });
        }
        let flood = error.as_ref().is_some_and(is_flood);
        return Poll::Ready(Step::Ended {
            remote: !goaway && !flood && !error.is_some_and(|error| error.is_library()),
            flood,
        });
    }
    pinging.poll_pong(cx, driver);
    if !goaway && !shared.is_retired() && shared.is_going_away() {
        return Poll::Ready(Step::GoAway { ended: false });
    }
    Poll::Pending
}

async fn sleep(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// `connection_keepalive`.
struct Pinging {
    next: Option<Instant>,
    lost: Option<Instant>,
}

impl Pinging {
    fn new(driver: &Driver) -> Self {
        let interval = interval(driver);
        Self {
            next: interval.map(|interval| Instant::now() + interval),
            lost: None,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.lost.or(self.next)
    }

    fn is_lost(&self, now: Instant) -> bool {
        self.lost.is_some_and(|at| at <= now)
    }

    fn ping(&mut self, driver: &mut Driver, now: Instant) {
        if self.lost.is_none()
            && self.next.is_some_and(|at| at <= now)
            && let Some((pings, keepalive)) = &mut driver.pings
            && pings.send_ping(Ping::opaque()).is_ok()
        {
            self.lost = Some(now + keepalive.timeout);
        }
    }

    fn poll_pong(&mut self, cx: &mut Context<'_>, driver: &mut Driver) {
        let answered = match &mut driver.pings {
            Some((pings, _)) if self.lost.is_some() => {
                matches!(pings.poll_pong(cx), Poll::Ready(Ok(_)))
            }
            _ => false,
        };
        if answered {
            self.lost = None;
            self.next = interval(driver).map(|interval| Instant::now() + interval);
        }
    }
}

fn interval(driver: &Driver) -> Option<Duration> {
    let (_, keepalive) = driver.pings.as_ref()?;
    keepalive.next_interval()
}

/// Whether a connection has ended because its peer sent too many frames of some kind.
pub fn is_flood(error: &h2::Error) -> bool {
    let kind = error.get_io().map(io::Error::kind);
    kind == Some(io::ErrorKind::InvalidData)
}

/// The socket, with the cluster's count of its bytes, and its frames watched.
struct Metered {
    stream: Stream,
    stats: Arc<ClusterStats>,
    codecs: Arc<CodecStats>,
    inbound: Scanner,
    outbound: Scanner,
    constraints: Constraints,
}

impl Metered {
    /// Looks at what was received.
    fn watch(&mut self, bytes: &[u8]) -> io::Result<()> {
        let constraints = &mut self.constraints;
        let mut verdict = Ok(());
        self.inbound.scan(bytes, |frame| {
            verdict = constraints.received(frame);
            verdict.is_ok()
        });
        verdict.map_err(|flood| {
            flood.count(self.codecs.http2());
            io::Error::new(io::ErrorKind::InvalidData, flood.codec_error())
        })
    }

    /// Looks at what was written.
    fn wrote(&mut self, bufs: &[IoSlice<'_>], mut length: usize) {
        let constraints = &mut self.constraints;
        for buf in bufs {
            let piece = buf.get(..length.min(buf.len())).unwrap_or_default();
            length -= piece.len();
            self.outbound.scan(piece, |frame| {
                match frame.kind {
                    frames::DATA => constraints.data_sent(),
                    frames::HEADERS => constraints.stream_opened(),
                    _ => {}
                }
                true
            });
        }
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let Poll::Ready(result) = Pin::new(&mut this.stream).poll_read(cx, buf) else {
            this.constraints.all_answered();
            return Poll::Pending;
        };
        result?;
        let read = buf.filled().get(before..).unwrap_or_default();
        this.stats.upstream_cx_rx_bytes_total.add(read.len() as u64);
        Poll::Ready(this.watch(read))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write_vectored(cx, bufs))?;
        this.stats.upstream_cx_tx_bytes_total.add(written as u64);
        this.wrote(bufs, written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
