//! `RetryPolicy` as values: when a request may be tried again, how often and how soon. The retrying is the router's.

use envoy_api::{
    pb::envoy::config::route::v3::{RetryPolicy as Proto, retry_policy::ResetHeaderFormat},
    prost_types,
};
use outrigger_core::{
    ConfigError, HeaderName,
    error::{ConfigResult, required},
    matcher::HeaderMatchers,
};
use std::time::Duration;

use super::{
    config::duration,
    retry_host::{HostPredicates, update_frequency},
};

/// A compiled retry policy.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    pub retry_on: RetryOn,
    /// Retries after the first attempt (1 by default); `x-envoy-max-retries` overrides it.
    pub num_retries: u32,
    /// Nothing, or zero: the route timeout alone bounds an attempt.
    pub per_try_timeout: Option<Duration>,
    pub per_try_idle_timeout: Option<Duration>,
    /// Response codes that `retriable-status-codes` asks for.
    pub retriable_status_codes: Box<[u16]>,
    /// Any of these in the response makes `retriable-headers` retry.
    pub retriable_headers: HeaderMatchers,
    /// If there are any, one of them has to match the request, or it is never retried.
    pub retriable_request_headers: HeaderMatchers,
    /// Base interval of the exponential back-off (25 ms by default).
    pub base_interval: Duration,
    /// Its upper end (ten times the base by default).
    pub max_interval: Duration,
    /// Response headers that say when to try again, in order of preference.
    pub rate_limited_reset_headers: Box<[ResetHeader]>,
    /// Reset intervals above this are not taken (300 s by default).
    pub rate_limited_max_interval: Duration,
    /// How often host selection may try again for a host that the predicates accept (1 by default).
    pub host_selection_retry_max_attempts: u32,
    pub host_predicates: HostPredicates,
    /// `previous_priorities`: after so many attempts, a retry goes to a priority that was not tried yet.
    pub previous_priorities: Option<u32>,
}

/// A response header that says how long to wait.
#[derive(Clone, Debug)]
pub struct ResetHeader {
    pub name: HeaderName,
    /// True: seconds since the epoch; false: seconds from now.
    pub unix_timestamp: bool,
}

/// The conditions of `retry_on` as one set of bits. Unknown words are ignored, as in Envoy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryOn(u32);

