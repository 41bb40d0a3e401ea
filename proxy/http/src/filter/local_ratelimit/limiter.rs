//! Which bucket a request takes its token from: the default one, and those of the descriptors that it matches.

use super::{
    dynamic::{DynamicBuckets, Wildcard},
    hits::{Demand, OwnLimit},
};
use crate::route::{Descriptor, RateLimit, RateLimitInput, rate_limit_policy};
use envoy_api::pb::envoy::extensions::{
    common::ratelimit::v3::VhRateLimitsOptions,
    filters::http::local_ratelimit::v3::LocalRateLimit as Proto,
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
    rate_limits: Box<[OwnLimit]>,
    /// Whether there are any, though all of them may wait for the end of the stream.
    has_own_limits: bool,
    /// Of the routes' limits.
    stage: u32,
    virtual_host_limits: VhRateLimitsOptions,
    always_consume_default: bool,
}

/// A bucket, and whether it only looks on.
type Bucket = (Arc<TokenBucket>, bool);

/// The bucket of one of the descriptors of a request.
#[derive(Debug)]
struct Matched {
    bucket: Arc<TokenBucket>,
    shadow: bool,
    demand: Demand,
    tells: Option<bool>,
}

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
    /// Whether it is told, if the rate limit says so.
    pub tells: Option<bool>,
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
                .filter_map(|(i, limit)| {
                    let limit = OwnLimit::compile(limit, local).at_index("rate_limits", i);
                    limit.transpose()
                })
                .collect::<Result<_, _>>()?,
            has_own_limits: !proto.rate_limits.is_empty(),
            always_consume_default: proto.always_consume_default_token_bucket.unwrap_or(true),
        })
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
        let mut matched: Vec<Matched> = Vec::new();
        if !(config.descriptors.is_empty() && config.wildcards.is_empty()) {
            let mut take = |limit: &RateLimit, demand| {
                let descriptor = limit.descriptor(input);
                let found = descriptor.and_then(|d| buckets.find(d, &config.wildcards));
                matched.extend(found.map(|(bucket, shadow)| Matched {
                    bucket,
                    shadow,
                    demand,
                    tells: limit.tells(),
                }));
            };
            if config.has_own_limits {
                for own in &config.rate_limits {
                    if let Some(demand) = own.demand(input) {
                        take(&own.limit, demand);
                    }
                }
            } else {
                // Nothing but one token each, whatever the limits of a route say.
                let route = input.route.into_iter();
                route
                    .flat_map(|found| found.rate_limits(config.stage, config.virtual_host_limits))
                    .for_each(|limit| take(limit, Demand::Take(1)));
            }
        }
        matched.sort_by(|a, b| a.bucket.fill_rate().total_cmp(&b.bucket.fill_rate()));
        buckets.take(&matched, config.always_consume_default)
    }
}

impl Matched {
    /// Takes the tokens, if there are as many.
    fn is_met(&self) -> bool {
        match self.demand {
            Demand::Take(hits) => self.bucket.consume(hits),
            Demand::Give(hits) => {
                self.bucket.give_back(hits);
                true
            }
        }
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
    fn take(&self, matched: &[Matched], always_default: bool) -> Outcome {
        let mut shadowed = None;
        for matched in matched {
            if !matched.is_met() {
                if !matched.shadow {
                    return Outcome::of(false, matched);
                }
                shadowed.get_or_insert(matched);
            }
        }
        if (matched.is_empty() || always_default)
            && let Some(default) = &self.default
            && !default.consume(1)
        {
            return Outcome {
                allowed: false,
                ..Outcome::allowed(Some(default.clone()))
            };
        }
        if let Some(matched) = shadowed {
            return Outcome {
                shadow: true,
                ..Outcome::of(false, matched)
            };
        }
        match matched.first() {
            Some(first) => Outcome::of(true, first),
            None => Outcome::allowed(self.default.clone()),
        }
    }
}

impl Outcome {
    fn of(allowed: bool, matched: &Matched) -> Self {
        Self {
            allowed,
            shadow: false,
            bucket: Some(matched.bucket.clone()),
            tells: matched.tells,
        }
    }

    fn allowed(bucket: Option<Arc<TokenBucket>>) -> Self {
        Self {
            allowed: true,
            shadow: false,
            bucket,
            tells: None,
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
