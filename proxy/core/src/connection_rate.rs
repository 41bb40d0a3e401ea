//! What the local rate limits of new connections have in common: the listener filter's and the network filter's.

use crate::{
    ConfigError, Context,
    error::{ConfigResult, required},
    runtime::RuntimeFlag,
    stat_group,
    token_bucket::{BucketConfig, TokenBucket},
};
use envoy_api::pb::envoy::{
    config::core::v3::RuntimeFeatureFlag, r#type::v3::TokenBucket as TokenBucketProto,
};
use std::sync::Arc;

stat_group! {
    /// `<filter>.<stat_prefix>.`
    pub struct ConnectionRateStats {
        counter rate_limited,
    }
}

/// No more new connections than a bucket of tokens allows, while the runtime leaves that on.
#[derive(Debug)]
pub struct ConnectionRate {
    stats: Arc<ConnectionRateStats>,
    bucket: Arc<TokenBucket>,
    enabled: Option<RuntimeFlag>,
}

impl ConnectionRate {
    /// `prefix` is that of the stats, with its dot; filters of one `share_key` that is not empty share their bucket.
    pub fn compile(
        bucket: Option<&TokenBucketProto>,
        enabled: Option<&RuntimeFeatureFlag>,
        share_key: &str,
        prefix: &str,
        context: &Context,
    ) -> Result<Self, ConfigError> {
        let bucket = required(bucket, "token_bucket")?;
        let bucket = BucketConfig::compile(bucket, "").at("token_bucket")?;
        let enabled = enabled.map(|flag| RuntimeFlag::compile(flag, &context.runtime));
        Ok(Self {
            stats: context
                .stats
                .register(prefix, ConnectionRateStats::default()),
            bucket: context.shared_buckets.get(share_key, bucket),
            enabled: enabled.transpose().at("runtime_enabled")?,
        })
    }

    /// Whether there may be another connection; counts the one that may not.
    pub fn admits(&self) -> bool {
        let admits = !self.enabled.as_ref().is_none_or(RuntimeFlag::get) || self.bucket.consume(1);
        if !admits {
            self.stats.rate_limited.inc();
        }
        admits
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::prost_types::Duration;

    const BUCKET: TokenBucketProto = TokenBucketProto {
        max_tokens: 1,
        tokens_per_fill: None,
        fill_interval: Some(Duration {
            seconds: 3600,
            nanos: 0,
        }),
    };

    fn rate(context: &Context, share_key: &str, enabled: bool) -> ConnectionRate {
        let flag = RuntimeFeatureFlag {
            default_value: Some(enabled),
            runtime_key: String::new(),
        };
        ConnectionRate::compile(Some(&BUCKET), Some(&flag), share_key, "rate.x.", context).unwrap()
    }

    #[test]
    fn a_bucket_is_shared_by_its_key_alone() {
        let context = Context::default();
        let (first, second) = (rate(&context, "k", true), rate(&context, "k", true));
        let alone = rate(&context, "", true);
        assert!(first.admits());
        assert!(!second.admits());
        assert_eq!(second.stats.rate_limited.get(), 1);
        assert!(alone.admits());
        assert!(!alone.admits());
    }

    #[test]
    fn a_limit_that_is_off_takes_no_tokens() {
        let context = Context::default();
        let off = rate(&context, "k", false);
        assert!((0..3).all(|_| off.admits()));
        assert!(rate(&context, "k", true).admits());
    }
}
