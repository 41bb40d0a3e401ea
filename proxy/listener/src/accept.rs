//! The accept loop of one listener address on one worker. It must survive every error: a listener that stops accepting
//! looks alive and is dead.

use crate::{connection, connection::Incoming, limit::ConnectionPermit, listener::Listener};
use outrigger_core::{Address, panics::contained, worker, worker::Workers};
use outrigger_transport::accept::{AcceptError, Accepted, Listening};
use socket2::Socket;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::watch,
    task::yield_now,
    time::{Instant, sleep, timeout},
};

/// Accepted in a row before other tasks of the worker get their turn.
const ACCEPTS_PER_TURN: u32 = 64;

/// How long a listener that finishes waits for handshakes that have begun: longer than the way there and back, and shorter
/// than the second after which a client whose first packet was dropped tries again, and is refused.
const HANDSHAKES: Duration = Duration::from_millis(500);

/// What a listener does with those who connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepting {
    Yes,
    /// Only those who have connected, or have begun to, are taken.
    Queued,
    /// Nobody, and who waits in the queue is reset.
    No,
}

/// Accepts until `stop` says so. Runs on the worker that shall accept.
pub(crate) async fn run(
    listener: Arc<Listener>,
    bound: Address,
    socket: Socket,
    workers: Arc<Workers>,
    mut stop: watch::Receiver<Accepting>,
) {
    let listening = match Listening::new(socket) {
        Ok(listening) => listening,
        Err(error) => {
            tracing::error!(listener = %listener.name(), %error, "cannot accept");
            return;
        }
    };
    let acceptor = Acceptor {
        listener,
        bound,
        workers,
    };
    tokio::select! {
        _ = stop.wait_for(|stop| *stop != Accepting::Yes) => {}
        () = acceptor.accept_all(&listening) => {}
    }
    if *stop.borrow() == Accepting::Queued {
        listening.refuse_handshakes();
        let _ = timeout(HANDSHAKES, acceptor.accept_all(&listening)).await;
    }
}

struct Acceptor {
    listener: Arc<Listener>,
    bound: Address,
    workers: Arc<Workers>,
}

impl Acceptor {
    async fn accept_all(&self, listening: &Listening) {
        let mut pause = Pause::default();
        let most = self.listener.max_accepts_per_event;
        let most = most.map_or(ACCEPTS_PER_TURN, |m| m.get().min(ACCEPTS_PER_TURN));
        loop {
            let Ok(()) = listening.readable().await else {
                return; // The runtime is shutting down.
            };
            self.listener.overload.may_accept().await;
            let mut accepted = 0;
            while accepted < most {
                match listening.accept() {
                    Ok(connection) => {
                        accepted += 1;
                        pause = Pause::default();
                        self.dispatch(connection);
                    }
                    Err(AcceptError::WouldBlock) => break,
                    Err(AcceptError::Connection(error)) => {
                        tracing::debug!(listener = %self.listener.name(), %error, "accept failed");
                    }
                    Err(AcceptError::Resources(error)) => {
                        tracing::warn!(listener = %self.listener.name(), %error, "accept failed");
                        sleep(pause.next()).await;
                        break;
                    }
                }
            }
            if accepted > 0 {
                let stats = &self.listener.stats;
                stats
                    .connections_accepted_per_socket_event
                    .record(accepted.into());
            }
            if accepted == most {
                yield_now().await;
            }
        }
    }

    /// Sends a connection to its worker. To drop it is to close it.
    fn dispatch(&self, accepted: Accepted) {
        let Some(permits) = self.permits() else {
            return;
        };
        let incoming = Incoming {
            accepted,
            bound: self.bound.clone(),
            permits,
            start_time: SystemTime::now(),
            start: Instant::now(),
        };
        let (listener, workers) = (self.listener.clone(), self.workers.clone());
        let current = worker::current();
        if listener.use_original_dst {
            let serve = connection::serve(listener, incoming, None, workers);
            tokio::spawn(contained(serve));
            return;
        }
        let assigned = listener.balancer.pick(current);
        let worker = assigned.worker;
        let serve = contained(connection::serve(
            listener,
            incoming,
            Some(assigned),
            workers,
        ));
        if worker == current {
            tokio::spawn(serve);
        } else {
            self.workers.spawn_on(worker, serve);
        }
    }

    /// `None` if a limit is reached, or the process has no room for more.
    fn permits(&self) -> Option<[Option<ConnectionPermit>; 2]> {
        let (listener, stats) = (&self.listener, &self.listener.stats);
        let limit = &listener.global_limit;
        let global = if listener.ignores_global_limit {
            limit.exempt()
        } else {
            Some(limit.acquire().or_else(|| {
                stats.downstream_global_cx_overflow.inc();
                None
            })?)
        };
        if listener.overload.rejects_connection() {
            stats.downstream_cx_overload_reject.inc();
            return None;
        }
        let own = listener.limit.acquire().or_else(|| {
            stats.downstream_cx_overflow.inc();
            None
        })?;
        Some([Some(own), global])
    }
}

/// How long to wait while the process has no file descriptors left: each time longer, up to a second.
#[derive(Debug)]
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(Duration::from_millis(10))
    }
}

impl Pause {
    fn next(&mut self) -> Duration {
        let now = self.0;
        self.0 = (now * 2).min(Duration::from_secs(1));
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_second() {
        let mut pause = Pause::default();
        let pauses: Vec<u128> = (0..9).map(|_| pause.next().as_millis()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    }
}
