//! How much of the load each priority level takes, and which of them are in panic (Envoy's `LoadBalancerBase`).

use crate::host::{Availability, Host};
use std::sync::Arc;

/// The hosts of one priority, counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Census {
    healthy: u64,
    degraded: u64,
    total: u64,
    /// The same by weight if `weighted_priority_health` is on, else by number.
    healthy_weight: u64,
    degraded_weight: u64,
    total_weight: u64,
}

impl Census {
    pub(super) fn take(hosts: &[Arc<Host>], weighted: bool) -> Self {
        let mut census = Self::default();
        for host in hosts {
            let weight = if weighted { host.weight().into() } else { 1 };
            census.add(host.availability(), weight);
        }
        census
    }

    fn add(&mut self, availability: Availability, weight: u64) {
        self.total += 1;
        self.total_weight += weight;
        match availability {
            Availability::Healthy => {
                self.healthy += 1;
                self.healthy_weight += weight;
            }
            Availability::Degraded => {
                self.degraded += 1;
                self.degraded_weight += weight;
            }
            Availability::Unhealthy => {}
        }
    }

    /// Share of `weight` in percent, raised by the overprovisioning factor.
    fn share(&self, weight: u64, factor: u32) -> u64 {
        (u64::from(factor) * weight)
            .checked_div(self.total_weight)
            .unwrap_or(0)
            .min(100)
    }

    fn in_panic(&self, threshold: f64) -> bool {
        let available = match self.total {
            0 => 0.0,
            total => 100.0 * (self.healthy + self.degraded) as f64 / total as f64,
        };
        available < threshold
    }
}

/// One level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Load {
    /// Percent that goes to its healthy hosts.
    healthy: u64,
    /// Percent that goes to its degraded hosts.
    degraded: u64,
    panic: bool,
}

/// The levels; what they take adds up to 100.
#[derive(Debug)]
pub(super) struct Loads {
    levels: Vec<Load>,
    /// What each level's healthy and degraded hosts could take, in percent.
    shares: Vec<(u64, u64)>,
}

/// What one random number chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) priority: usize,
    pub(super) degraded: bool,
    pub(super) panic: bool,
}

impl Loads {
    pub(super) fn compute(census: &[Census], factor: u32, panic_threshold: f64) -> Self {
        let healthy: Vec<u64> = census
            .iter()
            .map(|c| c.share(c.healthy_weight, factor))
            .collect();
        let degraded: Vec<u64> = census
            .iter()
            .map(|c| c.share(c.degraded_weight, factor))
            .collect();
        let available = healthy.iter().chain(&degraded).sum::<u64>().min(100);
        let shares = healthy
            .iter()
            .copied()
            .zip(degraded.iter().copied())
            .collect();
        let mut levels = vec![Load::default(); census.len()];
        if available > 0 {
            distribute(&mut levels, &healthy, &degraded, available);
        }
        let threshold = panic_threshold.min(100.0);
        if threshold <= 0.0 && available == 0 {
            // The load has to go somewhere: to the first level, where no host will be found.
            if let Some(first) = levels.first_mut() {
                first.healthy = 100;
            }
            return Self { levels, shares };
        }
        // A level may be as sick as it likes while the levels together carry everything.
        if available < 100 {
            for (level, census) in levels.iter_mut().zip(census) {
                level.panic = census.in_panic(threshold);
            }
            if levels.iter().all(|level| level.panic) {
                total_panic(&mut levels, census);
            }
        }
        Self { levels, shares }
    }

    /// Number of priorities.
    pub(super) fn len(&self) -> usize {
        self.levels.len()
    }

    /// The load over the levels that are not excluded; `None` if none of them has a host that may be used. Which levels
    /// are in panic does not change.
    pub(super) fn without(&self, excluded: &[bool]) -> Option<Self> {
        let left = |at: usize, share: u64| match excluded.get(at) {
            Some(true) => 0,
            _ => share,
        };
        let shares = self.shares.iter().enumerate();
        let (healthy, degraded): (Vec<u64>, Vec<u64>) = shares
            .map(|(at, (healthy, degraded))| (left(at, *healthy), left(at, *degraded)))
            .unzip();
        let available = healthy.iter().chain(&degraded).sum::<u64>().min(100);
        if available == 0 {
            return None;
        }
        let panics = self.levels.iter().map(|level| Load {
            panic: level.panic,
            ..Load::default()
        });
        let mut levels: Vec<Load> = panics.collect();
        distribute(&mut levels, &healthy, &degraded, available);
        Some(Self {
            levels,
            shares: self.shares.clone(),
        })
    }

    pub(super) fn choose(&self, random: u64) -> Option<Choice> {
        // The common case: one level that takes everything.
        if let [
            Load {
                healthy: 100,
                degraded: _,
                panic,
            },
        ] = *self.levels.as_slice()
        {
            return Some(Choice {
                priority: 0,
                degraded: false,
                panic,
            });
        }
        // The low bits are used to pick the host.
        let mut point = (random >> 32) % 100;
        for degraded in [false, true] {
            for (priority, level) in self.levels.iter().enumerate() {
                let load = if degraded {
                    level.degraded
                } else {
                    level.healthy
                };
                if point < load {
                    return Some(Choice {
                        priority,
                        degraded,
                        panic: level.panic,
                    });
                }
                point -= load;
            }
        }
        None
    }
}

