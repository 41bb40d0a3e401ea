//! Envoy's circuit breakers: limits on what a cluster may have at one time, shared by all workers.
//!
//! A permit is a guard: what it counts ends when it is dropped. Limits are checked and counted in two steps, as in
//! Envoy, so that workers at the same moment may overshoot by a few; they never wait for each other.

use crate::{
    pool::http1::PoolParts,
    stats::{BreakerStats, HostStats, RemainingStats},
};
use outrigger_core::{
    Context,
    runtime::{Runtime, RuntimeDouble, RuntimeUint64},
    stats::Gauge,
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// `core.v3.RoutingPriority`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    #[default]
    Default,
    High,
}

/// A limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

/// The limits of one priority, as `Thresholds` gives them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    pub max_connections: u64,
    /// `per_host_thresholds`.
    pub max_connections_per_host: u64,
    pub max_pending_requests: u64,
    pub max_requests: u64,
    pub max_retries: u64,
    pub max_connection_pools: u64,
    pub retry_budget: Option<RetryBudget>,
    pub track_remaining: bool,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_connections_per_host: u64::MAX,
            max_pending_requests: 1024,
            max_requests: 1024,
            max_retries: 3,
            max_connection_pools: u64::MAX,
            retry_budget: None,
            track_remaining: false,
        }
    }
}

/// Retries as a share of what is active; replaces `max_retries`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryBudget {
    /// Percent of active and pending requests.
    pub percent: f64,
    /// Retries that are always allowed.
    pub min_concurrency: u64,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            percent: 20.0,
            min_concurrency: 3,
        }
    }
}

/// One limited quantity.
#[derive(Debug)]
pub(crate) struct Resource {
    max: RuntimeUint64,
    current: AtomicU64,
}

impl Resource {
    fn new(max: RuntimeUint64) -> Self {
        Self {
            max,
            current: AtomicU64::new(0),
        }
    }

    fn current(&self) -> u64 {
        self.current.load(Relaxed)
    }

    pub(crate) fn can_create(&self) -> bool {
        self.current() < self.max.get()
    }

    fn inc(&self, open: &Gauge, remaining: Option<&Gauge>) {
        let now = self.current.fetch_add(1, Relaxed) + 1;
        self.report(now, open, remaining);
    }

    fn dec(&self, open: &Gauge, remaining: Option<&Gauge>) {
        let now = self.current.fetch_sub(1, Relaxed).saturating_sub(1);
        self.report(now, open, remaining);
    }

    /// Reads before it writes: the gauges change rarely, and a store by every worker would make them fight for the line.
    fn report(&self, now: u64, open: &Gauge, remaining: Option<&Gauge>) {
        let max = self.max.get();
        let state = u64::from(now >= max);
        if open.get() != state || !open.used() {
            open.set(state);
        }
        if let Some(remaining) = remaining {
            remaining.set(max.saturating_sub(now));
        }
    }
}

/// The retry budget of the configuration, and the keys that change it or make one where there is none.
#[derive(Debug)]
struct Budget {
    configured: Option<RetryBudget>,
    percent: RuntimeDouble,
    min_concurrency: RuntimeUint64,
}

impl Budget {
    fn new(configured: Option<RetryBudget>, keys: &str, runtime: &Runtime) -> Self {
        let default = configured.unwrap_or_default();
        let key = |name| format!("{keys}retry_budget.{name}");
        let (percent, min) = (key("budget_percent"), key("min_retry_concurrency"));
        Self {
            configured,
            percent: RuntimeDouble::new(default.percent, &percent, runtime),
            min_concurrency: RuntimeUint64::new(default.min_concurrency, &min, runtime),
        }
    }

    /// The budget of now.
    fn get(&self) -> Option<RetryBudget> {
        let (percent, min) = (self.percent.overridden(), self.min_concurrency.overridden());
        if percent.is_none() && min.is_none() {
            return self.configured;
        }
        Some(RetryBudget {
            percent: self.percent.get(),
            min_concurrency: self.min_concurrency.get(),
        })
    }
}

