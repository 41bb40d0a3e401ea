//! `envoy.filters.http.cors`: answers preflight requests itself and tells browsers which origins may read a response.
//! The policy stands in the route configuration alone; without one the filter does nothing.

use super::{Decision, FilterContext, FilterState, Instance};
use crate::{
    local_reply::LocalReply,
    route::{Action, FilterOverride},
    stream::ActiveStream,
};
use envoy_api::pb::envoy::extensions::filters::http::cors::v3::CorsPolicy as Proto;
use outrigger_core::{
    ConfigError, HeaderId, HeaderMap, Method,
    error::ConfigResult,
    matcher::StringMatcher,
    runtime::{Fraction, Runtime, RuntimeFraction},
    stat_group,
};
use std::sync::Arc;

stat_group! {
    /// `http.<stat_prefix>.cors.`
    pub struct CorsStats {
        counter origin_invalid,
        counter origin_valid,
    }
}

/// The filter; it has no configuration of its own.
#[derive(Debug)]
pub struct Cors {
    stats: Arc<CorsStats>,
}

/// `CorsPolicy` of one level of the route configuration.
#[derive(Debug)]
struct Policy {
    /// One of the matchers takes `*` itself: so does it every origin.
    any_origin: bool,
    origins: Box<[StringMatcher]>,
    allow_methods: Box<[u8]>,
    allow_headers: Box<[u8]>,
    expose_headers: Box<[u8]>,
    max_age: Box<[u8]>,
    allow_credentials: Option<bool>,
    allow_private_network_access: Option<bool>,
    forward_not_matching_preflights: Option<bool>,
    enabled: RuntimeFraction,
    shadow_enabled: RuntimeFraction,
}

/// Compiles the policy of one level.
pub fn compile_override(proto: &Proto, runtime: &Runtime) -> Result<FilterOverride, ConfigError> {
    let fraction = |field: &Option<_>, default| match field {
        Some(field) => RuntimeFraction::compile(field, runtime),
        None => Ok(RuntimeFraction::fixed(Fraction::percent(default))),
    };
    let origins: Box<[_]> = proto
        .allow_origin_string_match
        .iter()
        .enumerate()
        .map(|(i, matcher)| {
            StringMatcher::compile(matcher).at_index("allow_origin_string_match", i)
        })
        .collect::<Result<_, _>>()?;
    Ok(Arc::new(Policy {
        any_origin: origins.iter().any(|matcher| matcher.is_match(b"*")),
        origins,
        allow_methods: proto.allow_methods.as_bytes().into(),
        allow_headers: proto.allow_headers.as_bytes().into(),
        expose_headers: proto.expose_headers.as_bytes().into(),
        max_age: proto.max_age.as_bytes().into(),
        allow_credentials: proto.allow_credentials,
        allow_private_network_access: proto.allow_private_network_access,
        forward_not_matching_preflights: proto.forward_not_matching_preflights,
        enabled: fraction(&proto.filter_enabled, 100).at("filter_enabled")?,
        shadow_enabled: fraction(&proto.shadow_enabled, 0).at("shadow_enabled")?,
    }))
}

/// The policies of a request's route, most specific first: each says what those before it leave open.
struct Policies<'a> {
    at: &'a Instance,
    stream: &'a ActiveStream<'a>,
}

impl<'a> Policies<'a> {
    fn find<T>(&self, what: impl FnMut(&'a Policy) -> Option<T>) -> Option<T> {
        self.at.overrides::<Policy>(self.stream).find_map(what)
    }

    fn text(&self, field: impl Fn(&'a Policy) -> &'a [u8]) -> Option<&'a [u8]> {
        self.find(|policy| Some(field(policy)).filter(|text| !text.is_empty()))
    }

    fn allows(&self, origin: &[u8]) -> bool {
        let found = self.find(|policy| Some(policy).filter(|policy| !policy.origins.is_empty()));
        found.is_some_and(|policy| {
            policy.any_origin || policy.origins.iter().any(|m| m.is_match(origin))
        })
    }

    fn allow_credentials(&self) -> bool {
        self.find(|policy| policy.allow_credentials) == Some(true)
    }

    fn preflight(&self, origin: &[u8]) -> LocalReply {
        let mut reply = LocalReply::new(200, "", "cors_response");
        reply.as_is = true;
        let mut add = |id, value: &[u8]| reply.headers.push((id, value.to_vec().into()));
        add(HeaderId::AccessControlAllowOrigin, origin);
        if self.allow_credentials() {
            add(HeaderId::AccessControlAllowCredentials, b"true");
        }
        let texts = [
            (
                HeaderId::AccessControlAllowMethods,
                self.text(|p| &p.allow_methods),
            ),
            (
                HeaderId::AccessControlAllowHeaders,
                self.text(|p| &p.allow_headers),
            ),
            (HeaderId::AccessControlMaxAge, self.text(|p| &p.max_age)),
        ];
        for (id, text) in texts {
            if let Some(text) = text {
                add(id, text);
            }
        }
        let request = &self.stream.messages.request;
        let asked = request.get(HeaderId::AccessControlRequestPrivateNetwork) == Some(b"true");
        if asked && self.find(|p| p.allow_private_network_access) == Some(true) {
            add(HeaderId::AccessControlAllowPrivateNetwork, b"true");
        }
        reply
    }
}

impl Cors {
    pub fn compile(context: &FilterContext<'_>) -> Self {
        Self {
            stats: context.stats("cors.", CorsStats::default()),
        }
    }

