//! Envoy's HTTP/2 connection pool of one worker, host and priority: many requests at once on each connection.
//!
//! A request goes onto the first connection with room for a stream, or waits while one is made. A connection that says
//! GOAWAY, or has come to the end of its allowance, takes no further request and ends with its last one.

use super::{
    CloseReason, PoolFailure, UpstreamConnectionInfo,
    connect::{self, Connected},
    connection::{ConnectionGuard, PoolParts},
    http2_driver,
    pending::{Lender, PoolRequest, Queue},
};
use crate::{
    circuit_breaker::{PendingPermit, PoolPermit},
    stats::{ClusterStats, Http2Stats},
};
use bytes::Bytes;
use h2::client::SendRequest;
use outrigger_core::panics::contained;
use parking_lot::Mutex;
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker},
};
use tokio::{runtime::Handle, sync::Notify, time::Instant};

/// A request for a stream.
pub type Http2Request = PoolRequest<Http2Pool>;

/// One connection, as its streams and its driver share it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) info: Arc<UpstreamConnectionInfo>,
    books: Mutex<Books>,
    /// The last stream has ended, or no further one may begin.
    pub(super) changed: Notify,
}

#[derive(Debug)]
struct Books {
    /// `None`: no further stream may begin.
    send: Option<SendRequest<Bytes>>,
    streams: usize,
    /// When the last stream ended.
    idle_since: Instant,
    /// `None`: the connection has ended.
    guard: Option<ConnectionGuard>,
}

impl Shared {
    /// Whether another stream may begin: the peer has neither said GOAWAY nor reached a limit.
    fn has_room(&self, limit: usize) -> bool {
        let mut books = self.books.lock();
        let streams = books.streams;
        books
            .send
            .as_ref()
            .is_some_and(|send| streams < limit.min(send.current_max_send_streams()))
            && fault(&mut books).is_none()
    }

    /// The peer has said that it takes no further request.
    pub(super) fn is_going_away(&self) -> bool {
        fault(&mut self.books.lock()).is_some_and(|error| error.is_go_away() && error.is_remote())
    }

    /// No further stream begins.
    pub(super) fn retire(&self) {
        self.books.lock().send = None;
        self.changed.notify_one();
    }

    pub(super) fn is_retired(&self) -> bool {
        self.books.lock().send.is_none()
    }

    /// When the connection has been without a stream since, if it is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let books = self.books.lock();
        (books.streams == 0).then_some(books.idle_since)
    }

    /// The connection is closed: its books are, too.
    pub(super) fn bury(&self, reason: CloseReason) {
        let (send, guard) = {
            let mut books = self.books.lock();
            (books.send.take(), books.guard.take())
        };
        drop(send);
        if let Some(mut guard) = guard {
            guard.set_reason(reason);
        }
    }
}

/// Why the connection takes no further request, if the codec knows.
fn fault(books: &mut Books) -> Option<h2::Error> {
    let mut cx = Context::from_waker(Waker::noop());
    match books.send.as_mut()?.poll_ready(&mut cx) {
        Poll::Ready(Err(error)) => Some(error),
        _ => None,
    }
}

#[derive(Debug, Default)]
struct State {
    connections: Vec<Arc<Shared>>,
    waiters: Queue<Box<Http2Stream>>,
    /// Connections that are being made.
    connecting: usize,
    /// The host is gone: connections end with their last stream.
    draining: bool,
    /// Held while there is a connection or somebody waits for one.
    permit: Option<PoolPermit>,
}

impl State {
    /// A pool that does nothing does not count as one.
    fn rest(&mut self) {
        if self.is_resting() {
            self.permit = None;
        }
    }

    fn is_resting(&self) -> bool {
        self.connections.is_empty() && self.waiters.is_empty() && self.connecting == 0
    }
}

/// The pool.
#[derive(Debug)]
pub struct Http2Pool {
    pub(super) parts: Arc<PoolParts>,
    state: Mutex<State>,
}

