//! The HTTP filter chain: filters in order on the way up, in reverse on the way back.
//!
//! A filter is a variant of [`HttpFilter`]: one `match` shows all there are. Its per-route overrides are compiled with the
//! route table.

pub mod header_mutation;
mod query_mutation;

use crate::{
    local_reply::LocalReply,
    route::{FilterOverride, PerFilterConfig},
    router::RouterConfig,
    stream::ActiveStream,
};
use envoy_api::{
    Message, Name,
    pb::envoy::extensions::filters::{
        http::{
            header_mutation::v3::{HeaderMutation as HeaderMutationProto, HeaderMutationPerRoute},
            router::v3::Router as RouterProto,
        },
        network::http_connection_manager::v3::{HttpFilter as Proto, http_filter::ConfigType},
    },
    prost_types::Any,
    type_name, unpack,
};
use header_mutation::HeaderMutation;
use outrigger_core::{
    ConfigError,
    error::{ConfigResult, required},
};
use std::sync::Arc;

/// What a filter decided about the request.
#[derive(Debug)]
pub enum Decision {
    Continue,
    /// The filter answers itself; no later filter sees the request.
    Reply(Box<LocalReply>),
}

/// One configured filter before the router.
#[derive(Debug)]
enum HttpFilter {
    HeaderMutation(HeaderMutation),
}

/// A filter under the name that per-route configs use.
#[derive(Debug)]
struct NamedFilter {
    name: Arc<str>,
    /// Unless the route enables it.
    disabled: bool,
    filter: HttpFilter,
}

impl NamedFilter {
    fn is_disabled(&self, stream: &ActiveStream<'_>) -> bool {
        let route = stream.route.as_ref();
        route
            .and_then(|found| found.route.per_filter.disabled(&self.name))
            .unwrap_or(self.disabled)
    }
}

/// The filters of one connection manager, and the router behind them.
#[derive(Debug)]
pub struct FilterChain {
    filters: Vec<NamedFilter>,
    /// Missing only in a chain without any filter: its requests are answered 404.
    pub(crate) router: Option<RouterConfig>,
}

impl FilterChain {
    /// The router must be last, and nothing else may be.
    pub fn compile(protos: &[Proto]) -> Result<Self, ConfigError> {
        let mut filters = Vec::with_capacity(protos.len());
        let mut router = None;
        for (i, proto) in protos.iter().enumerate() {
            let last = i + 1 == protos.len();
            if proto.is_optional && nobody_has(proto) {
                tracing::warn!(
                    target: "config",
                    "Didn't find a registered factory for the optional http filter {}",
                    proto.name
                );
                continue;
            }
            match compile_filter(proto, last).at_index("http_filters", i)? {
                Compiled::Filter(filter) => filters.push(NamedFilter {
                    name: proto.name.as_str().into(),
                    disabled: proto.disabled,
                    filter,
                }),
                Compiled::Router(config) => router = Some(config),
            }
        }
        Ok(Self { filters, router })
    }

    /// Runs the request through the filters in order.
    pub(crate) fn decode_headers(&self, stream: &mut ActiveStream<'_>) -> Decision {
        for named in &self.filters {
            if named.is_disabled(stream) {
                continue;
            }
            match &named.filter {
                HttpFilter::HeaderMutation(filter) => filter.decode_headers(&named.name, stream),
            }
        }
        Decision::Continue
    }

    /// Runs the response through the filters in reverse.
    pub(crate) fn encode_headers(&self, stream: &mut ActiveStream<'_>) {
        for named in self.filters.iter().rev() {
            if named.is_disabled(stream) {
                continue;
            }
            match &named.filter {
                HttpFilter::HeaderMutation(filter) => filter.encode_headers(&named.name, stream),
            }
        }
    }

    /// Runs request trailers through the filters in order.
    pub(crate) fn decode_trailers(&self, stream: &mut ActiveStream<'_>) {
        for named in &self.filters {
            if named.is_disabled(stream) {
                continue;
            }
            match &named.filter {
                HttpFilter::HeaderMutation(filter) => filter.decode_trailers(&named.name, stream),
            }
        }
    }

    /// Runs response trailers through the filters in reverse.
    pub(crate) fn encode_trailers(&self, stream: &mut ActiveStream<'_>) {
        for named in self.filters.iter().rev() {
            if named.is_disabled(stream) {
                continue;
            }
            match &named.filter {
                HttpFilter::HeaderMutation(filter) => filter.encode_trailers(&named.name, stream),
            }
        }
    }
}

impl PerFilterConfig for FilterChain {
    /// The type of the config says which filter it is for; the name says which instance.
    fn compile(&self, _name: &str, config: &Any) -> Result<Option<FilterOverride>, ConfigError> {
        match type_name(&config.type_url) {
            HEADER_MUTATION_PER_ROUTE => {
                let proto: HeaderMutationPerRoute = unpack_config(config)?;
                Ok(Some(header_mutation::compile_override(&proto)?))
            }
            _ => Ok(None),
        }
    }
}

enum Compiled {
    Filter(HttpFilter),
    Router(RouterConfig),
}

const HEADER_MUTATION: &str = "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation";
const HEADER_MUTATION_PER_ROUTE: &str =
    "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute";
const ROUTER: &str = "envoy.extensions.filters.http.router.v3.Router";

/// Whether Envoy would pass over the filter if it is optional. One that Envoy has and we have not may guard access: it is
/// refused like any other.
fn nobody_has(proto: &Proto) -> bool {
    match &proto.config_type {
        Some(ConfigType::TypedConfig(config)) => {
            !type_name(&config.type_url).starts_with("envoy.extensions.")
        }
        Some(ConfigType::ConfigDiscovery(_)) => false,
        None => true,
    }
}

fn compile_filter(proto: &Proto, last: bool) -> Result<Compiled, ConfigError> {
    let config = match required(proto.config_type.as_ref(), "config_type")? {
        ConfigType::TypedConfig(config) => config,
        ConfigType::ConfigDiscovery(_) => {
            return Err(
                ConfigError::new("extension config discovery is not supported")
                    .at("config_discovery"),
            );
        }
    };
    let name = &proto.name;
    let misplaced = |what: &str, extension: &str| {
        ConfigError::new(format!(
            "Error: {what} filter named {name} of type {extension} {}",
            match last {
                true => "is the last filter in a http filter chain.",
                false => "must be the last filter in a http filter chain.",
            }
        ))
    };
    match type_name(&config.type_url) {
        ROUTER if !last => Err(misplaced("terminal", "envoy.filters.http.router")),
        ROUTER => Ok(Compiled::Router(RouterConfig::compile(&unpack_config::<
            RouterProto,
        >(config)?))),
        HEADER_MUTATION if last => Err(misplaced(
            "non-terminal",
            "envoy.filters.http.header_mutation",
        )),
        HEADER_MUTATION => {
            let proto: HeaderMutationProto = unpack_config(config)?;
            Ok(Compiled::Filter(HttpFilter::HeaderMutation(
                HeaderMutation::compile(&proto)?,
            )))
        }
        _ => Err(no_implementation(name, &config.type_url)),
    }
}

fn unpack_config<T: Message + Name + Default>(config: &Any) -> Result<T, ConfigError> {
    unpack(config).map_err(|e| ConfigError::new(e.to_string()).at("typed_config"))
}

fn no_implementation(name: &str, type_url: &str) -> ConfigError {
    let type_name = type_name(type_url);
    ConfigError::new(format!(
        "Didn't find a registered implementation for '{name}' with type URL: '{type_name}'"
    ))
}
