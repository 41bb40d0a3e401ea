//! `envoy.filters.network.local_ratelimit`: no more new connections than a bucket of tokens allows.

use envoy_api::pb::envoy::extensions::filters::network::local_ratelimit::v3::LocalRateLimit as Proto;
use outrigger_core::{
    ConfigError, Context, ResponseFlag, StreamInfo,
    error::{ConfigResult, required},
    network_filter::Verdict,
    runtime::RuntimeFlag,
    stat_group,
    token_bucket::{BucketConfig, TokenBucket},
};
use std::sync::Arc;

stat_group! {
    /// `local_rate_limit.<stat_prefix>.`
    pub struct LocalRateLimitStats {
        counter rate_limited,
    }
}

/// The compiled filter.
#[derive(Debug)]
pub struct LocalRateLimit {
    stats: Arc<LocalRateLimitStats>,
    bucket: Arc<TokenBucket>,
    enabled: Option<RuntimeFlag>,
}

impl LocalRateLimit {
    pub fn compile(proto: &Proto, context: &Context) -> Result<Self, ConfigError> {
        let prefix = super::rbac::stat_prefix(&proto.stat_prefix)?;
        let bucket = required(proto.token_bucket.as_ref(), "token_bucket")?;
        let bucket = BucketConfig::compile(bucket, "").at("token_bucket")?;
        let enabled = proto.runtime_enabled.as_ref();
        let enabled = enabled.map(|flag| RuntimeFlag::compile(flag, &context.runtime));
        let prefix = format!("local_rate_limit.{prefix}.");
        Ok(Self {
            stats: context
                .stats
                .register(&prefix, LocalRateLimitStats::default()),
            bucket: context.shared_buckets.get(&proto.share_key, bucket),
            enabled: enabled.transpose().at("runtime_enabled")?,
        })
    }

    pub fn on_new_connection(&self, info: &mut StreamInfo) -> Verdict {
        if !self.enabled.as_ref().is_none_or(RuntimeFlag::get) || self.bucket.consume() {
            return Verdict::Continue;
        }
        self.stats.rate_limited.inc();
        info.set_flag(ResponseFlag::UpstreamRetryLimitExceeded);
        Verdict::close("local_ratelimit_close_over_limit", None, info)
    }
}
