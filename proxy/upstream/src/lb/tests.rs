//! Picks from whole host sets.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    host::{EdsHealth, Endpoint},
    host_set::HostSet,
};
use outrigger_core::{Address, stream_info::HostInfo};
use std::collections::BTreeMap;

fn endpoint(port: u16) -> Endpoint {
    Endpoint {
        info: HostInfo {
            address: Address::Ip(([127, 0, 0, 1], port).into()),
            hostname: "".into(),
            metadata: Default::default(),
            canary: false,
        },
        addresses: None,
        locality: Arc::default(),
        priority: 0,
        weight: 1,
        health: EdsHealth::Unknown,
    }
}

fn zone(name: &str) -> Arc<Locality> {
    Arc::new(Locality {
        zone: name.into(),
        ..Default::default()
    })
}

struct Scene {
    set: HostSet,
    stats: ClusterStats,
}

impl Scene {
    fn new(assignment: Assignment, config: LbConfig) -> Self {
        let stats = ClusterStats::default();
        let set = HostSet::build(assignment, None, &config, 1, &stats);
        Self { set, stats }
    }

    fn of(endpoints: Vec<Endpoint>, config: LbConfig) -> Self {
        let assignment = Assignment {
            endpoints,
            ..Default::default()
        };
        Self::new(assignment, config)
    }

    fn pick(&self, cx: &mut LbContext<'_>) -> Option<u16> {
        let host = self.set.balancer().pick(cx, &self.stats)?;
        host.info().address.ip().map(|a| a.port())
    }

    fn counts(&self, picks: usize) -> BTreeMap<u16, usize> {
        let mut counts = BTreeMap::new();
        for _ in 0..picks {
            *counts
                .entry(self.pick(&mut LbContext::new()).unwrap())
                .or_default() += 1;
        }
        counts
    }
}

fn policy(policy: LbPolicy) -> LbConfig {
    LbConfig {
        policy,
        ..Default::default()
    }
}

fn least(selection: Selection) -> LbConfig {
    policy(LbPolicy::LeastRequest {
        selection,
        active_request_bias: 1.0,
    })
}

#[test]
fn round_robin_takes_turns() {
    let scene = Scene::of((1..=3).map(endpoint).collect(), LbConfig::default());
    let picks: Vec<u16> = (0..6)
        .filter_map(|_| scene.pick(&mut LbContext::new()))
        .collect();
    assert_eq!(picks[..3], picks[3..]);
    let mut once = picks[..3].to_vec();
    once.sort_unstable();
    assert_eq!(once, [1, 2, 3]);
}

#[test]
fn unequal_weights_are_exact() {
    let mut endpoints: Vec<Endpoint> = (1..=3).map(endpoint).collect();
    for endpoint in &mut endpoints {
        endpoint.weight = u32::from(endpoint.info.address.ip().unwrap().port());
    }
    let scene = Scene::of(endpoints, LbConfig::default());
    assert_eq!(
        scene.counts(60),
        BTreeMap::from([(1, 10), (2, 20), (3, 30)])
    );
}

#[test]
fn least_request_avoids_the_busy_host() {
    for selection in [Selection::Choices(2), Selection::FullScan] {
        let scene = Scene::of((1..=2).map(endpoint).collect(), least(selection));
        scene.set.hosts().first().unwrap().stats.rq_active.add(5);
        let counts = scene.counts(400);
        let busy = counts.get(&1).copied().unwrap_or(0);
        match selection {
            // Only when both choices fall on it.
            Selection::Choices(_) => assert!(busy < 200, "{counts:?}"),
            Selection::FullScan => assert_eq!(busy, 0),
        }
    }
}

#[test]
fn least_request_with_weights_is_biased_by_the_load() {
    let mut heavy = endpoint(1);
    heavy.weight = 2;
    let scene = Scene::of(vec![heavy, endpoint(2)], least(Selection::Choices(2)));
    let counts = scene.counts(300);
    assert!((199..=201).contains(counts.get(&1).unwrap()), "{counts:?}");
    // Weight 2 with three requests counts as one half.
    scene.set.hosts().first().unwrap().stats.rq_active.add(3);
    let counts = scene.counts(300);
    assert!((98..=102).contains(counts.get(&1).unwrap()), "{counts:?}");
}

#[test]
fn random_reaches_everybody() {
    let scene = Scene::of((1..=3).map(endpoint).collect(), policy(LbPolicy::Random));
    assert_eq!(scene.counts(1000).len(), 3);
}

#[test]
fn unhealthy_and_draining_hosts_get_nothing_until_panic() {
    let mut endpoints: Vec<Endpoint> = (1..=4).map(endpoint).collect();
    endpoints[0].health = EdsHealth::Unhealthy;
    endpoints[1].health = EdsHealth::Draining;
    let scene = Scene::of(endpoints.clone(), LbConfig::default());
    assert_eq!(scene.counts(100).into_keys().collect::<Vec<_>>(), [3, 4]);
    assert_eq!(scene.stats.lb_healthy_panic.get(), 0);

    endpoints[2].health = EdsHealth::Timeout;
    let scene = Scene::of(endpoints.clone(), LbConfig::default());
    assert_eq!(scene.counts(100).len(), 4);
    assert_eq!(scene.stats.lb_healthy_panic.get(), 100);

    let fail = LbConfig {
        fail_traffic_on_panic: true,
        ..Default::default()
    };
    assert_eq!(Scene::of(endpoints, fail).pick(&mut LbContext::new()), None);
}

