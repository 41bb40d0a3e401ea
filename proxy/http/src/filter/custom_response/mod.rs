//! `envoy.filters.http.custom_response`: answers of our own in the place of responses that a matcher picks.

mod fields;
mod policy;

pub use fields::FIELDS;

use self::policy::LocalResponsePolicy;
use super::{FilterContext, Instance};
use crate::{local_reply::LocalReply, route::FilterOverride, stream::ActiveStream};
use envoy_api::{
    pb::{
        envoy::extensions::filters::http::custom_response::v3::CustomResponse as Proto,
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
struct Matcher(Option<MatchTree<LocalResponsePolicy>>);

/// Compiles the matcher of one level of the route configuration.
pub fn compile_override(
    proto: &Proto,
    build: &BuildContext,
) -> Result<FilterOverride, ConfigError> {
    Ok(Arc::new(Matcher::compile(proto, build)?))
}

impl Matcher {
    fn compile(proto: &Proto, build: &BuildContext) -> Result<Self, ConfigError> {
        let matcher = proto.custom_response_matcher.as_ref();
        matcher
            .map(|matcher| MatchTree::compile(matcher, &Policies(build)))
            .transpose()
            .at("custom_response_matcher")
            .map(Self)
    }

    fn policy(&self, data: &MatchData<'_>) -> Option<&LocalResponsePolicy> {
        self.0.as_ref()?.find(data)
    }
}

/// A tree whose actions are policies.
struct Policies<'a>(&'a BuildContext);

impl Compiler for Policies<'_> {
    type Action = LocalResponsePolicy;

    fn input(&self, proto: &TypedExtensionConfig) -> Result<MatchInput, ConfigError> {
        MatchInput::compile(proto, Scope::Response)
    }

    fn action(&self, proto: &TypedExtensionConfig) -> Result<LocalResponsePolicy, ConfigError> {
        let config = required(proto.typed_config.as_ref(), "typed_config")?;
        if type_name(&config.type_url) == policy::REDIRECT {
            let error = ConfigError::new("internal redirects are not supported by this version");
            return Err(error.at("typed_config"));
        }
        let local = unpack(config).map_err(|_| unknown(proto))?;
        LocalResponsePolicy::compile(&local).at("typed_config")
    }

    fn stats(&self) -> &Store {
        &self.0.context.stats
    }
}

impl CustomResponse {
    pub fn compile(proto: &Proto, context: &FilterContext<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            matcher: Matcher::compile(proto, context.build)?,
        })
    }

    /// The reply in the place of a response: that of the most specific level which has one for it.
    pub(crate) fn encode_headers(
        &self,
        at: &Instance,
        stream: &mut ActiveStream<'_>,
    ) -> Option<Box<LocalReply>> {
        let data = MatchData {
            request: Some(&stream.messages.request),
            response: Some(&stream.messages.response),
            info: &stream.info,
        };
        let policy = at
            .overrides::<Matcher>(stream)
            .find_map(|level| level.policy(&data))
            .or_else(|| self.matcher.policy(&data))?;
        Some(Box::new(policy.reply(stream)))
    }
}
