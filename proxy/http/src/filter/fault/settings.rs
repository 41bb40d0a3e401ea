//! What an `HTTPFault` says, of the filter or of a route: which requests, which faults, how often.

use bytes::Bytes;
use envoy_api::{
    pb::envoy::{
        extensions::filters::{
            common::fault::v3::{fault_delay::FaultDelaySecifier, fault_rate_limit::LimitType},
            http::fault::v3::{HttpFault as Proto, fault_abort::ErrorType},
        },
        r#type::v3::FractionalPercent,
    },
    prost_types::Struct,
};
use outrigger_core::{
    ConfigError, HeaderMap, HeaderName,
    error::{ConfigResult, required},
    matcher::HeaderMatchers,
    runtime::{Fraction, Runtime, RuntimeFraction, RuntimeUint64},
};
use std::{sync::Arc, time::Duration};

/// One `HTTPFault`.
#[derive(Debug)]
pub struct Settings {
    pub delay: Option<Delay>,
    pub abort: Option<Abort>,
    pub response_rate: Option<ResponseRate>,
    pub upstream_cluster: Box<[u8]>,
    pub headers: HeaderMatchers,
    pub downstream_nodes: Box<[Box<[u8]>]>,
    pub max_active_faults: RuntimeUint64,
    pub downstream_cluster_stats: bool,
    pub metadata: Arc<Struct>,
    /// For the keys that bear the name of the downstream cluster.
    pub runtime: Arc<Runtime>,
}

/// `FaultDelay`
#[derive(Debug)]
pub struct Delay {
    /// ms; `None`: the client says how long.
    pub fixed: Option<u64>,
    pub percentage: Percentage,
    pub duration_key: RuntimeUint64,
    header: HeaderName,
}

/// `FaultAbort`
#[derive(Debug)]
pub struct Abort {
    pub error: AbortError,
    pub percentage: Percentage,
    pub http_status_key: RuntimeUint64,
    pub grpc_status_key: RuntimeUint64,
    pub body: Bytes,
    http_header: HeaderName,
    grpc_header: HeaderName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortError {
    Http(u64),
    Grpc(u64),
    /// The client says which.
    Header,
}

/// `FaultRateLimit`
#[derive(Debug)]
pub struct ResponseRate {
    /// KiB/s; `None`: the client says how many.
    pub fixed: Option<u64>,
    pub percentage: Percentage,
    header: HeaderName,
}

/// How many requests a fault hits. Where the client controls the fault it may ask for fewer.
#[derive(Debug)]
pub struct Percentage {
    configured: Fraction,
    header: Option<HeaderName>,
    key: RuntimeFraction,
}

impl Percentage {
    fn compile(
        proto: Option<&FractionalPercent>,
        header: Option<&str>,
        key: &str,
        runtime: &Runtime,
    ) -> Self {
        let configured = proto.map_or(Fraction::percent(0), Fraction::compile);
        Self {
            configured,
            header: header.map(HeaderName::from),
            key: RuntimeFraction::new(configured, key, runtime),
        }
    }

    fn asked(&self, request: &HeaderMap) -> Fraction {
        let header = self.header.as_ref();
        let asked = header.and_then(|name| number::<u32>(request.get_name(name)?));
        Fraction {
            numerator: asked.map_or(self.configured.numerator, |asked| {
                asked.min(self.configured.numerator)
            }),
            ..self.configured
        }
    }

    /// Whether the fault hits this request. The key of the downstream cluster stands in the place of the general one.
    pub fn hits(&self, request: &HeaderMap, own_key: Option<&str>, runtime: &Runtime) -> bool {
        let asked = self.asked(request);
        let fraction = match own_key {
            Some(key) => runtime
                .get(key)
                .and_then(|value| value.fraction())
                .unwrap_or(asked),
            None => self.key.get_or(asked),
        };
        fraction.contains(fastrand::u64(..))
    }
}

/// The runtime key that the user chose, or Envoy's own.
fn key<'a>(chosen: &'a str, own: &'a str) -> &'a str {
    if chosen.is_empty() { own } else { chosen }
}

/// A number that only the runtime knows; its users bring a default of the moment.
fn runtime_number(chosen: &str, own: &str, runtime: &Runtime) -> RuntimeUint64 {
    RuntimeUint64::new(u64::MAX, key(chosen, own), runtime)
}

impl Settings {
    pub fn compile(proto: &Proto, runtime: &Arc<Runtime>) -> Result<Self, ConfigError> {
        let nodes = proto.downstream_nodes.iter();
        Ok(Self {
            delay: Delay::compile(proto, runtime).at("delay")?,
            abort: Abort::compile(proto, runtime).at("abort")?,
            response_rate: ResponseRate::compile(proto, runtime).at("response_rate_limit")?,
            upstream_cluster: proto.upstream_cluster.as_bytes().into(),
            headers: HeaderMatchers::compile(&proto.headers).at("headers")?,
            downstream_nodes: nodes.map(|node| node.as_bytes().into()).collect(),
            max_active_faults: RuntimeUint64::new(
                proto.max_active_faults.map_or(u64::MAX, u64::from),
                key(
                    &proto.max_active_faults_runtime,
                    "fault.http.max_active_faults",
                ),
                runtime,
            ),
            downstream_cluster_stats: !proto.disable_downstream_cluster_stats,
            metadata: Arc::new(proto.filter_metadata.clone().unwrap_or_default()),
            runtime: runtime.clone(),
        })
    }
}

impl Delay {
    fn compile(proto: &Proto, runtime: &Runtime) -> Result<Option<Self>, ConfigError> {
        let Some(delay) = &proto.delay else {
            return Ok(None);
        };
        let specifier = required(delay.fault_delay_secifier.as_ref(), "fault_delay_secifier")?;
        let fixed = match specifier {
            FaultDelaySecifier::FixedDelay(delay) => {
                let delay = Duration::try_from(*delay)
                    .map_err(|_| ConfigError::new("Invalid duration").at("fixed_delay"))?;
                Some(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX))
            }
            FaultDelaySecifier::HeaderDelay(_) => None,
        };
        Ok(Some(Self {
            percentage: Percentage::compile(
                delay.percentage.as_ref(),
                fixed
                    .is_none()
                    .then_some("x-envoy-fault-delay-request-percentage"),
                key(
                    &proto.delay_percent_runtime,
                    "fault.http.delay.fixed_delay_percent",
                ),
                runtime,
            ),
            fixed,
            duration_key: runtime_number(
                &proto.delay_duration_runtime,
                "fault.http.delay.fixed_duration_ms",
                runtime,
            ),
            header: "x-envoy-fault-delay-request".into(),
        }))
    }

