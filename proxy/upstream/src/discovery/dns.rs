//! `STRICT_DNS` and `LOGICAL_DNS`: resolve the names of a cluster again and again.
//!
//! A failure keeps the hosts that were known last. Strict: every address of every name is a host, and a name that
//! exists no more loses its hosts. Logical: one host, whose addresses are those of the latest answer.

use super::resolver::{Answer, Failed, Resolver};
use crate::{
    cluster::Cluster,
    config::{DnsConfig, Target, Template},
    host::Endpoint,
};
use outrigger_core::{Address, log_debug, log_trace};
use parking_lot::Mutex;
use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet, time::sleep};

/// The discovery of one cluster.
#[derive(Debug)]
pub(crate) struct DnsDiscovery {
    /// Its end ends the discovery.
    pub(crate) cluster: Weak<Cluster>,
    pub(crate) template: Template,
    pub(crate) config: DnsConfig,
    /// `LOGICAL_DNS`.
    pub(crate) logical: bool,
    pub(crate) resolver: Arc<Resolver>,
}

/// What the tasks of one cluster share.
#[derive(Debug)]
struct Shared {
    discovery: DnsDiscovery,
    /// The endpoints of each name; `None` before its first answer.
    answers: Mutex<Vec<Option<Vec<Endpoint>>>>,
    /// Names without a first answer or failure.
    pending: watch::Sender<usize>,
}

impl DnsDiscovery {
    /// Starts to resolve. The second value ends when each name has been tried once.
    pub(crate) fn start(self) -> (JoinSet<()>, impl Future<Output = ()>) {
        let count = self.template.endpoints.len();
        let (pending, mut waiting) = watch::channel(count);
        let shared = Arc::new(Shared {
            discovery: self,
            answers: Mutex::new(vec![None; count]),
            pending,
        });
        let mut tasks = JoinSet::new();
        for index in 0..count {
            tasks.spawn(shared.clone().run(index));
        }
        let first = async move {
            // The tasks are gone if the cluster is, and then nothing is to be waited for.
            waiting.wait_for(|pending| *pending == 0).await.ok();
        };
        (tasks, first)
    }
}

impl Shared {
    async fn run(self: Arc<Self>, index: usize) {
        let Some(Target::Name(target)) = self
            .discovery
            .template
            .endpoints
            .get(index)
            .map(|endpoint| endpoint.target.clone())
        else {
            return;
        };
        let config = &self.discovery.config;
        let mut first = true;
        let mut failures = 0;
        loop {
            let Some(cluster) = self.discovery.cluster.upgrade() else {
                return;
            };
            cluster.stats.update_attempt.inc();
            log_trace!(
                "upstream",
                "starting async DNS resolution for {}",
                target.host
            );
            let answer = self
                .discovery
                .resolver
                .resolve(&target.host, config.family)
                .await;
            log_answer(&target.host, &answer);
            let wait = match self.apply(&cluster, index, target.port, answer) {
                Ok(ttl) => {
                    failures = 0;
                    config.next(ttl)
                }
                Err(Failed) => {
                    failures += 1;
                    config.next_after_failure(failures)
                }
            };
            drop(cluster);
            log_debug!(
                "upstream",
                "DNS refresh rate reset for {}, refresh rate {} ms",
                target.host,
                wait.as_millis()
            );
            if std::mem::take(&mut first) {
                self.pending.send_modify(|pending| *pending -= 1);
            }
            sleep(wait).await;
        }
    }

    /// Publishes an answer; gives its TTL back.
    fn apply(
        &self,
        cluster: &Cluster,
        index: usize,
        port: u16,
        answer: Result<Answer, Failed>,
    ) -> Result<Option<Duration>, Failed> {
        let failed = |answer: &Answer| self.discovery.logical && answer.addresses.is_empty();
        let stats = &cluster.stats;
        let answer = match answer {
            Ok(answer) if !failed(&answer) => answer,
            _ => {
                stats.update_failure.inc();
                return Err(Failed);
            }
        };
        stats.update_success.inc();
        let changed = if self.discovery.logical {
            self.logical(cluster, port, &answer.addresses)
        } else {
            self.strict(cluster, index, port, &answer.addresses)
        };
        if changed {
            log_debug!(
                "upstream",
                "DNS hosts have changed for {}",
                self.name(index)
            );
        } else {
            stats.update_no_rebuild.inc();
        }
        Ok(answer.ttl)
    }