/// The breakers of one priority (Envoy's `ResourceManager`).
#[derive(Debug)]
pub struct ResourceManager {
    thresholds: Thresholds,
    pub(crate) connections: Resource,
    max_connections_per_host: u64,
    pub(crate) pending: Resource,
    pub(crate) requests: Resource,
    retries: Resource,
    budget: Budget,
    pools: Resource,
    stats: Arc<BreakerStats>,
    remaining: Option<Arc<RemainingStats>>,
}

macro_rules! resource {
    ($inc:ident, $dec:ident, $resource:ident, $open:ident, $remaining:ident) => {
        pub(crate) fn $inc(&self) {
            let remaining = self.remaining.as_ref().map(|r| &r.$remaining);
            self.$resource.inc(&self.stats.$open, remaining);
        }

        pub(crate) fn $dec(&self) {
            let remaining = self.remaining.as_ref().map(|r| &r.$remaining);
            self.$resource.dec(&self.stats.$open, remaining);
        }
    };
}

impl ResourceManager {
    /// `prefix` is that of the stats, `keys` that of the runtime keys; both with their dots.
    fn new(thresholds: Thresholds, prefix: &str, keys: &str, context: &Context) -> Self {
        let stats: Arc<BreakerStats> = context.stats.register(prefix, BreakerStats::default());
        let remaining = thresholds.track_remaining.then(|| {
            let stats = context.stats.register(prefix, RemainingStats::default());
            stats.remaining_cx.set(thresholds.max_connections);
            stats
                .remaining_cx_pools
                .set(thresholds.max_connection_pools);
            stats.remaining_pending.set(thresholds.max_pending_requests);
            stats.remaining_retries.set(thresholds.max_retries);
            stats.remaining_rq.set(thresholds.max_requests);
            stats
        });
        let runtime = &context.runtime;
        let resource =
            |max, name| Resource::new(RuntimeUint64::new(max, &format!("{keys}{name}"), runtime));
        Self {
            connections: resource(thresholds.max_connections, "max_connections"),
            max_connections_per_host: thresholds.max_connections_per_host,
            pending: resource(thresholds.max_pending_requests, "max_pending_requests"),
            requests: resource(thresholds.max_requests, "max_requests"),
            retries: resource(thresholds.max_retries, "max_retries"),
            budget: Budget::new(thresholds.retry_budget, keys, runtime),
            pools: resource(thresholds.max_connection_pools, "max_connection_pools"),
            thresholds,
            stats,
            remaining,
        }
    }

    resource!(
        inc_connections,
        dec_connections,
        connections,
        cx_open,
        remaining_cx
    );
    resource!(
        inc_pending,
        dec_pending,
        pending,
        rq_pending_open,
        remaining_pending
    );
    resource!(inc_requests, dec_requests, requests, rq_open, remaining_rq);

    resource!(
        inc_pools,
        dec_pools,
        pools,
        cx_pool_open,
        remaining_cx_pools
    );

    /// Makes `cx_pool_open` a gauge in use, as whatever touches it does.
    fn report_pools(&self) {
        let remaining = self.remaining.as_ref().map(|r| &r.remaining_cx_pools);
        self.pools
            .report(self.pools.current(), &self.stats.cx_pool_open, remaining);
    }

    /// Connections that count now.
    /// Whether a host may get another connection.
    pub(crate) fn can_connect(&self, host: &HostStats) -> bool {
        host.cx_active.get() < self.max_connections_per_host && self.connections.can_create()
    }

    pub fn active_connections(&self) -> u64 {
        self.connections.current()
    }

    /// The limits of now: the runtime may change them, and a retry budget moves with the load.
    pub fn thresholds(&self) -> Thresholds {
        Thresholds {
            max_connections: self.connections.max.get(),
            max_pending_requests: self.pending.max.get(),
            max_requests: self.requests.max.get(),
            max_retries: self.max_retries(),
            max_connection_pools: self.pools.max.get(),
            retry_budget: self.budget.get(),
            ..self.thresholds
        }
    }

    fn max_retries(&self) -> u64 {
        match self.budget.get() {
            // Envoy truncates the share of active and pending requests.
            Some(budget) => {
                let active = self.requests.current() + self.pending.current();
                ((active as f64 * budget.percent / 100.0) as u64).max(budget.min_concurrency)
            }
            None => self.retries.max.get(),
        }
    }

