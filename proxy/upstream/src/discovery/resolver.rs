//! Name resolution as Envoy's c-ares resolver does it: the hosts file first, then DNS, by lookup family. The library below
//! sends a question over UDP again after 333 ms without an answer, up to three times within a try; c-ares waits.

use crate::stats::DnsStats;
use hickory_resolver::{
    Hosts, TokioResolver,
    config::{
        ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig as HickoryConfig,
        ResolverOpts, ServerOrderingStrategy,
    },
    net::{DnsError, NetError, NoRecords, runtime::TokioRuntimeProvider},
    proto::{
        op::{Query, ResponseCode},
        rr::{Name, RData, RecordType},
    },
    system_conf,
};
use outrigger_core::{ConfigError, stats::Gauge};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    str::FromStr,
    sync::Arc,
    time::Duration,
};

/// `DnsLookupFamily`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// IPv6, and IPv4 if there is none.
    #[default]
    Auto,
    V4Only,
    V6Only,
    /// IPv4, and IPv6 if there is none.
    V4Preferred,
    /// Both.
    All,
}

/// Whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolverConfig {
    /// Empty: those of `/etc/resolv.conf`.
    pub servers: Vec<SocketAddr>,
    /// Those of `/etc/resolv.conf` are asked if there are any.
    pub only_fallback: bool,
    pub use_tcp: bool,
    /// Names are asked as they are.
    pub no_default_search_domain: bool,
    pub timeout: Duration,
    pub tries: u32,
    /// A different server first each time.
    pub rotate: bool,
}

impl Default for ResolverConfig {
    /// Envoy's: 5 s, four tries.
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            only_fallback: false,
            use_tcp: false,
            no_default_search_domain: false,
            timeout: Duration::from_secs(5),
            tries: 4,
            rotate: false,
        }
    }
}

/// What a name resolved to. No addresses means that the name has none, which is an answer too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub addresses: Vec<IpAddr>,
    /// The least of the records; `None` if they never expire.
    pub ttl: Option<Duration>,
}

/// Nobody could tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

/// One way to resolve names.
#[derive(Debug)]
pub struct Resolver {
    hosts: Hosts,
    dns: TokioResolver,
    stats: Arc<DnsStats>,
}

