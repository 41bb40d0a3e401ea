//! Envoy's jittered exponential back-off between two attempts to reach a control plane.

use std::time::Duration;

/// Grows from one attempt to the next, with full jitter, so that proxies that lost one server do not return as one wave.
#[derive(Debug, Clone)]
pub struct BackOff {
    base: Duration,
    max: Duration,
    /// The upper end of the next interval.
    next: Duration,
}

impl Default for BackOff {
    /// What Envoy uses for gRPC streams: 500 ms, growing to 30 s.
    fn default() -> Self {
        Self::new(Duration::from_millis(500), Duration::from_secs(30))
    }
}

impl BackOff {
    /// `max` below `base` counts as `base`.
    pub fn new(base: Duration, max: Duration) -> Self {
        Self {
            base,
            max: max.max(base),
            next: base,
        }
    }

    /// The pause before the next attempt: random below an end that doubles each time up to the maximum.
    pub fn next_pause(&mut self) -> Duration {
        let end = self.next;
        self.next = end.saturating_mul(2).min(self.max);
        end.mul_f64(fastrand::f64())
    }

    /// A connection worked: the next pause is short again.
    pub fn reset(&mut self) {
        self.next = self.base;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_stay_below_an_end_that_doubles_up_to_the_maximum() {
        let mut back_off = BackOff::new(Duration::from_millis(100), Duration::from_millis(350));
        for end in [100, 200, 350, 350] {
            assert_eq!(back_off.next, Duration::from_millis(end));
            assert!(back_off.next_pause() < Duration::from_millis(end));
        }
        back_off.reset();
        assert_eq!(back_off.next, Duration::from_millis(100));
    }
}
