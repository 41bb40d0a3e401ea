//! Envoy's HTTP/1 connection pool of one worker, host and priority: one request at a time on each connection, the
//! connection used last is used next.
//!
//! A request takes an idle connection, or waits while a new one is made in the background. Whichever connection is free
//! first serves the request that waits longest.

pub use super::connection::PoolParts;
use super::{
    CloseReason, PoolFailure, UpstreamConnectionInfo,
    connect::{self, Connected},
    connection::ConnectionGuard,
    janitor::{self, Liveness, Signal, liveness},
};
use crate::circuit_breaker::{PendingPermit, PoolPermit};
use outrigger_transport::Stream;
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker},
};
use tokio::{runtime::Handle, sync::oneshot, time::Instant};

type Answer = Result<Http1Connection, PoolFailure>;

/// A connection without a request.
#[derive(Debug)]
struct Idle {
    connected: Connected,
    since: Instant,
    /// What the janitor saw last.
    state: Liveness,
}

#[derive(Debug, Default)]
struct State {
    /// The one used last is at the end.
    idle: Vec<Idle>,
    waiters: VecDeque<oneshot::Sender<Answer>>,
    /// Connections that are being made.
    connecting: usize,
    /// From the first request on until the last connection is gone.
    permit: Option<PoolPermit>,
    /// The host is gone: what becomes idle is closed.
    draining: bool,
    janitor: bool,
    /// When the janitor looks next by itself.
    armed: Option<Instant>,
}

/// The pool.
#[derive(Debug)]
pub struct Pool {
    parts: Arc<PoolParts>,
    state: Mutex<State>,
    signal: Arc<Signal>,
    /// [`Self::signal`] as the sockets want it.
    waker: Waker,
}

impl Pool {
    pub(crate) fn new(parts: PoolParts) -> Arc<Self> {
        let signal = Arc::new(Signal::default());
        Arc::new(Self {
            parts: Arc::new(parts),
            state: Mutex::default(),
            waker: Waker::from(signal.clone()),
            signal,
        })
    }

    /// A connection for one request.
    pub(crate) fn request(self: &Arc<Self>) -> Http1Request {
        if let Some(idle) = self.take_idle() {
            let answer = match Http1Connection::start(idle, self) {
                Ok(connection) => Ok(connection),
                Err(idle) => {
                    self.offer(idle);
                    Err(self.overflow())
                }
            };
            return Http1Request(Request::Ready(Some(answer)));
        }
        let mut state = self.state.lock();
        if state.permit.is_none() {
            let Ok(permit) = PoolPermit::acquire(&self.parts) else {
                return Http1Request::failed(PoolFailure::overflow(None));
            };
            state.permit = Some(permit);
        }
        let Ok(pending) = PendingPermit::acquire(&self.parts) else {
            self.rest(&mut state);
            return Http1Request::failed(PoolFailure::overflow(None));
        };
        let (sender, receiver) = oneshot::channel();
        state.waiters.push_back(sender);
        self.grow(&mut state);
        drop(state);
        Http1Request(Request::Waiting(Waiting {
            receiver,
            _pending: pending,
            pool: self.clone(),
        }))
    }