    fn name(&self, index: usize) -> &str {
        match self
            .discovery
            .template
            .endpoints
            .get(index)
            .map(|e| &e.target)
        {
            Some(Target::Name(target)) => &target.host,
            _ => "",
        }
    }

    fn strict(&self, cluster: &Cluster, index: usize, port: u16, found: &[IpAddr]) -> bool {
        let template = &self.discovery.template;
        let Some(endpoint) = template.endpoints.get(index) else {
            return false;
        };
        let matches = found.len() as u64;
        cluster.stats.default_total_match_count.add(matches);
        let mut answers = self.answers.lock();
        let Some(place) = answers.get_mut(index) else {
            return false;
        };
        let known = place.iter().flatten().map(|e| &e.info.address);
        let known: Vec<Address> = known.cloned().collect();
        let found: Vec<Address> = found.iter().map(|ip| at(*ip, port)).collect();
        // Servers rotate their answers: another order is no change.
        if known.len() == found.len() && found.iter().all(|address| known.contains(address)) {
            return false;
        }
        *place = Some(found.into_iter().map(|a| endpoint.at(a)).collect());
        let all = answers.iter().flatten().flatten().cloned().collect();
        cluster.update_hosts(template.with(all));
        true
    }

    fn logical(&self, cluster: &Cluster, port: u16, found: &[IpAddr]) -> bool {
        let template = &self.discovery.template;
        let addresses: Vec<Address> = found.iter().map(|ip| at(*ip, port)).collect();
        let endpoint = template.endpoints.first();
        let Some(endpoint) = endpoint.and_then(|endpoint| endpoint.at_all(&addresses)) else {
            return false;
        };
        cluster.stats.default_total_match_count.inc();
        let set = cluster.hosts();
        let Some(host) = set.hosts().first() else {
            cluster.update_hosts(template.with(vec![endpoint]));
            return true;
        };
        if host.info().address == endpoint.info.address && *host.addresses() == endpoint.addresses {
            return false;
        }
        host.relocate(endpoint);
        true
    }
}

fn log_answer(host: &str, answer: &Result<Answer, Failed>) {
    let details = match answer {
        Ok(_) => "success",
        Err(Failed) => "failure",
    };
    log_trace!(
        "upstream",
        "async DNS resolution complete for {host} details {details}"
    );
}

fn at(ip: IpAddr, port: u16) -> Address {
    Address::Ip(SocketAddr::new(ip, port))
}

impl DnsConfig {
    /// Time to the next refresh after an answer.
    fn next(&self, ttl: Option<Duration>) -> Duration {
        let rate = match ttl {
            Some(ttl) if self.respect_ttl && !ttl.is_zero() => ttl.max(self.min_refresh_rate),
            _ => self.refresh_rate,
        };
        rate + self.jitter.mul_f64(fastrand::f64())
    }