    /// ms, before the runtime has its say.
    pub fn duration(&self, request: &HeaderMap) -> Option<u64> {
        self.fixed
            .or_else(|| number(request.get_name(&self.header)?))
    }
}

impl Abort {
    fn compile(proto: &Proto, runtime: &Runtime) -> Result<Option<Self>, ConfigError> {
        let Some(abort) = &proto.abort else {
            return Ok(None);
        };
        let error = match required(abort.error_type.as_ref(), "error_type")? {
            ErrorType::HttpStatus(status) => AbortError::Http(u64::from(*status)),
            ErrorType::GrpcStatus(status) => AbortError::Grpc(u64::from(*status)),
            ErrorType::HeaderAbort(_) => AbortError::Header,
        };
        let by_header = error == AbortError::Header;
        Ok(Some(Self {
            percentage: Percentage::compile(
                abort.percentage.as_ref(),
                by_header.then_some("x-envoy-fault-abort-request-percentage"),
                key(
                    &proto.abort_percent_runtime,
                    "fault.http.abort.abort_percent",
                ),
                runtime,
            ),
            error,
            http_status_key: runtime_number(
                &proto.abort_http_status_runtime,
                "fault.http.abort.http_status",
                runtime,
            ),
            grpc_status_key: runtime_number(
                &proto.abort_grpc_status_runtime,
                "fault.http.abort.grpc_status",
                runtime,
            ),
            body: match abort.response_body.is_empty() {
                true => Bytes::from_static(b"fault filter abort"),
                false => abort.response_body.clone().into(),
            },
            http_header: "x-envoy-fault-abort-request".into(),
            grpc_header: "x-envoy-fault-abort-grpc-request".into(),
        }))
    }

    pub fn http_status(&self, request: &HeaderMap) -> Option<u64> {
        match self.error {
            AbortError::Http(status) => Some(status),
            AbortError::Grpc(_) => None,
            AbortError::Header => number(request.get_name(&self.http_header)?)
                .filter(|status| (200..600).contains(status)),
        }
    }

    pub fn grpc_status(&self, request: &HeaderMap) -> Option<u64> {
        match self.error {
            AbortError::Grpc(status) => Some(status),
            AbortError::Http(_) => None,
            AbortError::Header => {
                number::<u32>(request.get_name(&self.grpc_header)?).map(u64::from)
            }
        }
    }
}

impl ResponseRate {
    fn compile(proto: &Proto, runtime: &Runtime) -> Result<Option<Self>, ConfigError> {
        let Some(limit) = &proto.response_rate_limit else {
            return Ok(None);
        };
        let fixed = match required(limit.limit_type.as_ref(), "limit_type")? {
            LimitType::FixedLimit(limit) => Some(limit.limit_kbps),
            LimitType::HeaderLimit(_) => None,
        };
        Ok(Some(Self {
            percentage: Percentage::compile(
                limit.percentage.as_ref(),
                fixed
                    .is_none()
                    .then_some("x-envoy-fault-throughput-response-percentage"),
                key(
                    &proto.response_rate_limit_percent_runtime,
                    "fault.http.rate_limit.response_percent",
                ),
                runtime,
            ),
            fixed,
            header: "x-envoy-fault-throughput-response".into(),
        }))
    }

    /// KiB/s
    pub fn kbps(&self, request: &HeaderMap) -> Option<u64> {
        self.fixed
            .or_else(|| number(request.get_name(&self.header)?))
            .filter(|&kbps| kbps > 0)
    }
}

/// A decimal number and nothing else.
fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text)
        .ok()?
        .trim_matches(' ')
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_client_may_ask_for_fewer_faults_only() {
        let configured = FractionalPercent {
            numerator: 40,
            denominator: 1,
        };
        let runtime = Runtime::default();
        let percentage = Percentage::compile(Some(&configured), Some("x-p"), "", &runtime);
        for (asked, numerator) in [("10", 10), ("50", 40), ("x", 40), ("-1", 40), ("", 40)] {
            let mut request = HeaderMap::new();
            request.append_raw(b"x-p", asked.as_bytes());
            let expected = Fraction {
                numerator,
                denominator: 10_000,
            };
            assert_eq!(percentage.asked(&request), expected, "{asked}");
        }
    }

    #[test]
    fn nobody_is_hit_without_a_percentage() {
        let runtime = Runtime::default();
        let percentage = Percentage::compile(None, None, "", &runtime);
        assert!((0..100).all(|_| !percentage.hits(&HeaderMap::new(), None, &runtime)));
    }
}
