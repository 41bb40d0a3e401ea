//! The hosts among which one algorithm chooses, with what it has to remember.

use super::{
    LbPolicy, Selection,
    edf::{Places, Schedule},
};
use crate::host::Host;
use std::sync::Arc;

/// Some hosts and the way to pick one.
#[derive(Debug)]
pub(super) struct HostList {
    hosts: Vec<Arc<Host>>,
    method: Method,
}

#[derive(Debug)]
enum Method {
    /// Equal weights, one after the other.
    Rotate(Places),
    /// Unequal weights, round robin.
    Scheduled(Schedule),
    /// Unequal weights, less for hosts with many requests.
    Biased {
        schedule: Schedule,
        bias: f64,
    },
    /// The best of some.
    Choices(u32),
    /// The best of all.
    Scan,
    Random,
}

impl HostList {
    pub(super) fn new(hosts: Vec<Arc<Host>>, policy: LbPolicy, concurrency: usize) -> Self {
        let weights = || -> Vec<f64> { hosts.iter().map(|h| h.weight().into()).collect() };
        let equal = hosts.windows(2).all(|pair| match pair {
            [a, b] => a.weight() == b.weight(),
            _ => true,
        });
        let method = match policy {
            LbPolicy::Random => Method::Random,
            LbPolicy::RoundRobin if equal => Method::Rotate(Places::new(concurrency)),
            LbPolicy::RoundRobin => Method::Scheduled(Schedule::new(weights(), concurrency)),
            LbPolicy::LeastRequest { selection, .. } if equal => match selection {
                Selection::Choices(count) => Method::Choices(count),
                Selection::FullScan => Method::Scan,
            },
            // Without bias the active requests have no say and the order stands still.
            LbPolicy::LeastRequest {
                active_request_bias: 0.0,
                ..
            } => Method::Scheduled(Schedule::new(weights(), concurrency)),
            LbPolicy::LeastRequest {
                active_request_bias: bias,
                ..
            } => Method::Biased {
                schedule: Schedule::live(weights(), concurrency),
                bias,
            },
        };
        Self { hosts, method }
    }

    pub(super) fn pick(&self, worker: usize, random: u64) -> Option<&Arc<Host>> {
        match &self.method {
            Method::Rotate(places) => {
                let place = places.next(worker).checked_rem(self.hosts.len())?;
                self.hosts.get(place)
            }
            Method::Scheduled(schedule) => {
                self.hosts.get(schedule.next(worker, |_, weight| weight)?)
            }
            Method::Biased { schedule, bias } => {
                let index = schedule.next(worker, |index, weight| {
                    let active = self.hosts.get(index).map_or(0, |host| active(host));
                    let load = (active + 1) as f64;
                    // The usual bias needs no power.
                    if *bias == 1.0 {
                        weight / load
                    } else {
                        weight / load.powf(*bias)
                    }
                })?;
                self.hosts.get(index)
            }
            Method::Choices(count) => {
                let mut best = self.at_random(random)?;
                for _ in 1..*count {
                    let other = self.at_random(fastrand::u64(..))?;
                    if active(other) < active(best) {
                        best = other;
                    }
                }
                Some(best)
            }
            Method::Scan => self.scan(),
            Method::Random => self.at_random(random),
        }
    }

    fn at_random(&self, random: u64) -> Option<&Arc<Host>> {
        let index = (random as usize).checked_rem(self.hosts.len())?;
        self.hosts.get(index)
    }

    /// The host with the fewest requests; among equals each is as likely.
    fn scan(&self) -> Option<&Arc<Host>> {
        let mut best: Option<(&Arc<Host>, u64)> = None;
        let mut equals = 1;
        for host in &self.hosts {
            let active = active(host);
            match best {
                Some((_, least)) if active > least => {}
                Some((_, least)) if active == least => {
                    equals += 1;
                    if fastrand::u32(..equals) == 0 {
                        best = Some((host, active));
                    }
                }
                _ => {
                    best = Some((host, active));
                    equals = 1;
                }
            }
        }
        best.map(|(host, _)| host)
    }
}

fn active(host: &Host) -> u64 {
    host.stats.rq_active.get()
}