    /// After the n-th failure in a row: at random below a limit that doubles, or the refresh rate.
    fn next_after_failure(&self, failures: u32) -> Duration {
        let Some((base, max)) = self.failure_refresh else {
            return self.refresh_rate;
        };
        let doubled = 2u32.saturating_pow(failures.saturating_sub(1));
        let limit = base.saturating_mul(doubled).min(max);
        limit.mul_f64(fastrand::f64()).max(Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::{BuildContext, Cluster, ClusterDefaults, Host};
    use envoy_api::{
        pb::envoy::config::{
            bootstrap::v3 as bootstrap,
            cluster::v3::{self as proto, cluster},
            core::v3 as core,
            endpoint::v3 as endpoint,
        },
        prost_types,
    };
    use outrigger_core::Context;
    use parking_lot::Mutex;
    use std::{net::SocketAddr, sync::Arc, time::Duration};
    use tokio::{net::UdpSocket, task::yield_now, time::timeout};

    /// What the server of the test says next.
    #[derive(Clone, Debug)]
    enum Says {
        Addresses(Vec<[u8; 4]>),
        Code(u8),
    }

    /// A DNS server that says the same to everybody.
    async fn server(says: Arc<Mutex<Says>>) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buf = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buf).await {
                let says = says.lock().clone();
                socket
                    .send_to(&reply(&buf[..length], &says), from)
                    .await
                    .unwrap();
            }
        });
        address
    }

    fn reply(query: &[u8], says: &Says) -> Vec<u8> {
        let name = query[12..].iter().position(|byte| *byte == 0).unwrap();
        let question = &query[12..12 + name + 5];
        let (code, records) = match says {
            Says::Addresses(addresses) => (0, addresses.as_slice()),
            Says::Code(code) => (*code, [].as_slice()),
        };
        let mut reply = query[..2].to_vec();
        reply.extend([0x81, 0x80 | code, 0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
        reply.extend(question);
        for address in records {
            // A pointer to the name, A, IN, a TTL of 60 s, four bytes.
            reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            reply.extend(address);
        }
        reply
    }

    fn socket_address(host: &str, port: u16) -> core::Address {
        core::Address {
            address: Some(core::address::Address::SocketAddress(core::SocketAddress {
                address: host.into(),
                port_specifier: Some(core::socket_address::PortSpecifier::PortValue(port.into())),
                ..Default::default()
            })),
        }
    }

    #[allow(deprecated)]
    fn dns_cluster(kind: cluster::DiscoveryType, server: SocketAddr) -> proto::Cluster {
        proto::Cluster {
            name: "up".into(),
            cluster_discovery_type: Some(cluster::ClusterDiscoveryType::Type(kind as i32)),
            dns_lookup_family: cluster::DnsLookupFamily::V4Only as i32,
            dns_refresh_rate: Some(prost_types::Duration {
                seconds: 0,
                nanos: 2_000_000,
            }),
            dns_resolution_config: Some(core::DnsResolutionConfig {
                resolvers: vec![socket_address("127.0.0.1", server.port())],
                dns_resolver_options: Some(core::DnsResolverOptions {
                    no_default_search_domain: true,
                    ..Default::default()
                }),
            }),
            load_assignment: Some(endpoint::ClusterLoadAssignment {
                endpoints: vec![endpoint::LocalityLbEndpoints {
                    lb_endpoints: vec![endpoint::LbEndpoint {
                        host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(
                            endpoint::Endpoint {
                                address: Some(socket_address("up.test", 80)),
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

    struct Scene {
        cluster: Arc<Cluster>,
        says: Arc<Mutex<Says>>,
        _build: BuildContext,
    }

    /// A cluster that has its first answer.
    async fn scene(kind: cluster::DiscoveryType, first: Says) -> Scene {
        let says = Arc::new(Mutex::new(first));
        let server = server(says.clone()).await;
        let proto = dns_cluster(kind, server);
        scene_of(proto, ClusterDefaults::default(), says).await
    }

    async fn scene_of(
        proto: proto::Cluster,
        defaults: ClusterDefaults,
        says: Arc<Mutex<Says>>,
    ) -> Scene {
        let build = BuildContext::with_defaults(Arc::new(Context::default()), defaults);
        let clusters = &build.clusters;
        clusters.add_static(&proto).unwrap();
        clusters.warm().await;
        Scene {
            cluster: clusters.get("up").unwrap(),
            says,
            _build: build,
        }
    }

    impl Scene {
        fn addresses(&self) -> Vec<String> {
            let set = self.cluster.hosts();
            let hosts = set.hosts().iter();
            hosts.map(|h| h.info().address.to_string()).collect()
        }

        async fn until(&self, holds: impl Fn(&Self) -> bool) {
            let wait = async {
                while !holds(self) {
                    yield_now().await;
                }
            };
            timeout(Duration::from_secs(10), wait).await.unwrap();
        }

        /// Until the next two refreshes are over.
        async fn refreshed(&self) {
            let done = |cluster: &Cluster| {
                cluster.stats.update_success.get() + cluster.stats.update_failure.get()
            };
            let before = done(&self.cluster);
            self.until(|s| done(&s.cluster) >= before + 2).await;
        }
    }

    #[tokio::test]
    async fn strict_follows_the_answers_and_keeps_what_a_failure_hides() {
        let one = Says::Addresses(vec![[127, 0, 0, 1]]);
        let scene = scene(cluster::DiscoveryType::StrictDns, one).await;
        assert_eq!(scene.addresses(), ["127.0.0.1:80"]);
        let host = scene.cluster.hosts().hosts().first().cloned().unwrap();
        assert_eq!(&*host.info().hostname, "up.test");

        *scene.says.lock() = Says::Addresses(vec![[127, 0, 0, 2], [127, 0, 0, 1]]);
        scene.until(|s| s.addresses().len() == 2).await;
        let kept = scene.cluster.hosts().hosts().last().cloned().unwrap();
        assert!(Arc::ptr_eq(&host, &kept));

        let changes = scene.cluster.stats.membership_change.get();
        *scene.says.lock() = Says::Addresses(vec![[127, 0, 0, 1], [127, 0, 0, 2]]);
        scene.refreshed().await;
        assert_eq!(scene.cluster.stats.membership_change.get(), changes);

        *scene.says.lock() = Says::Code(2);
        scene.refreshed().await;
        assert_eq!(scene.addresses().len(), 2);

        *scene.says.lock() = Says::Code(3);
        scene.until(|s| s.addresses().is_empty()).await;
        assert!(scene.cluster.stats.update_failure.get() > 0);
    }

    #[tokio::test]
    async fn logical_is_one_host_that_moves() {
        let two = Says::Addresses(vec![[127, 0, 0, 1], [127, 0, 0, 2]]);
        let scene = scene(cluster::DiscoveryType::LogicalDns, two).await;
        assert_eq!(scene.addresses(), ["127.0.0.1:80"]);
        let host = scene.cluster.hosts().hosts().first().cloned().unwrap();

        // All addresses are the host's, and another second one is news, too.
        let all = |host: &Host| {
            let addresses = host.addresses();
            let addresses = addresses.iter().flat_map(|all| all.iter());
            addresses.map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(all(&host), ["127.0.0.1:80", "127.0.0.2:80"]);
        *scene.says.lock() = Says::Addresses(vec![[127, 0, 0, 1], [127, 0, 0, 4]]);
        scene
            .until(|_| all(&host) == ["127.0.0.1:80", "127.0.0.4:80"])
            .await;

        *scene.says.lock() = Says::Addresses(vec![[127, 0, 0, 3]]);
        scene.until(|s| s.addresses() == ["127.0.0.3:80"]).await;
        assert!(all(&host).is_empty());
        let same = scene.cluster.hosts().hosts().first().cloned().unwrap();
        assert!(Arc::ptr_eq(&host, &same));

        // For a logical host even "no such name" is a failure.
        *scene.says.lock() = Says::Code(3);
        scene.refreshed().await;
        assert_eq!(scene.addresses(), ["127.0.0.3:80"]);
    }

    #[tokio::test]
    #[allow(deprecated)]
    async fn a_cluster_without_a_resolver_has_that_of_the_bootstrap() {
        let says = Arc::new(Mutex::new(Says::Addresses(vec![[127, 0, 0, 9]])));
        let server = server(says.clone()).await;
        let mut proto = dns_cluster(cluster::DiscoveryType::StrictDns, server);
        let bootstrap = bootstrap::Bootstrap {
            dns_resolution_config: proto.dns_resolution_config.take(),
            ..Default::default()
        };
        let defaults = ClusterDefaults::compile(&bootstrap).unwrap();
        let scene = scene_of(proto, defaults, says).await;
        assert_eq!(scene.addresses(), ["127.0.0.9:80"]);
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_resolved_does_not_hold_up_the_start() {
        let scene = scene(cluster::DiscoveryType::StrictDns, Says::Code(2)).await;
        assert!(scene.addresses().is_empty());
        assert!(scene.cluster.stats.update_failure.get() > 0);
    }
}
