//! How long a request and each of its attempts may take: route, policy and the headers of an internal client.

use crate::{
    grpc_timeout,
    local_reply::is_grpc,
    route::{Forward, RetryPolicy},
};
use outrigger_core::{HeaderId, HeaderMap, HeaderSet};
use std::time::Duration;

/// `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// From the end of the request to the end of the response.
    pub global: Option<Duration>,
    pub per_try: Option<Duration>,
    pub per_try_idle: Option<Duration>,
    /// From the connection to the end of the response.
    pub max_duration: Option<Duration>,
    /// The client wants to hear of a timeout as 204 instead of 504.
    pub alternative_response: bool,
    /// A try that runs out of time goes on, so that an upstream has the whole time.
    pub hedged: bool,
    /// `grpc-timeout` tells the upstream what is left, as `max_grpc_timeout` asks for.
    pub tell_grpc: bool,
}

/// What an internal client asks for, and the upstream does not see.
const ASKED: HeaderSet = HeaderSet::of(&[
    HeaderId::EnvoyUpstreamRqTimeoutMs,
    HeaderId::EnvoyUpstreamRqPerTryTimeoutMs,
    HeaderId::EnvoyUpstreamRqTimeoutAltResponse,
    HeaderId::EnvoyUpstreamStreamDurationMs,
]);

impl Timeouts {
    /// Envoy's `finalTimeout`: takes the client's headers out of the request. External clients' were removed before.
    /// `max_duration` is the cluster's.
    pub fn of(
        forward: &Forward,
        retry: Option<&RetryPolicy>,
        headers: &mut HeaderMap,
        respect_expected: bool,
        hedged: bool,
        max_duration: Option<Duration>,
    ) -> Self {
        let legacy_grpc = forward
            .max_grpc_timeout
            .filter(|_| forward.max_stream_duration.is_none() && is_grpc(headers));
        let global = match legacy_grpc {
            Some(max) => grpc_global(headers, max, forward.grpc_timeout_offset),
            None if forward.max_stream_duration.is_some() => None,
            None => forward.timeout,
        };
        let mut timeouts = Self {
            global,
            per_try: retry.and_then(|r| r.per_try_timeout),
            per_try_idle: retry.and_then(|r| r.per_try_idle_timeout),
            max_duration: max_duration.filter(|d| !d.is_zero()),
            alternative_response: false,
            hedged,
            tell_grpc: legacy_grpc.is_some(),
        };
        if headers.contains_any(ASKED) || respect_expected {
            timeouts.take_asked(headers, respect_expected);
        }
        // A try that may last as long as the request needs no timer of its own.
        if let (Some(per_try), Some(global)) = (timeouts.per_try, timeouts.global)
            && per_try >= global
        {
            timeouts.per_try = None;
        }
        timeouts
    }

    /// What an internal client asks for.
    #[cold]
    fn take_asked(&mut self, headers: &mut HeaderMap, respect_expected: bool) {
        if let Some(max) = milliseconds(headers, HeaderId::EnvoyUpstreamStreamDurationMs) {
            self.max_duration = (!max.is_zero()).then_some(max);
        }
        self.alternative_response = headers.contains(HeaderId::EnvoyUpstreamRqTimeoutAltResponse);
        let expected = if respect_expected {
            milliseconds(headers, HeaderId::EnvoyExpectedRqTimeoutMs)
        } else {
            None
        };
        let asked = milliseconds(headers, HeaderId::EnvoyUpstreamRqTimeoutMs);
        if let Some(global) = expected.or(asked) {
            self.global = (!global.is_zero()).then_some(global);
        }
        if let Some(per_try) = milliseconds(headers, HeaderId::EnvoyUpstreamRqPerTryTimeoutMs) {
            self.per_try = (!per_try.is_zero()).then_some(per_try);
        }
        headers.remove_all(ASKED);
    }

    /// What our own answer to a timeout is: 504, or 204 if an internal client asked for that instead.
    pub fn code(&self) -> u16 {
        match self.alternative_response {
            true => 204,
            false => 504,
        }
    }

    /// Tells the upstream how long an attempt may take that starts `elapsed` after the end of the request: in `grpc-timeout`, and in
    /// `x-envoy-expected-rq-timeout-ms` unless Envoy's headers are suppressed.
    pub fn write_expected(&self, request: &mut HeaderMap, elapsed: Duration, envoy_headers: bool) {
        let expected = self.expected(elapsed);
        if let Some(left) = expected
            && self.tell_grpc
        {
            grpc_timeout::write(request, left);
        }
        if !envoy_headers {
            return;
        }
        // What is there already stays where nothing is expected, as after a redirect.
        if let Some(left) = expected {
            request.set(
                HeaderId::EnvoyExpectedRqTimeoutMs,
                itoa::Buffer::new().format(left.as_millis()).as_bytes(),
            );
        }
    }

    fn expected(&self, elapsed: Duration) -> Option<Duration> {
        // Zero would mean no limit.
        let left = self
            .global
            .map(|g| g.saturating_sub(elapsed).max(Duration::from_millis(1)));
        match (self.per_try.filter(|_| !self.hedged), left) {
            (Some(per_try), Some(left)) => Some(per_try.min(left)),
            (per_try, left) => per_try.or(left),
        }
    }
}

/// The route timeout of a gRPC request under `max_grpc_timeout`: what the client asks for, less the offset if anything
/// is left then, and not more than `max`; zero is no limit on either side.
fn grpc_global(headers: &HeaderMap, max: Duration, offset: Option<Duration>) -> Option<Duration> {
    let asked = grpc_timeout::read(headers).unwrap_or_default();
    let asked = match offset {
        Some(offset) if offset < asked => asked - offset,
        _ => asked,
    };
    let global = match (asked.is_zero(), max.is_zero()) {
        (true, _) => max,
        (false, true) => asked,
        (false, false) => asked.min(max),
    };
    (!global.is_zero()).then_some(global)
}

fn milliseconds(headers: &HeaderMap, id: HeaderId) -> Option<Duration> {
    headers.get_str(id)?.parse().ok().map(Duration::from_millis)
}
