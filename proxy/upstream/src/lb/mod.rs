//! Envoy's load balancers: from a cluster's hosts to one of them.
//!
//! All tables are built when the hosts change; to pick is to read them and move one counter of this worker. Must never
//! block: workers share nothing but the counters of a host.

mod edf;
mod list;
mod override_host;
mod priority;
mod retry_priority;
#[cfg(test)]
mod tests;

use crate::{
    host::{Availability, Host, Locality},
    host_set::Assignment,
    stats::ClusterStats,
};
use edf::Schedule;
use list::HostList;
use outrigger_core::worker;
pub(crate) use override_host::ByAddress;
pub use override_host::{HealthStatuses, OverrideHost};
use priority::{Census, Loads};
pub use retry_priority::PreviousPriorities;
use std::{collections::BTreeMap, sync::Arc};

/// The balancing algorithm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LbPolicy {
    RoundRobin,
    LeastRequest {
        selection: Selection,
        /// Weight is divided by (active requests + 1) to this power.
        active_request_bias: f64,
    },
    Random,
}

/// How `LEAST_REQUEST` looks for the host with the fewest active requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The best of this many hosts, taken at random.
    Choices(u32),
    FullScan,
}

/// A cluster's balancing configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LbConfig {
    pub policy: LbPolicy,
    /// Percent of available hosts below which all are used; 0 never.
    pub healthy_panic_threshold: f64,
    /// In panic there is no host at all in place of any host.
    pub fail_traffic_on_panic: bool,
    /// `locality_weighted_lb_config`: first a locality by weight, then a host.
    pub locality_weighted: bool,
    /// Of a host that a session asks for.
    pub override_host_status: HealthStatuses,
}

impl Default for LbConfig {
    fn default() -> Self {
        Self {
            policy: LbPolicy::RoundRobin,
            healthy_panic_threshold: 50.0,
            fail_traffic_on_panic: false,
            locality_weighted: false,
            override_host_status: HealthStatuses::default(),
        }
    }
}

/// Which hosts a retry should avoid (Envoy's `RetryHostPredicate`).
pub trait HostPredicate: std::fmt::Debug {
    /// Another host would be better.
    fn rejects(&self, host: &Arc<Host>) -> bool;
}

/// What a request says about the host that it wants.
#[derive(Debug)]
pub struct LbContext<'a> {
    /// From the route's hash policy.
    pub hash: Option<u64>,
    /// A fresh random number.
    pub random: u64,
    /// The host that a session asks for.
    pub override_host: Option<&'a OverrideHost>,
    /// Hosts that a retry should avoid, if another comes up within `max_attempts`.
    pub predicate: Option<&'a dyn HostPredicate>,
    /// `host_selection_retry_max_attempts`: further picks when a rejected host comes up.
    pub max_attempts: u32,
    /// The priorities that a retry should avoid.
    pub retry_priority: Option<&'a mut PreviousPriorities>,
}

impl LbContext<'_> {
    /// A first attempt without wishes.
    pub fn new() -> Self {
        Self {
            hash: None,
            random: fastrand::u64(..),
            override_host: None,
            predicate: None,
            max_attempts: 1,
            retry_priority: None,
        }
    }
}

impl Default for LbContext<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// The tables of one host set.
#[derive(Debug)]
pub(crate) struct LoadBalancer {
    loads: Loads,
    priorities: Vec<PriorityTables>,
    fail_traffic_on_panic: bool,
}

/// The hosts of one priority by how far they may be used.
#[derive(Debug)]
struct PriorityTables {
    all: HostList,
    healthy: Group,
    degraded: Group,
}

/// Hosts of one availability, by locality if localities have weights.
#[derive(Debug)]
enum Group {
    Flat(HostList),
    Localities {
        schedule: Schedule,
        lists: Vec<HostList>,
    },
}

impl Group {
    fn pick(&self, worker: usize, random: u64) -> Option<&Arc<Host>> {
        match self {
            Self::Flat(list) => list.pick(worker, random),
            Self::Localities { schedule, lists } => {
                let index = schedule.next(worker, |_, weight| weight)?;
                lists.get(index)?.pick(worker, random)
            }
        }
    }
}