    /// The idle connection used last that the peer has not closed.
    fn take_idle(&self) -> Option<Connected> {
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            let Idle { connected, .. } = self.state.lock().idle.pop()?;
            // Takes the janitor's waker away as well: from here on the socket is the request's alone.
            match liveness(&connected.stream, &mut cx) {
                Liveness::Alive => return Some(connected),
                dead => self.bury(connected, dead),
            }
        }
    }

    /// Makes connections while more requests wait than connections are under way, as far as the breaker allows.
    fn grow(self: &Arc<Self>, state: &mut State) {
        while state.waiters.len() > state.connecting {
            if !self.parts.breakers.connections.can_create() {
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
            self.parts.stats.upstream_cx_http1_total.inc();
            self.parts.codecs.show_http1();
            drop(runtime.spawn(self.clone().connect(guard)));
        }
        self.rest(state);
    }

    /// Without connections and requests it is no pool that counts; Envoy deletes it.
    fn rest(&self, state: &mut State) {
        if state.waiters.is_empty() && self.parts.connections.load(Relaxed) == 0 {
            state.permit = None;
        }
    }

    async fn connect(self: Arc<Self>, guard: ConnectionGuard) {
        match connect::connect(self.parts.clone(), guard).await {
            Ok(connected) => {
                self.state.lock().connecting -= 1;
                self.offer(connected);
            }
            Err(failure) => {
                let waiters = {
                    let mut state = self.state.lock();
                    state.connecting -= 1;
                    let waiters = std::mem::take(&mut state.waiters);
                    self.rest(&mut state);
                    waiters
                };
                // A host that refuses one connection is not asked again for the requests that wait: each of them
                // learns it now and may go elsewhere.
                for waiter in waiters {
                    if waiter.send(Err(failure.clone())).is_ok() {
                        self.parts.stats.upstream_rq_pending_failure_eject.inc();
                    }
                }
            }
        }
    }

    /// Gives a free connection to the request that waits longest; without one it becomes idle.
    fn offer(self: &Arc<Self>, mut connected: Connected) {
        match liveness(&connected.stream, &mut Context::from_waker(&self.waker)) {
            Liveness::Alive => {}
            dead => {
                self.bury(connected, dead);
                return self.grow(&mut self.state.lock());
            }
        }
        loop {
            let waiter = {
                let mut state = self.state.lock();
                match state.waiters.pop_front() {
                    Some(waiter) => waiter,
                    None => return self.put_idle(state, connected),
                }
            };
            if waiter.is_closed() {
                continue;
            }
            let answer = match Http1Connection::start(connected, self) {
                Ok(connection) => waiter.send(Ok(connection)),
                Err(free) => {
                    connected = free;
                    // If the request is gone in the meantime, nobody is there to hear of the overflow.
                    waiter.send(Err(self.overflow())).ok();
                    continue;
                }
            };
            match answer {
                Err(Ok(connection)) => connected = connection.unused(),
                _ => return,
            }
        }
    }

    /// The caller has left the janitor's waker with the socket.
    fn put_idle(self: &Arc<Self>, mut state: MutexGuard<'_, State>, connected: Connected) {
        if state.draining {
            // Closing takes a system call.
            drop(state);
            drop(connected);
            return self.rest(&mut self.state.lock());
        }
        let idle = Idle {
            connected,
            since: Instant::now(),
            state: Liveness::Alive,
        };
        let deadline = self.deadline(&idle);
        state.idle.push(idle);
        if !state.janitor {
            let Ok(runtime) = Handle::try_current() else {
                return;
            };
            state.janitor = true;
            drop(runtime.spawn(janitor::run(Arc::downgrade(self), self.signal.clone())));
        } else if deadline.is_some_and(|new| state.armed.is_none_or(|armed| new < armed)) {
            state.armed = deadline;
            self.signal.ring();
        }
    }

    /// When an idle connection has to go.
    fn deadline(&self, idle: &Idle) -> Option<Instant> {
        let timeout = self.parts.config.idle_timeout.map(|t| idle.since + t);
        let expires = idle.connected.guard.expires();
        match (timeout, expires) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Removes what is dead or due; tells when to look again.
    pub(super) fn sweep(&self) -> Option<Instant> {
        let mut cx = Context::from_waker(&self.waker);
        let now = Instant::now();
        let (mut dead, mut due) = (Vec::new(), Vec::new());
        let next = {
            let mut state = self.state.lock();
            let mut next: Option<Instant> = None;
            let gone = state.idle.extract_if(.., |idle| {
                let deadline = self.deadline(idle);
                idle.state = liveness(&idle.connected.stream, &mut cx);
                let stays = idle.state == Liveness::Alive && deadline.is_none_or(|at| at > now);
                if stays {
                    next = [next, deadline].into_iter().flatten().min();
                }
                !stays
            });
            for Idle {
                connected, state, ..
            } in gone
            {
                match state {
                    Liveness::Alive => due.push(connected),
                    _ => dead.push((connected, state)),
                }
            }
            state.armed = next;
            next
        };
        for (connected, state_of) in dead {
            self.bury(connected, state_of);
        }
        for connected in due {
            let stats = &self.parts.stats;
            if connected.guard.expires().is_some_and(|at| at <= now) {
                stats.upstream_cx_max_duration_reached.inc();
            } else {
                stats.upstream_cx_idle_timeout.inc();
            }
        }
        self.rest(&mut self.state.lock());
        next
    }

    fn bury(&self, mut connected: Connected, state: Liveness) {
        match state {
            Liveness::Closed => connected.guard.set_reason(CloseReason::Remote),
            Liveness::Unsolicited => self.parts.stats.upstream_cx_protocol_error.inc(),
            Liveness::Alive => {}
        }
    }

    /// Closes the idle connections now and the others after their request.
    pub(crate) fn drain(&self) {
        let idle = {
            let mut state = self.state.lock();
            state.draining = true;
            std::mem::take(&mut state.idle)
        };
        drop(idle);
        self.rest(&mut self.state.lock());
    }

    /// A request found a connection and no room among the active requests.
    fn overflow(&self) -> PoolFailure {
        PoolFailure::overflow(Some(self.parts.host_info()))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // The janitor sees that the pool is gone, and ends.
        self.signal.ring();
    }
}

/// A connection that carries one request.
///
/// It counts as an active request of the cluster, the host and the circuit breaker from here until
/// [`release`](Self::release), [`close`](Self::close) or drop, which closes it.
#[derive(Debug)]
pub struct Http1Connection {
    // In this order: the socket, the books, then the pool may fill the gap.
    pub stream: Stream,
    pub info: Arc<UpstreamConnectionInfo>,
    /// It has served a request before: if it fails before any byte of the response, the peer may have closed it while
    /// it was idle.
    pub reused: bool,
    guard: ConnectionGuard,
    pool: Lease,
}

/// Tells the pool when a connection ends in use.
#[derive(Debug)]
struct Lease(Option<Arc<Pool>>);

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(pool) = self.0.take() {
            pool.grow(&mut pool.state.lock());
        }
    }
}