    fn report_retries(&self, now: u64) {
        let max = self.max_retries();
        self.stats.rq_retry_open.set(u64::from(now >= max));
        // Envoy does not report the rest of a budget, which moves with the load.
        if let (Some(remaining), None) = (&self.remaining, self.budget.get()) {
            remaining.remaining_retries.set(max.saturating_sub(now));
        }
    }
}

/// Both priorities of a cluster.
#[derive(Debug)]
pub struct CircuitBreakers {
    default: Arc<ResourceManager>,
    high: Arc<ResourceManager>,
}

impl Priority {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Default => Self::High,
            Self::High => Self::Default,
        }
    }
}

impl CircuitBreakers {
    /// Of the cluster `cluster`; `prefix` is that of its stats, with its dot.
    pub fn new(
        cluster: &str,
        default: Thresholds,
        high: Thresholds,
        prefix: &str,
        context: &Context,
    ) -> Self {
        let new = |thresholds, name| {
            Arc::new(ResourceManager::new(
                thresholds,
                &format!("{prefix}circuit_breakers.{name}."),
                &format!("circuit_breakers.{cluster}.{name}."),
                context,
            ))
        };
        Self {
            default: new(default, "default"),
            high: new(high, "high"),
        }
    }

    pub fn of(&self, priority: Priority) -> &Arc<ResourceManager> {
        match priority {
            Priority::Default => &self.default,
            Priority::High => &self.high,
        }
    }
}

/// One active request or TCP connection of `max_requests`.
#[derive(Debug)]
pub struct RequestPermit(Arc<ResourceManager>);

impl RequestPermit {
    pub fn acquire(breakers: &Arc<ResourceManager>) -> Result<Self, Overflow> {
        if !breakers.requests.can_create() {
            return Err(Overflow);
        }
        breakers.inc_requests();
        Ok(Self(breakers.clone()))
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        self.0.dec_requests();
    }
}

/// One retry that is under way: from the decision to retry until the retried attempt ends.
#[derive(Debug)]
pub struct RetryPermit(Arc<ResourceManager>);

impl RetryPermit {
    pub fn acquire(breakers: &Arc<ResourceManager>) -> Result<Self, Overflow> {
        if breakers.retries.current() >= breakers.max_retries() {
            return Err(Overflow);
        }
        let now = breakers.retries.current.fetch_add(1, Relaxed) + 1;
        breakers.report_retries(now);
        Ok(Self(breakers.clone()))
    }
}

impl Drop for RetryPermit {
    fn drop(&mut self) {
        let now = self
            .0
            .retries
            .current
            .fetch_sub(1, Relaxed)
            .saturating_sub(1);
        self.0.report_retries(now);
    }
}

/// One connection of `max_connections`. Whether there may be one is the pool's decision: its first is always allowed.
#[derive(Debug)]
pub(crate) struct ConnectionPermit(Arc<ResourceManager>);

impl ConnectionPermit {
    pub(crate) fn new(breakers: Arc<ResourceManager>) -> Self {
        breakers.inc_connections();
        Self(breakers)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.dec_connections();
    }
}

/// One pool of `max_connection_pools`: a pool counts while it has a connection, or a request that waits for one.
#[derive(Debug)]
pub(crate) struct PoolPermit(Arc<PoolParts>);

impl PoolPermit {
    pub(crate) fn acquire(parts: &Arc<PoolParts>) -> Result<Self, Overflow> {
        if !parts.breakers.pools.can_create() {
            parts.stats.upstream_cx_pool_overflow.inc();
            return Err(Overflow);
        }
        parts.breakers.inc_pools();
        Ok(Self(parts.clone()))
    }
}

impl Drop for PoolPermit {
    fn drop(&mut self) {
        self.0.breakers.dec_pools();
        // In Envoy the pools of a host go together.
        self.0.other_breakers.report_pools();
    }
}

/// One request that waits for a connection: counts in `max_pending_requests` and in the stats of pending requests.
#[derive(Debug)]
pub(crate) struct PendingPermit(Arc<PoolParts>);

