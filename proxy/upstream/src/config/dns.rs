//! Compiles what a DNS cluster goes by, from the fields of `Cluster` or from a `DnsCluster`.

use super::{ClusterDefaults, common::duration};
use crate::discovery::resolver::{Family, ResolverConfig};
use envoy_api::{
    pb::envoy::{
        config::{
            bootstrap::v3::Bootstrap,
            cluster::v3::{Cluster, cluster::RefreshRate},
            core::v3 as core,
        },
        extensions::{
            clusters::dns::v3::DnsCluster,
            network::dns_resolver::{
                cares::v3::CaresDnsResolverConfig, getaddrinfo::v3::GetAddrInfoDnsResolverConfig,
                hickory::v3::HickoryDnsResolverConfig,
            },
        },
    },
    prost_types, type_name, unpack,
};
use outrigger_core::{ConfigError, error::ConfigResult};
use outrigger_transport::address;
use std::{net::SocketAddr, time::Duration};

/// When and how names are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsConfig {
    pub(crate) family: Family,
    /// 5 s unless set.
    pub(crate) refresh_rate: Duration,
    /// After failures: grows from the first to the second, at random below it. Without it the refresh rate.
    pub(crate) failure_refresh: Option<(Duration, Duration)>,
    /// The answer's TTL in place of the refresh rate.
    pub(crate) respect_ttl: bool,
    /// The least that a TTL can mean.
    pub(crate) min_refresh_rate: Duration,
    /// Up to this is added to each refresh, at random.
    pub(crate) jitter: Duration,
    pub(crate) resolver: ResolverConfig,
}

/// The fields of a cluster of type `STRICT_DNS` or `LOGICAL_DNS`.
// Deprecated in favour of `cluster_type`, and what everybody writes.
#[allow(deprecated)]
pub(super) fn from_cluster(
    proto: &Cluster,
    defaults: &ClusterDefaults,
) -> Result<DnsConfig, ConfigError> {
    let resolver = if let Some(typed) = &proto.typed_dns_resolver_config {
        typed_resolver(typed).at("typed_dns_resolver_config")?
    } else if let Some(config) = &proto.dns_resolution_config {
        let servers = servers(&config.resolvers).at("dns_resolution_config")?;
        with_options(servers, config.dns_resolver_options.as_ref())
    } else if !proto.dns_resolvers.is_empty() || proto.use_tcp_for_dns_lookups {
        ResolverConfig {
            servers: servers(&proto.dns_resolvers)?,
            use_tcp: proto.use_tcp_for_dns_lookups,
            ..ResolverConfig::default()
        }
    } else {
        defaults.resolver.clone()
    };
    let failure = proto.dns_failure_refresh_rate.as_ref();
    Ok(DnsConfig {
        // `Cluster.DnsLookupFamily` counts from `AUTO`.
        family: family(proto.dns_lookup_family + 1).at("dns_lookup_family")?,
        refresh_rate: refresh(&proto.dns_refresh_rate).at("dns_refresh_rate")?,
        failure_refresh: failure_refresh(failure).at("dns_failure_refresh_rate")?,
        respect_ttl: proto.respect_dns_ttl,
        min_refresh_rate: Duration::ZERO,
        jitter: duration(&proto.dns_jitter)
            .at("dns_jitter")?
            .unwrap_or_default(),
        resolver,
    })
}

/// The extension `envoy.clusters.dns`.
pub(super) fn from_extension(
    proto: &DnsCluster,
    defaults: &ClusterDefaults,
) -> Result<DnsConfig, ConfigError> {
    let failure = proto
        .dns_failure_refresh_rate
        .as_ref()
        .map(|f| RefreshRate {
            base_interval: f.base_interval,
            max_interval: f.max_interval,
        });
    Ok(DnsConfig {
        family: family(proto.dns_lookup_family).at("dns_lookup_family")?,
        refresh_rate: refresh(&proto.dns_refresh_rate).at("dns_refresh_rate")?,
        failure_refresh: failure_refresh(failure.as_ref()).at("dns_failure_refresh_rate")?,
        respect_ttl: proto.respect_dns_ttl,
        min_refresh_rate: duration(&proto.dns_min_refresh_rate)
            .at("dns_min_refresh_rate")?
            .unwrap_or_default(),
        jitter: duration(&proto.dns_jitter)
            .at("dns_jitter")?
            .unwrap_or_default(),
        resolver: match &proto.typed_dns_resolver_config {
            Some(typed) => typed_resolver(typed).at("typed_dns_resolver_config")?,
            None => defaults.resolver.clone(),
        },
    })
}

