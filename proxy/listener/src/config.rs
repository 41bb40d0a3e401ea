//! Compiles `listener.v3.Listener`.

use crate::{
    balancer::Balancer,
    directory::Directory,
    filter_chain,
    limit::ConnectionLimit,
    listener::{FilterChain, ListenAddress, Listener},
    network_filter,
    stats::{ListenerStats, WorkerStats},
};
use envoy_api::{
    pb::envoy::config::{
        core::v3::{
            Address as AddressProto, SocketOption as SocketOptionProto, TcpKeepalive,
            TrafficDirection, address::Address as Specifier, socket_address::Protocol,
        },
        listener::v3::{FilterChain as FilterChainProto, Listener as Proto, listener::DrainType},
    },
    prost_types,
};
use outrigger_core::{
    Address, ConfigError, Context,
    access_log::AccessLogs,
    drain::{DrainDecision, DrainDirection, DrainManager},
    error::ConfigResult,
    metadata::Metadata,
    runtime::RuntimeUint64,
    stream_info::{FilterChainInfo, ListenerInfo},
};
use outrigger_http::ListenerContext;
use outrigger_transport::{
    Keepalive, SocketOption, address, inspect::ListenerFilter, listen::ListenOptions,
    transport_socket::require_raw,
};
use outrigger_upstream::BuildContext;
use std::{net::Ipv6Addr, num::NonZeroU32, sync::Arc, time::Duration};

const DEFAULT_BUFFER_LIMIT: u32 = 1024 * 1024;
const DEFAULT_FILTERS_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest path that `sockaddr_un` holds.
const MAX_PATH: usize = 108;

/// What listeners share.
pub(crate) struct Shared<'a> {
    pub build: &'a BuildContext,
    pub global_limit: &'a Arc<ConnectionLimit>,
    pub directory: &'a Arc<Directory>,
    pub drain: &'a Arc<DrainManager>,
}

pub(crate) fn compile(proto: &Proto, shared: &Shared<'_>) -> Result<Listener, ConfigError> {
    refuse_unsupported(proto)?;
    let addresses = addresses(proto)?;
    let name_of_address = match addresses.first() {
        Some(first) => first.address.to_string(),
        None => String::new(),
    };
    let name: Arc<str> = if proto.name.is_empty() {
        name_of_address.as_str().into()
    } else {
        proto.name.as_str().into()
    };
    if proto.filter_chains.is_empty() && proto.default_filter_chain.is_none() {
        return Err(ConfigError::new(format!(
            "error adding listener '{name_of_address}': no filter chains specified"
        ))
        .at("filter_chains"));
    }
    let stats = &shared.build.context.stats;
    let prefix = match proto.stat_prefix.as_str() {
        "" => format!("listener.{name_of_address}."),
        prefix => format!("listener.{prefix}."),
    };
    let context = &shared.build.context;
    let access_logs = AccessLogs::compile(&proto.access_log, &context.log_services());
    let access_logs = access_logs.at("access_log")?;
    let overload = match proto.bypass_overload_manager {
        true => Arc::new(context.overload.bypassed()),
        false => context.overload.clone(),
    };
    let lent = ListenerContext {
        stat_prefix: &prefix,
        buffer_limit: proto
            .per_connection_buffer_limit_bytes
            .unwrap_or(DEFAULT_BUFFER_LIMIT),
        drain: drain_decision(proto, shared.drain),
        overload: overload.clone(),
        access_logs: &access_logs,
    };
    let chains = compile_chains(proto, shared.build, &lent)?;
    let workers = shared.build.context.concurrency.max(1);
    Ok(Listener {
        chains: filter_chain::compile(&name_of_address, &proto.filter_chains, &chains)?,
        default_chain: match &proto.default_filter_chain {
            Some(chain) => {
                Some(compile_chain(chain, shared.build, &lent).at("default_filter_chain")?)
            }
            None => None,
        },
        addresses,
        bind_to_port: bind_to_port(proto),
        use_original_dst: proto.use_original_dst.unwrap_or(false),
        filters: listener_filters(proto, context)?,
        filters_timeout: match &proto.listener_filters_timeout {
            Some(timeout) => Some(duration(timeout).at("listener_filters_timeout")?),
            None => Some(DEFAULT_FILTERS_TIMEOUT),
        }
        .filter(|timeout| !timeout.is_zero()),
        continue_on_filters_timeout: proto.continue_on_listener_filters_timeout,
        // The kernel cuts it to net.core.somaxconn, which is Envoy's default.
        backlog: proto
            .tcp_backlog_size
            .and_then(|size| i32::try_from(size).ok())
            .unwrap_or(i32::MAX),
        max_accepts_per_event: match proto.max_connections_to_accept_per_socket_event {
            Some(0) => {
                return Err(ConfigError::new("value must be greater than 0")
                    .at("max_connections_to_accept_per_socket_event"));
            }
            most => most.and_then(NonZeroU32::new),
        },
        balancer: Arc::new(Balancer::new(workers)),
        limit: Arc::new(ConnectionLimit::new(RuntimeUint64::new(
            u64::MAX,
            &format!("envoy.resource_limits.listener.{name}.connection_limit"),
            &context.runtime,
        ))),
        global_limit: shared.global_limit.clone(),
        ignores_global_limit: proto.ignore_global_conn_limit,
        overload,
        clusters: shared.build.clusters.clone(),
        directory: shared.directory.clone(),
        worker_stats: (0..workers)
            .map(|w| stats.register(&format!("{prefix}worker_{w}."), WorkerStats::default()))
            .collect(),
        stats: stats.register(&prefix, ListenerStats::default()),
        access_logs,
        info: Arc::new(ListenerInfo {
            name,
            metadata: Metadata::compile(proto.metadata.as_ref()),
            traffic_direction: proto.traffic_direction,
        }),
    })
}

