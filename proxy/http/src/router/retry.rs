//! Whether a failed attempt is tried again, and when.

use super::{charge::Charge, failure::ResetReason};
use crate::route::{RetryOn, RetryPolicy};
use outrigger_core::{HeaderId, HeaderMap, HeaderName, HeaderSet};
use outrigger_upstream::{Cluster, Host, PreviousPriorities, Priority, RetryPermit};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Why there is no retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing in the policy asks for one.
    NotRetriable,
    /// The policy's number of retries is used up.
    LimitExceeded,
    /// The cluster's `max_retries` circuit breaker is open.
    Overflow,
}

/// What the pause before a retry goes by.
#[derive(Clone, Copy, Debug)]
enum BackOff {
    Exponential,
    RateLimited,
}

/// The retries of one request.
#[derive(Debug)]
pub struct RetryState {
    policy: Arc<RetryPolicy>,
    /// Whose circuit breaker limits them.
    priority: Priority,
    retry_on: RetryOn,
    remaining: u32,
    attempt: u32,
    permit: Option<RetryPermit>,
    /// How long the retry that was decided on waits is known by this; `None` once it runs.
    waiting: Option<BackOff>,
    /// Boxed, because hardly any policy asks for it.
    priorities: Option<Box<PreviousPriorities>>,
    /// `x-envoy-retriable-status-codes` of an internal client.
    asked_codes: Box<[u16]>,
    /// `x-envoy-retriable-header-names` of an internal client.
    asked_headers: Box<[HeaderName]>,
}

/// What an internal client says about retries, and what of it this version only takes out of the request.
const CONTROL: HeaderSet = HeaderSet::of(&[
    HeaderId::EnvoyRetryOn,
    HeaderId::EnvoyRetryGrpcOn,
    HeaderId::EnvoyMaxRetries,
    HeaderId::EnvoyRetriableStatusCodes,
    HeaderId::EnvoyRetriableHeaderNames,
    HeaderId::EnvoyHedgeOnPerTryTimeout,
    HeaderId::EnvoyUpstreamAltStatName,
]);

/// The words of a comma-separated header.
fn list(headers: &HeaderMap, id: HeaderId) -> impl Iterator<Item = &str> {
    headers
        .get_str(id)
        .into_iter()
        .flat_map(|words| words.split(','))
        .map(str::trim)
        .filter(|word| !word.is_empty())
}

impl RetryState {
    /// The route's policy, with what an internal client's headers ask for on top. `None`: nothing is ever retried.
    pub fn new(
        policy: Option<&Arc<RetryPolicy>>,
        priority: Priority,
        headers: &mut HeaderMap,
    ) -> Option<Self> {
        match headers.contains_any(CONTROL) {
            false => {
                let policy = policy?.clone();
                let retry_on = policy.retry_on;
                Self::of(policy, retry_on, priority, headers)
            }
            true => Self::asked(policy, priority, headers),
        }
    }

    /// What an internal client asks for is taken out of the request.
    #[cold]
    fn asked(
        policy: Option<&Arc<RetryPolicy>>,
        priority: Priority,
        headers: &mut HeaderMap,
    ) -> Option<Self> {
        let asked = headers
            .get_str(HeaderId::EnvoyRetryOn)
            .map(RetryOn::parse_http);
        let asked_grpc = headers
            .get_str(HeaderId::EnvoyRetryGrpcOn)
            .map(RetryOn::parse_grpc);
        let max_retries: Option<u32> = headers
            .get_str(HeaderId::EnvoyMaxRetries)
            .and_then(|v| v.parse().ok());
        let asked_codes = list(headers, HeaderId::EnvoyRetriableStatusCodes)
            .filter_map(|code| code.parse().ok())
            .collect();
        let asked_headers = list(headers, HeaderId::EnvoyRetriableHeaderNames)
            .map(HeaderName::from)
            .collect();
        headers.remove_all(CONTROL);
        let policy = match policy {
            Some(policy) => policy.clone(),
            None if asked.is_some() || asked_grpc.is_some() => Arc::new(RetryPolicy::default()),
            None => return None,
        };
        let retry_on = policy
            .retry_on
            .union(asked.unwrap_or_default())
            .union(asked_grpc.unwrap_or_default());
        let mut state = Self::of(policy, retry_on, priority, headers)?;
        state.remaining = max_retries.unwrap_or(state.remaining);
        state.asked_codes = asked_codes;
        state.asked_headers = asked_headers;
        Some(state)
    }