impl Resolver {
    pub fn new(config: &ResolverConfig, stats: Arc<DnsStats>) -> Result<Self, ConfigError> {
        // Without a resolv.conf the standard asks for a server on this machine.
        let system = system_conf::read_system_conf();
        let known = system
            .as_ref()
            .is_ok_and(|(config, _)| !config.name_servers().is_empty());
        let (system, mut options) = system.unwrap_or_else(|_| {
            let local = NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into());
            (
                HickoryConfig::from_name_servers(vec![local]),
                ResolverOpts::default(),
            )
        });
        let (domain, search, mut servers) = system.into_parts();
        if !(config.servers.is_empty() || known && config.only_fallback) {
            servers = config.servers.iter().map(server).collect();
        }
        if config.use_tcp {
            for server in &mut servers {
                server
                    .connections
                    .retain(|c| c.protocol.to_protocol().is_stream());
            }
        }
        let config_of_servers = if config.no_default_search_domain {
            HickoryConfig::from_parts(None, Vec::new(), servers)
        } else {
            HickoryConfig::from_parts(domain, search, servers)
        };
        options.timeout = config.timeout;
        options.attempts = (config.tries.max(1) - 1) as usize;
        // Refresh is the cluster's business.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.server_ordering_strategy = if config.rotate {
            ServerOrderingStrategy::RoundRobin
        } else {
            ServerOrderingStrategy::UserProvidedOrder
        };
        let dns =
            TokioResolver::builder_with_config(config_of_servers, TokioRuntimeProvider::default())
                .with_options(options)
                .build()
                .map_err(|error| ConfigError::new(format!("DNS resolver: {error}")))?;
        Ok(Self {
            // No file, no names.
            hosts: Hosts::from_system().unwrap_or_default(),
            dns,
            stats,
        })
    }

    /// Where all resolvers of the process count.
    pub fn stats(&self) -> &Arc<DnsStats> {
        &self.stats
    }

    pub async fn resolve(&self, name: &str, family: Family) -> Result<Answer, Failed> {
        if let Ok(ip) = name.parse::<IpAddr>() {
            self.stats.resolve_total.inc();
            return literal(ip, family);
        }
        let name = Name::from_str(name).map_err(|_| Failed)?;
        if let Some((v4, v6)) = self.local(&name) {
            self.stats.resolve_total.inc();
            let addresses = match family {
                Family::V4Only => v4,
                Family::V6Only => v6,
                Family::Auto if v6.is_empty() => v4,
                Family::Auto => v6,
                Family::V4Preferred if v4.is_empty() => v6,
                Family::V4Preferred => v4,
                Family::All => [v4, v6].concat(),
            };
            return Ok(Answer {
                addresses,
                ttl: None,
            });
        }
        let (v4, v6) = (RecordType::A, RecordType::AAAA);
        match family {
            Family::V4Only => self.stats.count(self.ask(&name, v4)).await,
            Family::V6Only => self.stats.count(self.ask(&name, v6)).await,
            Family::Auto => self.first_of(&name, v6, v4).await,
            Family::V4Preferred => self.first_of(&name, v4, v6).await,
            Family::All => self.stats.count(self.both(&name)).await,
        }
    }

    /// The addresses of both families; the one that answers first is first.
    async fn both(&self, name: &Name) -> Result<Answer, Trouble> {
        let mut v4 = pin!(self.ask(name, RecordType::A));
        let mut v6 = pin!(self.ask(name, RecordType::AAAA));
        let answers = tokio::select! {
            biased;
            v4 = &mut v4 => (v4, v6.await),
            v6 = &mut v6 => (v6, v4.await),
        };
        match answers {
            (Ok(first), Ok(second)) => Ok(Answer {
                addresses: [first.addresses, second.addresses].concat(),
                ttl: [first.ttl, second.ttl].into_iter().flatten().min(),
            }),
            // Half an answer is an answer, unless it says that there is nothing.
            (Ok(one), Err(_)) | (Err(_), Ok(one)) if !one.addresses.is_empty() => Ok(one),
            (Err(trouble), _) | (_, Err(trouble)) => Err(trouble),
        }
    }

    async fn first_of(
        &self,
        name: &Name,
        first: RecordType,
        second: RecordType,
    ) -> Result<Answer, Failed> {
        match self.stats.count(self.ask(name, first)).await {
            Ok(answer) if !answer.addresses.is_empty() => Ok(answer),
            _ => self.stats.count(self.ask(name, second)).await,
        }
    }

    /// Addresses from the hosts file, and of `localhost`, which never goes to a server.
    fn local(&self, name: &Name) -> Option<(Vec<IpAddr>, Vec<IpAddr>)> {
        let find = |kind| {
            let query = Query::query(name.clone(), kind);
            let lookup = self.hosts.lookup_static_host(&query)?;
            let records = lookup.answers().iter();
            Some(records.filter_map(|r| ip(&r.data)).collect::<Vec<_>>())
        };
        let mut v4 = find(RecordType::A).unwrap_or_default();
        let mut v6 = find(RecordType::AAAA).unwrap_or_default();
        if name.is_localhost() {
            if v4.is_empty() {
                v4.push(Ipv4Addr::LOCALHOST.into());
            }
            if v6.is_empty() {
                v6.push(Ipv6Addr::LOCALHOST.into());
            }
        }
        (!v4.is_empty() || !v6.is_empty()).then_some((v4, v6))
    }

    async fn ask(&self, name: &Name, kind: RecordType) -> Result<Answer, Trouble> {
        match self.dns.lookup(name.clone(), kind).await {
            Ok(lookup) => {
                let mut addresses: Vec<IpAddr> = Vec::new();
                let found = lookup.answers().iter().filter_map(|r| ip(&r.data));
                for address in found {
                    if !addresses.contains(&address) {
                        addresses.push(address);
                    }
                }
                let ttl = lookup.answers().iter().map(|r| r.ttl).min();
                Ok(Answer {
                    addresses,
                    ttl: ttl.map(|ttl| Duration::from_secs(ttl.into())),
                })
            }
            // The server knows the name and has nothing of that kind, or knows that there is no such name.
            Err(NetError::Dns(DnsError::NoRecordsFound(NoRecords {
                response_code: ResponseCode::NXDomain | ResponseCode::NoError,
                ..
            }))) => Ok(Answer::default()),
            Err(NetError::Timeout) => Err(Trouble::Timeout),
            Err(_) => Err(Trouble::Other),
        }
    }
}

