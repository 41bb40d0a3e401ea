//! Which bucket a request takes its token from: the default one, and those of the descriptors that it matches.

use super::dynamic::{DynamicBuckets, Wildcard};
use crate::route::{Descriptor, RateLimit, RateLimitInput, rate_limit_policy};
use envoy_api::pb::envoy::{
    config::route::v3::RateLimit as RateLimitProto,
    extensions::{
        common::ratelimit::v3::VhRateLimitsOptions,
        filters::http::local_ratelimit::v3::LocalRateLimit as Proto,
    },
};
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
    wildcards: Vec<Wildcard>,
    /// Buckets of each wildcard.
    max_dynamic: usize,
    /// In the place of those of the routes.
    rate_limits: Box<[RateLimit]>,
    /// Of the routes' limits.
    stage: u32,
    virtual_host_limits: VhRateLimitsOptions,
    always_consume_default: bool,
}

/// A bucket, and whether it only looks on.
type Bucket = (Arc<TokenBucket>, bool);

/// Dynamic buckets where their number is not given.
const MAX_DYNAMIC: u32 = 20;

/// The buckets, as they stand.
#[derive(Debug)]
struct Buckets {
    default: Option<Arc<TokenBucket>>,
    descriptors: HashMap<Descriptor, Bucket>,
    /// In the order of the wildcards.
    dynamic: Box<[DynamicBuckets]>,
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
        let mut wildcards: Vec<Wildcard> = Vec::new();
        for (i, descriptor) in proto.descriptors.iter().enumerate() {
            let entries = descriptor.entries.iter();
            let entries: Descriptor = entries
                .map(|entry| (entry.key.as_str().into(), entry.value.as_str().into()))
                .collect();
            let mut known = descriptors.iter().map(|(known, ..)| known);
            let mut known_wildcards = wildcards.iter().map(|known| &known.entries);
            if known.any(|known| *known == entries)
                || known_wildcards.any(|known| *known == entries)
            {
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
            let shadow = descriptor.shadow_mode;
            if entries.iter().any(|(_, value)| value.is_empty()) {
                wildcards.push(Wildcard {
                    entries,
                    bucket,
                    shadow,
                });
            } else {
                descriptors.push((entries, bucket, shadow));
            }
        }
        let rate_limits = proto.rate_limits.iter().enumerate();
        let max_dynamic = proto.max_dynamic_descriptors.unwrap_or(MAX_DYNAMIC);
        Ok(Self {
            default: default
                .map(|bucket| BucketConfig::compile(bucket, ""))
                .transpose()
                .at("token_bucket")?,
            descriptors,
            wildcards,
            max_dynamic: max_dynamic.max(1) as usize,
            stage: rate_limit_policy::stage(proto.stage)?,
            virtual_host_limits: proto.vh_rate_limits(),
            rate_limits: rate_limits
                .map(|(i, limit)| Self::own_limit(limit, local).at_index("rate_limits", i))
                .collect::<Result<_, _>>()?,
            always_consume_default: proto.always_consume_default_token_bucket.unwrap_or(true),
        })
    }

    /// A limit of the filter's own has neither a stage nor a key.
    fn own_limit(proto: &RateLimitProto, local: &LocalInfo) -> Result<RateLimit, ConfigError> {
        if proto.stage.is_some() || !proto.disable_key.is_empty() {
            return Err(ConfigError::new(
                "'stage' field and 'disable_key' field are not supported",
            ));
        }
        RateLimit::compile(proto, local)
    }

    fn buckets(&self) -> Buckets {
        let new = |config: &BucketConfig| Arc::new(TokenBucket::new(*config));
        let (descriptors, wildcards) = (self.descriptors.iter(), self.wildcards.iter());
        Buckets {
            default: self.default.as_ref().map(new),
            descriptors: descriptors
                .map(|(entries, config, shadow)| (entries.clone(), (new(config), *shadow)))
                .collect(),
            dynamic: wildcards
                .map(|wildcard| DynamicBuckets::new(wildcard.bucket, self.max_dynamic))
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
        let config = &self.config;
        let mut matched: Vec<Bucket> = Vec::new();
        if !(config.descriptors.is_empty() && config.wildcards.is_empty()) {
            let mut take = |limit: &RateLimit| {
                let descriptor = limit.descriptor(input);
                matched.extend(descriptor.and_then(|d| buckets.find(d, &config.wildcards)));
            };
            if config.rate_limits.is_empty() {
                let route = input.route.into_iter();
                route
                    .flat_map(|found| found.rate_limits(config.stage, config.virtual_host_limits))
                    .for_each(&mut take);
            } else {
                config.rate_limits.iter().for_each(&mut take);
            }
        }
        matched.sort_by(|(a, _), (b, _)| a.fill_rate().total_cmp(&b.fill_rate()));
        buckets.take(&matched, config.always_consume_default)
    }
}

impl Buckets {
    /// The bucket of a descriptor: its own, or one of the first wildcard that it matches.
    fn find(&self, descriptor: Descriptor, wildcards: &[Wildcard]) -> Option<Bucket> {
        if let Some(own) = self.descriptors.get(&descriptor) {
            return Some(own.clone());
        }
        let mut wildcards = wildcards.iter().zip(&self.dynamic);
        let (wildcard, buckets) = wildcards.find(|(wildcard, _)| wildcard.is_match(&descriptor))?;
        Some((buckets.get(descriptor), wildcard.shadow))
    }

    /// `matched`: those of the descriptors, the slowest to fill first.
    fn take(&self, matched: &[Bucket], always_default: bool) -> Outcome {
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
