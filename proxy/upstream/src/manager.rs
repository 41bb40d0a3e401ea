//! Envoy's cluster manager: clusters by name, in slots that routes hold on to.

use crate::{
    cluster::Cluster,
    config::{self, ClusterDefaults, Compiled, DiscoveryType},
    discovery::{
        dns::DnsDiscovery,
        resolver::{Resolver, ResolverConfig},
    },
    stats::{ClusterManagerStats, DnsStats, ThreadLocalStats},
};
use envoy_api::pb::envoy::config::cluster::v3::Cluster as Proto;
use outrigger_core::{ConfigError, Context, Slot, log_debug};
use parking_lot::{Mutex, RwLock};
use std::{
    collections::HashMap,
    iter,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// What every `compile` above this floor is handed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BuildContext {
    pub context: Arc<Context>,
    pub clusters: Arc<ClusterManager>,
}

impl BuildContext {
    pub fn new(context: Arc<Context>) -> Self {
        Self::with_defaults(context, ClusterDefaults::default())
    }

    /// For a bootstrap that says something of all clusters.
    pub fn with_defaults(context: Arc<Context>, defaults: ClusterDefaults) -> Self {
        Self {
            clusters: Arc::new(ClusterManager::new(context.clone(), defaults)),
            context,
        }
    }
}

/// All clusters of the process.
#[derive(Debug)]
pub struct ClusterManager {
    context: Arc<Context>,
    stats: Arc<ClusterManagerStats>,
    /// Of the main thread and of each worker.
    threads: Vec<Arc<ThreadLocalStats>>,
    defaults: ClusterDefaults,
    connection_ids: Arc<AtomicU64>,
    clusters: RwLock<Clusters>,
    /// Discoveries that wait for the main runtime.
    discoveries: Mutex<Vec<DnsDiscovery>>,
    /// Resolvers by their configuration: clusters share them.
    resolvers: Mutex<Vec<(ResolverConfig, Arc<Resolver>)>>,
}

#[derive(Debug, Default)]
struct Clusters {
    slots: HashMap<Arc<str>, Arc<Slot<Cluster>>>,
    /// Those that exist, in the order in which they came.
    order: Vec<Arc<Cluster>>,
}

impl ClusterManager {
    pub fn new(context: Arc<Context>, defaults: ClusterDefaults) -> Self {
        let workers = (0..context.concurrency).map(|worker| format!("worker_{worker}"));
        let threads = iter::once("main_thread".to_owned())
            .chain(workers)
            .map(|thread| {
                let prefix = format!("thread_local_cluster_manager.{thread}.");
                context.stats.register(&prefix, ThreadLocalStats::default())
            })
            .collect();
        Self {
            threads,
            stats: context
                .stats
                .register("cluster_manager.", ClusterManagerStats::default()),
            context,
            defaults,
            connection_ids: Arc::default(),
            clusters: RwLock::default(),
            discoveries: Mutex::default(),
            resolvers: Mutex::default(),
        }
    }

    /// The slot of a cluster, which is empty while there is no such cluster.
    pub fn slot(&self, name: &str) -> Arc<Slot<Cluster>> {
        if let Some(slot) = self.clusters.read().slots.get(name) {
            return slot.clone();
        }
        let mut clusters = self.clusters.write();
        let name: Arc<str> = name.into();
        let slot = clusters
            .slots
            .entry(name.clone())
            .or_insert_with(|| Arc::new(Slot::empty(name)));
        slot.clone()
    }

    /// A cluster by the name that a request brings. Makes no slot, so names from outside fill no memory.
    pub fn get(&self, name: &str) -> Option<Arc<Cluster>> {
        self.clusters.read().slots.get(name)?.load_full()
    }

    /// All clusters in the order in which they were added.
    pub fn clusters(&self) -> Vec<Arc<Cluster>> {
        self.clusters.read().order.clone()
    }

    /// Adds a cluster of the bootstrap.
    pub fn add_static(&self, proto: &Proto) -> Result<(), ConfigError> {
        if self.get(&proto.name).is_some() {
            return Err(ConfigError::new(format!(
                "cluster manager: duplicate cluster '{}'",
                proto.name
            )));
        }
        let Compiled {
            info,
            config,
            template,
        } = config::compile(proto, &self.defaults, self.connection_ids.clone())?;
        let cluster = Arc::new(Cluster::new(info, config, &self.context));
        match &cluster.config.discovery {
            DiscoveryType::Static => {
                let assignment = template.resolved();
                let matches = assignment.endpoints.len() as u64;
                cluster.stats.default_total_match_count.add(matches);
                cluster.update_hosts(assignment);
                log_initialized(&cluster);
            }
            DiscoveryType::Dns { logical, config } => {
                let resolver = self.resolver(&config.resolver)?;
                self.discoveries.lock().push(DnsDiscovery {
                    cluster: Arc::downgrade(&cluster),
                    template,
                    config: config.clone(),
                    logical: *logical,
                    resolver,
                });
            }
        }
        log_debug!("upstream", "adding TLS cluster {}", cluster.info.name);
        let slot = self.slot(&cluster.info.name);
        self.clusters.write().order.push(cluster.clone());
        slot.publish(cluster);
        self.stats.cluster_added.inc();
        self.stats.active_clusters.inc();
        self.stats.warming_clusters.set(0);
        for thread in &self.threads {
            thread.clusters_inflated.inc();
        }
        Ok(())
    }