    fn of(
        policy: Arc<RetryPolicy>,
        retry_on: RetryOn,
        priority: Priority,
        headers: &HeaderMap,
    ) -> Option<Self> {
        let gated = !policy.retriable_request_headers.is_empty()
            && !policy.retriable_request_headers.any_match(headers);
        if retry_on.is_empty() || gated {
            return None;
        }
        Some(Self {
            priorities: policy
                .previous_priorities
                .map(|frequency| Box::new(PreviousPriorities::new(frequency))),
            remaining: policy.num_retries,
            policy,
            priority,
            retry_on,
            attempt: 0,
            permit: None,
            waiting: None,
            asked_codes: Box::default(),
            asked_headers: Box::default(),
        })
    }

    /// The policy, and the priorities that were tried.
    pub fn host_selection(&mut self) -> (&RetryPolicy, Option<&mut PreviousPriorities>) {
        (&self.policy, self.priorities.as_deref_mut())
    }

    /// An attempt goes to this host.
    pub fn on_host(&mut self, host: &Host) {
        if let Some(priorities) = &mut self.priorities {
            priorities.attempt(host.priority);
        }
    }

    /// Decides on a response. `Ok` is the pause before the next attempt.
    pub fn on_response(
        &mut self,
        code: u16,
        response: &HeaderMap,
        cluster: &Arc<Cluster>,
        charge: &Charge,
    ) -> Result<Duration, Refusal> {
        self.decide(self.wants_response(code, response), cluster, charge)?;
        Ok(match self.rate_limited(response) {
            Some(pause) => {
                self.waiting = Some(BackOff::RateLimited);
                pause
            }
            None => self.back_off(),
        })
    }

    /// Decides on an attempt that failed without a response; `sent`: some of the request was written.
    #[cold]
    pub fn on_reset(
        &mut self,
        reason: &ResetReason,
        sent: bool,
        cluster: &Arc<Cluster>,
        charge: &Charge,
    ) -> Result<Duration, Refusal> {
        self.decide(self.wants_reset(reason, sent), cluster, charge)?;
        Ok(self.back_off())
    }

    /// Decides on a per-try timeout, which counts as a reset and as a gateway error.
    #[cold]
    pub fn on_per_try_timeout(
        &mut self,
        cluster: &Arc<Cluster>,
        charge: &Charge,
    ) -> Result<Duration, Refusal> {
        let on = RetryOn::SERVER_ERROR
            .union(RetryOn::GATEWAY_ERROR)
            .union(RetryOn::RESET);
        self.decide(self.retry_on.intersects(on), cluster, charge)?;
        Ok(self.back_off())
    }

    /// Decides on an attempt that goes on after its time: whatever the conditions are, as long as retries are left.
    #[cold]
    pub fn on_soft_timeout(
        &mut self,
        cluster: &Arc<Cluster>,
        charge: &Charge,
    ) -> Result<Duration, Refusal> {
        self.decide(true, cluster, charge)?;
        Ok(self.back_off())
    }

    /// Whether the conditions ask for a retry after this response.
    pub fn wants_response(&self, code: u16, response: &HeaderMap) -> bool {
        let on = |condition| self.retry_on.intersects(condition);
        if response.contains(HeaderId::EnvoyRateLimited) {
            return on(RetryOn::ENVOY_RATE_LIMITED);
        }
        on(RetryOn::SERVER_ERROR) && (500..600).contains(&code)
            || on(RetryOn::GATEWAY_ERROR) && (502..=504).contains(&code)
            || on(RetryOn::RETRIABLE_4XX) && code == 409
            || on(RetryOn::RETRIABLE_STATUS_CODES)
                && (self.policy.retriable_status_codes.contains(&code)
                    || self.asked_codes.contains(&code))
            || on(RetryOn::RETRIABLE_HEADERS)
                && (self.policy.retriable_headers.any_match(response)
                    || self
                        .asked_headers
                        .iter()
                        .any(|name| response.contains_name(name)))
            || self.wants_grpc_status(response)
    }