macro_rules! retry_on {
    ($($name:ident = $bit:literal, $word:literal;)*) => {
        impl RetryOn {
            $(#[doc = $word] pub const $name: Self = Self(1 << $bit);)*

            fn word(word: &str) -> Self {
                match word { $($word => Self::$name,)* _ => Self(0) }
            }
        }
    };
}

retry_on! {
    SERVER_ERROR = 0, "5xx";
    GATEWAY_ERROR = 1, "gateway-error";
    CONNECT_FAILURE = 2, "connect-failure";
    RETRIABLE_4XX = 3, "retriable-4xx";
    REFUSED_STREAM = 4, "refused-stream";
    RETRIABLE_STATUS_CODES = 5, "retriable-status-codes";
    RETRIABLE_HEADERS = 6, "retriable-headers";
    ENVOY_RATE_LIMITED = 7, "envoy-ratelimited";
    RESET = 8, "reset";
    RESET_BEFORE_REQUEST = 9, "reset-before-request";
    HTTP3_POST_CONNECT_FAILURE = 10, "http3-post-connect-failure";
    GRPC_CANCELLED = 16, "cancelled";
    GRPC_DEADLINE_EXCEEDED = 17, "deadline-exceeded";
    GRPC_RESOURCE_EXHAUSTED = 18, "resource-exhausted";
    GRPC_UNAVAILABLE = 19, "unavailable";
    GRPC_INTERNAL = 20, "internal";
}

impl RetryOn {
    /// The bits that `x-envoy-retry-on` may set, or `x-envoy-retry-grpc-on` the others.
    const GRPC: u32 = 0xffff_0000;

    /// Parses `retry_on`, where HTTP and gRPC conditions mix.
    pub fn parse(list: &str) -> Self {
        list.split(',')
            .map(|word| Self::word(word.trim()))
            .fold(Self(0), Self::union)
    }

    /// Parses the `x-envoy-retry-on` header.
    pub fn parse_http(list: &str) -> Self {
        Self(Self::parse(list).0 & !Self::GRPC)
    }

    /// Parses the `x-envoy-retry-grpc-on` header.
    pub fn parse_grpc(list: &str) -> Self {
        Self(Self::parse(list).0 & Self::GRPC)
    }

    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any condition of `other` is set here.
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Default for RetryPolicy {
    /// What holds for a request that asks for retries by its headers where the route has no policy.
    fn default() -> Self {
        let base = Duration::from_millis(25);
        Self {
            retry_on: RetryOn::default(),
            num_retries: 1,
            per_try_timeout: None,
            per_try_idle_timeout: None,
            retriable_status_codes: Box::default(),
            retriable_headers: HeaderMatchers::default(),
            retriable_request_headers: HeaderMatchers::default(),
            base_interval: base,
            max_interval: base * 10,
            rate_limited_reset_headers: Box::default(),
            rate_limited_max_interval: Duration::from_secs(300),
            host_selection_retry_max_attempts: 1,
            host_predicates: HostPredicates::default(),
            previous_priorities: None,
        }
    }
}

impl RetryPolicy {
    pub(super) fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        let mut base = Duration::from_millis(25);
        let mut max = base * 10;
        if let Some(back_off) = &proto.retry_back_off {
            let of = |e: ConfigError| e.at("retry_back_off");
            base =
                duration(required(back_off.base_interval.as_ref(), "base_interval").map_err(of)?)
                    .at("base_interval")
                    .map_err(of)?;
            if base.is_zero() {
                return Err(of(
                    ConfigError::new("value must be greater than 0s").at("base_interval")
                ));
            }
            // Envoy counts in milliseconds and takes less than one for one.
            base = base.max(Duration::from_millis(1));
            max = match &back_off.max_interval {
                Some(max) => duration(max).at("max_interval").map_err(of)?,
                None => base * 10,
            }
            .max(Duration::from_millis(1));
            if max < base {
                return Err(ConfigError::new(
                    "retry_policy.max_interval must greater than or equal to the base_interval",
                ));
            }
        }
        let (reset_headers, rate_limited_max) = rate_limited(proto)?;
        let retriable_status_codes = proto
            .retriable_status_codes
            .iter()
            .filter_map(|code| u16::try_from(*code).ok())
            .collect();
        let attempts = proto.host_selection_retry_max_attempts;
        Ok(Self {
            retry_on: RetryOn::parse(&proto.retry_on),
            num_retries: proto.num_retries.unwrap_or(1),
            per_try_timeout: optional(proto.per_try_timeout.as_ref(), "per_try_timeout")?,
            per_try_idle_timeout: optional(
                proto.per_try_idle_timeout.as_ref(),
                "per_try_idle_timeout",
            )?,
            retriable_status_codes,
            retriable_headers: HeaderMatchers::compile(&proto.retriable_headers)
                .at("retriable_headers")?,
            retriable_request_headers: HeaderMatchers::compile(&proto.retriable_request_headers)
                .at("retriable_request_headers")?,
            base_interval: base,
            max_interval: max,
            rate_limited_reset_headers: reset_headers,
            rate_limited_max_interval: rate_limited_max,
            host_selection_retry_max_attempts: match attempts {
                0 => 1,
                _ => u32::try_from(attempts).unwrap_or(u32::MAX),
            },
            host_predicates: HostPredicates::compile(proto)?,
            previous_priorities: proto
                .retry_priority
                .as_ref()
                .map(|priority| update_frequency(priority).at("retry_priority"))
                .transpose()?,
        })
    }
}

/// Reset headers and the longest interval that they may ask for.
fn rate_limited(proto: &Proto) -> Result<(Box<[ResetHeader]>, Duration), ConfigError> {
    let longest = Duration::from_secs(300);
    let Some(back_off) = &proto.rate_limited_retry_back_off else {
        return Ok((Box::default(), longest));
    };
    let of = |e: ConfigError| e.at("rate_limited_retry_back_off");
    if back_off.reset_headers.is_empty() {
        return Err(of(ConfigError::new(
            "value must contain at least 1 item(s)",
        )
        .at("reset_headers")));
    }
    let longest = optional(back_off.max_interval.as_ref(), "max_interval")
        .map_err(of)?
        .unwrap_or(longest);
    let headers = back_off
        .reset_headers
        .iter()
        .map(|header| ResetHeader {
            name: HeaderName::from(header.name.as_str()),
            unix_timestamp: header.format == ResetHeaderFormat::UnixTimestamp as i32,
        })
        .collect();
    Ok((headers, longest))
}

fn optional(
    proto: Option<&prost_types::Duration>,
    field: &str,
) -> Result<Option<Duration>, ConfigError> {
    proto.map(duration).transpose().at(field)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::pb::envoy::config::route::v3::retry_policy::RetryBackOff;

    fn seconds(seconds: i64, nanos: i32) -> Option<prost_types::Duration> {
        Some(prost_types::Duration { seconds, nanos })
    }

    #[test]
    fn conditions_are_words_of_a_list() {
        let on = RetryOn::parse("5xx, connect-failure,foo,unavailable");
        assert!(on.intersects(RetryOn::SERVER_ERROR));
        assert!(on.intersects(RetryOn::CONNECT_FAILURE));
        assert!(on.intersects(RetryOn::GRPC_UNAVAILABLE));
        assert!(!on.intersects(RetryOn::RESET));
        assert!(RetryOn::parse("foo").is_empty());
        assert!(RetryOn::parse_http("unavailable").is_empty());
        assert!(RetryOn::parse_grpc("5xx").is_empty());
        assert_eq!(RetryOn::parse_grpc("internal"), RetryOn::GRPC_INTERNAL);
    }

    #[test]
    fn defaults_are_envoys() {
        let policy = RetryPolicy::compile(&Proto::default()).unwrap();
        assert_eq!(policy.num_retries, 1);
        assert_eq!(policy.base_interval, Duration::from_millis(25));
        assert_eq!(policy.max_interval, Duration::from_millis(250));
        assert_eq!(policy.rate_limited_max_interval, Duration::from_secs(300));
        assert_eq!(policy.host_selection_retry_max_attempts, 1);
    }

    #[test]
    fn back_off_is_checked_as_envoy_does() {
        let compile = |base, max| {
            RetryPolicy::compile(&Proto {
                retry_back_off: Some(RetryBackOff {
                    base_interval: base,
                    max_interval: max,
                }),
                ..Default::default()
            })
        };
        let error = |base, max| compile(base, max).unwrap_err().to_string();
        assert_eq!(
            error(None, None),
            "retry_back_off.base_interval: is required"
        );
        assert_eq!(
            error(seconds(0, 0), None),
            "retry_back_off.base_interval: value must be greater than 0s"
        );
        assert_eq!(
            error(seconds(1, 0), seconds(0, 500_000_000)),
            "retry_policy.max_interval must greater than or equal to the base_interval"
        );
        let policy = compile(seconds(0, 100_000), None).unwrap();
        assert_eq!(policy.base_interval, Duration::from_millis(1));
    }
}