/// When the listener's connections are asked to close.
fn drain_decision(proto: &Proto, manager: &Arc<DrainManager>) -> DrainDecision {
    let direction = match proto.traffic_direction() {
        TrafficDirection::Inbound => DrainDirection::InboundOnly,
        _ => DrainDirection::All,
    };
    let modify_only = proto.drain_type() == DrainType::ModifyOnly;
    DrainDecision::new(manager.clone(), direction, modify_only)
}

/// What would change who gets in, or where the bytes go, must not be passed over, whoever calls.
fn refuse_unsupported(proto: &Proto) -> Result<(), ConfigError> {
    let refused = [
        (proto.udp_listener_config.is_some(), "udp_listener_config"),
        (proto.api_listener.is_some(), "api_listener"),
        (proto.listener_specifier.is_some(), "internal_listener"),
        (proto.filter_chain_matcher.is_some(), "filter_chain_matcher"),
        (proto.fcds_config.is_some(), "fcds_config"),
    ];
    if let Some((_, field)) = refused.iter().find(|(set, _)| *set) {
        return Err(ConfigError::new("is not supported").at(field));
    }
    let balance = proto.connection_balance_config.as_ref();
    use envoy_api::pb::envoy::config::listener::v3::listener::connection_balance_config::BalanceType;
    match balance.map(|balance| &balance.balance_type) {
        // Connections are balanced exactly in any case.
        None | Some(Some(BalanceType::ExactBalance(_))) => Ok(()),
        Some(None) => Err(ConfigError::new("is required").at("balance_type")),
        Some(Some(_)) => Err(ConfigError::new("only exact_balance is supported")),
    }
    .at("connection_balance_config")
}

#[allow(deprecated)] // Envoy still honours the old field.
fn bind_to_port(proto: &Proto) -> bool {
    let old = proto.deprecated_v1.as_ref().and_then(|v1| v1.bind_to_port);
    proto.bind_to_port.or(old).unwrap_or(true)
}

fn addresses(proto: &Proto) -> Result<Vec<ListenAddress>, ConfigError> {
    let Some(first) = &proto.address else {
        return Err(ConfigError::new(format!(
            "error adding listener named '{}': address is necessary",
            proto.name
        )));
    };
    let mut addresses = vec![
        listen_address(
            first,
            proto,
            &proto.socket_options,
            proto.tcp_keepalive.as_ref(),
        )
        .at("address")?,
    ];
    for (index, additional) in proto.additional_addresses.iter().enumerate() {
        let Some(address) = &additional.address else {
            return Err(ConfigError::new("is required").at("address"))
                .at_index("additional_addresses", index);
        };
        // An override replaces the listener's options, even by none.
        let options = match &additional.socket_options {
            Some(overridden) => &overridden.socket_options,
            None => &proto.socket_options,
        };
        let keepalive = additional
            .tcp_keepalive
            .as_ref()
            .or(proto.tcp_keepalive.as_ref());
        addresses.push(
            listen_address(address, proto, options, keepalive)
                .at("address")
                .at_index("additional_addresses", index)?,
        );
    }
    Ok(addresses)
}

