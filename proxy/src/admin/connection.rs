//! What the admin interface counts: it is a connection manager with the stat prefix `admin` on the listener `admin`.

use super::{log::Record, reply::Body};
use http::{HeaderValue, Response};
use outrigger_core::{Protocol, stat_group, stats::Store};
use outrigger_http::stats::{HcmStats, ListenerHttpStats};
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::{Instant, SystemTime},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

stat_group! {
    /// `listener.admin.`
    pub struct ListenerStats {
        counter downstream_cx_destroy,
        counter downstream_cx_overflow,
        counter downstream_cx_overload_reject,
        counter downstream_cx_total,
        counter downstream_cx_transport_socket_connect_timeout,
        counter downstream_global_cx_overflow,
        counter downstream_listener_filter_error,
        counter downstream_listener_filter_remote_close,
        counter downstream_pre_cx_timeout,
        counter no_filter_chain_match,
        counter main_thread_cx_total = "main_thread.downstream_cx_total",
        gauge downstream_cx_active,
        gauge downstream_pre_cx_active with downstream_cx_total,
        gauge main_thread_cx_active = "main_thread.downstream_cx_active",
        histogram(Unspecified) connections_accepted_per_socket_event,
        histogram(Milliseconds) downstream_cx_length_ms,
    }
}

/// The stats of the admin interface.
#[derive(Clone, Debug)]
pub struct AdminStats {
    pub http: Arc<HcmStats>,
    listener: Arc<ListenerStats>,
    listener_http: Arc<ListenerHttpStats>,
}

impl AdminStats {
    pub fn register(store: &Store) -> Self {
        Self {
            http: store.register("http.admin.", HcmStats::default()),
            listener: store.register("listener.admin.", ListenerStats::default()),
            listener_http: store
                .register("listener.admin.http.admin.", ListenerHttpStats::default()),
        }
    }

    /// Connections that are open now.
    pub fn open_connections(&self) -> u64 {
        self.listener.downstream_cx_active.get()
    }

    /// A connection for which there was no room.
    pub fn overflow(&self) {
        self.listener.downstream_global_cx_overflow.inc();
    }

    /// Counts a connection until the guard is dropped.
    pub fn connection(&self) -> OpenConnection {
        self.http.downstream_cx_total.inc();
        self.http.downstream_cx_http1_total.inc();
        self.http.downstream_cx_active.inc();
        self.http.downstream_cx_http1_active.inc();
        self.listener.downstream_cx_total.inc();
        self.listener.downstream_cx_active.inc();
        self.listener.main_thread_cx_total.inc();
        self.listener.main_thread_cx_active.inc();
        self.listener
            .connections_accepted_per_socket_event
            .record(1);
        OpenConnection {
            stats: self.clone(),
            since: Instant::now(),
            closes: AtomicBool::new(false),
        }
    }

    /// Counts a request; it is active until its answer has gone out.
    pub fn request(&self, record: Option<Box<Record>>) -> ActiveRequest {
        self.http.charge_request(Protocol::Http11);
        self.http.downstream_rq_active.inc();
        ActiveRequest {
            record,
            stats: self.clone(),
            since: Instant::now(),
        }
    }
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// An open connection.
#[derive(Debug)]
pub struct OpenConnection {
    stats: AdminStats,
    since: Instant,
    /// The last answer said that it would be closed; else it is the client that closes.
    closes: AtomicBool,
}

impl OpenConnection {
    /// This side will close it.
    pub fn close(&self) {
        self.closes.store(true, Relaxed);
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let AdminStats { http, listener, .. } = &self.stats;
        http.downstream_cx_active.dec();
        http.downstream_cx_http1_active.dec();
        http.downstream_cx_destroy.inc();
        match self.closes.load(Relaxed) {
            true => http.downstream_cx_destroy_local.inc(),
            false => http.downstream_cx_destroy_remote.inc(),
        }
        http.downstream_cx_length_ms
            .record(milliseconds(self.since));
        listener.downstream_cx_active.dec();
        listener.main_thread_cx_active.dec();
        listener.downstream_cx_destroy.inc();
        listener
            .downstream_cx_length_ms
            .record(milliseconds(self.since));
    }
}

/// A request without a complete answer.
#[derive(Debug)]
pub struct ActiveRequest {
    /// For the access log, if there is one.
    record: Option<Box<Record>>,
    stats: AdminStats,
    since: Instant,
}

impl ActiveRequest {
    /// Counts the answer by its class; the request ends with its body.
    pub fn answered(mut self, response: Response<Body>) -> Response<Body> {
        if let Some(record) = &mut self.record {
            record.answered(&response);
        }
        let code = response.status().as_u16();
        self.stats.http.charge_response(code);
        self.stats.listener_http.charge_response(code);
        response.map(|body| body.holding(self))
    }
}

impl ActiveRequest {
    /// The size of the request's body.
    pub fn received(&mut self, bytes: usize) {
        if let Some(record) = &mut self.record {
            record.received(bytes);
        }
    }

    /// A piece of the answer's body.
    pub fn sent(&mut self, bytes: usize) {
        if let Some(record) = &mut self.record {
            record.sent(bytes);
        }
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let http = &self.stats.http;
        http.downstream_rq_active.dec();
        http.downstream_rq_time.record(milliseconds(self.since));
    }
}

/// The value of `date` now.
pub fn date() -> HeaderValue {
    HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now()))
        .unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A stream that counts its bytes.
#[derive(Debug)]
pub struct Metered<S> {
    stream: S,
    stats: Arc<HcmStats>,
}

impl<S> Metered<S> {
    pub fn new(stream: S, stats: Arc<HcmStats>) -> Self {
        Self { stream, stats }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        self.stats.downstream_cx_rx_bytes_total.add(read as u64);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.stats.downstream_cx_tx_bytes_total.add(written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
