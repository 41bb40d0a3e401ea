//! Compiles `tcp_proxy.v3.TcpProxy`.

use crate::{
    log::Log,
    stats::TcpProxyStats,
    tcp_proxy::{Backoff, Route, TcpProxy, WeightedCluster},
};
use envoy_api::{
    pb::envoy::{
        config::core::v3::BackoffStrategy,
        extensions::filters::network::tcp_proxy::v3::{
            TcpProxy as Proto, UpstreamConnectMode,
            tcp_proxy::{ClusterSpecifier, TunnelingConfig, WeightedCluster as WeightedProto},
        },
    },
    prost_types,
};
use outrigger_core::{
    ConfigError,
    error::{ConfigResult, required},
    stats::Counter,
};
use outrigger_upstream::{BuildContext, tunnel::Tunneling};
use std::{sync::Arc, time::Duration};

const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

/// Compiles a `tunneling_config`: this crate knows nothing of HTTP.
pub type CompileTunneling = fn(&TunnelingConfig) -> Result<Arc<dyn Tunneling>, ConfigError>;

impl TcpProxy {
    /// `buffer_limit` is the listener's `per_connection_buffer_limit_bytes`.
    pub fn compile(
        proto: &Proto,
        build: &BuildContext,
        buffer_limit: u32,
        tunneling: CompileTunneling,
    ) -> Result<Arc<Self>, ConfigError> {
        if proto.stat_prefix.is_empty() {
            return Err(
                ConfigError::new("value length must be at least 1 characters").at("stat_prefix"),
            );
        }
        refuse_unsupported(proto)?;
        let route = match required(proto.cluster_specifier.as_ref(), "cluster_specifier")? {
            ClusterSpecifier::Cluster(name) => Route::Cluster(build.clusters.slot(name)),
            ClusterSpecifier::WeightedClusters(weighted) => {
                compile_weighted(weighted, build).at("weighted_clusters")?
            }
        };
        let max_connect_attempts = match proto.max_connect_attempts {
            Some(0) => {
                return Err(ConfigError::new("value must be greater than or equal to 1")
                    .at("max_connect_attempts"));
            }
            Some(attempts) => attempts,
            None => 1,
        };
        let backoff = proto.backoff_options.as_ref();
        let backoff = backoff
            .map(compile_backoff)
            .transpose()
            .at("backoff_options")?;
        let idle_timeout = match &proto.idle_timeout {
            Some(timeout) => Some(duration(timeout).at("idle_timeout")?).filter(|t| !t.is_zero()),
            None => Some(DEFAULT_IDLE_TIMEOUT),
        };
        let max_duration = match &proto.max_downstream_connection_duration {
            Some(max) => Some(at_least_1ms(max).at("max_downstream_connection_duration")?),
            None => None,
        };
        let jitter = match &proto.max_downstream_connection_duration_jitter_percentage {
            Some(percent) if (0.0..=100.0).contains(&percent.value) => percent.value,
            Some(_) => {
                return Err(ConfigError::new("value must be inside range [0, 100]")
                    .at("max_downstream_connection_duration_jitter_percentage.value"));
            }
            None => 0.0,
        };
        Ok(Arc::new(Self {
            stats: build.context.stats.register(
                &format!("tcp.{}.", proto.stat_prefix),
                TcpProxyStats::default(),
            ),
            route,
            tunneling: proto
                .tunneling_config
                .as_ref()
                .map(tunneling)
                .transpose()
                .at("tunneling_config")?,
            uncounted: Counter::default(),
            clusters: build.clusters.clone(),
            max_connect_attempts,
            backoff,
            idle_timeout,
            max_duration,
            jitter,
            buffer_limit,
            log: Log::compile(proto, &build.context.log_services())?,
        }))
    }
}

/// What would change where the bytes go must not be passed over, whoever calls.
fn refuse_unsupported(proto: &Proto) -> Result<(), ConfigError> {
    let refused = [
        (proto.on_demand.is_some(), "on_demand"),
        (!proto.hash_policy.is_empty(), "hash_policy"),
        (!proto.proxy_protocol_tlvs.is_empty(), "proxy_protocol_tlvs"),
        (
            proto.upstream_connect_mode != UpstreamConnectMode::Immediate as i32,
            "upstream_connect_mode",
        ),
    ];
    match refused.iter().find(|(set, _)| *set) {
        Some((_, field)) => Err(ConfigError::new("is not supported").at(field)),
        None => Ok(()),
    }
}

fn compile_weighted(proto: &WeightedProto, build: &BuildContext) -> Result<Route, ConfigError> {
    if proto.clusters.is_empty() {
        return Err(ConfigError::new("value must contain at least 1 item(s)").at("clusters"));
    }
    let mut clusters = Vec::with_capacity(proto.clusters.len());
    let mut total = 0u64;
    for (index, cluster) in proto.clusters.iter().enumerate() {
        let refuse =
            |reason, field| Err(ConfigError::new(reason).at(field)).at_index("clusters", index);
        if cluster.name.is_empty() {
            return refuse("value length must be at least 1 characters", "name");
        }
        if cluster.weight == 0 {
            return refuse("value must be greater than or equal to 1", "weight");
        }
        total += u64::from(cluster.weight);
        clusters.push(WeightedCluster {
            cluster: build.clusters.slot(&cluster.name),
            up_to: total,
        });
    }
    Ok(Route::Weighted { clusters, total })
}

fn compile_backoff(proto: &BackoffStrategy) -> Result<Backoff, ConfigError> {
    let base = required(proto.base_interval.as_ref(), "base_interval")?;
    let base = at_least_1ms(base).at("base_interval")?;
    let max = match &proto.max_interval {
        Some(max) => duration(max).at("max_interval")?,
        None => base * 10,
    };
    if max < base {
        return Err(ConfigError::new(
            "max_backoff_interval must be greater or equal to base_backoff_interval",
        ));
    }
    Ok(Backoff { base, max })
}

fn duration(proto: &prost_types::Duration) -> Result<Duration, ConfigError> {
    Duration::try_from(*proto)
        .map_err(|_| ConfigError::new("Invalid duration: Expected positive duration"))
}

pub(crate) fn at_least_1ms(proto: &prost_types::Duration) -> Result<Duration, ConfigError> {
    let duration = duration(proto)?;
    if duration < Duration::from_millis(1) {
        return Err(ConfigError::new(
            "value must be greater than or equal to 1ms",
        ));
    }
    Ok(duration)
}
