//! `envoy.filters.http.custom_response`: answers of our own in the place of responses that a matcher picks.

mod fields;
mod policy;
mod redirect;

pub use fields::FIELDS;
pub(crate) use redirect::RedirectPolicy;

use self::{policy::LocalResponsePolicy, redirect::RedirectStats};
use super::{Detour, FilterContext, FilterState, Instance};
use crate::{route::FilterOverride, stream::ActiveStream};
use envoy_api::{
    Name,
    pb::{
        envoy::extensions::{
            filters::http::custom_response::v3::CustomResponse as Proto,
            http::custom_response::redirect_policy::v3::RedirectPolicy as RedirectPolicyProto,
        },
        xds::core::v3::TypedExtensionConfig,
    },
    type_name, unpack,
};
use outrigger_core::{
    ConfigError,
    error::{ConfigResult, required},
    matcher::tree::{Compiler, MatchData, MatchInput, MatchTree, Scope, unknown},
    stats::Store,
};
use outrigger_upstream::BuildContext;
use std::sync::Arc;

/// The filter.
#[derive(Debug)]
pub struct CustomResponse {
    matcher: Matcher,
}

/// The matcher of the filter, or of one level of the route configuration.
#[derive(Debug)]
struct Matcher(Option<MatchTree<Policy>>);

/// What is answered in the place of a response.
#[derive(Debug)]
enum Policy {
    Local(LocalResponsePolicy),
    Redirect(Arc<RedirectPolicy>),
}

/// Compiles the matcher of one level of the route configuration.
pub fn compile_override(
    proto: &Proto,
    build: &BuildContext,
) -> Result<FilterOverride, ConfigError> {
    // Envoy counts what a level of the route configuration does apart from its connection managers.
    Ok(Arc::new(Matcher::compile(proto, build, "")?))
}

impl Matcher {
    fn compile(
        proto: &Proto,
        build: &BuildContext,
        stat_prefix: &str,
    ) -> Result<Self, ConfigError> {
        let matcher = proto.custom_response_matcher.as_ref();
        let policies = Policies { build, stat_prefix };
        matcher
            .map(|matcher| MatchTree::compile(matcher, &policies))
            .transpose()
            .at("custom_response_matcher")
            .map(Self)
    }

    fn policy(&self, data: &MatchData<'_>) -> Option<&Policy> {
        self.0.as_ref()?.find(data)
    }
}

/// A tree whose actions are policies.
struct Policies<'a> {
    build: &'a BuildContext,
    stat_prefix: &'a str,
}

impl Compiler for Policies<'_> {
    type Action = Policy;

    fn input(&self, proto: &TypedExtensionConfig) -> Result<MatchInput, ConfigError> {
        MatchInput::compile(proto, Scope::Response)
    }

    fn action(&self, proto: &TypedExtensionConfig) -> Result<Policy, ConfigError> {
        let config = required(proto.typed_config.as_ref(), "typed_config")?;
        if type_name(&config.type_url) == RedirectPolicyProto::full_name() {
            let redirect = unpack(config).map_err(|_| unknown(proto))?;
            let stats = self.stats();
            let stats = stats.register(self.stat_prefix, RedirectStats::default());
            let policy = RedirectPolicy::compile(&redirect, stats).at("typed_config")?;
            return Ok(Policy::Redirect(Arc::new(policy)));
        }
        let local = unpack(config).map_err(|_| unknown(proto))?;
        let policy = LocalResponsePolicy::compile(&local).at("typed_config")?;
        Ok(Policy::Local(policy))
    }

    fn stats(&self) -> &Store {
        &self.build.context.stats
    }
}

impl CustomResponse {
    pub fn compile(proto: &Proto, context: &FilterContext<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            matcher: Matcher::compile(proto, context.build, context.stat_prefix)?,
        })
    }

    /// Only a request that the filter has seen can become another.
    pub(crate) fn decode_headers(at: &Instance, stream: &mut ActiveStream<'_>) {
        let states = &mut stream.messages.filters;
        states.set(at.place, FilterState::CustomResponse);
    }

    /// What is to be in the place of a response: that of the most specific level which has something for it.
    pub(crate) fn encode_headers(
        &self,
        at: &Instance,
        stream: &mut ActiveStream<'_>,
    ) -> Option<Detour> {
        if let Some((policy, status)) = stream.custom_response() {
            // This is what was put in the place of another.
            policy.amend(status, stream);
            return None;
        }
        let data = MatchData {
            request: Some(&stream.messages.request),
            response: Some(&stream.messages.response),
            info: &stream.info,
        };
        let policy = at
            .overrides::<Matcher>(stream)
            .find_map(|level| level.policy(&data))
            .or_else(|| self.matcher.policy(&data))?;
        match policy {
            Policy::Local(policy) => Some(Detour::Reply(Box::new(policy.reply(stream)))),
            Policy::Redirect(policy) => {
                let policy = policy.clone();
                let seen = stream.messages.filters.contains(at.place);
                (seen && policy.redirect(stream)).then_some(Detour::Redirect)
            }
        }
    }
}
