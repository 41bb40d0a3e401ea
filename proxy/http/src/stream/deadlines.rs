//! The deadlines that hold for a stream as a whole, and what their passing means.

use crate::{hcm::HttpConnectionManager, timeout::earliest};
use outrigger_core::scaled_timer::{ScaledTimer, ScaledTimers};
use std::time::Duration;
use tokio::time::Instant;

/// Why a stream ends before its response is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expired {
    StreamIdle,
    Request,
    MaxStreamDuration,
    /// The cluster's `max_stream_duration`.
    UpstreamMaxDuration,
    /// The route's timeout, or a try's: the router knows.
    Route,
    /// `per_try_idle_timeout`, within the response.
    PerTryIdle,
}

/// The deadlines that hold for the stream as a whole.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    pub idle_timeout: Option<Duration>,
    pub idle: Option<Instant>,
    pub request: Option<Instant>,
    pub max_duration: Option<Instant>,
    /// From the end of the request to the end of the response.
    pub route: Option<Instant>,
    /// From the connection of the latest attempt to the end of the response.
    pub upstream: Option<Instant>,
    /// `per_try_idle_timeout` of the attempt whose response is on its way.
    pub try_idle: Option<Instant>,
    /// The next line of `access_log_flush_interval`; no end of the stream.
    pub periodic_log: Option<Instant>,
}

impl Deadlines {
    /// Those of a stream that begins now.
    pub fn new(hcm: &HttpConnectionManager, now: Instant) -> Self {
        let timeouts = &hcm.timeouts;
        let after = |timeout: Option<Duration>| timeout.map(|timeout| now + timeout);
        Self {
            idle_timeout: timeouts.stream_idle,
            idle: after(timeouts.stream_idle),
            request: after(timeouts.request),
            max_duration: after(timeouts.max_stream_duration),
            route: None,
            upstream: None,
            try_idle: None,
            periodic_log: after(hcm.access_log_options.flush_interval),
        }
    }

    /// `timers` may let streams be idle for a shorter time.
    pub fn earliest(&self, timers: &ScaledTimers) -> Option<Instant> {
        let whole = earliest(self.max_duration, self.upstream);
        let idle = earliest(self.idle(timers), self.try_idle);
        earliest(earliest(idle, self.request), earliest(whole, self.route))
    }

    fn idle(&self, timers: &ScaledTimers) -> Option<Instant> {
        let timeout = self.idle_timeout.unwrap_or_default();
        let due = |deadline| timers.due(ScaledTimer::StreamIdle, timeout, deadline);
        self.idle.map(due)
    }

    pub fn expired(&self, now: Instant, timers: &ScaledTimers) -> Option<Expired> {
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|d| d <= now);
        if passed(self.max_duration) {
            Some(Expired::MaxStreamDuration)
        } else if passed(self.request) {
            Some(Expired::Request)
        } else if passed(self.upstream) {
            Some(Expired::UpstreamMaxDuration)
        } else if passed(self.route) {
            Some(Expired::Route)
        } else if passed(self.idle(timers)) {
            Some(Expired::StreamIdle)
        } else if passed(self.try_idle) {
            Some(Expired::PerTryIdle)
        } else {
            None
        }
    }

    /// Bytes have moved.
    pub fn touch(&mut self) {
        if let Some(timeout) = self.idle_timeout {
            self.idle = Some(Instant::now() + timeout);
        }
    }
}
