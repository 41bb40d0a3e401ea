//! How long a request and each of its attempts may take: route, policy and the headers of an internal client.

use crate::route::{Forward, RetryPolicy};
use outrigger_core::{HeaderId, HeaderMap};
use std::time::Duration;

/// `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// From the end of the request to the end of the response.
    pub global: Option<Duration>,
    pub per_try: Option<Duration>,
    pub per_try_idle: Option<Duration>,
}

impl Timeouts {
    /// Envoy's `finalTimeout`: takes the client's headers out of the request. External clients' were removed before.
    pub fn of(
        forward: &Forward,
        retry: Option<&RetryPolicy>,
        headers: &mut HeaderMap,
        respect_expected: bool,
    ) -> Self {
        let mut timeouts = Self {
            global: forward.timeout,
            per_try: retry.and_then(|r| r.per_try_timeout),
            per_try_idle: retry.and_then(|r| r.per_try_idle_timeout),
        };
        let expected = if respect_expected {
            milliseconds(headers, HeaderId::EnvoyExpectedRqTimeoutMs)
        } else {
            None
        };
        let asked = milliseconds(headers, HeaderId::EnvoyUpstreamRqTimeoutMs);
        if let Some(global) = expected.or(asked) {
            timeouts.global = (!global.is_zero()).then_some(global);
        }
        if let Some(per_try) = milliseconds(headers, HeaderId::EnvoyUpstreamRqPerTryTimeoutMs) {
            timeouts.per_try = (!per_try.is_zero()).then_some(per_try);
        }
        headers.remove(HeaderId::EnvoyUpstreamRqTimeoutMs);
        headers.remove(HeaderId::EnvoyUpstreamRqPerTryTimeoutMs);
        // A try that may last as long as the request needs no timer of its own.
        if let (Some(per_try), Some(global)) = (timeouts.per_try, timeouts.global)
            && per_try >= global
        {
            timeouts.per_try = None;
        }
        timeouts
    }

    /// `x-envoy-expected-rq-timeout-ms` of an attempt that starts `elapsed` after the first one.
    pub fn expected(&self, elapsed: Duration) -> Option<Duration> {
        let left = self.global.map(|g| g.saturating_sub(elapsed));
        match (self.per_try, left) {
            (Some(per_try), Some(left)) => Some(per_try.min(left)),
            (per_try, left) => per_try.or(left),
        }
    }
}

fn milliseconds(headers: &HeaderMap, id: HeaderId) -> Option<Duration> {
    headers.get_str(id)?.parse().ok().map(Duration::from_millis)
}
