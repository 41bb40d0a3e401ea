//! Envoy's drain manager: whether connections are to be asked to go elsewhere. It asks and never closes anything itself.
//!
//! What Envoy 1.40 does, measured: with the gradual strategy ever more responses ask, all of them after half of the drain
//! time; connections without a request are asked at some moment of its last third.

use crate::wakers::{Wakers, Watch};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    task::Waker,
    time::Duration,
};
use tokio::time::Instant;

/// `/healthcheck/fail` was called.
const UNHEALTHY: u8 = 1;
const DRAINS_INBOUND: u8 = 2;
const DRAINS_ALL: u8 = 4;
/// The process ends: everybody is asked, and at once.
const ENDS: u8 = 8;

/// `--drain-time-s` and `--drain-strategy`.
#[derive(Clone, Copy, Debug)]
pub struct DrainSettings {
    pub time: Duration,
    /// From the start every response asks; otherwise gradually more of them.
    pub immediate: bool,
}

impl Default for DrainSettings {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(600),
            immediate: false,
        }
    }
}

/// Which listeners drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainDirection {
    /// Those with `traffic_direction: INBOUND`.
    InboundOnly,
    All,
}

/// The state that all listeners of the process share.
#[derive(Debug, Default)]
pub struct DrainManager {
    settings: DrainSettings,
    /// All that a response has to read while nothing drains.
    flags: AtomicU8,
    inbound_since: OnceLock<Instant>,
    all_since: OnceLock<Instant>,
    /// Connections that wait for the client and have to wake up when draining begins.
    watchers: Arc<Wakers>,
}

impl DrainManager {
    pub fn new(settings: DrainSettings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    /// `/healthcheck/fail` and `/healthcheck/ok`.
    pub fn fail_health_checks(&self, fail: bool) {
        if fail {
            self.flags.fetch_or(UNHEALTHY, Relaxed);
        } else {
            self.flags.fetch_and(!UNHEALTHY, Relaxed);
        }
    }

    /// Begins to drain, for ever. False if these listeners drain already.
    pub fn start(&self, direction: DrainDirection) -> bool {
        if self.is_draining(direction) {
            return false;
        }
        let (since, flag) = match direction {
            DrainDirection::InboundOnly => (&self.inbound_since, DRAINS_INBOUND),
            DrainDirection::All => (&self.all_since, DRAINS_ALL),
        };
        let begun = since.set(Instant::now()).is_ok();
        self.flags.fetch_or(flag, Relaxed);
        self.watchers.wake_all();
        begun
    }

    /// The process is about to end: from now on every response asks, whatever the strategy and whatever drains already.
    pub fn end(&self) {
        // Whoever drained before has set it; idle connections then keep the moment that they chose.
        let _ = self.all_since.set(Instant::now());
        self.flags.fetch_or(DRAINS_ALL | ENDS, Relaxed);
        self.watchers.wake_all();
    }

    pub fn is_draining(&self, direction: DrainDirection) -> bool {
        self.draining_since(direction).is_some()
    }

    /// How long draining takes.
    pub fn time(&self) -> Duration {
        self.settings.time
    }

    /// Since when listeners of this direction drain.
    fn draining_since(&self, direction: DrainDirection) -> Option<Instant> {
        let all = self.all_since.get();
        let inbound = match direction {
            DrainDirection::InboundOnly => self.inbound_since.get(),
            DrainDirection::All => None,
        };
        all.into_iter().chain(inbound).min().copied()
    }
}

/// Envoy's `DrainDecision`: the drain manager as one listener sees it.
#[derive(Clone, Debug)]
pub struct DrainDecision {
    manager: Arc<DrainManager>,
    direction: DrainDirection,
    /// The flags that concern this listener.
    mask: u8,
}

impl Default for DrainDecision {
    /// Of a listener that nothing drains.
    fn default() -> Self {
        Self::new(Arc::default(), DrainDirection::All, false)
    }
}

impl DrainDecision {
    /// `modify_only` is the listener's `drain_type`: failed health checks do not drain it.
    pub fn new(manager: Arc<DrainManager>, direction: DrainDirection, modify_only: bool) -> Self {
        let inbound = match direction {
            DrainDirection::InboundOnly => DRAINS_INBOUND,
            DrainDirection::All => 0,
        };
        let health = if modify_only { 0 } else { UNHEALTHY };
        Self {
            mask: ENDS | DRAINS_ALL | inbound | health,
            manager,
            direction,
        }
    }