impl PendingPermit {
    pub(crate) fn acquire(parts: &Arc<PoolParts>) -> Result<Self, Overflow> {
        if !parts.breakers.pending.can_create() {
            parts.stats.upstream_rq_pending_overflow.inc();
            return Err(Overflow);
        }
        parts.breakers.inc_pending();
        parts.stats.upstream_rq_pending_total.inc();
        parts.stats.upstream_rq_pending_active.inc();
        parts.host.stats.rq_pending_active.inc();
        Ok(Self(parts.clone()))
    }
}

impl Drop for PendingPermit {
    fn drop(&mut self) {
        self.0.breakers.dec_pending();
        self.0.stats.upstream_rq_pending_active.dec();
        self.0.host.stats.rq_pending_active.dec();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::pb::envoy::config::bootstrap::v3::{
        LayeredRuntime, RuntimeLayer,
        runtime_layer::{AdminLayer, LayerSpecifier},
    };

    fn breakers(thresholds: Thresholds) -> CircuitBreakers {
        let context = Context::default();
        CircuitBreakers::new("c", thresholds, Default::default(), "cluster.c.", &context)
    }

    #[test]
    fn the_runtime_has_the_last_word() {
        let values = [
            ("circuit_breakers.c.high.max_requests", "0"),
            ("circuit_breakers.c.high.max_retries", "7"),
            (
                "circuit_breakers.c.default.retry_budget.budget_percent",
                "50",
            ),
        ];
        let mut context = Context::default();
        let layer = RuntimeLayer {
            name: "admin".into(),
            layer_specifier: Some(LayerSpecifier::AdminLayer(AdminLayer {})),
        };
        let layers = LayeredRuntime {
            layers: vec![layer],
        };
        let runtime = Runtime::compile(Some(&layers), "", &context.stats).unwrap();
        context.runtime = Arc::new(runtime);
        context.runtime.modify(values).unwrap();
        let none = Thresholds::default();
        let breakers = CircuitBreakers::new("c", none, none, "cluster.c.", &context);
        let high = breakers.of(Priority::High);
        assert!(RequestPermit::acquire(high).is_err());
        assert_eq!(high.thresholds().max_retries, 7);
        let default = breakers.of(Priority::Default);
        let _load: Vec<_> = (0..10)
            .map(|_| RequestPermit::acquire(default).unwrap())
            .collect();
        assert_eq!(default.thresholds().max_retries, 5);
    }

    #[test]
    fn a_limit_opens_and_closes_with_its_permits() {
        let breakers = breakers(Thresholds {
            max_requests: 2,
            track_remaining: true,
            ..Default::default()
        });
        let manager = breakers.of(Priority::Default);
        let first = RequestPermit::acquire(manager).unwrap();
        assert_eq!(manager.stats.rq_open.get(), 0);
        let _second = RequestPermit::acquire(manager).unwrap();
        assert_eq!(manager.stats.rq_open.get(), 1);
        assert_eq!(manager.remaining.as_ref().unwrap().remaining_rq.get(), 0);
        assert!(RequestPermit::acquire(manager).is_err());
        assert!(RequestPermit::acquire(breakers.of(Priority::High)).is_ok());
        drop(first);
        assert_eq!(manager.stats.rq_open.get(), 0);
        assert!(RequestPermit::acquire(manager).is_ok());
    }

    #[test]
    fn a_retry_budget_follows_the_load() {
        let breakers = breakers(Thresholds {
            max_retries: 0,
            retry_budget: Some(RetryBudget {
                percent: 20.0,
                min_concurrency: 1,
            }),
            ..Default::default()
        });
        let manager = breakers.of(Priority::Default);
        let _first = RetryPermit::acquire(manager).unwrap();
        assert!(RetryPermit::acquire(manager).is_err());
        let _load: Vec<_> = (0..10)
            .map(|_| RequestPermit::acquire(manager).unwrap())
            .collect();
        let _second = RetryPermit::acquire(manager).unwrap();
        assert!(RetryPermit::acquire(manager).is_err());
    }
}
