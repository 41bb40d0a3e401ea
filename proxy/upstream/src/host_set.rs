//! A snapshot of a cluster's hosts with the tables of its load balancer. Immutable: an update makes a new one, which
//! takes over the hosts that stay.

use crate::{
    host::{Availability, Endpoint, Host, Locality},
    lb::{ByAddress, LbConfig, LoadBalancer},
    stats::ClusterStats,
};
use outrigger_core::Address;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// What a `ClusterLoadAssignment` says once its names are resolved.
#[derive(Clone, Debug)]
pub struct Assignment {
    pub endpoints: Vec<Endpoint>,
    /// `LocalityLbEndpoints.load_balancing_weight` by priority and locality, where it is given.
    pub locality_weights: BTreeMap<(u32, Arc<Locality>), u32>,
    /// Percent; 140 unless the policy says otherwise.
    pub overprovisioning_factor: u32,
    /// The health of a priority counts the weights of its hosts in place of their number.
    pub weighted_priority_health: bool,
}

impl Default for Assignment {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            locality_weights: BTreeMap::new(),
            overprovisioning_factor: 140,
            weighted_priority_health: false,
        }
    }
}

/// The hosts of a cluster at one time.
#[derive(Debug)]
pub struct HostSet {
    hosts: Vec<Arc<Host>>,
    by_address: ByAddress,
    balancer: LoadBalancer,
    locality_weights: BTreeMap<(u32, Arc<Locality>), u32>,
    overprovisioning_factor: u32,
}

/// What makes a host the same host over an update.
type Key = (Address, Arc<str>, u32, Arc<Locality>);

fn key_of(host: &Host) -> Key {
    let info = host.info();
    (
        info.address.clone(),
        info.hostname.clone(),
        host.priority,
        host.locality.clone(),
    )
}

impl HostSet {
    /// A set of these endpoints. Hosts of `previous` with the same address, hostname and priority are kept, the others
    /// are drained. The same endpoint twice is two hosts, as in Envoy.
    pub(crate) fn build(
        assignment: Assignment,
        previous: Option<&Self>,
        lb: &LbConfig,
        concurrency: usize,
        stats: &ClusterStats,
    ) -> Self {
        let mut old: HashMap<Key, Vec<Arc<Host>>> = HashMap::new();
        for host in previous.iter().flat_map(|set| &set.hosts) {
            old.entry(key_of(host)).or_default().push(host.clone());
        }
        let mut hosts = Vec::with_capacity(assignment.endpoints.len());
        let mut added = false;
        for endpoint in &assignment.endpoints {
            let key = (
                endpoint.info.address.clone(),
                endpoint.info.hostname.clone(),
                endpoint.priority,
                endpoint.locality.clone(),
            );
            hosts.push(match old.get_mut(&key).and_then(Vec::pop) {
                Some(host) => {
                    host.update(endpoint.clone());
                    host
                }
                None => {
                    added = true;
                    Arc::new(Host::new(endpoint.clone(), concurrency))
                }
            });
        }
        let mut gone = old.values().flatten().peekable();
        if added || gone.peek().is_some() {
            stats.membership_change.inc();
        }
        for host in gone {
            host.drain();
        }
        let balancer = LoadBalancer::build(&hosts, &assignment, lb, concurrency);
        let set = Self {
            hosts,
            by_address: ByAddress::default(),
            balancer,
            locality_weights: assignment.locality_weights,
            overprovisioning_factor: assignment.overprovisioning_factor,
        };
        set.report(stats);
        set
    }

    pub fn hosts(&self) -> &[Arc<Host>] {
        &self.hosts
    }

    /// The host of this address, of whatever priority.
    pub(crate) fn find(&self, address: &str) -> Option<Arc<Host>> {
        self.by_address.find(&self.hosts, address)
    }

    /// `LocalityLbEndpoints.load_balancing_weight`, 0 where it is not given.
    pub fn locality_weight(&self, priority: u32, locality: &Arc<Locality>) -> u32 {
        let key = (priority, locality.clone());
        self.locality_weights.get(&key).copied().unwrap_or(0)
    }

    /// Percent.
    pub fn overprovisioning_factor(&self) -> u32 {
        self.overprovisioning_factor
    }

    pub(crate) fn balancer(&self) -> &LoadBalancer {
        &self.balancer
    }

    fn report(&self, stats: &ClusterStats) {
        // As Envoy's, the gauges count as used once there has been a host.
        if self.hosts.is_empty() && !stats.membership_total.used() {
            return;
        }
        let count = |wanted| {
            self.hosts
                .iter()
                .filter(|host| host.availability() == wanted)
                .count() as u64
        };
        stats.membership_total.set(self.hosts.len() as u64);
        stats.membership_healthy.set(count(Availability::Healthy));
        stats.membership_degraded.set(count(Availability::Degraded));
        // Nothing excludes a host without health checks; the gauge counts as used all the same, as Envoy's does.
        stats.membership_excluded.set(0);
    }
}