    pub(crate) fn decode_headers(&self, at: &Instance, stream: &mut ActiveStream<'_>) -> Decision {
        let Some(origin) = stream.messages.request.get(HeaderId::Origin) else {
            return Decision::Continue;
        };
        let forwards = stream
            .route
            .as_ref()
            .is_some_and(|found| matches!(found.route.action, Action::Forward(_)));
        // Envoy looks for policies in routes to clusters only.
        if origin.is_empty() || !forwards {
            return Decision::Continue;
        }
        let policies = Policies { at, stream };
        let random = stream.info.stream_id;
        let enabled = policies.find(|p| Some(p.enabled.enabled(random))) == Some(true);
        let shadow = || policies.find(|p| Some(p.shadow_enabled.enabled(random))) == Some(true);
        if !enabled && !shadow() {
            return Decision::Continue;
        }
        let preflight = is_preflight(stream.method, &stream.messages.request);
        if !policies.allows(origin) {
            self.stats.origin_invalid.inc();
            let stops = policies.find(|p| p.forward_not_matching_preflights) == Some(false);
            if enabled && preflight && stops {
                let mut reply = LocalReply::new(200, "", "cors_response");
                reply.as_is = true;
                return Decision::reply(reply);
            }
            return Decision::Continue;
        }
        self.stats.origin_valid.inc();
        if !enabled {
            return Decision::Continue;
        }
        let origin: Box<[u8]> = origin.into();
        let reply = preflight.then(|| policies.preflight(&origin));
        stream
            .messages
            .filters
            .set(at.place, FilterState::Cors(origin));
        reply.map_or(Decision::Continue, Decision::reply)
    }

    /// Adds to the response what a browser must know to show it to the page that asked.
    pub(crate) fn encode_headers(&self, at: &Instance, stream: &mut ActiveStream<'_>) {
        let Some(FilterState::Cors(origin)) = stream.messages.filters.take(at.place) else {
            return;
        };
        let policies = Policies { at, stream };
        let credentials = policies.allow_credentials();
        let expose = policies.text(|p| &p.expose_headers).map(<[u8]>::to_vec);
        let response = &mut stream.messages.response;
        response.set(HeaderId::AccessControlAllowOrigin, &origin);
        if credentials {
            response.set(HeaderId::AccessControlAllowCredentials, b"true");
        }
        if let Some(expose) = expose {
            response.set(HeaderId::AccessControlExposeHeaders, &expose);
        }
    }
}

fn is_preflight(method: Method, request: &HeaderMap) -> bool {
    let asked = request.get(HeaderId::AccessControlRequestMethod);
    method == Method::Options && asked.is_some_and(|method| !method.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::pb::envoy::r#type::matcher::v3::{
        StringMatcher as StringProto, string_matcher::MatchPattern,
    };

    fn policy(exact: &[&str]) -> Arc<Policy> {
        let matcher = |text: &&str| StringProto {
            match_pattern: Some(MatchPattern::Exact((*text).to_owned())),
            ignore_case: false,
        };
        let proto = Proto {
            allow_origin_string_match: exact.iter().map(matcher).collect(),
            ..Proto::default()
        };
        let compiled = compile_override(&proto, &Runtime::default()).unwrap();
        compiled.downcast().unwrap()
    }

    #[test]
    fn a_matcher_of_the_star_takes_every_origin() {
        assert!(policy(&["a", "*"]).any_origin);
        assert!(!policy(&["a"]).any_origin);
    }

    #[test]
    fn a_preflight_asks_for_a_method() {
        let mut request = HeaderMap::new();
        assert!(!is_preflight(Method::Options, &request));
        request.set(HeaderId::AccessControlRequestMethod, b"");
        assert!(!is_preflight(Method::Options, &request));
        request.set(HeaderId::AccessControlRequestMethod, b"PUT");
        assert!(is_preflight(Method::Options, &request));
        assert!(!is_preflight(Method::Get, &request));
    }
}