    fn resolver(&self, config: &ResolverConfig) -> Result<Arc<Resolver>, ConfigError> {
        let mut resolvers = self.resolvers.lock();
        if let Some((_, resolver)) = resolvers.iter().find(|(known, _)| known == config) {
            return Ok(resolver.clone());
        }
        let stats = match resolvers.first() {
            Some((_, known)) => known.stats().clone(),
            None => self
                .context
                .stats
                .register("dns.cares.", DnsStats::default()),
        };
        let resolver = Arc::new(Resolver::new(config, stats)?);
        resolvers.push((config.clone(), resolver.clone()));
        Ok(resolver)
    }

    /// Ends when every cluster that holds up the start has its first hosts or has failed to find them. Called once, on
    /// the main runtime, where the discoveries then go on.
    pub async fn warm(&self) {
        let discoveries = std::mem::take(&mut *self.discoveries.lock());
        let mut waiting = Vec::new();
        for discovery in discoveries {
            let Some(cluster) = discovery.cluster.upgrade() else {
                continue;
            };
            let (tasks, first) = discovery.start();
            cluster.set_discovery(tasks);
            if cluster.config.wait_for_warm {
                waiting.push((cluster, first));
            }
        }
        // They run at the same time whether or not somebody waits: one after the other is enough.
        for (cluster, first) in waiting {
            first.await;
            log_initialized(&cluster);
        }
    }

    /// A number for a connection, downstream or upstream, that no other connection of the process has.
    pub fn next_connection_id(&self) -> u64 {
        self.connection_ids.fetch_add(1, Relaxed)
    }
}

fn log_initialized(cluster: &Cluster) {
    log_debug!(
        "upstream",
        "initializing Primary cluster {} completed",
        cluster.info.name
    );
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::pb::envoy::config::{core::v3 as core, endpoint::v3 as endpoint};

    fn cluster(name: &str, host: &str) -> Proto {
        let address = core::Address {
            address: Some(core::address::Address::SocketAddress(core::SocketAddress {
                address: host.into(),
                port_specifier: Some(core::socket_address::PortSpecifier::PortValue(80)),
                ..Default::default()
            })),
        };
        Proto {
            name: name.into(),
            load_assignment: Some(endpoint::ClusterLoadAssignment {
                endpoints: vec![endpoint::LocalityLbEndpoints {
                    lb_endpoints: vec![endpoint::LbEndpoint {
                        host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(
                            endpoint::Endpoint {
                                address: Some(address),
                                ..Default::default()
                            },
                        )),
                        ..Default::default()
                    }],
                    ..Default::default()
                }],
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn a_slot_may_be_asked_for_before_its_cluster_comes() {
        let build = BuildContext::new(Arc::default());
        let slot = build.clusters.slot("up");
        assert!(slot.load().is_none());
        assert!(build.clusters.get("up").is_none());
        build.clusters.add_static(&cluster("up", "::1")).unwrap();
        let up = slot.load_full().unwrap();
        assert_eq!(up.hosts().hosts().len(), 1);
        assert!(Arc::ptr_eq(&up, &build.clusters.get("up").unwrap()));
        assert_eq!(build.clusters.stats.active_clusters.get(), 1);
    }

    #[test]
    fn clusters_keep_their_order_and_their_names() {
        let build = BuildContext::new(Arc::default());
        for name in ["b", "a"] {
            build.clusters.add_static(&cluster(name, "::1")).unwrap();
        }
        let error = build.clusters.add_static(&cluster("a", "::1"));
        assert_eq!(
            error.unwrap_err().to_string(),
            "cluster manager: duplicate cluster 'a'"
        );
        let clusters = build.clusters.clusters();
        let names: Vec<&str> = clusters.iter().map(|c| &*c.info.name).collect();
        assert_eq!(names, ["b", "a"]);
    }

    #[test]
    fn an_error_names_the_place_and_leaves_no_cluster() {
        let build = BuildContext::new(Arc::default());
        let error = build.clusters.add_static(&cluster("up", "localhost"));
        assert_eq!(
            error.unwrap_err().to_string(),
            "cluster[up].load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.\
             socket_address.address: malformed IP address: localhost. Consider setting \
             resolver_name or setting cluster type to 'STRICT_DNS' or 'LOGICAL_DNS'"
        );
        assert!(build.clusters.clusters().is_empty());
        assert!(build.clusters.get("up").is_none());
    }
}