impl Http2Pool {
    pub(crate) fn new(parts: PoolParts) -> Arc<Self> {
        Arc::new(Self {
            parts: Arc::new(parts),
            state: Mutex::default(),
        })
    }

    fn limit(&self) -> usize {
        self.parts.config.http2.max_concurrent_streams as usize
    }

    /// A stream for one request.
    pub(crate) fn request(self: &Arc<Self>) -> Http2Request {
        if let Some(connection) = self.find() {
            return Http2Request::ready(self.start(&connection));
        }
        let mut state = self.state.lock();
        if state.permit.is_none() {
            let Ok(permit) = PoolPermit::acquire(&self.parts) else {
                return Http2Request::failed(PoolFailure::overflow(None));
            };
            state.permit = Some(permit);
        }
        let Ok(pending) = PendingPermit::acquire(&self.parts) else {
            state.rest();
            return Http2Request::failed(PoolFailure::overflow(None));
        };
        let request = state.waiters.wait(self, pending);
        self.grow(&mut state);
        request
    }

    /// A connection with room. Those that have come to their end are forgotten.
    fn find(&self) -> Option<Arc<Shared>> {
        let limit = self.limit();
        let mut state = self.state.lock();
        state
            .connections
            .retain(|connection| !connection.is_retired());
        let with_room = |connection: &&Arc<Shared>| connection.has_room(limit);
        state.connections.iter().find(with_room).cloned()
    }

    fn start(self: &Arc<Self>, connection: &Arc<Shared>) -> Result<Box<Http2Stream>, PoolFailure> {
        let overflow = || self.parts.overflow();
        let mut books = connection.books.lock();
        let Some(send) = books.send.clone() else {
            return Err(overflow());
        };
        let Some(guard) = &mut books.guard else {
            return Err(overflow());
        };
        guard.begin_request().map_err(|_| overflow())?;
        let last = guard.exhausted();
        books.streams += 1;
        self.parts.codecs.http2().streams_active.inc();
        if last {
            books.send = None;
            connection.changed.notify_one();
        }
        drop(books);
        Ok(Box::new(Http2Stream {
            send,
            info: connection.info.clone(),
            lease: Lease {
                connection: connection.clone(),
                pool: self.clone(),
            },
        }))
    }

    /// Makes connections while more requests wait than those under way can take, as far as the breaker allows.
    fn grow(self: &Arc<Self>, state: &mut State) {
        while state.waiters.len() > state.connecting.saturating_mul(self.limit()) {
            if !self.parts.breakers.can_connect(&self.parts.host.stats) {
                self.parts.stats.upstream_cx_overflow.inc();
                // A pool without any connection gets one in any case: its requests would wait for ever.
                if self.parts.connections.load(Relaxed) > 0 {
                    return;
                }
            }
            let Ok(runtime) = Handle::try_current() else {
                return;
            };
            state.connecting += 1;
            let guard = ConnectionGuard::new(self.parts.clone());
            self.parts.stats.upstream_cx_http2_total.inc();
            drop(runtime.spawn(self.clone().connect(guard)));
        }
    }

    async fn connect(self: Arc<Self>, guard: ConnectionGuard) {
        let failure = match connect::connect(self.parts.clone(), guard).await {
            Ok(connected) => match http2_driver::handshake(connected, &self.parts).await {
                Ok((connected, driver)) => {
                    let connection = Arc::new(connected);
                    self.add(connection.clone());
                    self.serve_waiters();
                    return contained(http2_driver::run(connection, driver, self)).await;
                }
                Err(failure) => failure,
            },
            Err(failure) => failure,
        };
        let waiters = {
            let mut state = self.state.lock();
            state.connecting -= 1;
            let waiters = std::mem::take(&mut state.waiters);
            state.rest();
            waiters
        };
        waiters.fail(&failure, &self.parts.stats);
    }

    fn add(&self, connection: Arc<Shared>) {
        let mut state = self.state.lock();
        state.connecting -= 1;
        if state.draining {
            connection.retire();
        }
        state.connections.push(connection);
    }

