//! Compiles `envoy.config.cluster.v3.Cluster`.

mod breakers;
mod common;
mod defaults;
mod dns;
mod endpoints;
mod http;
mod http2;
mod lb;

use crate::{circuit_breaker::Thresholds, lb::LbConfig};
use common::{Binding, bind_config, duration, positive};
pub use defaults::ClusterDefaults;
pub use dns::DnsConfig;
pub(crate) use endpoints::{Target, Template};
use envoy_api::{
    pb::envoy::{config::cluster::v3 as cluster, extensions::clusters::dns::v3::DnsCluster},
    unpack,
};
pub use http::{HeaderKeyFormat, Http1Options, PreserveCase, Protocol};
pub use http2::{FrameLimits, Http2Options, Keepalive as Http2Keepalive};
use outrigger_core::{
    ConfigError, error::ConfigResult, metadata::Metadata, stream_info::ClusterInfo,
};
use outrigger_transport::{
    ConnectOptions, HappyEyeballs, Keepalive,
    proxy_protocol::{self, UpstreamProxyProtocol},
};
use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// How a cluster finds its hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscoveryType {
    Static,
    /// `STRICT_DNS`, or `LOGICAL_DNS` if so.
    Dns {
        logical: bool,
        config: DnsConfig,
    },
}

/// What a cluster's connections, pools and balancer go by.
#[derive(Debug)]
pub struct ClusterConfig {
    /// TCP and, with TLS, its handshake; 5 s unless set.
    pub connect_timeout: Duration,
    /// Bytes; 1 MiB unless set.
    pub per_connection_buffer_limit: u32,
    pub max_requests_per_connection: Option<NonZeroU32>,
    /// How long a connection without a request is kept; 1 h unless set, `None` for ever.
    pub idle_timeout: Option<Duration>,
    /// Without the jitter, which Envoy does not honour here either.
    pub(crate) max_connection_duration: Option<Duration>,
    /// Limit of one request with its response.
    pub max_stream_duration: Option<Duration>,
    /// Response headers, KiB; 80 unless set.
    pub max_response_headers_kb: u32,
    /// Response headers, number; 100 unless set.
    pub max_headers_count: u32,
    pub protocol: Protocol,
    pub http1: Http1Options,
    pub http2: Http2Options,
    /// `wait_for_warm_on_init`: the start waits for its first hosts.
    pub wait_for_warm: bool,
    pub connect: ConnectOptions,
    /// The header that connections begin with.
    pub(crate) proxy_protocol: Option<UpstreamProxyProtocol>,
    pub discovery: DiscoveryType,
    pub lb: LbConfig,
    pub thresholds_default: Thresholds,
    pub thresholds_high: Thresholds,
    connection_ids: Arc<AtomicU64>,
}

/// A compiled cluster without its running parts.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) info: ClusterInfo,
    pub(crate) config: ClusterConfig,
    pub(crate) template: Template,
}

impl ClusterConfig {
    pub(crate) fn next_connection_id(&self) -> u64 {
        self.connection_ids.fetch_add(1, Relaxed)
    }
}

pub(crate) fn compile(
    proto: &cluster::Cluster,
    defaults: &ClusterDefaults,
    connection_ids: Arc<AtomicU64>,
) -> Result<Compiled, ConfigError> {
    if proto.name.is_empty() {
        return Err(ConfigError::new("value length must be at least 1 characters").at("name"));
    }
    let named = |error: ConfigError| error.at(&format!("cluster[{}]", proto.name));
    compile_named(proto, defaults, connection_ids).map_err(named)
}