impl Http1Connection {
    /// Puts a request onto a free connection; gives it back if `max_requests` is reached.
    #[expect(
        clippy::result_large_err,
        reason = "it is the connection itself that comes back, at once and without a box"
    )]
    fn start(mut connected: Connected, pool: &Arc<Pool>) -> Result<Self, Connected> {
        let reused = connected.guard.requests() > 0;
        if connected.guard.begin_request().is_err() {
            return Err(connected);
        }
        let Connected {
            stream,
            info,
            guard,
        } = connected;
        Ok(Self {
            stream,
            info,
            reused,
            guard,
            pool: Lease(Some(pool.clone())),
        })
    }

    /// The response has been read to its end and the connection may be used again: it goes to the next request that
    /// waits, or becomes idle. A connection at the end of its allowance is closed.
    pub fn release(self) {
        let Self {
            stream,
            info,
            mut guard,
            pool: mut lease,
            reused: _,
        } = self;
        guard.end_request();
        let Some(pool) = lease.0.take() else { return };
        let expired = guard.expires().is_some_and(|at| at <= Instant::now());
        if expired {
            pool.parts.stats.upstream_cx_max_duration_reached.inc();
        }
        let connected = Connected {
            stream,
            info,
            guard,
        };
        if expired || connected.guard.exhausted() {
            drop(connected);
            pool.grow(&mut pool.state.lock());
        } else {
            pool.offer(connected);
        }
    }

    /// Closes it. With the response read to its end, say so by [`finish`](Self::finish) first: a connection that
    /// closes with an active request is counted as such.
    pub fn close(mut self, reason: CloseReason) {
        self.guard.set_reason(reason);
    }

    /// Bytes of this request were written to the socket.
    pub fn count_written(&self, bytes: u64) {
        self.guard.count(0, bytes);
    }

    /// Bytes of its response were read.
    pub fn count_read(&self, bytes: u64) {
        self.guard.count(bytes, 0);
    }

    /// The request has ended, though the connection cannot be used again.
    pub fn finish(&mut self) {
        self.guard.end_request();
    }

    /// Takes back a connection whose request was cancelled before it used it.
    fn unused(self) -> Connected {
        let Self {
            stream,
            info,
            mut guard,
            pool: mut lease,
            reused: _,
        } = self;
        guard.end_request();
        lease.0.take();
        Connected {
            stream,
            info,
            guard,
        }
    }
}

/// A request for a connection. Dropping it cancels; a connection that is being made for it goes to the next one.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Http1Request(Request);

#[derive(Debug)]
enum Request {
    Ready(Option<Answer>),
    Waiting(Waiting),
}

#[derive(Debug)]
struct Waiting {
    receiver: oneshot::Receiver<Answer>,
    _pending: PendingPermit,
    pool: Arc<Pool>,
}

impl Http1Request {
    /// A request that has failed already.
    pub(crate) fn failed(failure: PoolFailure) -> Self {
        Self(Request::Ready(Some(Err(failure))))
    }
}

impl Future for Http1Request {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let this = self.get_mut();
        let answer = match &mut this.0 {
            Request::Ready(answer) => answer.take(),
            Request::Waiting(waiting) => {
                let answer = match Pin::new(&mut waiting.receiver).poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    // The runtime that made the connection is shutting down.
                    Poll::Ready(Err(_)) => Err(waiting.pool.overflow()),
                    Poll::Ready(Ok(answer)) => answer,
                };
                this.0 = Request::Ready(None);
                Some(answer)
            }
        };
        // Polled after its end it stays silent, as a fused future does.
        answer.map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.receiver.is_terminated() {
            return;
        }
        self.receiver.close();
        match self.receiver.try_recv() {
            // It came while nobody looked: somebody else may use it.
            Ok(Ok(connection)) => {
                let connected = connection.unused();
                self.pool.offer(connected);
            }
            Ok(Err(_)) => {}
            Err(_) => {
                self.pool.parts.stats.upstream_rq_cancelled.inc();
                let mut state = self.pool.state.lock();
                state.waiters.retain(|waiter| !waiter.is_closed());
            }
        }
    }
}