    /// `/healthcheck/fail` was called, whatever that means for the listener.
    pub fn health_checks_fail(&self) -> bool {
        self.manager.flags.load(Relaxed) & UNHEALTHY != 0
    }

    /// Whether this response is to ask its connection to close.
    pub fn drain_close(&self) -> bool {
        let flags = self.manager.flags.load(Relaxed) & self.mask;
        flags != 0 && (flags & (UNHEALTHY | ENDS) != 0 || self.is_due())
    }

    /// The process is about to end: whoever can be asked without a response is asked now.
    pub fn ends(&self) -> bool {
        self.manager.flags.load(Relaxed) & ENDS != 0
    }

    /// How long a client may go on opening streams after it was asked not to. Where the process ends, there has to be time
    /// left for them.
    pub fn notice(&self, drain_timeout: Duration) -> Duration {
        match self.ends() {
            true => drain_timeout.min(self.manager.time() / 2),
            false => drain_timeout,
        }
    }

    /// Gradual: the chance grows with each whole second, to certainty at half of the drain time.
    fn is_due(&self) -> bool {
        let DrainSettings { time, immediate } = self.manager.settings;
        let Some(since) = self.manager.draining_since(self.direction) else {
            return false;
        };
        let window = time.as_secs().div_ceil(2);
        immediate || window == 0 || since.elapsed().as_secs() > fastrand::u64(..window)
    }

    /// A drain sequence has begun. Failed health checks are none.
    pub fn has_begun(&self) -> bool {
        self.manager.flags.load(Relaxed) & self.mask & !UNHEALTHY != 0
    }

    /// When a connection that may be idle is asked, once a drain sequence has begun: at random within the last third of the
    /// drain time, but `drain_timeout` before its end. `None` if that leaves no time.
    pub fn idle_close(&self, drain_timeout: Duration) -> Option<Instant> {
        let since = self.manager.draining_since(self.direction)?;
        let time = self.manager.settings.time;
        let from = (since + time * 2 / 3).max(Instant::now());
        let window = (since + time.checked_sub(drain_timeout)?).checked_duration_since(from)?;
        let millis = u64::try_from(window.as_millis()).ok()?;
        (millis > 0).then(|| from + Duration::from_millis(fastrand::u64(..millis)))
    }

