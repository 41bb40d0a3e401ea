//! `envoy.filters.listener.local_ratelimit`: turns away the connections that are more than a bucket of tokens allows, before
//! anything is known of them.

use super::Verdict;
use envoy_api::pb::envoy::extensions::filters::listener::local_ratelimit::v3::LocalRateLimit as Proto;
use outrigger_core::{
    ConfigError, Context,
    error::{ConfigResult, required},
    runtime::RuntimeFlag,
    stat_group,
    token_bucket::{BucketConfig, TokenBucket},
};
use std::sync::Arc;

stat_group! {
    /// `listener_local_ratelimit.<stat_prefix>.`
    pub struct LocalRateLimitStats {
        counter rate_limited,
    }
}

/// The compiled filter.
#[derive(Debug)]
pub struct LocalRateLimit {
    stats: Arc<LocalRateLimitStats>,
    bucket: TokenBucket,
    enabled: Option<RuntimeFlag>,
}

impl LocalRateLimit {
    pub fn compile(proto: &Proto, context: &Context) -> Result<Self, ConfigError> {
        if proto.stat_prefix.is_empty() {
            let error = ConfigError::new("value length must be at least 1 characters");
            return Err(error.at("stat_prefix"));
        }
        let bucket = required(proto.token_bucket.as_ref(), "token_bucket")?;
        let prefix = format!("listener_local_ratelimit.{}.", proto.stat_prefix);
        let enabled = proto.runtime_enabled.as_ref();
        let enabled = enabled.map(|flag| RuntimeFlag::compile(flag, &context.runtime));
        Ok(Self {
            stats: context
                .stats
                .register(&prefix, LocalRateLimitStats::default()),
            bucket: TokenBucket::new(BucketConfig::compile(bucket, "").at("token_bucket")?),
            enabled: enabled.transpose().at("runtime_enabled")?,
        })
    }

    pub fn on_accept(&self) -> Verdict {
        if self.enabled.as_ref().is_none_or(RuntimeFlag::get) && !self.bucket.consume() {
            self.stats.rate_limited.inc();
            return Verdict::Close;
        }
        Verdict::Continue
    }
}
