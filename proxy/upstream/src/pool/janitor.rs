//! Watches the idle connections of one pool: removes those that the peer closed, and those that were idle for too long.
//!
//! One task and one waker for all of them. It sleeps until a socket has something to say or the next deadline comes, so
//! an idle connection costs no timer of its own. A connection that goes back and forth between pool and requests is not
//! watched at all: its socket gets the waker once it has been idle for [`WATCHED_AFTER`].

use super::http1::Pool;
use outrigger_transport::Stream;
use std::{
    io::ErrorKind,
    sync::{Arc, Weak},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// How long a connection is idle before anybody waits for its end. Until then a request that takes it looks.
pub(super) const WATCHED_AFTER: Duration = Duration::from_millis(20);

/// Wakes the janitor; registered with every idle socket.
#[derive(Debug, Default)]
pub(super) struct Signal(Notify);

impl Signal {
    pub(super) fn ring(&self) {
        self.0.notify_one();
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

/// What the peer of an idle connection did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Liveness {
    Alive,
    Closed,
    /// It sent bytes that nobody asked for.
    Unsolicited,
}

/// Looks at an idle connection and leaves the waker of `cx` with it.
pub(super) fn liveness(stream: &Stream, cx: &mut Context<'_>) -> Liveness {
    loop {
        match stream.poll_read_ready(cx) {
            Poll::Pending => return Liveness::Alive,
            Poll::Ready(Err(_)) => return Liveness::Closed,
            Poll::Ready(Ok(())) => match stream.try_read(&mut [0]) {
                Ok(0) => return Liveness::Closed,
                Ok(_) => return Liveness::Unsolicited,
                // It was ready once and is no more; now it is registered.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return Liveness::Closed,
            },
        }
    }
}

/// As [`liveness`], of a connection that was in use a moment ago or is going to be: mostly there is nothing to see, and
/// no waker to leave.
#[inline]
pub(super) fn glance(stream: &Stream) -> Liveness {
    match stream.is_quiet() {
        true => Liveness::Alive,
        false => liveness(stream, &mut Context::from_waker(Waker::noop())),
    }
}

/// Runs until the pool is gone.
pub(super) async fn run(pool: Weak<Pool>, signal: Arc<Signal>) {
    loop {
        let deadline: Option<Instant> = match pool.upgrade() {
            Some(pool) => pool.sweep(),
            None => return,
        };
        match deadline {
            Some(deadline) => tokio::select! {
                () = signal.0.notified() => {}
                () = sleep_until(deadline) => {}
            },
            None => signal.0.notified().await,
        }
    }
}