    /// Wakes a task when a drain sequence begins, until the guard is dropped. Who asks [`has_begun`](Self::has_begun)
    /// afterwards misses nothing.
    pub fn watch(&self, waker: Waker) -> Watch {
        self.manager.watchers.watch(waker)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::{
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
        task::Wake,
    };
    use tokio::time::advance;

    const SECOND: Duration = Duration::from_secs(1);

    fn manager(seconds: u64, immediate: bool) -> Arc<DrainManager> {
        Arc::new(DrainManager::new(DrainSettings {
            time: Duration::from_secs(seconds),
            immediate,
        }))
    }

    fn share(decision: &DrainDecision) -> usize {
        (0..1000).filter(|_| decision.drain_close()).count()
    }

    #[test]
    fn failed_health_checks_drain_all_but_modify_only() {
        let manager = manager(600, false);
        let default = DrainDecision::new(manager.clone(), DrainDirection::All, false);
        let modify_only = DrainDecision::new(manager.clone(), DrainDirection::All, true);
        assert!(!default.drain_close());
        manager.fail_health_checks(true);
        assert!(default.drain_close() && !modify_only.drain_close() && !default.has_begun());
        manager.fail_health_checks(false);
        assert!(!default.drain_close());
    }

    #[test]
    fn inbound_drains_with_all_and_alone() {
        let manager = manager(600, true);
        let all = DrainDecision::new(manager.clone(), DrainDirection::All, true);
        let inbound = DrainDecision::new(manager.clone(), DrainDirection::InboundOnly, true);
        assert!(manager.start(DrainDirection::InboundOnly));
        assert!(!manager.start(DrainDirection::InboundOnly));
        assert!(inbound.drain_close() && !all.drain_close());
        assert!(manager.start(DrainDirection::All));
        assert!(!manager.start(DrainDirection::InboundOnly));
        assert!(inbound.drain_close() && all.drain_close());
    }

    /// The shares that Envoy 1.40 shows with `--drain-time-s 5`.
    #[tokio::test(start_paused = true)]
    async fn gradual_grows_by_the_second() {
        let manager = manager(5, false);
        let decision = DrainDecision::new(manager.clone(), DrainDirection::All, false);
        manager.start(DrainDirection::All);
        assert_eq!(share(&decision), 0);
        advance(SECOND).await;
        assert!((233..433).contains(&share(&decision)));
        advance(SECOND).await;
        assert!((566..766).contains(&share(&decision)));
        advance(SECOND).await;
        assert_eq!(share(&decision), 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn no_drain_time_asks_at_once() {
        let manager = manager(0, false);
        let decision = DrainDecision::new(manager.clone(), DrainDirection::All, false);
        manager.start(DrainDirection::All);
        assert!(decision.drain_close());
    }

    #[tokio::test(start_paused = true)]
    async fn idle_connections_are_asked_in_the_last_third() {
        let manager = manager(12, true);
        let decision = DrainDecision::new(manager.clone(), DrainDirection::All, false);
        assert_eq!(decision.idle_close(SECOND), None);
        manager.start(DrainDirection::All);
        let start = Instant::now();
        for _ in 0..100 {
            let after = decision.idle_close(3 * SECOND).unwrap() - start;
            assert!((8 * SECOND..9 * SECOND).contains(&after), "{after:?}");
        }
        assert_eq!(decision.idle_close(4 * SECOND), None);
        assert_eq!(decision.idle_close(13 * SECOND), None);
        advance(10 * SECOND).await;
        let after = decision.idle_close(SECOND).unwrap() - start;
        assert!((10 * SECOND..11 * SECOND).contains(&after));
        advance(SECOND).await;
        assert_eq!(decision.idle_close(SECOND), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_asks_everybody_at_once() {
        let manager = manager(6, false);
        let modify_only = DrainDecision::new(manager.clone(), DrainDirection::All, true);
        assert!(!modify_only.ends());
        assert_eq!(modify_only.notice(5 * SECOND), 5 * SECOND);
        manager.start(DrainDirection::All);
        assert!(!modify_only.drain_close());
        manager.end();
        assert!(modify_only.drain_close() && modify_only.has_begun() && modify_only.ends());
        assert_eq!(modify_only.notice(5 * SECOND), 3 * SECOND);
        assert_eq!(modify_only.notice(SECOND), SECOND);
    }

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn watchers_wake_until_they_are_dropped() {
        let manager = manager(600, false);
        let decision = DrainDecision::new(manager.clone(), DrainDirection::All, false);
        let counts: [Arc<Count>; 3] = Default::default();
        let mut watches: Vec<_> = counts
            .iter()
            .map(|count| decision.watch(count.clone().into()))
            .collect();
        drop(watches.remove(1));
        manager.start(DrainDirection::All);
        let woken = counts.each_ref().map(|count| count.0.load(SeqCst));
        assert_eq!(woken, [1, 0, 1]);
    }
}
