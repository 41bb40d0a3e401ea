//! Envoy's scaled timers: timeouts of clients that the overload manager reduces while there is pressure, even those that
//! run already.

use crate::{
    overload::Level,
    wakers::{Wakers, Watch},
};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::Waker,
    time::Duration,
};
use tokio::time::Instant;

/// `ScaleTimersOverloadActionConfig.TimerType`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaledTimer {
    ConnectionIdle,
    StreamIdle,
    /// Nobody asks for it: without TLS a transport socket is connected at once.
    TransportSocketConnect,
    ConnectionMax,
    StreamFlush,
}

/// What is left of a timeout at the highest pressure.
#[derive(Clone, Copy, Debug)]
pub enum Minimum {
    Timeout(Duration),
    /// From 0 to 1.
    Share(f64),
}

/// How much the timeouts of each kind are reduced.
#[derive(Debug, Default)]
pub struct ScaledTimers {
    /// Whether any is: all that a request reads while there is no pressure.
    reduced: AtomicBool,
    timers: [Timer; 5],
    wakers: Arc<Wakers>,
}

#[derive(Debug, Default)]
struct Timer {
    minimum: OnceLock<Minimum>,
    level: Level,
}

impl ScaledTimers {
    fn timer(&self, timer: ScaledTimer) -> &Timer {
        let [idle, stream_idle, connect, max, flush] = &self.timers;
        match timer {
            ScaledTimer::ConnectionIdle => idle,
            ScaledTimer::StreamIdle => stream_idle,
            ScaledTimer::TransportSocketConnect => connect,
            ScaledTimer::ConnectionMax => max,
            ScaledTimer::StreamFlush => flush,
        }
    }

    /// False: somebody else has done so before.
    pub fn configure(&self, timer: ScaledTimer, minimum: Minimum) -> bool {
        self.timer(timer).minimum.set(minimum).is_ok()
    }

    /// From 0, the whole timeout, to 1, the least.
    pub fn set(&self, timers: &[ScaledTimer], level: f64) {
        for timer in timers {
            self.timer(*timer).level.set(level);
        }
        let reduced = self.timers.iter().any(|timer| timer.level.get() > 0.0);
        self.reduced.store(reduced, Relaxed);
        self.wakers.wake_all();
    }

    /// Wakes a task when timeouts become shorter. None: they never do.
    pub fn watch(&self, waker: &Waker) -> Option<Box<Watch>> {
        let mut timers = self.timers.iter();
        let configured = timers.any(|timer| timer.minimum.get().is_some());
        configured.then(|| Box::new(self.wakers.watch(waker.clone())))
    }

    /// When a timeout that would pass at `deadline` passes as things are.
    #[inline]
    pub fn due(&self, timer: ScaledTimer, timeout: Duration, deadline: Instant) -> Instant {
        match self.reduced.load(Relaxed) {
            false => deadline,
            true => self.reduce(timer, timeout, deadline),
        }
    }

    #[cold]
    fn reduce(&self, timer: ScaledTimer, timeout: Duration, deadline: Instant) -> Instant {
        let timer = self.timer(timer);
        let minimum = match timer.minimum.get() {
            Some(Minimum::Timeout(minimum)) => *minimum,
            Some(Minimum::Share(share)) => timeout.mul_f64(*share),
            None => timeout,
        };
        let saved = timeout.saturating_sub(minimum).mul_f64(timer.level.get());
        deadline.checked_sub(saved).unwrap_or(deadline)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TEN: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn timeouts_shrink_to_their_minimum() {
        let timers = ScaledTimers::default();
        let start = Instant::now();
        let due = |timer, timeout| timers.due(timer, timeout, start + timeout) - start;
        timers.configure(ScaledTimer::StreamIdle, Minimum::Share(0.2));
        timers.configure(ScaledTimer::ConnectionIdle, Minimum::Timeout(TEN * 2));
        assert!(!timers.configure(ScaledTimer::StreamIdle, Minimum::Share(0.1)));
        assert_eq!(due(ScaledTimer::StreamIdle, TEN), TEN);
        timers.set(&[ScaledTimer::StreamIdle, ScaledTimer::ConnectionIdle], 1.0);
        assert_eq!(due(ScaledTimer::StreamIdle, TEN).as_secs_f64().round(), 2.0);
        // What is shorter anyway stays.
        assert_eq!(due(ScaledTimer::ConnectionIdle, TEN), TEN);
        assert_eq!(due(ScaledTimer::ConnectionIdle, TEN * 3).as_secs(), 20);
        assert_eq!(due(ScaledTimer::ConnectionMax, TEN), TEN);
        timers.set(&[ScaledTimer::StreamIdle], 0.5);
        assert_eq!(due(ScaledTimer::StreamIdle, TEN).as_secs_f64().round(), 6.0);
    }

    #[test]
    fn only_reduced_timers_are_watched() {
        let timers = ScaledTimers::default();
        assert!(timers.watch(Waker::noop()).is_none());
        timers.configure(ScaledTimer::StreamIdle, Minimum::Share(0.2));
        assert!(timers.watch(Waker::noop()).is_some());
    }
}
