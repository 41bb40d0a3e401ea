//! `envoy.filters.http.header_to_metadata`: what headers and cookies say becomes metadata of the stream.

mod rule;

use self::rule::Rule;
use super::Instance;
use crate::{route::FilterOverride, stream::ActiveStream};
use envoy_api::pb::envoy::extensions::filters::http::header_to_metadata::v3::{
    Config as Proto, config::Rule as RuleProto,
};
use outrigger_core::{ConfigError, error::ConfigResult};
use std::sync::Arc;

/// The filter.
#[derive(Debug)]
pub struct HeaderToMetadata {
    rules: Rules,
}

/// The rules of the filter, or of one level of the route configuration.
#[derive(Debug)]
struct Rules {
    request: Box<[Rule]>,
    response: Box<[Rule]>,
}

/// Compiles the rules of one level of the route configuration.
pub fn compile_override(proto: &Proto) -> Result<FilterOverride, ConfigError> {
    Ok(Arc::new(Rules::compile(proto)?))
}

impl Rules {
    fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        let list = |protos: &[RuleProto], field: &str| -> Result<Box<[Rule]>, ConfigError> {
            let rules = protos.iter().enumerate();
            rules
                .map(|(i, rule)| Rule::compile(rule).at_index(field, i))
                .collect()
        };
        Ok(Self {
            request: list(&proto.request_rules, "request_rules")?,
            response: list(&proto.response_rules, "response_rules")?,
        })
    }
}

impl HeaderToMetadata {
    pub fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        Ok(Self {
            rules: Rules::compile(proto)?,
        })
    }

    pub(crate) fn decode_headers(&self, at: &Instance, stream: &mut ActiveStream<'_>) {
        let own = at.most_specific::<Rules>(stream.route.as_ref());
        let (headers, info) = (&mut stream.messages.request, &mut stream.info);
        for rule in &own.unwrap_or(&self.rules).request {
            rule.apply(headers, &mut info.dynamic_metadata);
        }
    }

    pub(crate) fn encode_headers(&self, at: &Instance, stream: &mut ActiveStream<'_>) {
        let own = at.most_specific::<Rules>(stream.route.as_ref());
        let (headers, info) = (&mut stream.messages.response, &mut stream.info);
        for rule in &own.unwrap_or(&self.rules).response {
            rule.apply(headers, &mut info.dynamic_metadata);
        }
    }
}