/// From the first level on, each takes what it can carry; what rounding leaves goes to the first that carries anything.
fn distribute(levels: &mut [Load], healthy: &[u64], degraded: &[u64], available: u64) {
    let mut rest = 100;
    for (level, share) in levels.iter_mut().zip(healthy) {
        level.healthy = (share * 100 / available).min(rest);
        rest -= level.healthy;
    }
    for (level, share) in levels.iter_mut().zip(degraded) {
        level.degraded = (share * 100 / available).min(rest);
        rest -= level.degraded;
    }
    if let Some(first) = healthy.iter().position(|share| *share > 0) {
        if let Some(level) = levels.get_mut(first) {
            level.healthy += rest;
        }
    } else if let Some(first) = degraded.iter().position(|share| *share > 0)
        && let Some(level) = levels.get_mut(first)
    {
        level.degraded += rest;
    }
}

/// All levels are in panic: the load follows the number of hosts.
fn total_panic(levels: &mut [Load], census: &[Census]) {
    let total: u64 = census.iter().map(|c| c.total).sum();
    let mut rest = 100;
    for (level, census) in levels.iter_mut().zip(census) {
        level.degraded = 0;
        level.healthy = (100 * census.total).checked_div(total).unwrap_or(0);
        rest -= level.healthy;
    }
    let first = census.iter().position(|c| c.total > 0).unwrap_or(0);
    if let Some(level) = levels.get_mut(first) {
        level.healthy += rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Availability::{Degraded, Healthy, Unhealthy};
    use proptest::prelude::*;

    fn census(hosts: &[(Availability, u64)]) -> Census {
        let mut census = Census::default();
        for (availability, count) in hosts {
            for _ in 0..*count {
                census.add(*availability, 1);
            }
        }
        census
    }

    fn loads(levels: &[&[(Availability, u64)]], threshold: f64) -> Vec<(u64, u64, bool)> {
        let census: Vec<Census> = levels.iter().map(|hosts| census(hosts)).collect();
        Loads::compute(&census, 140, threshold)
            .levels
            .iter()
            .map(|l| (l.healthy, l.degraded, l.panic))
            .collect()
    }

    #[test]
    fn half_of_the_first_level_carries_seventy_percent() {
        assert_eq!(
            loads(&[&[(Healthy, 1), (Unhealthy, 1)], &[(Healthy, 1)]], 50.0),
            [(70, 0, false), (30, 0, false)]
        );
    }

    #[test]
    fn degraded_hosts_take_what_healthy_ones_cannot() {
        assert_eq!(
            loads(&[&[(Healthy, 1), (Degraded, 2)]], 50.0),
            [(46, 54, false)]
        );
    }

    #[test]
    fn total_panic_follows_the_number_of_hosts() {
        assert_eq!(
            loads(&[&[(Unhealthy, 3)], &[(Unhealthy, 1)]], 50.0),
            [(75, 0, true), (25, 0, true)]
        );
    }

    #[test]
    fn without_panic_the_first_level_takes_what_nobody_can() {
        assert_eq!(loads(&[&[(Unhealthy, 3)]], 0.0), [(100, 0, false)]);
    }

    #[test]
    fn a_sick_level_beside_a_sound_one_is_not_in_panic() {
        assert_eq!(
            loads(&[&[(Healthy, 1), (Unhealthy, 9)], &[(Healthy, 2)]], 50.0),
            [(14, 0, false), (86, 0, false)]
        );
    }

    #[test]
    fn an_excluded_level_takes_nothing() {
        let levels = [&[(Healthy, 1)][..], &[(Healthy, 1), (Unhealthy, 1)]].map(census);
        let loads = Loads::compute(&levels, 140, 50.0);
        let healthy =
            |loads: &Loads| -> Vec<u64> { loads.levels.iter().map(|l| l.healthy).collect() };
        assert_eq!(healthy(&loads), [100, 0]);
        let without = |excluded: &[bool]| loads.without(excluded).map(|loads| healthy(&loads));
        assert_eq!(without(&[true, false]), Some(vec![0, 100]));
        assert_eq!(without(&[]), Some(vec![100, 0]));
        assert_eq!(without(&[true, true]), None);
    }

    fn level() -> impl Strategy<Value = Census> {
        (0u64..6, 0u64..6, 0u64..6).prop_map(|(healthy, degraded, unhealthy)| {
            census(&[
                (Healthy, healthy),
                (Degraded, degraded),
                (Unhealthy, unhealthy),
            ])
        })
    }

    proptest! {
        #[test]
        fn the_load_always_adds_up(
            levels in prop::collection::vec(level(), 1..5), threshold in 0u32..=100, random: u64
        ) {
            let loads = Loads::compute(&levels, 140, threshold.into());
            let sum: u64 = loads.levels.iter().map(|l| l.healthy + l.degraded).sum();
            prop_assert_eq!(sum, 100);
            prop_assert!(loads.choose(random).is_some());
        }

        #[test]
        fn load_goes_only_where_hosts_are(
            levels in prop::collection::vec(level(), 1..5), random: u64
        ) {
            let loads = Loads::compute(&levels, 140, 50.0);
            let hosts: u64 = levels.iter().map(|l| l.total).sum();
            if let (Some(choice), true) = (loads.choose(random), hosts > 0) {
                let census = levels.get(choice.priority).copied().unwrap_or_default();
                let usable = match choice {
                    Choice { panic: true, .. } => census.total,
                    Choice { degraded: true, .. } => census.degraded,
                    _ => census.healthy,
                };
                // A level that panics beside sound ones may be empty only if it takes no load.
                prop_assert!(usable > 0, "{:?} of {:?}", choice, levels);
            }
        }
    }
}