impl LoadBalancer {
    pub(crate) fn build(
        hosts: &[Arc<Host>],
        assignment: &Assignment,
        config: &LbConfig,
        concurrency: usize,
    ) -> Self {
        // Priorities without hosts between others count as levels without health.
        let levels = hosts.iter().map(|h| h.priority as usize + 1).max();
        let mut by_priority: Vec<Vec<Arc<Host>>> = vec![Vec::new(); levels.unwrap_or(0)];
        for host in hosts {
            if let Some(level) = by_priority.get_mut(host.priority as usize) {
                level.push(host.clone());
            }
        }
        let census: Vec<Census> = by_priority
            .iter()
            .map(|hosts| Census::take(hosts, assignment.weighted_priority_health))
            .collect();
        let tables = |(priority, hosts): (usize, Vec<Arc<Host>>)| {
            let group = |wanted| {
                Group::build(
                    &hosts,
                    wanted,
                    priority as u32,
                    assignment,
                    config,
                    concurrency,
                )
            };
            PriorityTables {
                healthy: group(Availability::Healthy),
                degraded: group(Availability::Degraded),
                all: HostList::new(hosts.clone(), config.policy, concurrency),
            }
        };
        Self {
            loads: Loads::compute(
                &census,
                assignment.overprovisioning_factor,
                config.healthy_panic_threshold,
            ),
            priorities: by_priority.into_iter().enumerate().map(tables).collect(),
            fail_traffic_on_panic: config.fail_traffic_on_panic,
        }
    }

    pub(crate) fn pick(&self, cx: &mut LbContext<'_>, stats: &ClusterStats) -> Option<Arc<Host>> {
        let mut host = self.pick_once(cx, cx.random, stats)?;
        if let Some(predicate) = cx.predicate {
            for _ in 0..cx.max_attempts {
                if !predicate.rejects(host) {
                    break;
                }
                host = self.pick_once(cx, fastrand::u64(..), stats)?;
            }
        }
        Some(host.clone())
    }

    fn pick_once(
        &self,
        cx: &mut LbContext<'_>,
        random: u64,
        stats: &ClusterStats,
    ) -> Option<&Arc<Host>> {
        let worker = worker::current();
        let loads = match &mut cx.retry_priority {
            Some(previous) => previous.loads(&self.loads),
            None => &self.loads,
        };
        let choice = loads.choose(random)?;
        let tables = self.priorities.get(choice.priority)?;
        if choice.panic {
            stats.lb_healthy_panic.inc();
            if self.fail_traffic_on_panic {
                return None;
            }
            return tables.all.pick(worker, random);
        }
        let group = if choice.degraded {
            &tables.degraded
        } else {
            &tables.healthy
        };
        group.pick(worker, random)
    }
}

impl Group {
    fn build(
        hosts: &[Arc<Host>],
        wanted: Availability,
        priority: u32,
        assignment: &Assignment,
        config: &LbConfig,
        concurrency: usize,
    ) -> Self {
        let eligible = |hosts: &[Arc<Host>]| -> Vec<Arc<Host>> {
            hosts
                .iter()
                .filter(|host| host.availability() == wanted)
                .cloned()
                .collect()
        };
        let weighted = config.locality_weighted
            && assignment
                .locality_weights
                .keys()
                .any(|(level, _)| *level == priority);
        if !weighted {
            return Self::Flat(HostList::new(eligible(hosts), config.policy, concurrency));
        }
        let mut localities: BTreeMap<Arc<Locality>, Vec<Arc<Host>>> = BTreeMap::new();
        for host in hosts {
            let locality = localities.entry(host.locality.clone()).or_default();
            locality.push(host.clone());
        }
        let (mut weights, mut lists) = (Vec::new(), Vec::new());
        for (locality, hosts) in localities {
            let weight = assignment
                .locality_weights
                .get(&(priority, locality))
                .copied()
                .unwrap_or(0);
            let eligible = eligible(&hosts);
            // A locality that has lost hosts keeps its share until less than 1 / 1.4 of them are left.
            let available = eligible.len() as f64 / hosts.len() as f64;
            let factor = f64::from(assignment.overprovisioning_factor) / 100.0;
            let weight = f64::from(weight) * (available * factor).min(1.0);
            if weight > 0.0 {
                weights.push(weight);
                lists.push(HostList::new(eligible, config.policy, concurrency));
            }
        }
        Self::Localities {
            schedule: Schedule::new(weights, concurrency),
            lists,
        }
    }
}
