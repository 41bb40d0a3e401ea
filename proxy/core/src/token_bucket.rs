//! A bucket that fills up steadily and is emptied by requests or connections: Envoy's `AtomicTokenBucketImpl`, without a lock.

use crate::{ConfigError, error::ConfigResult};
use envoy_api::pb::envoy::r#type::v3::TokenBucket as Proto;
use parking_lot::Mutex;
use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Buckets that fill faster are refused.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(50);

/// What a bucket is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BucketConfig {
    pub max_tokens: u32,
    /// Tokens per second.
    pub fill_rate: f64,
}

impl BucketConfig {
    /// `what` names the bucket in an error.
    pub fn compile(proto: &Proto, what: &str) -> Result<Self, ConfigError> {
        let interval = proto.fill_interval.unwrap_or_default();
        let interval = Duration::try_from(interval)
            .map_err(|_| ConfigError::new("Invalid duration").at("fill_interval"))?;
        if interval < SHORTEST_INTERVAL {
            return Err(ConfigError::new(format!(
                "local rate limit {what}token bucket fill timer must be >= 50ms"
            )))
            .at("fill_interval");
        }
        Ok(Self {
            max_tokens: proto.max_tokens,
            fill_rate: f64::from(proto.tokens_per_fill.unwrap_or(1)) / interval.as_secs_f64(),
        })
    }
}

/// The tokens are a point in time: the one at which the bucket was, or would have been, empty.
#[derive(Debug)]
pub struct TokenBucket {
    config: BucketConfig,
    origin: Instant,
    /// Seconds since `origin`, as the bits of an `f64`.
    empty_at: AtomicU64,
}

impl TokenBucket {
    /// A full one.
    pub fn new(config: BucketConfig) -> Self {
        let full_for = f64::from(config.max_tokens) / config.fill_rate;
        Self {
            config,
            origin: Instant::now(),
            empty_at: AtomicU64::new((-full_for).to_bits()),
        }
    }

    pub fn max_tokens(&self) -> u32 {
        self.config.max_tokens
    }

    pub fn fill_rate(&self) -> f64 {
        self.config.fill_rate
    }

    fn now(&self) -> f64 {
        self.origin.elapsed().as_secs_f64()
    }

    fn tokens(&self, now: f64, empty_at: f64) -> f64 {
        ((now - empty_at) * self.config.fill_rate).min(f64::from(self.config.max_tokens))
    }

    /// Takes so many tokens at once; false if there are not as many. To take none is never allowed.
    pub fn consume(&self, hits: u64) -> bool {
        let (now, hits) = (self.now(), hits as f64);
        let taken = self.empty_at.fetch_update(Relaxed, Relaxed, |bits| {
            let tokens = self.tokens(now, f64::from_bits(bits));
            (hits > 0.0 && tokens >= hits)
                .then(|| (now - (tokens - hits) / self.config.fill_rate).to_bits())
        });
        taken.is_ok()
    }

    /// Puts so many tokens back; what does not fit is lost.
    pub fn give_back(&self, hits: u64) {
        let now = self.now();
        // It cannot fail: there is always another state.
        let _ = self.empty_at.fetch_update(Relaxed, Relaxed, |bits| {
            let tokens = self.tokens(now, f64::from_bits(bits)) + hits as f64;
            let tokens = tokens.min(f64::from(self.config.max_tokens));
            Some((now - tokens / self.config.fill_rate).to_bits())
        });
    }

    fn tokens_now(&self) -> f64 {
        let empty_at = f64::from_bits(self.empty_at.load(Relaxed));
        self.tokens(self.now(), empty_at).max(0.0)
    }

    pub fn remaining(&self) -> u64 {
        self.tokens_now().floor() as u64
    }

    /// Seconds until there is a token, whole ones; 0 if there is one.
    pub fn seconds_to_next(&self) -> u64 {
        let tokens = self.tokens_now();
        match tokens >= 1.0 {
            true => 0,
            false => ((1.0 - tokens) / self.config.fill_rate).ceil() as u64,
        }
    }
}

/// Buckets that several filters share, by the key that they name and by what the bucket is like.
#[derive(Debug, Default)]
pub struct SharedBuckets(Mutex<Vec<Shared>>);

/// Key, kind and bucket.
type Shared = (Box<str>, BucketConfig, Weak<TokenBucket>);

impl SharedBuckets {
    /// A bucket of this kind: that of the key, or one of its own without a key. It lives as long as somebody uses it.
    pub fn get(&self, key: &str, config: BucketConfig) -> Arc<TokenBucket> {
        let new = || Arc::new(TokenBucket::new(config));
        if key.is_empty() {
            return new();
        }
        let mut buckets = self.0.lock();
        buckets.retain(|(.., bucket)| bucket.strong_count() > 0);
        let mut same = buckets
            .iter()
            .filter(|(k, c, _)| **k == *key && *c == config);
        if let Some(bucket) = same.find_map(|(.., bucket)| bucket.upgrade()) {
            return bucket;
        }
        let bucket = new();
        buckets.push((key.into(), config, Arc::downgrade(&bucket)));
        bucket
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn bucket(max_tokens: u32, tokens_per_fill: u32, millis: i32) -> TokenBucket {
        let proto = Proto {
            max_tokens,
            tokens_per_fill: Some(tokens_per_fill),
            fill_interval: Some(envoy_api::prost_types::Duration {
                seconds: 0,
                nanos: millis * 1_000_000,
            }),
        };
        TokenBucket::new(BucketConfig::compile(&proto, "").unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn it_fills_steadily_and_not_beyond_its_size() {
        let bucket = bucket(3, 2, 500);
        assert!((0..3).all(|_| bucket.consume(1)));
        assert!(!bucket.consume(1));
        assert_eq!((bucket.remaining(), bucket.seconds_to_next()), (0, 1));
        tokio::time::advance(Duration::from_millis(251)).await;
        assert!(bucket.consume(1), "four in a second: one each 250 ms");
        assert!(!bucket.consume(1));
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!((bucket.remaining(), bucket.seconds_to_next()), (3, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn several_tokens_are_taken_together_or_not_at_all() {
        let bucket = bucket(10, 10, 500);
        assert!(bucket.consume(6) && !bucket.consume(5) && !bucket.consume(0));
        assert!(bucket.consume(4) && !bucket.consume(1));
        bucket.give_back(3);
        assert_eq!(bucket.remaining(), 3);
        bucket.give_back(u64::MAX);
        assert!(!bucket.consume(11) && bucket.consume(10));
    }

    #[test]
    fn a_bucket_is_shared_by_key_and_kind() {
        let (shared, config) = (SharedBuckets::default(), bucket(1, 1, 500).config);
        let first = shared.get("k", config);
        assert!(Arc::ptr_eq(&first, &shared.get("k", config)));
        let other = bucket(2, 1, 500).config;
        for different in [
            shared.get("", config),
            shared.get("l", config),
            shared.get("k", other),
        ] {
            assert!(!Arc::ptr_eq(&first, &different));
        }
        drop(first);
        assert!(shared.get("k", config).consume(1));
    }

    #[test]
    fn a_bucket_that_fills_all_the_time_is_refused() {
        let proto = Proto {
            max_tokens: 1,
            ..Proto::default()
        };
        let error = BucketConfig::compile(&proto, "descriptor ").unwrap_err();
        assert_eq!(
            error.reason(),
            "local rate limit descriptor token bucket fill timer must be >= 50ms"
        );
    }
}
