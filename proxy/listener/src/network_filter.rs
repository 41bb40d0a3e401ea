//! The network filters of a filter chain. This is where the two sides of floor 5 meet: TCP and HTTP.
//!
//! A further filter is a variant here or in [`ReadFilter`], an arm in each match, and nothing else.

use crate::log::Session;
use envoy_api::{
    Message,
    pb::envoy::{
        config::listener::v3::{Filter, filter::ConfigType},
        extensions::filters::network::{
            connection_limit::v3::ConnectionLimit as ConnectionLimitProto,
            direct_response::v3::Config as DirectResponseProto, echo::v3::Echo as EchoProto,
            http_connection_manager::v3::HttpConnectionManager as HttpProto,
            local_ratelimit::v3::LocalRateLimit as LocalRateLimitProto,
            rbac::v3::Rbac as RbacProto, set_filter_state::v3::Config as SetFilterStateProto,
            sni_cluster::v3::SniCluster as SniClusterProto,
            tcp_proxy::v3::TcpProxy as TcpProxyProto,
        },
    },
    prost_types::Any,
    type_name,
};
use outrigger_core::{
    ConfigError, ConnectionInfo, access_log::AccessLogs, error::ConfigResult,
    network_filter::ConnectionFilters,
};
use outrigger_http::{HttpConnectionManager, ListenerContext, Tunneling};
use outrigger_network::{
    ConnectionLimit, DirectResponse, LocalRateLimit, Rbac, ReadFilter, ReadFilters, SetFilterState,
    TcpProxy, echo,
};
use outrigger_transport::Stream;
use outrigger_upstream::BuildContext;
use std::sync::Arc;

/// The compiled filter that ends a chain: it owns the bytes.
#[derive(Clone, Debug)]
pub enum NetworkFilter {
    TcpProxy(Arc<TcpProxy>),
    DirectResponse(Arc<DirectResponse>),
    Echo,
    Http(Arc<HttpConnectionManager>),
    /// Panics, for tests of what that costs.
    #[cfg(test)]
    Panic,
}

/// The compiled filters of a chain.
#[derive(Debug)]
pub(crate) struct FilterStack {
    /// Those in front, in their order.
    reads: Arc<[ReadFilter]>,
    terminal: NetworkFilter,
}

/// One compiled network filter.
enum Compiled {
    Read(ReadFilter),
    Terminal(NetworkFilter),
}

impl Compiled {
    fn compile(
        proto: &Filter,
        build: &BuildContext,
        listener: &ListenerContext<'_>,
    ) -> Result<Self, ConfigError> {
        let any = match &proto.config_type {
            Some(ConfigType::TypedConfig(any)) => any,
            Some(ConfigType::ConfigDiscovery(_)) => {
                return Err(ConfigError::new("give the configuration in typed_config")
                    .at("config_discovery"));
            }
            None => return Err(unknown(&proto.name, "")),
        };
        match type_name(&any.type_url) {
            "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy" => {
                decode::<TcpProxyProto>(any)
                    .and_then(|proto| {
                        TcpProxy::compile(&proto, build, listener.buffer_limit, Tunneling::compile)
                    })
                    .map(|filter| Self::Terminal(NetworkFilter::TcpProxy(filter)))
            }
            #[cfg(test)]
            "google.protobuf.Empty" => Ok(Self::Terminal(NetworkFilter::Panic)),
            "envoy.extensions.filters.network.direct_response.v3.Config" => {
                decode::<DirectResponseProto>(any)
                    .and_then(|proto| DirectResponse::compile(&proto))
                    .map(|filter| Self::Terminal(NetworkFilter::DirectResponse(Arc::new(filter))))
            }
            "envoy.extensions.filters.network.echo.v3.Echo" => {
                decode::<EchoProto>(any).map(|EchoProto {}| Self::Terminal(NetworkFilter::Echo))
            }
            "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit" => {
                decode::<ConnectionLimitProto>(any)
                    .and_then(|proto| ConnectionLimit::compile(&proto, &build.context))
                    .map(|filter| Self::Read(ReadFilter::ConnectionLimit(filter)))
            }
            "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit" => {
                decode::<LocalRateLimitProto>(any)
                    .and_then(|proto| LocalRateLimit::compile(&proto, &build.context))
                    .map(|filter| Self::Read(ReadFilter::LocalRateLimit(filter)))
            }
            "envoy.extensions.filters.network.rbac.v3.RBAC" => decode::<RbacProto>(any)
                .and_then(|proto| Rbac::compile(&proto, &build.context))
                .map(|filter| Self::Read(ReadFilter::Rbac(Box::new(filter)))),
            "envoy.extensions.filters.network.set_filter_state.v3.Config" => {
                decode::<SetFilterStateProto>(any)
                    .and_then(|proto| SetFilterState::compile(&proto))
                    .map(|filter| Self::Read(ReadFilter::SetFilterState(filter)))
            }
            "envoy.extensions.filters.network.sni_cluster.v3.SniCluster" => {
                decode::<SniClusterProto>(any)
                    .map(|SniClusterProto {}| Self::Read(ReadFilter::SniCluster))
            }
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager" => {
                decode::<HttpProto>(any)
                    .and_then(|proto| HttpConnectionManager::compile(&proto, build, listener))
                    .map(|filter| Self::Terminal(NetworkFilter::Http(filter)))
            }
            other => Err(unknown(&proto.name, other)),
        }
        .at("typed_config")
    }

    /// Envoy's name of the extension.
    fn extension_name(&self) -> &'static str {
        match self {
            Self::Read(filter) => filter.extension_name(),
            Self::Terminal(filter) => filter.extension_name(),
        }
    }
}