// Envoy still honours the fields that moved into `HttpProtocolOptions`.
#[allow(deprecated)]
fn compile_named(
    proto: &cluster::Cluster,
    defaults: &ClusterDefaults,
    connection_ids: Arc<AtomicU64>,
) -> Result<Compiled, ConfigError> {
    let discovery = discovery(proto, defaults)?;
    let options = proto.upstream_connection_options.as_ref();
    let happy_eyeballs =
        HappyEyeballs::compile(options.and_then(|o| o.happy_eyeballs_config.as_ref()));
    let assignment = proto.load_assignment.as_ref();
    let template =
        Template::compile(assignment, &discovery, happy_eyeballs).at("load_assignment")?;
    let proxy_protocol =
        proxy_protocol::compile(proto.transport_socket.as_ref()).at("transport_socket")?;
    if proxy_protocol.is_some() {
        endpoints::refuse_tlvs_of_hosts(assignment).at("load_assignment")?;
    }
    let connect_timeout = positive(&proto.connect_timeout)
        .at("connect_timeout")?
        .unwrap_or(Duration::from_secs(5));
    let http = http::compile(proto)?;
    let keepalive = Keepalive::compile(options.and_then(|o| o.tcp_keepalive.as_ref()))
        .at("tcp_keepalive")
        .at("upstream_connection_options")?;
    let Binding {
        sources,
        freebind,
        socket_options,
    } = match &proto.upstream_bind_config {
        Some(bind) => bind_config(bind, &format!("Cluster {}", proto.name), &defaults.binding)
            .at("upstream_bind_config")?,
        None => defaults.binding.clone(),
    };
    let connect = ConnectOptions {
        sources,
        freebind,
        keepalive,
        socket_options,
    };
    let (thresholds_default, thresholds_high) =
        breakers::compile(proto.circuit_breakers.as_ref()).at("circuit_breakers")?;
    let common = http.common;
    let config = ClusterConfig {
        connect_timeout,
        per_connection_buffer_limit: proto.per_connection_buffer_limit_bytes.unwrap_or(1 << 20),
        max_requests_per_connection: common
            .max_requests_per_connection
            .or(proto.max_requests_per_connection)
            .and_then(NonZeroU32::new),
        idle_timeout: match duration(&common.idle_timeout).at("idle_timeout")? {
            None => Some(Duration::from_secs(3600)),
            Some(Duration::ZERO) => None,
            set => set,
        },
        max_connection_duration: duration(&common.max_connection_duration)
            .at("max_connection_duration")?
            .filter(|d| !d.is_zero()),
        max_stream_duration: duration(&common.max_stream_duration)
            .at("max_stream_duration")?
            .filter(|d| !d.is_zero()),
        max_response_headers_kb: common.max_response_headers_kb.unwrap_or(80),
        max_headers_count: common.max_headers_count.unwrap_or(100),
        protocol: http.protocol,
        http1: http.http1,
        http2: http.http2,
        wait_for_warm: proto.wait_for_warm_on_init.unwrap_or(true),
        connect,
        proxy_protocol,
        discovery,
        lb: lb::compile(proto)?,
        thresholds_default,
        thresholds_high,
        connection_ids,
    };
    let name: Arc<str> = proto.name.as_str().into();
    let info = ClusterInfo {
        observability_name: match proto.alt_stat_name.as_str() {
            "" => name.clone(),
            other => other.into(),
        },
        name,
        metadata: Metadata::compile(proto.metadata.as_ref()),
    };
    Ok(Compiled {
        info,
        config,
        template,
    })
}

// Deprecated fields and types are what everybody writes.
#[allow(deprecated)]
fn discovery(
    proto: &cluster::Cluster,
    defaults: &ClusterDefaults,
) -> Result<DiscoveryType, ConfigError> {
    use cluster::cluster::{ClusterDiscoveryType, DiscoveryType as Type};
    let number = match &proto.cluster_discovery_type {
        None => Type::Static as i32,
        Some(ClusterDiscoveryType::Type(number)) => *number,
        Some(ClusterDiscoveryType::ClusterType(custom)) => {
            let Some(Ok(extension)) = custom.typed_config.as_ref().map(unpack::<DnsCluster>) else {
                return Err(ConfigError::new(format!(
                    "Didn't find a registered cluster factory implementation for name: '{}'",
                    custom.name
                ))
                .at("cluster_type"));
            };
            let config = dns::from_extension(&extension, defaults)
                .at("typed_config")
                .at("cluster_type")?;
            return Ok(DiscoveryType::Dns {
                logical: extension.all_addresses_in_single_endpoint,
                config,
            });
        }
    };
    match Type::try_from(number) {
        Ok(Type::Static) => Ok(DiscoveryType::Static),
        Ok(kind @ (Type::StrictDns | Type::LogicalDns)) => Ok(DiscoveryType::Dns {
            logical: kind == Type::LogicalDns,
            config: dns::from_cluster(proto, defaults)?,
        }),
        Ok(other) => Err(ConfigError::new(format!(
            "discovery type {} is not supported in this version",
            other.as_str_name()
        ))
        .at("type")),
        Err(_) => Err(ConfigError::new(format!("unknown discovery type {number}")).at("type")),
    }
}
