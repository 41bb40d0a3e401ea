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
    janitor::{self, Liveness, Signal, WATCHED_AFTER, glance, liveness},
    pending::{Lender, PoolRequest, Queue},
};
use crate::circuit_breaker::{PendingPermit, PoolPermit};
use outrigger_core::{log::Tags, log_debug};
use outrigger_transport::Stream;
use parking_lot::{Mutex, MutexGuard};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Waker},
};
use tokio::{runtime::Handle, time::Instant};

/// A request for a connection.
pub type Http1Request = PoolRequest<Pool>;

/// A connection without a request.
#[derive(Debug)]
struct Idle {
    connected: Connected,
    since: Instant,
    /// What the janitor saw last.
    state: Liveness,
    /// The socket has the janitor's waker.
    watched: bool,
}

#[derive(Debug, Default)]
struct State {
    /// The one used last is at the end.
    idle: Vec<Idle>,
    waiters: Queue<Http1Connection>,
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
            log_debug!("pool", idle.tags() => "using existing fully connected connection");
            let answer = match Http1Connection::start(idle, self) {
                Ok(connection) => Ok(connection),
                Err(idle) => {
                    self.offer(idle, Instant::now());
                    Err(self.parts.overflow())
                }
            };
            return Http1Request::ready(answer);
        }
        let mut state = self.state.lock();
        if state.permit.is_none() {
            let Ok(permit) = PoolPermit::acquire(&self.parts) else {
                return Http1Request::failed(PoolFailure::overflow(None));
            };
            state.permit = Some(permit);
        }
        let Ok(pending) = PendingPermit::acquire(&self.parts) else {
            log_debug!("pool", "max pending streams overflow");
            self.rest(&mut state);
            return Http1Request::failed(PoolFailure::overflow(None));
        };
        log_debug!(
            "pool",
            "queueing stream due to no available connections (ready=0 busy={} connecting={})",
            self.parts
                .connections
                .load(Relaxed)
                .saturating_sub(state.connecting),
            state.connecting
        );
        let request = state.waiters.wait(self, pending);
        self.grow(&mut state);
        request
    }

    /// The idle connection used last that the peer has not closed.
    fn take_idle(&self) -> Option<Connected> {
        loop {
            let Idle { connected, .. } = self.state.lock().idle.pop()?;
            // A waker of the janitor's goes when the request leaves its own.
            match glance(&connected.stream) {
                Liveness::Alive => return Some(connected),
                dead => self.bury(connected, dead),
            }
        }
    }

    /// Makes connections while more requests wait than connections are under way, as far as the breaker allows.
    fn grow(self: &Arc<Self>, state: &mut State) {
        while state.waiters.len() > state.connecting {
            log_debug!("pool", "trying to create new connection");
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
            log_debug!(
                "pool",
                "creating a new connection (connecting={})",
                state.connecting
            );
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

    /// It has no connection, and nobody waits for one.
    pub(crate) fn is_resting(&self) -> bool {
        let state = self.state.lock();
        state.waiters.is_empty() && self.parts.connections.load(Relaxed) == 0
    }

    async fn connect(self: Arc<Self>, guard: ConnectionGuard) {
        log_debug!("client", guard.tags() => "connecting");
        match connect::connect(self.parts.clone(), guard).await {
            Ok(connected) => {
                log_debug!("client", connected.tags() => "connected");
                self.state.lock().connecting -= 1;
                self.offer(connected, Instant::now());
            }
            Err(failure) => {
                let waiters = {
                    let mut state = self.state.lock();
                    state.connecting -= 1;
                    let waiters = std::mem::take(&mut state.waiters);
                    self.rest(&mut state);
                    waiters
                };
                waiters.fail(&failure, &self.parts.stats);
            }
        }
    }

    /// Gives a free connection to the request that waits longest; without one it becomes idle.
    fn offer(self: &Arc<Self>, mut connected: Connected, now: Instant) {
        match glance(&connected.stream) {
            Liveness::Alive => {}
            dead => {
                self.bury(connected, dead);
                return self.grow(&mut self.state.lock());
            }
        }
        loop {
            let waiter = {
                let mut state = self.state.lock();
                match state.waiters.next() {
                    Some(waiter) => {
                        log_debug!("pool", connected.tags() => "attaching to next stream");
                        waiter
                    }
                    None => return self.put_idle(state, connected, now),
                }
            };
            let answer = match Http1Connection::start(connected, self) {
                Ok(connection) => waiter.send(Ok(connection)),
                Err(free) => {
                    connected = free;
                    // If the request is gone in the meantime, nobody is there to hear of the overflow.
                    waiter.send(Err(self.parts.overflow())).ok();
                    continue;
                }
            };
            match answer {
                Err(Ok(connection)) => connected = connection.unused(),
                _ => return,
            }
        }
    }

    fn put_idle(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        connected: Connected,
        since: Instant,
    ) {
        if state.draining {
            // Closing takes a system call.
            drop(state);
            drop(connected);
            return self.rest(&mut self.state.lock());
        }
        let idle = Idle {
            connected,
            since,
            state: Liveness::Alive,
            watched: false,
        };
        let look = self.next_look(&idle);
        state.idle.push(idle);
        if !state.janitor {
            let Ok(runtime) = Handle::try_current() else {
                return;
            };
            state.janitor = true;
            drop(runtime.spawn(janitor::run(Arc::downgrade(self), self.signal.clone())));
        } else if look.is_some_and(|new| state.armed.is_none_or(|armed| new < armed)) {
            state.armed = look;
            self.signal.ring();
        }
    }

    /// When the janitor has something to do about an idle connection.
    fn next_look(&self, idle: &Idle) -> Option<Instant> {
        let watch = (!idle.watched).then(|| idle.since + WATCHED_AFTER);
        [watch, self.deadline(idle)].into_iter().flatten().min()
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
                idle.watched |= idle.since + WATCHED_AFTER <= now;
                idle.state = match idle.watched {
                    true => liveness(&idle.connected.stream, &mut cx),
                    false => glance(&idle.connected.stream),
                };
                let deadline = self.deadline(idle);
                let stays = idle.state == Liveness::Alive && deadline.is_none_or(|at| at > now);
                if stays {
                    next = [next, self.next_look(idle)].into_iter().flatten().min();
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
        log_debug!("pool", connected.tags() => "creating stream");
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
    /// waits, or becomes idle, which it is from `now` on. A connection at the end of its allowance is closed.
    pub fn release(self, now: Instant) {
        let Self {
            stream,
            info,
            mut guard,
            pool: mut lease,
            reused: _,
        } = self;
        log_debug!("client", Tags::connection(info.id) => "response complete");
        log_debug!("pool", Tags::connection(info.id) => "response complete");
        guard.end_request();
        let Some(pool) = lease.0.take() else { return };
        let expired = guard.expires().is_some_and(|at| at <= now);
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
            pool.offer(connected, now);
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

impl Lender for Pool {
    type Loan = Http1Connection;

    fn parts(&self) -> &PoolParts {
        &self.parts
    }

    fn take_back(self: &Arc<Self>, connection: Http1Connection) {
        self.offer(connection.unused(), Instant::now());
    }

    fn forget_cancelled(&self) {
        self.state.lock().waiters.forget_cancelled();
    }
}
