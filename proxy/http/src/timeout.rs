//! One timer for all deadlines of a connection, armed lazily: moving a deadline costs nothing until the timer fires.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};
use tokio::{
    task::coop,
    time::{Instant, Sleep, sleep_until},
};

/// Fires at the earliest of whatever deadlines its user asks about.
#[derive(Debug, Default)]
pub struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whom it wakes: asking for that again takes locks and changes nothing.
    waker: Option<Waker>,
}

impl Timer {
    /// Ready when `deadline` has passed. A deadline later than the armed one is not re-armed: the timer then fires
    /// early once and is set anew. That is one timer operation per timeout period instead of two per request.
    pub fn poll_deadline(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
            self.waker = None;
        }
        let waker = self.waker.as_ref();
        if waker.is_some_and(|waker| waker.will_wake(cx.waker())) && !sleep.is_elapsed() {
            return Poll::Pending;
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= deadline || Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
        // A task that has to yield was not heard.
        self.waker = coop::has_budget_remaining().then(|| cx.waker().clone());
        Poll::Pending
    }
}

/// The earlier of two deadlines, either of which may be missing.
pub fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::poll_fn, time::Duration};

    #[tokio::test(start_paused = true)]
    async fn deadlines_move_both_ways() {
        let start = Instant::now();
        let at = |ms| Some(start + Duration::from_millis(ms));
        let mut timer = Timer::default();
        let pending =
            poll_fn(|cx| Poll::Ready(timer.poll_deadline(cx, at(1000)).is_pending())).await;
        assert!(pending);
        poll_fn(|cx| timer.poll_deadline(cx, at(100))).await;
        assert_eq!(start.elapsed().as_millis(), 100);
        let pending =
            poll_fn(|cx| Poll::Ready(timer.poll_deadline(cx, at(500)).is_pending())).await;
        assert!(pending);
        poll_fn(|cx| timer.poll_deadline(cx, at(700))).await;
        assert_eq!(start.elapsed().as_millis(), 700);
    }
}