/// Why there is no answer, which the stats tell apart.
enum Trouble {
    Timeout,
    Other,
}

impl DnsStats {
    /// Counts one question and what came of it.
    async fn count(
        &self,
        asking: impl Future<Output = Result<Answer, Trouble>>,
    ) -> Result<Answer, Failed> {
        self.resolve_total.inc();
        let pending = Pending::new(&self.pending_resolutions);
        let answer = asking.await;
        drop(pending);
        match answer {
            Ok(answer) => {
                if answer.addresses.is_empty() {
                    self.not_found.inc();
                }
                Ok(answer)
            }
            Err(Trouble::Timeout) => {
                self.timeouts.inc();
                Err(Failed)
            }
            Err(Trouble::Other) => {
                self.get_addr_failure.inc();
                Err(Failed)
            }
        }
    }
}

/// A question without an answer, in the gauge until it has one or nobody asks any more.
struct Pending<'a>(&'a Gauge);

impl<'a> Pending<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// An address in place of a name resolves to itself, if the family allows.
fn literal(ip: IpAddr, family: Family) -> Result<Answer, Failed> {
    match (ip, family) {
        (IpAddr::V4(_), Family::V6Only) | (IpAddr::V6(_), Family::V4Only) => Err(Failed),
        _ => Ok(Answer {
            addresses: vec![ip],
            ttl: None,
        }),
    }
}

fn ip(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(a) => Some(a.0.into()),
        RData::AAAA(aaaa) => Some(aaaa.0.into()),
        _ => None,
    }
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    NameServerConfig::new(
        address.ip(),
        true,
        vec![port(ConnectionConfig::udp()), port(ConnectionConfig::tcp())],
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A resolver whose server does not exist: what resolves resolves without one.
    fn offline() -> Resolver {
        let config = ResolverConfig {
            servers: vec!["127.0.0.1:1".parse().unwrap()],
            no_default_search_domain: true,
            timeout: Duration::from_millis(100),
            tries: 1,
            ..Default::default()
        };
        Resolver::new(&config, Arc::default()).unwrap()
    }

    async fn resolve(name: &str, family: Family) -> Result<Vec<String>, Failed> {
        let answer = offline().resolve(name, family).await?;
        Ok(answer.addresses.iter().map(IpAddr::to_string).collect())
    }

    #[tokio::test]
    async fn localhost_needs_no_server_and_is_ipv6_first() {
        let (v4, v6) = ("127.0.0.1".to_owned(), "::1".to_owned());
        let expect = [
            (Family::Auto, vec![v6.clone()]),
            (Family::V4Only, vec![v4.clone()]),
            (Family::V6Only, vec![v6.clone()]),
            (Family::V4Preferred, vec![v4.clone()]),
            (Family::All, vec![v4, v6]),
        ];
        for (family, addresses) in expect {
            assert_eq!(
                resolve("localhost", family).await,
                Ok(addresses),
                "{family:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_literal_is_its_own_answer() {
        assert_eq!(
            resolve("10.1.2.3", Family::Auto).await,
            Ok(vec!["10.1.2.3".into()])
        );
        assert_eq!(resolve("10.1.2.3", Family::V6Only).await, Err(Failed));
    }

    #[tokio::test]
    async fn without_a_server_names_fail() {
        assert_eq!(resolve("a.test", Family::V4Only).await, Err(Failed));
    }
}
