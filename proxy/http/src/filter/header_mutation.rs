//! `envoy.filters.http.header_mutation`: changes headers and trailers, the same way for every request or route by route.

use super::query_mutation::QueryMutations;
use crate::{
    route::{FilterOverride, HeaderMutations, RouteMatch},
    stream::ActiveStream,
};
use envoy_api::pb::envoy::extensions::filters::http::header_mutation::v3::{
    HeaderMutation as Proto, HeaderMutationPerRoute, Mutations as MutationsProto,
};
use outrigger_core::{ConfigError, error::ConfigResult};
use std::sync::Arc;

/// The filter's own configuration.
#[derive(Debug)]
pub struct HeaderMutation {
    mutations: Mutations,
    most_specific_wins: bool,
}

/// What is changed where.
#[derive(Debug)]
struct Mutations {
    request: HeaderMutations,
    /// After the request's headers.
    query_parameters: QueryMutations,
    response: HeaderMutations,
    request_trailers: HeaderMutations,
    response_trailers: HeaderMutations,
}

impl Mutations {
    fn compile(proto: Option<&MutationsProto>) -> Result<Self, ConfigError> {
        let proto = proto.cloned().unwrap_or_default();
        Ok(Self {
            request: HeaderMutations::compile(&proto.request_mutations).at("request_mutations")?,
            query_parameters: QueryMutations::compile(&proto.query_parameter_mutations)
                .at("query_parameter_mutations")?,
            response: HeaderMutations::compile(&proto.response_mutations)
                .at("response_mutations")?,
            request_trailers: HeaderMutations::compile(&proto.request_trailers_mutations)
                .at("request_trailers_mutations")?,
            response_trailers: HeaderMutations::compile(&proto.response_trailers_mutations)
                .at("response_trailers_mutations")?,
        })
    }
}

/// Compiles what one level of the route configuration changes.
pub fn compile_override(proto: &HeaderMutationPerRoute) -> Result<FilterOverride, ConfigError> {
    Ok(Arc::new(
        Mutations::compile(proto.mutations.as_ref()).at("mutations")?,
    ))
}

impl HeaderMutation {
    pub fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        Ok(Self {
            mutations: Mutations::compile(proto.mutations.as_ref()).at("mutations")?,
            most_specific_wins: proto.most_specific_header_mutations_wins,
        })
    }

    pub(crate) fn decode_headers(&self, name: &str, stream: &mut ActiveStream<'_>) {
        let (headers, info) = (&mut stream.messages.request, &stream.info);
        self.each(name, stream.route.as_ref(), |m| {
            m.request.evaluate_request(headers, info);
            m.query_parameters.apply(headers, info);
        });
    }

    pub(crate) fn encode_headers(&self, name: &str, stream: &mut ActiveStream<'_>) {
        let messages = &mut *stream.messages;
        let (headers, request, info) = (&mut messages.response, &messages.request, &stream.info);
        self.each(name, stream.route.as_ref(), |m| {
            m.response.evaluate_response(headers, Some(request), info)
        });
    }

    pub(crate) fn decode_trailers(&self, name: &str, stream: &mut ActiveStream<'_>) {
        let (headers, info) = (&mut stream.messages.request_trailers, &stream.info);
        self.each(name, stream.route.as_ref(), |m| {
            m.request_trailers.evaluate_request(headers, info)
        });
    }

    pub(crate) fn encode_trailers(&self, name: &str, stream: &mut ActiveStream<'_>) {
        let messages = &mut *stream.messages;
        let (headers, request, info) = (
            &mut messages.response_trailers,
            &messages.request,
            &stream.info,
        );
        self.each(name, stream.route.as_ref(), |m| {
            m.response_trailers
                .evaluate_response(headers, Some(request), info)
        });
    }

    /// The filter's own mutations, then those of the route's levels: the last to speak wins.
    fn each(&self, name: &str, route: Option<&RouteMatch>, mut apply: impl FnMut(&Mutations)) {
        apply(&self.mutations);
        let Some(found) = route else {
            return;
        };
        let levels = found.route.per_filter.all(name);
        let levels = levels.filter_map(|level| level.downcast_ref());
        if self.most_specific_wins {
            levels.for_each(apply);
        } else {
            levels.rev().for_each(apply);
        }
    }
}
