//! `VirtualHost.matcher`: the unified matcher as a way to a route, over request headers.
//!
//! A leaf holds one route or a list of them, which then have to match as everywhere else; if they do not, no other leaf
//! is tried.

use envoy_api::{
    Name,
    pb::{
        envoy::{
            config::route::v3::{Route as RouteProto, RouteList},
            r#type::matcher::v3::HttpRequestHeaderMatchInput,
        },
        xds::{core::v3::TypedExtensionConfig, r#type::matcher::v3::Matcher as Proto},
    },
    type_name, unpack,
};
use outrigger_core::{
    ConfigError, HeaderMap, StreamInfo,
    error::{ConfigResult, required},
    matcher::tree::{Compiler, MatchData, MatchInput, MatchTree as Tree, Scope, unknown},
    stats::Store,
};

use super::{
    config::{Level, compile_route},
    virtual_host::Candidate,
};

/// A tree of routes.
#[derive(Debug)]
pub(super) struct MatchTree(Tree<Box<[Candidate]>>);

impl MatchTree {
    pub(super) fn compile(proto: &Proto, level: &Level<'_>) -> Result<Self, ConfigError> {
        Tree::compile(proto, &Leaves(level)).map(Self)
    }

    /// The routes of the leaf that these headers lead to.
    pub(super) fn find(&self, headers: &HeaderMap, info: &StreamInfo) -> Option<&[Candidate]> {
        let data = MatchData {
            request: Some(headers),
            response: None,
            info,
        };
        self.0.find(&data).map(|routes| &**routes)
    }
}

/// A tree whose actions are routes.
struct Leaves<'a>(&'a Level<'a>);

impl Compiler for Leaves<'_> {
    type Action = Box<[Candidate]>;

    fn input(&self, proto: &TypedExtensionConfig) -> Result<MatchInput, ConfigError> {
        let any = required(proto.typed_config.as_ref(), "typed_config")?;
        if type_name(&any.type_url) != HttpRequestHeaderMatchInput::full_name() {
            return Err(self.violation(&format!(
                "Route table can only match on request headers, saw {}",
                any.type_url
            )));
        }
        MatchInput::compile(proto, Scope::Request)
    }

    fn action(&self, proto: &TypedExtensionConfig) -> Result<Box<[Candidate]>, ConfigError> {
        let any = required(proto.typed_config.as_ref(), "typed_config")?;
        if let Ok(route) = unpack::<RouteProto>(any) {
            return Ok([compile_route(&route, self.0).at("typed_config")?].into());
        }
        let list = unpack::<RouteList>(any).map_err(|_| unknown(proto))?;
        list.routes
            .iter()
            .enumerate()
            .map(|(i, route)| compile_route(route, self.0).at_index("routes", i))
            .collect::<Result<_, _>>()
            .at("typed_config")
    }

    fn stats(&self) -> &Store {
        &self.0.build.context.stats
    }

    fn violation(&self, reason: &str) -> ConfigError {
        ConfigError::new(format!(
            "requirement violation while creating route match tree: INVALID_ARGUMENT: {reason}"
        ))
    }
}
