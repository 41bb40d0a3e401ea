//! The deadlines of a proxied connection in one timer, which is only re-armed when it fires.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep};

/// What a timer has run out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    Idle,
    MaxDuration,
    /// Time for a further line in the access log; the timer goes on.
    Log,
}

/// Points in time at equal distances.
#[derive(Clone, Copy, Debug)]
pub struct Ticks {
    interval: Duration,
    next: Instant,
}

impl Ticks {
    /// The first is due after one interval.
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            next: Instant::now() + interval,
        }
    }

    pub fn next(&self) -> Instant {
        self.next
    }

    /// The next is due one interval from now: a line that comes late is not followed by a burst.
    pub fn advance(&mut self) {
        self.next = Instant::now() + self.interval;
    }
}

/// Idle timeout, end of the connection and interval of the log, each if configured.
#[derive(Debug)]
pub struct Timer {
    idle: Option<Duration>,
    end: Option<Instant>,
    log: Option<Ticks>,
    /// When bytes were last seen to move.
    last: Instant,
    moved: u64,
}

impl Timer {
    pub fn new(idle: Option<Duration>, end: Option<Instant>, log: Option<Ticks>) -> Self {
        Self {
            idle,
            end,
            log,
            last: Instant::now(),
            moved: 0,
        }
    }

    /// When to look next; `None` if nothing is configured.
    pub fn next(&self) -> Option<Instant> {
        let idle = self.idle.map(|idle| self.last + idle);
        let log = self.log.map(|log| log.next());
        [idle, self.end, log].into_iter().flatten().min()
    }

    /// `moved` counts the bytes of the connection. `sleep` was made for [`next`](Self::next), once.
    pub fn poll_expired(
        &mut self,
        cx: &mut Context<'_>,
        mut sleep: Pin<&mut Sleep>,
        moved: u64,
    ) -> Poll<Expired> {
        if moved != self.moved {
            self.moved = moved;
            self.last = Instant::now();
        }
        while let Some(next) = self.next() {
            // A byte moves the idle deadline, but not the timer: most connections end before it fires.
            if next <= Instant::now() {
                return Poll::Ready(self.expire(next));
            }
            if sleep.is_elapsed() {
                sleep.as_mut().reset(next);
            }
            ready!(sleep.as_mut().poll(cx));
        }
        Poll::Pending
    }

    fn expire(&mut self, at: Instant) -> Expired {
        if self.end == Some(at) {
            return Expired::MaxDuration;
        }
        if self.idle.is_some_and(|idle| self.last + idle == at) {
            return Expired::Idle;
        }
        if let Some(log) = &mut self.log {
            log.advance();
        }
        Expired::Log
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::poll_fn, pin::pin};
    use tokio::time::{advance, sleep_until};

    const SECOND: Duration = Duration::from_secs(1);

    async fn expired(timer: &mut Timer, mut moved: impl FnMut() -> u64) -> Expired {
        let mut sleep = pin!(sleep_until(timer.next().unwrap_or_else(Instant::now)));
        poll_fn(|cx| timer.poll_expired(cx, sleep.as_mut(), moved())).await
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_put_the_idle_timeout_off() {
        let start = Instant::now();
        let mut timer = Timer::new(Some(4 * SECOND), None, None);
        let mut sleep = pin!(sleep_until(start + 4 * SECOND));
        advance(3 * SECOND).await;
        let pending =
            poll_fn(|cx| Poll::Ready(timer.poll_expired(cx, sleep.as_mut(), 1).is_pending()));
        assert!(pending.await);
        poll_fn(|cx| timer.poll_expired(cx, sleep.as_mut(), 1)).await;
        assert_eq!(start.elapsed().as_secs(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_deadline_counts_and_the_log_goes_on() {
        let start = Instant::now();
        let end = start + 5 * SECOND;
        let mut timer = Timer::new(Some(60 * SECOND), Some(end), Some(Ticks::new(2 * SECOND)));
        assert_eq!(expired(&mut timer, || 0).await, Expired::Log);
        assert_eq!(expired(&mut timer, || 0).await, Expired::Log);
        assert_eq!(start.elapsed().as_secs(), 4);
        assert_eq!(expired(&mut timer, || 0).await, Expired::MaxDuration);
        assert_eq!(start.elapsed().as_secs(), 5);
    }
}
