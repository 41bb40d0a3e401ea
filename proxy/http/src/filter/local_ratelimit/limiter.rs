//! Which bucket a request takes its token from: the default one, and those of the descriptors that it matches.

use crate::route::{Descriptor, RateLimit, RateLimitInput};
use envoy_api::pb::envoy::extensions::filters::http::local_ratelimit::v3::LocalRateLimit as Proto;
use outrigger_core::{
    ConfigError, ConnectionInfo,
    error::{ConfigResult, required},
    local_info::LocalInfo,
    token_bucket::{BucketConfig, TokenBucket},
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

/// What the buckets are like, and how requests find them.
#[derive(Debug)]
pub struct LimiterConfig {
    default: Option<BucketConfig>,
    descriptors: Vec<(Descriptor, BucketConfig, bool)>,
    rate_limits: Box<[RateLimit]>,
    always_consume_default: bool,
}

/// The buckets, as they stand.
#[derive(Debug)]
struct Buckets {
    default: Option<Arc<TokenBucket>>,
    descriptors: HashMap<Descriptor, (Arc<TokenBucket>, bool)>,
}

/// Who shares the buckets.
#[derive(Debug)]
enum Scope {
    Process(Arc<Buckets>),
    /// Buckets of a connection that is gone are dropped when the table has doubled.
    Connection(Mutex<PerConnection>),
}

#[derive(Debug, Default)]
struct PerConnection {
    buckets: HashMap<u64, (Weak<ConnectionInfo>, Arc<Buckets>)>,
    prune_at: usize,
}

/// The limiter of one filter or of one level of a route configuration.
#[derive(Debug)]
pub struct Limiter {
    config: LimiterConfig,
    scope: Scope,
}

/// What became of a request.
#[derive(Debug)]
pub struct Outcome {
    pub allowed: bool,
    /// It would not be allowed but for the descriptor's shadow mode.
    pub shadow: bool,
    /// The bucket that the request is told about.
    pub bucket: Option<Arc<TokenBucket>>,
}

impl LimiterConfig {
    fn compile(proto: &Proto, local: &LocalInfo) -> Result<Self, ConfigError> {
        let default = proto.token_bucket.as_ref();
        let mut descriptors: Vec<(Descriptor, BucketConfig, bool)> = Vec::new();
        for (i, descriptor) in proto.descriptors.iter().enumerate() {
            let entries = Self::entries(&descriptor.entries).at_index("descriptors", i)?;
            if descriptors.iter().any(|(known, ..)| *known == entries) {
                let text: Vec<_> = entries.iter().map(|(k, v)| format!("{k}={v}")).collect();
                let text = text.join(", ");
                return Err(ConfigError::new(format!(
                    "duplicate descriptor in the local rate descriptor: {text}"
                ))
                .index(i)
                .at("descriptors"));
            }
            let bucket = required(descriptor.token_bucket.as_ref(), "token_bucket")
                .and_then(|bucket| BucketConfig::compile(bucket, "descriptor ").at("token_bucket"))
                .at_index("descriptors", i)?;
            descriptors.push((entries, bucket, descriptor.shadow_mode));
        }
        let rate_limits = proto.rate_limits.iter().enumerate();
        Ok(Self {
            default: default
                .map(|bucket| BucketConfig::compile(bucket, ""))
                .transpose()
                .at("token_bucket")?,
            descriptors,
            rate_limits: rate_limits
                .map(|(i, limit)| RateLimit::compile(limit, local).at_index("rate_limits", i))
                .collect::<Result<_, _>>()?,
            always_consume_default: proto.always_consume_default_token_bucket.unwrap_or(true),
        })
    }

    fn entries(
        protos: &[envoy_api::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::Entry],
    ) -> Result<Descriptor, ConfigError> {
        let entries = protos.iter().enumerate();
        entries
            .map(|(i, entry)| {
                if entry.value.is_empty() {
                    return Err(
                        ConfigError::new("descriptors for any value are not supported")
                            .at("value")
                            .index(i)
                            .at("entries"),
                    );
                }
                Ok((entry.key.as_str().into(), entry.value.as_str().into()))
            })
            .collect()
    }

    fn buckets(&self) -> Buckets {
        let new = |config: &BucketConfig| Arc::new(TokenBucket::new(*config));
        let descriptors = self.descriptors.iter();
        Buckets {
            default: self.default.as_ref().map(new),
            descriptors: descriptors
                .map(|(entries, config, shadow)| (entries.clone(), (new(config), *shadow)))
                .collect(),
        }
    }
}

impl Limiter {
    pub fn compile(proto: &Proto, local: &LocalInfo) -> Result<Self, ConfigError> {
        let config = LimiterConfig::compile(proto, local)?;
        let scope = match proto.local_rate_limit_per_downstream_connection {
            true => Scope::Connection(Mutex::default()),
            false => Scope::Process(Arc::new(config.buckets())),
        };
        Ok(Self { config, scope })
    }

    /// Takes the tokens of a request.
    pub fn check(&self, input: &RateLimitInput<'_>) -> Outcome {
        let connection = &input.info.connection;
        let of_connection = match &self.scope {
            Scope::Process(_) => None,
            Scope::Connection(table) => Some(table.lock().get(connection, &self.config)),
        };
        let buckets = match (&self.scope, &of_connection) {
            (Scope::Process(buckets), _) | (_, Some(buckets)) => buckets,
            (Scope::Connection(_), None) => return Outcome::allowed(None),
        };
        if self.config.descriptors.is_empty() {
            return match &buckets.default {
                Some(default) => Outcome::of(default.consume(), default),
                None => Outcome::allowed(None),
            };
        }
        let limits = self.config.rate_limits.iter();
        let mut matched: Vec<_> = limits
            .filter_map(|limit| buckets.descriptors.get(&limit.descriptor(input)?))
            .collect();
        matched.sort_by(|(a, _), (b, _)| a.fill_rate().total_cmp(&b.fill_rate()));
        buckets.take(&matched, self.config.always_consume_default)
    }
}

impl Buckets {
    /// `matched`: those of the descriptors, the slowest to fill first.
    fn take(&self, matched: &[&(Arc<TokenBucket>, bool)], always_default: bool) -> Outcome {
        let mut shadowed = None;
        for (bucket, shadow) in matched {
            if !bucket.consume() {
                if !shadow {
                    return Outcome::of(false, bucket);
                }
                shadowed.get_or_insert(bucket);
            }
        }
        if (matched.is_empty() || always_default)
            && let Some(default) = &self.default
            && !default.consume()
        {
            return Outcome::of(false, default);
        }
        if let Some(bucket) = shadowed {
            return Outcome {
                shadow: true,
                ..Outcome::of(false, bucket)
            };
        }
        let first = matched.first().map(|(bucket, _)| bucket);
        Outcome::allowed(first.or(self.default.as_ref()).cloned())
    }
}

impl Outcome {
    fn of(allowed: bool, bucket: &Arc<TokenBucket>) -> Self {
        Self {
            allowed,
            shadow: false,
            bucket: Some(bucket.clone()),
        }
    }

    fn allowed(bucket: Option<Arc<TokenBucket>>) -> Self {
        Self {
            allowed: true,
            shadow: false,
            bucket,
        }
    }
}

impl PerConnection {
    fn get(&mut self, connection: &Arc<ConnectionInfo>, config: &LimiterConfig) -> Arc<Buckets> {
        if let Some((_, buckets)) = self.buckets.get(&connection.id) {
            return buckets.clone();
        }
        if self.buckets.len() >= self.prune_at {
            self.buckets
                .retain(|_, (owner, _)| owner.strong_count() > 0);
            self.prune_at = (2 * self.buckets.len()).max(64);
        }
        let buckets = Arc::new(config.buckets());
        let entry = (Arc::downgrade(connection), buckets.clone());
        self.buckets.insert(connection.id, entry);
        buckets
    }
}
