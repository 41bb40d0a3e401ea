//! `envoy.filters.http.local_ratelimit`: answers 429 to what is more than a bucket of tokens allows. The bucket is that of
//! the process or of the connection; no other service is asked.

mod dynamic;
mod hits;
mod limiter;

use self::limiter::Limiter;
use super::{Decision, FilterContext, FilterState, Instance};
use crate::{
    local_reply::{Amendment, LocalReply},
    route::{FilterOverride, HeaderParser, RateLimitInput},
    stream::ActiveStream,
};
use envoy_api::pb::envoy::{
    config::core::v3::RuntimeFractionalPercent,
    extensions::{
        common::ratelimit::v3::XRateLimitHeadersRfcVersion,
        filters::http::local_ratelimit::v3::LocalRateLimit as Proto,
    },
};
use outrigger_core::{
    ConfigError, HeaderName, ResponseFlag,
    error::ConfigResult,
    runtime::{Fraction, Runtime, RuntimeFraction},
    stat_group,
    token_bucket::TokenBucket,
};
use outrigger_upstream::BuildContext;
use std::sync::Arc;

stat_group! {
    /// `<stat_prefix>.http_local_rate_limit.`
    pub struct LocalRateLimitStats {
        counter enabled,
        counter enforced,
        counter ok,
        counter rate_limited,
        counter shadow_mode,
    }
}

/// gRPC's RESOURCE_EXHAUSTED and UNAVAILABLE.
const RESOURCE_EXHAUSTED: u32 = 8;
const UNAVAILABLE: u32 = 14;

/// The filter.
#[derive(Debug)]
pub struct LocalRateLimit {
    config: Box<Config>,
    x_ratelimit: [HeaderName; 3],
}

/// The filter's own configuration, or that of one level of the route configuration.
#[derive(Debug)]
struct Config {
    stats: Arc<LocalRateLimitStats>,
    status: u16,
    limiter: Limiter,
    enabled: RuntimeFraction,
    enforced: RuntimeFraction,
    request_headers: HeaderParser,
    response_headers: Arc<HeaderParser>,
    x_ratelimit_headers: bool,
    retry_after: bool,
    grpc_status: u32,
}

/// Compiles the limit of one level of the route configuration.
pub fn compile_override(
    proto: &Proto,
    build: &BuildContext,
) -> Result<FilterOverride, ConfigError> {
    if proto.token_bucket.is_none() {
        return Err(ConfigError::new(
            "local rate limit token bucket must be set for per filter configs",
        ));
    }
    Ok(Arc::new(Config::compile(proto, build)?))
}

impl Config {
    fn compile(proto: &Proto, build: &BuildContext) -> Result<Self, ConfigError> {
        let process = &build.context;
        let prefix = format!("{}.http_local_rate_limit.", proto.stat_prefix);
        let status = proto.status.as_ref().map_or(0, |status| status.code);
        Ok(Self {
            stats: process
                .stats
                .register(&prefix, LocalRateLimitStats::default()),
            // What is no error is no answer to too many requests.
            status: u16::try_from(status)
                .ok()
                .filter(|status| *status >= 400)
                .unwrap_or(429),
            limiter: Limiter::compile(proto, &process.local_info)?,
            enabled: fraction(proto.filter_enabled.as_ref(), &process.runtime)
                .at("filter_enabled")?,
            enforced: fraction(proto.filter_enforced.as_ref(), &process.runtime)
                .at("filter_enforced")?,
            request_headers: HeaderParser::compile(
                &proto.request_headers_to_add_when_not_enforced,
                &[],
                "request_headers",
            )?,
            response_headers: Arc::new(HeaderParser::compile(
                &proto.response_headers_to_add,
                &[],
                "response_headers",
            )?),
            x_ratelimit_headers: proto.enable_x_ratelimit_headers()
                == XRateLimitHeadersRfcVersion::DraftVersion03,
            retry_after: proto.enable_retry_after_header,
            grpc_status: match proto.rate_limited_as_resource_exhausted {
                true => RESOURCE_EXHAUSTED,
                false => UNAVAILABLE,
            },
        })
    }

    fn reply(&self, bucket: Option<&TokenBucket>) -> LocalReply {
        let mut reply = LocalReply::new(self.status, "local_rate_limited", "local_rate_limited")
            .flag(ResponseFlag::RateLimited)
            .grpc_status(self.grpc_status);
        let asks_for_patience = self.retry_after && self.status == 429;
        reply.amend = Some(Box::new(Amendment {
            content_type: None,
            headers: self.response_headers.clone(),
            retry_after: bucket
                .filter(|_| asks_for_patience)
                .map(|bucket| bucket.seconds_to_next().max(1)),
        }));
        reply
    }
}

/// Neither of the two fractions is anything unless configured.
fn fraction(
    proto: Option<&RuntimeFractionalPercent>,
    runtime: &Runtime,
) -> Result<RuntimeFraction, ConfigError> {
    proto.map_or_else(
        || Ok(RuntimeFraction::fixed(Fraction::percent(0))),
        |proto| RuntimeFraction::compile(proto, runtime),
    )
}

impl LocalRateLimit {
    pub fn compile(proto: &Proto, context: &FilterContext<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            config: Box::new(Config::compile(proto, context.build)?),
            x_ratelimit: [
                "x-ratelimit-limit".into(),
                "x-ratelimit-remaining".into(),
                "x-ratelimit-reset".into(),
            ],
        })
    }

    pub(crate) fn decode_headers(&self, at: &Instance, stream: &mut ActiveStream<'_>) -> Decision {
        let config = at.most_specific(stream.route.as_ref());
        let config: &Config = config.unwrap_or(&self.config);
        if !config.enabled.enabled(fastrand::u64(..)) {
            return Decision::Continue;
        }
        config.stats.enabled.inc();
        let outcome = config.limiter.check(&RateLimitInput {
            request: &stream.messages.request,
            info: &stream.info,
            route: stream.route.as_ref(),
        });
        if outcome.tells.unwrap_or(config.x_ratelimit_headers)
            && let Some(bucket) = &outcome.bucket
        {
            let state = FilterState::LocalRateLimit(bucket.clone());
            stream.messages.filters.set(at.place, state);
        }
        if outcome.allowed {
            config.stats.ok.inc();
            return Decision::Continue;
        }
        config.stats.rate_limited.inc();
        if outcome.shadow {
            config.stats.shadow_mode.inc();
            return Decision::Continue;
        }
        if !config.enforced.enabled(fastrand::u64(..)) {
            let (request, info) = (&mut stream.messages.request, &stream.info);
            config.request_headers.evaluate_request(request, info);
            return Decision::Continue;
        }
        config.stats.enforced.inc();
        Decision::reply(config.reply(outcome.bucket.as_deref()))
    }

    /// Tells how much is left.
    pub(crate) fn encode_headers(&self, at: &Instance, stream: &mut ActiveStream<'_>) {
        let messages = &mut *stream.messages;
        let Some(FilterState::LocalRateLimit(bucket)) = messages.filters.take(at.place) else {
            return;
        };
        let values = [
            u64::from(bucket.max_tokens()),
            bucket.remaining(),
            bucket.seconds_to_next(),
        ];
        let mut digits = itoa::Buffer::new();
        for (name, value) in self.x_ratelimit.iter().zip(values) {
            messages
                .response
                .set_name(name, digits.format(value).as_bytes());
        }
    }
}
