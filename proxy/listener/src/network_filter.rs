//! The network filters of a filter chain. This is where the two sides of floor 5 meet: TCP and HTTP.
//!
//! A further filter is a variant here, an arm in each match, and nothing else.

use crate::log::Session;
use envoy_api::{
    Message,
    pb::envoy::{
        config::listener::v3::{Filter, filter::ConfigType},
        extensions::filters::network::{
            direct_response::v3::Config as DirectResponseProto,
            http_connection_manager::v3::HttpConnectionManager as HttpProto,
            tcp_proxy::v3::TcpProxy as TcpProxyProto,
        },
    },
    prost_types::Any,
    type_name,
};
use outrigger_core::{ConfigError, ConnectionInfo, access_log::AccessLogs, error::ConfigResult};
use outrigger_http::{HttpConnectionManager, ListenerContext};
use outrigger_network::{DirectResponse, TcpProxy};
use outrigger_transport::Stream;
use outrigger_upstream::BuildContext;
use std::sync::Arc;

/// One compiled network filter.
#[derive(Clone, Debug)]
pub enum NetworkFilter {
    TcpProxy(Arc<TcpProxy>),
    DirectResponse(Arc<DirectResponse>),
    Http(Arc<HttpConnectionManager>),
}

impl NetworkFilter {
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
                    .and_then(|proto| TcpProxy::compile(&proto, build, listener.buffer_limit))
                    .map(Self::TcpProxy)
            }
            "envoy.extensions.filters.network.direct_response.v3.Config" => {
                decode::<DirectResponseProto>(any)
                    .and_then(|proto| DirectResponse::compile(&proto))
                    .map(|filter| Self::DirectResponse(Arc::new(filter)))
            }
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager" => {
                decode::<HttpProto>(any)
                    .and_then(|proto| HttpConnectionManager::compile(&proto, build, listener))
                    .map(Self::Http)
            }
            other => Err(unknown(&proto.name, other)),
        }
        .at("typed_config")
    }

    /// Envoy's name of the extension.
    pub fn extension_name(&self) -> &'static str {
        match self {
            Self::TcpProxy(_) => "envoy.filters.network.tcp_proxy",
            Self::DirectResponse(_) => "envoy.filters.network.direct_response",
            Self::Http(_) => "envoy.filters.network.http_connection_manager",
        }
    }

    /// It ends the chain: it owns the bytes.
    fn is_terminal(&self) -> bool {
        match self {
            Self::TcpProxy(_) | Self::DirectResponse(_) | Self::Http(_) => true,
        }
    }

    /// Serves a connection to its end. `logs` are the listener's, which a connection manager has been given already.
    pub(crate) async fn serve(
        &self,
        stream: Stream,
        connection: Arc<ConnectionInfo>,
        logs: &AccessLogs,
    ) {
        match self {
            Self::TcpProxy(proxy) => {
                let mut session = Session::new(connection, Some(proxy), logs);
                proxy.serve(stream, &mut session).await;
            }
            Self::DirectResponse(filter) => {
                let mut session = Session::new(connection, None, logs);
                filter.serve(stream, &mut session).await;
            }
            Self::Http(hcm) => Box::pin(hcm.clone().serve(stream, connection)).await,
        }
    }
}

/// Compiles the filters of a chain and checks their order. `None`: a chain without filters, which closes what it gets.
pub(crate) fn compile_chain(
    protos: &[Filter],
    build: &BuildContext,
    listener: &ListenerContext<'_>,
) -> Result<Option<NetworkFilter>, ConfigError> {
    let mut terminal = None;
    for (index, proto) in protos.iter().enumerate() {
        let filter = NetworkFilter::compile(proto, build, listener).at_index("filters", index)?;
        let last = index + 1 == protos.len();
        if filter.is_terminal() != last {
            return Err(misplaced(&proto.name, &filter, last)).at_index("filters", index);
        }
        terminal = Some(filter);
    }
    Ok(terminal)
}

fn misplaced(name: &str, filter: &NetworkFilter, last: bool) -> ConfigError {
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