    /// Gives streams to the requests that wait, the longest first, and makes connections for those that are left.
    pub(super) fn serve_waiters(self: &Arc<Self>) {
        loop {
            if self.state.lock().waiters.is_empty() {
                return;
            }
            let Some(connection) = self.find() else {
                return self.grow(&mut self.state.lock());
            };
            let Some(waiter) = self.state.lock().waiters.next() else {
                return;
            };
            // A request that is gone in the meantime gives its stream back by dropping it.
            drop(waiter.send(self.start(&connection)));
        }
    }

    /// A connection has ended: those that wait get another one.
    pub(super) fn ended(self: &Arc<Self>) {
        {
            let mut state = self.state.lock();
            state
                .connections
                .retain(|connection| !connection.is_retired());
            state.rest();
        }
        self.serve_waiters();
    }

    /// It has no connection, and nobody waits for one.
    pub(crate) fn is_resting(&self) -> bool {
        self.state.lock().is_resting()
    }

    /// Connections end with their last stream.
    pub(crate) fn drain(&self) {
        let connections = {
            let mut state = self.state.lock();
            state.draining = true;
            std::mem::take(&mut state.connections)
        };
        for connection in connections {
            connection.retire();
        }
    }
}

impl Shared {
    pub(super) fn new(connected: ConnectedParts) -> Self {
        Self {
            info: connected.info,
            books: Mutex::new(Books {
                send: Some(connected.send),
                streams: 0,
                idle_since: Instant::now(),
                guard: Some(connected.guard),
            }),
            changed: Notify::new(),
        }
    }
}

/// What a new connection consists of beside its driver.
pub(super) struct ConnectedParts {
    pub(super) info: Arc<UpstreamConnectionInfo>,
    pub(super) send: SendRequest<Bytes>,
    pub(super) guard: ConnectionGuard,
}

impl ConnectedParts {
    /// Takes a connection apart; the socket goes to the codec.
    pub(super) fn split(
        connected: Connected,
    ) -> (
        outrigger_transport::Stream,
        Arc<UpstreamConnectionInfo>,
        ConnectionGuard,
    ) {
        let Connected {
            stream,
            info,
            guard,
        } = connected;
        (stream, info, guard)
    }
}

/// The right to one request on a connection, which counts as active until it is dropped.
#[derive(Debug)]
pub struct Http2Stream {
    /// Begins the stream.
    pub send: SendRequest<Bytes>,
    pub info: Arc<UpstreamConnectionInfo>,
    lease: Lease,
}

#[derive(Debug)]
struct Lease {
    connection: Arc<Shared>,
    pool: Arc<Http2Pool>,
}

impl Http2Stream {
    /// No further request goes onto this connection.
    pub fn retire(&self) {
        self.lease.connection.retire();
    }

    /// The stats of the cluster.
    pub fn stats(&self) -> &ClusterStats {
        &self.lease.pool.parts.stats
    }

    /// `cluster.<name>.http2.`
    pub fn codec_stats(&self) -> &Http2Stats {
        self.lease.pool.parts.codecs.http2()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        {
            let mut books = self.connection.books.lock();
            books.streams -= 1;
            self.pool.parts.codecs.http2().streams_active.dec();
            if let Some(guard) = &mut books.guard {
                guard.end_request();
            }
            if books.streams == 0 {
                books.idle_since = Instant::now();
                self.connection.changed.notify_one();
            }
        }
        self.pool.serve_waiters();
    }
}

impl Lender for Http2Pool {
    type Loan = Box<Http2Stream>;

    fn parts(&self) -> &PoolParts {
        &self.parts
    }

    fn take_back(self: &Arc<Self>, stream: Box<Http2Stream>) {
        // Its drop gives the place to the next one.
        drop(stream);
    }

    fn forget_cancelled(&self) {
        self.state.lock().waiters.forget_cancelled();
    }
}
