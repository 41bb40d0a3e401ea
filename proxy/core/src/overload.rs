//! Envoy's overload state: what requests and accept loops read of the overload manager. Nothing is decided here.

use crate::{scaled_timer::ScaledTimers, stats::Counter};
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
};
use tokio::sync::watch;

/// The actions and load-shed points that something listens to. Listeners with `bypass_overload_manager` have one of their
/// own that nobody moves.
#[derive(Debug, Default)]
pub struct OverloadState {
    /// Whether any level may be above 0: all that a request reads while there is no overload.
    any: AtomicBool,
    /// `envoy.overload_actions.stop_accepting_requests`
    pub stop_accepting_requests: Level,
    /// `envoy.overload_actions.disable_http_keepalive`
    pub disable_http_keepalive: Level,
    /// `envoy.overload_actions.reject_incoming_connections`
    pub reject_incoming_connections: Level,
    /// `envoy.load_shed_points.http_connection_manager_decode_headers`
    pub decode_headers: LoadShedPoint,
    /// `envoy.load_shed_points.tcp_listener_accept`
    pub tcp_listener_accept: LoadShedPoint,
    /// `envoy.overload_actions.stop_accepting_connections`
    stop_accepting_connections: watch::Sender<bool>,
    /// `envoy.overload_actions.reduce_timeouts`
    pub timers: Arc<ScaledTimers>,
}

/// How many of those who ask are refused, from none to all.
#[derive(Debug, Default)]
pub struct Level(AtomicU32);

/// A level that counts whom it has refused.
#[derive(Debug, Default)]
pub struct LoadShedPoint {
    pub level: Level,
    /// `shed_load_count`, if it is configured.
    pub count: OnceLock<Arc<Counter>>,
}

impl OverloadState {
    /// That of a listener that bypasses the overload manager. Its timeouts are reduced all the same, as in Envoy.
    pub fn bypassed(&self) -> Self {
        Self {
            timers: self.timers.clone(),
            ..Self::default()
        }
    }

    /// False: no level is above 0.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.any.load(Relaxed)
    }

    /// To be called with true before a level rises.
    pub fn set_active(&self, active: bool) {
        self.any.store(active, Relaxed);
    }

    /// A request is turned away as soon as its head is there.
    #[inline]
    pub fn refuses_request(&self) -> bool {
        self.is_active() && (self.stop_accepting_requests.hits() || self.decode_headers.hits())
    }

    /// The connection of this response drains.
    #[inline]
    pub fn disables_keepalive(&self) -> bool {
        self.is_active() && self.disable_http_keepalive.hits()
    }

    /// A connection is closed as soon as it is accepted.
    #[inline]
    pub fn rejects_connection(&self) -> bool {
        self.is_active()
            && (self.tcp_listener_accept.hits() || self.reject_incoming_connections.hits())
    }

    /// Whether clients are left waiting in the queue of the kernel.
    pub fn stop_accepting(&self, stop: bool) {
        self.stop_accepting_connections.send_if_modified(|stopped| {
            let changed = *stopped != stop;
            *stopped = stop;
            changed
        });
    }

    /// Returns once connections may be accepted.
    pub async fn may_accept(&self) {
        if !*self.stop_accepting_connections.borrow() {
            return;
        }
        // It fails only if the sender is gone, which is `self`.
        let mut stopped = self.stop_accepting_connections.subscribe();
        let _ = stopped.wait_for(|stopped| !stopped).await;
    }
}

impl Level {
    /// From 0, nobody, to 1, everybody.
    pub fn set(&self, value: f64) {
        // The conversion saturates.
        self.0.store((value * f64::from(u32::MAX)) as u32, Relaxed);
    }

    pub fn get(&self) -> f64 {
        f64::from(self.0.load(Relaxed)) / f64::from(u32::MAX)
    }

    /// True for as many of those who ask as the level says.
    #[inline]
    pub fn hits(&self) -> bool {
        match self.0.load(Relaxed) {
            0 => false,
            u32::MAX => true,
            level => fastrand::u32(..) < level,
        }
    }
}

impl LoadShedPoint {
    /// As [`Level::hits`], and counts it.
    pub fn hits(&self) -> bool {
        let hits = self.level.hits();
        if hits && let Some(count) = self.count.get() {
            count.inc();
        }
        hits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{pin::pin, time::Duration};
    use tokio::time::timeout;

    #[test]
    fn a_level_is_a_share_of_those_who_ask() {
        let level = Level::default();
        let hits = |value| {
            level.set(value);
            (0..10_000).filter(|_| level.hits()).count()
        };
        assert_eq!(hits(0.0), 0);
        assert_eq!(hits(1.0), 10_000);
        assert!((4_000..6_000).contains(&hits(0.5)));
    }

    #[test]
    fn nothing_is_refused_until_the_state_is_active() {
        let state = OverloadState::default();
        let count = Arc::new(Counter::default());
        let _ = state.decode_headers.count.set(count.clone());
        state.decode_headers.level.set(1.0);
        assert!(!state.refuses_request());
        state.set_active(true);
        assert!(state.refuses_request() && !state.rejects_connection());
        assert_eq!(count.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_may_not_accept_waits() {
        let state = OverloadState::default();
        state.may_accept().await;
        state.stop_accepting(true);
        let mut waits = pin!(state.may_accept());
        assert!(
            timeout(Duration::from_secs(1), waits.as_mut())
                .await
                .is_err()
        );
        state.stop_accepting(false);
        waits.await;
    }
}