#[test]
fn a_lower_priority_takes_what_the_first_cannot() {
    let mut endpoints: Vec<Endpoint> = (1..=3).map(endpoint).collect();
    endpoints[1].health = EdsHealth::Unhealthy;
    endpoints[2].priority = 1;
    let scene = Scene::of(endpoints, LbConfig::default());
    let second = *scene.counts(2000).get(&3).unwrap();
    assert!((500..=700).contains(&second), "{second}");
}

#[test]
fn localities_share_by_weight_and_availability() {
    let mut endpoints: Vec<Endpoint> = (1..=4).map(endpoint).collect();
    for (index, endpoint) in endpoints.iter_mut().enumerate() {
        endpoint.locality = zone(if index < 2 { "a" } else { "b" });
    }
    let config = LbConfig {
        locality_weighted: true,
        ..Default::default()
    };
    let mut assignment = Assignment {
        endpoints,
        locality_weights: BTreeMap::from([((0, zone("a")), 3), ((0, zone("b")), 1)]),
        ..Default::default()
    };
    let counts = Scene::new(assignment.clone(), config).counts(400);
    assert_eq!(counts[&1] + counts[&2], 300);

    // Half of the locality is left: 3 x 0.5 x 1.4 = 2.1 against 1.
    assignment.endpoints[0].health = EdsHealth::Unhealthy;
    let counts = Scene::new(assignment, config).counts(3100);
    assert!((2095..=2105).contains(&counts[&2]), "{counts:?}");
    assert_eq!(counts.get(&1), None);
}

#[test]
fn a_retry_avoids_the_hosts_that_it_excludes() {
    let scene = Scene::of((1..=2).map(endpoint).collect(), LbConfig::default());
    let avoid = |scene: &Scene| Avoid(scene.set.hosts().first().unwrap().clone());
    let pick = |scene: &Scene, avoid: &Avoid| {
        scene.pick(&mut LbContext {
            predicate: Some(avoid),
            ..LbContext::new()
        })
    };
    let first = avoid(&scene);
    for _ in 0..10 {
        assert_eq!(pick(&scene, &first), Some(2));
    }
    // With nobody else it has to do.
    let alone = Scene::of(vec![endpoint(1)], LbConfig::default());
    assert_eq!(pick(&alone, &avoid(&alone)), Some(1));
}

#[derive(Debug)]
struct Avoid(Arc<Host>);

impl HostPredicate for Avoid {
    fn rejects(&self, host: &Arc<Host>) -> bool {
        Arc::ptr_eq(&self.0, host)
    }
}

#[test]
fn a_retry_goes_through_the_priorities_and_begins_again() {
    let mut endpoints: Vec<Endpoint> = (1..=3).map(endpoint).collect();
    for (priority, endpoint) in endpoints.iter_mut().enumerate() {
        endpoint.priority = priority as u32;
    }
    let scene = Scene::of(endpoints, LbConfig::default());
    let mut previous = PreviousPriorities::new(1);
    let mut at = Vec::new();
    for _ in 0..5 {
        let picked = scene.pick(&mut LbContext {
            retry_priority: Some(&mut previous),
            ..LbContext::new()
        });
        let port = picked.unwrap();
        previous.attempt(u32::from(port) - 1);
        at.push(port);
    }
    assert_eq!(at, [1, 2, 3, 1, 2]);
}

#[test]
fn nobody_is_there_to_pick() {
    assert_eq!(
        Scene::of(vec![], LbConfig::default()).pick(&mut LbContext::new()),
        None
    );
}

#[test]
fn a_host_is_found_by_its_address_in_small_sets_and_large_ones() {
    for hosts in [3, 30] {
        let scene = Scene::of((1..=hosts).map(endpoint).collect(), LbConfig::default());
        let find = |address: &str| scene.set.find(address);
        let found = find("127.0.0.1:2").unwrap();
        assert!(Arc::ptr_eq(&found, &scene.set.hosts()[1]));
        for other in ["127.0.0.1:99", "127.0.0.2:2", "127.0.0.1", ""] {
            assert!(find(other).is_none(), "{other}");
        }
    }
}

#[test]
fn of_equal_addresses_the_first_host_counts() {
    for hosts in [3, 30] {
        let endpoints = (0..hosts).map(|_| endpoint(1)).collect();
        let scene = Scene::of(endpoints, LbConfig::default());
        let found = scene.set.find("127.0.0.1:1").unwrap();
        assert!(Arc::ptr_eq(&found, &scene.set.hosts()[0]));
    }
}