impl NetworkFilter {
    /// Envoy's name of the extension.
    pub fn extension_name(&self) -> &'static str {
        match self {
            Self::TcpProxy(_) => "envoy.filters.network.tcp_proxy",
            Self::DirectResponse(_) => "envoy.filters.network.direct_response",
            Self::Echo => "envoy.filters.network.echo",
            Self::Http(_) => "envoy.filters.network.http_connection_manager",
            #[cfg(test)]
            Self::Panic => "test.panic",
        }
    }
}

impl FilterStack {
    /// Serves a connection to its end. `logs` are the listener's, which a connection manager has been given already.
    ///
    /// Each filter runs in a box: the task of a connection has room for its own filter, not for the largest.
    pub async fn serve(&self, stream: Stream, connection: Arc<ConnectionInfo>, logs: &AccessLogs) {
        let reads =
            (!self.reads.is_empty()).then(|| Box::new(ReadFilters::new(self.reads.clone())));
        match &self.terminal {
            NetworkFilter::TcpProxy(proxy) => {
                let mut session = Session::new(connection, Some(proxy), logs);
                Box::pin(proxy.serve(stream, &mut session, reads)).await;
            }
            NetworkFilter::DirectResponse(filter) => {
                let mut session = Session::new(connection, None, logs);
                Box::pin(filter.serve(stream, &mut session, reads)).await;
            }
            NetworkFilter::Echo => {
                let mut session = Session::new(connection, None, logs);
                Box::pin(echo::serve(stream, &mut session, reads)).await;
            }
            NetworkFilter::Http(hcm) => {
                let reads = reads.map(|reads| reads as Box<dyn ConnectionFilters>);
                Box::pin(hcm.clone().serve(stream, connection, reads)).await;
            }
            #[cfg(test)]
            NetworkFilter::Panic => panic!("a connection of a test"),
        }
    }
}

/// Compiles the filters of a chain and checks their order. `None`: a chain without filters, which closes what it gets.
pub(crate) fn compile_chain(
    protos: &[Filter],
    build: &BuildContext,
    listener: &ListenerContext<'_>,
) -> Result<Option<FilterStack>, ConfigError> {
    let mut reads = Vec::new();
    for (index, proto) in protos.iter().enumerate() {
        let filter = Compiled::compile(proto, build, listener).at_index("filters", index)?;
        let last = index + 1 == protos.len();
        match filter {
            Compiled::Terminal(terminal) if last => {
                return Ok(Some(FilterStack {
                    reads: reads.into(),
                    terminal,
                }));
            }
            Compiled::Read(filter) if !last => reads.push(filter),
            misplaced => {
                return Err(self::misplaced(&proto.name, &misplaced, last))
                    .at_index("filters", index);
            }
        }
    }
    Ok(None)
}

fn misplaced(name: &str, filter: &Compiled, last: bool) -> ConfigError {
    let extension = filter.extension_name();
    ConfigError::new(if last {
        format!(
            "Error: non-terminal filter named {name} of type {extension} is the last filter in a network filter chain."
        )
    } else {
        format!(
            "Error: terminal filter named {name} of type {extension} must be the last filter in a network filter chain."
        )
    })
}

fn decode<M: Message + Default>(any: &Any) -> Result<M, ConfigError> {
    M::decode(any.value.as_slice())
        .map_err(|error| ConfigError::new(format!("Unable to unpack {}: {error}", any.type_url)))
}

fn unknown(name: &str, type_name: &str) -> ConfigError {
    ConfigError::new(format!(
        "Didn't find a registered implementation for '{name}' with type URL: '{type_name}'"
    ))
}