fn listen_address(
    address: &AddressProto,
    listener: &Proto,
    socket_options: &[SocketOptionProto],
    keepalive: Option<&TcpKeepalive>,
) -> Result<ListenAddress, ConfigError> {
    let compiled = address::compile(address)?;
    let mut options = ListenOptions {
        reuse_port: compiled.ip().is_some() && listener.enable_reuse_port.unwrap_or(true),
        freebind: listener.freebind.unwrap_or(false),
        transparent: listener.transparent.unwrap_or(false),
        keepalive: Keepalive::compile(keepalive).at("tcp_keepalive")?,
        socket_options: SocketOption::compile_all(socket_options)?,
        ..Default::default()
    };
    match &address.address {
        Some(Specifier::SocketAddress(socket)) => {
            if socket.protocol != Protocol::Tcp as i32 {
                return Err(ConfigError::new("only TCP is supported").at("socket_address.protocol"));
            }
            if socket.ipv4_compat && !may_take_ipv4(&compiled) {
                return Err(ConfigError::new(format!(
                    "Only IPv6 address '::' or valid IPv4-mapped IPv6 address can set ipv4_compat: {compiled}"
                ))
                .at("socket_address.ipv4_compat"));
            }
            options.ipv4_compat = socket.ipv4_compat;
        }
        Some(Specifier::Pipe(pipe)) => {
            options.mode = pipe.mode;
            check_pipe(&pipe.path, pipe.mode).at("pipe")?;
        }
        Some(Specifier::EnvoyInternalAddress(_)) | None => {}
    }
    Ok(ListenAddress {
        address: compiled,
        options,
    })
}

fn may_take_ipv4(address: &Address) -> bool {
    match address.ip().map(|socket| socket.ip()) {
        Some(std::net::IpAddr::V6(ip)) => {
            ip == Ipv6Addr::UNSPECIFIED || ip.to_ipv4_mapped().is_some()
        }
        _ => false,
    }
}

fn check_pipe(path: &str, mode: u32) -> Result<(), ConfigError> {
    if path.len() >= MAX_PATH {
        return Err(ConfigError::new(format!(
            "Path \"{path}\" exceeds maximum UNIX domain socket path size of {MAX_PATH}."
        ))
        .at("path"));
    }
    if mode > 0o777 {
        return Err(ConfigError::new("value must be less than or equal to 511").at("mode"));
    }
    if mode != 0 && path.starts_with('@') {
        return Err(ConfigError::new("Cannot set mode for Abstract AF_UNIX sockets").at("mode"));
    }
    Ok(())
}

/// `use_original_dst` brings its filter with it, behind those that are given.
fn listener_filters(
    proto: &Proto,
    context: &Context,
) -> Result<Box<[ListenerFilter]>, ConfigError> {
    let given = proto
        .listener_filters
        .iter()
        .enumerate()
        .map(|(index, filter)| {
            ListenerFilter::compile(filter, context).at_index("listener_filters", index)
        });
    let implied = proto.use_original_dst.unwrap_or(false);
    given
        .chain(implied.then(|| Ok(ListenerFilter::original_dst())))
        .collect()
}

fn compile_chains(
    proto: &Proto,
    build: &BuildContext,
    lent: &ListenerContext<'_>,
) -> Result<Vec<Arc<FilterChain>>, ConfigError> {
    proto
        .filter_chains
        .iter()
        .enumerate()
        .map(|(index, chain)| compile_chain(chain, build, lent).at_index("filter_chains", index))
        .collect()
}

fn compile_chain(
    chain: &FilterChainProto,
    build: &BuildContext,
    lent: &ListenerContext<'_>,
) -> Result<Arc<FilterChain>, ConfigError> {
    require_raw(chain.transport_socket.as_ref()).at("transport_socket")?;
    Ok(Arc::new(FilterChain {
        info: Arc::new(FilterChainInfo {
            name: chain.name.as_str().into(),
            metadata: Metadata::compile(chain.metadata.as_ref()),
        }),
        filters: network_filter::compile_chain(&chain.filters, build, lent)?,
    }))
}

fn duration(proto: &prost_types::Duration) -> Result<Duration, ConfigError> {
    Duration::try_from(*proto)
        .map_err(|_| ConfigError::new("Invalid duration: Expected positive duration"))
}