/// The resolver of clusters that have none of their own.
// Envoy still honours the older fields.
#[allow(deprecated)]
pub(super) fn resolver_of_bootstrap(proto: &Bootstrap) -> Result<ResolverConfig, ConfigError> {
    if let Some(typed) = &proto.typed_dns_resolver_config {
        return typed_resolver(typed).at("typed_dns_resolver_config");
    }
    match &proto.dns_resolution_config {
        Some(config) => {
            let servers = servers(&config.resolvers).at("dns_resolution_config")?;
            Ok(with_options(servers, config.dns_resolver_options.as_ref()))
        }
        None => Ok(ResolverConfig {
            use_tcp: proto.use_tcp_for_dns_lookups,
            ..ResolverConfig::default()
        }),
    }
}

fn refresh(proto: &Option<prost_types::Duration>) -> Result<Duration, ConfigError> {
    match duration(proto)? {
        None => Ok(Duration::from_secs(5)),
        Some(rate) if rate > Duration::from_millis(1) => Ok(rate),
        Some(_) => Err(ConfigError::new("value must be greater than 1ms")),
    }
}

fn failure_refresh(
    proto: Option<&RefreshRate>,
) -> Result<Option<(Duration, Duration)>, ConfigError> {
    let Some(proto) = proto else { return Ok(None) };
    let base = duration(&proto.base_interval)
        .at("base_interval")?
        .ok_or_else(|| ConfigError::new("is required").at("base_interval"))?;
    let max = duration(&proto.max_interval)
        .at("max_interval")?
        .unwrap_or(base * 10);
    if base > max {
        return Err(ConfigError::new(
            "dns_failure_refresh_rate must have max_interval greater than or equal to the base_interval",
        ));
    }
    Ok(Some((base, max)))
}

/// As `DnsCluster` counts: 0 is unspecified and means `AUTO`.
fn family(number: i32) -> Result<Family, ConfigError> {
    match number {
        0 | 1 => Ok(Family::Auto),
        2 => Ok(Family::V4Only),
        3 => Ok(Family::V6Only),
        4 => Ok(Family::V4Preferred),
        5 => Ok(Family::All),
        _ => Err(ConfigError::new("unknown lookup family")),
    }
}

fn servers(protos: &[core::Address]) -> Result<Vec<SocketAddr>, ConfigError> {
    protos
        .iter()
        .enumerate()
        .map(|(index, proto)| {
            address::compile(proto)
                .and_then(|address| {
                    address
                        .ip()
                        .ok_or_else(|| ConfigError::new("a DNS server has an IP address"))
                })
                .at_index("resolvers", index)
        })
        .collect()
}

fn with_options(
    servers: Vec<SocketAddr>,
    options: Option<&core::DnsResolverOptions>,
) -> ResolverConfig {
    let options = options.copied().unwrap_or_default();
    ResolverConfig {
        servers,
        use_tcp: options.use_tcp_for_dns_lookups,
        no_default_search_domain: options.no_default_search_domain,
        ..ResolverConfig::default()
    }
}

fn typed_resolver(proto: &core::TypedExtensionConfig) -> Result<ResolverConfig, ConfigError> {
    let any = proto
        .typed_config
        .as_ref()
        .ok_or_else(|| ConfigError::new("is required").at("typed_config"))?;
    let seconds = |s: Option<u64>| s.map(Duration::from_secs);
    if let Ok(cares) = unpack::<CaresDnsResolverConfig>(any) {
        let servers = servers(&cares.resolvers).at("typed_config")?;
        let defaults = with_options(servers, cares.dns_resolver_options.as_ref());
        return Ok(ResolverConfig {
            timeout: seconds(cares.query_timeout_seconds).unwrap_or(defaults.timeout),
            tries: cares.query_tries.unwrap_or(defaults.tries),
            rotate: cares.rotate_nameservers,
            only_fallback: cares.use_resolvers_as_fallback,
            ..defaults
        });
    }
    if unpack::<GetAddrInfoDnsResolverConfig>(any).is_ok() {
        return Ok(ResolverConfig::default());
    }
    if let Ok(hickory) = unpack::<HickoryDnsResolverConfig>(any) {
        let defaults = ResolverConfig::default();
        return Ok(ResolverConfig {
            servers: servers(&hickory.resolvers).at("typed_config")?,
            timeout: duration(&hickory.query_timeout)
                .at("query_timeout")
                .at("typed_config")?
                .unwrap_or(defaults.timeout),
            tries: hickory.query_tries.unwrap_or(defaults.tries),
            ..defaults
        });
    }
    Err(ConfigError::new(format!(
        "Didn't find a registered implementation for '{}' with type URL: '{}'",
        proto.name,
        type_name(&any.type_url)
    ))
    .at("typed_config"))
}