    fn wants_grpc_status(&self, response: &HeaderMap) -> bool {
        let condition = match response.get(HeaderId::GrpcStatus) {
            Some(b"1") => RetryOn::GRPC_CANCELLED,
            Some(b"4") => RetryOn::GRPC_DEADLINE_EXCEEDED,
            Some(b"8") => RetryOn::GRPC_RESOURCE_EXHAUSTED,
            Some(b"13") => RetryOn::GRPC_INTERNAL,
            Some(b"14") => RetryOn::GRPC_UNAVAILABLE,
            _ => return false,
        };
        self.retry_on.intersects(condition)
    }

    fn wants_reset(&self, reason: &ResetReason, sent: bool) -> bool {
        let on = |condition| self.retry_on.intersects(condition);
        if *reason == ResetReason::Overflow {
            return false;
        }
        let connect = matches!(
            reason,
            ResetReason::RemoteConnectionFailure(_)
                | ResetReason::LocalConnectionFailure(_)
                | ResetReason::ConnectionTimeout
        );
        on(RetryOn::SERVER_ERROR)
            || on(RetryOn::GATEWAY_ERROR)
            || on(RetryOn::RESET)
            || on(RetryOn::RESET_BEFORE_REQUEST) && !sent
            || on(RetryOn::CONNECT_FAILURE) && connect
            || on(RetryOn::REFUSED_STREAM) && *reason == ResetReason::RemoteRefusedStreamReset
    }

    fn decide(
        &mut self,
        wanted: bool,
        cluster: &Arc<Cluster>,
        charge: &Charge,
    ) -> Result<(), Refusal> {
        if !wanted {
            // Envoy calls every end of a retry a success that does not call for another one.
            if self.permit.take().is_some() {
                charge.retry_success(cluster);
            }
            return Err(Refusal::NotRetriable);
        }
        if self.remaining == 0 {
            charge.retry_limit_exceeded(cluster);
            return Err(Refusal::LimitExceeded);
        }
        self.remaining -= 1;
        self.permit = None;
        let Ok(permit) = cluster.retry_permit(self.priority) else {
            charge.retry_overflow(cluster);
            return Err(Refusal::Overflow);
        };
        self.permit = Some(permit);
        self.attempt += 1;
        Ok(())
    }

    /// The pause is over. Only now does the retry count.
    pub fn begin(&mut self, cluster: &Cluster, charge: &Charge) {
        let stats = &cluster.stats;
        match self.waiting.take() {
            Some(BackOff::Exponential) => stats.upstream_rq_retry_backoff_exponential.inc(),
            Some(BackOff::RateLimited) => stats.upstream_rq_retry_backoff_ratelimited.inc(),
            None => return,
        }
        charge.retry(cluster);
    }

    /// Random in `[0, min((2^n − 1) · base, max))`.
    #[cold]
    fn back_off(&mut self) -> Duration {
        self.waiting = Some(BackOff::Exponential);
        let factor = (1_u32 << self.attempt.min(20)) - 1;
        let bound = self
            .policy
            .base_interval
            .saturating_mul(factor)
            .min(self.policy.max_interval);
        let millis = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(fastrand::u64(..millis.max(1)))
    }

    /// What a `rate_limited_retry_back_off` header of the response asks for, plus up to half of it at random.
    #[cold]
    fn rate_limited(&self, response: &HeaderMap) -> Option<Duration> {
        let interval = self
            .policy
            .rate_limited_reset_headers
            .iter()
            .find_map(|header| {
                let value: u64 = std::str::from_utf8(response.get_name(&header.name)?)
                    .ok()?
                    .trim()
                    .parse()
                    .ok()?;
                let interval = if header.unix_timestamp {
                    (UNIX_EPOCH + Duration::from_secs(value))
                        .duration_since(SystemTime::now())
                        .ok()?
                } else {
                    Duration::from_secs(value)
                };
                let allowed = interval <= self.policy.rate_limited_max_interval;
                (allowed && !interval.is_zero()).then_some(interval)
            })?;
        Some(interval + interval.mul_f64(fastrand::f64() / 2.0))
    }
}
