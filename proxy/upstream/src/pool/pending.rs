//! The requests of one HTTP pool that wait for a connection, in the order in which they came, and what each of them holds
//! in the meantime (Envoy's `PendingStream`).

use super::{PoolFailure, connection::PoolParts};
use crate::{circuit_breaker::PendingPermit, stats::ClusterStats};
use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::sync::oneshot;

type Answer<T> = Result<T, PoolFailure>;

/// A pool that hands out something to carry one request.
pub trait Lender {
    type Loan: fmt::Debug;

    #[doc(hidden)]
    fn parts(&self) -> &PoolParts;

    /// What came for a request that was cancelled: somebody else may use it.
    #[doc(hidden)]
    fn take_back(self: &Arc<Self>, loan: Self::Loan);

    /// Forgets the requests that wait no more.
    #[doc(hidden)]
    fn forget_cancelled(&self);
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue<T>(VecDeque<oneshot::Sender<Answer<T>>>);

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Queue<T> {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts a request at the end.
    pub(super) fn wait<P: Lender<Loan = T>>(
        &mut self,
        pool: &Arc<P>,
        permit: PendingPermit,
    ) -> PoolRequest<P> {
        let (sender, receiver) = oneshot::channel();
        self.0.push_back(sender);
        PoolRequest(State::Waiting(Waiting {
            receiver,
            _permit: permit,
            pool: pool.clone(),
        }))
    }

    /// Takes the request that waits longest.
    pub(super) fn next(&mut self) -> Option<oneshot::Sender<Answer<T>>> {
        loop {
            let waiter = self.0.pop_front()?;
            if !waiter.is_closed() {
                return Some(waiter);
            }
        }
    }

    pub(super) fn forget_cancelled(&mut self) {
        self.0.retain(|waiter| !waiter.is_closed());
    }

    /// A host that refuses one connection is not asked again for the requests that wait: each of them learns it now and
    /// may go elsewhere.
    pub(super) fn fail(self, failure: &PoolFailure, stats: &ClusterStats) {
        for waiter in self.0 {
            if waiter.send(Err(failure.clone())).is_ok() {
                stats.upstream_rq_pending_failure_eject.inc();
            }
        }
    }
}

/// A request for a connection. Dropping it cancels; a connection that is being made for it goes to the next one.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct PoolRequest<P: Lender>(State<P>);

#[derive(Debug)]
enum State<P: Lender> {
    Ready(Option<Answer<P::Loan>>),
    Waiting(Waiting<P>),
}

struct Waiting<P: Lender> {
    receiver: oneshot::Receiver<Answer<P::Loan>>,
    _permit: PendingPermit,
    pool: Arc<P>,
}

impl<P: Lender> PoolRequest<P> {
    /// A request whose answer is there.
    pub(super) fn ready(answer: Answer<P::Loan>) -> Self {
        Self(State::Ready(Some(answer)))
    }

    /// A request that has failed already.
    pub(crate) fn failed(failure: PoolFailure) -> Self {
        Self::ready(Err(failure))
    }
}

// Nothing in it is pinned: what it waits for is in a channel of its own.
impl<P: Lender> Unpin for PoolRequest<P> {}

impl<P: Lender> Future for PoolRequest<P> {
    type Output = Answer<P::Loan>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let answer = match &mut this.0 {
            State::Ready(answer) => answer.take(),
            State::Waiting(waiting) => {
                let answer = match Pin::new(&mut waiting.receiver).poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    // The runtime that made the connection is shutting down.
                    Poll::Ready(Err(_)) => Err(waiting.pool.parts().overflow()),
                    Poll::Ready(Ok(answer)) => answer,
                };
                this.0 = State::Ready(None);
                Some(answer)
            }
        };
        // Polled after its end it stays silent, as a fused future does.
        answer.map_or(Poll::Pending, Poll::Ready)
    }
}

impl<P: Lender> Drop for Waiting<P> {
    fn drop(&mut self) {
        if self.receiver.is_terminated() {
            return;
        }
        self.receiver.close();
        match self.receiver.try_recv() {
            // It came while nobody looked.
            Ok(Ok(loan)) => self.pool.take_back(loan),
            Ok(Err(_)) => {}
            Err(_) => {
                self.pool.parts().stats.upstream_rq_cancelled.inc();
                self.pool.forget_cancelled();
            }
        }
    }
}

impl<P: Lender> fmt::Debug for Waiting<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiting")
    }
}
