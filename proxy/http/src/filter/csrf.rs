//! `envoy.filters.http.csrf`: a request that changes something must come from the place that it goes to, or from a friend.

use super::{Decision, FilterContext, Instance};
use crate::{local_reply::LocalReply, route::FilterOverride, stream::ActiveStream};
use envoy_api::pb::envoy::extensions::filters::http::csrf::v3::CsrfPolicy as Proto;
use outrigger_core::{
    ConfigError, HeaderId, HeaderMap,
    error::{ConfigResult, required},
    matcher::StringMatcher,
    runtime::{Fraction, Runtime, RuntimeFraction},
    stat_group,
};
use std::sync::Arc;

stat_group! {
    /// `http.<stat_prefix>.csrf.`
    pub struct CsrfStats {
        counter missing_source_origin,
        counter request_invalid,
        counter request_valid,
    }
}

/// The filter.
#[derive(Debug)]
pub struct Csrf {
    policy: Box<Policy>,
    stats: Arc<CsrfStats>,
}

/// `CsrfPolicy` of the filter, or of one level of the route configuration.
#[derive(Debug)]
struct Policy {
    enabled: RuntimeFraction,
    shadow_enabled: RuntimeFraction,
    additional_origins: Box<[StringMatcher]>,
}

/// Compiles the policy of one level of the route configuration.
pub fn compile_override(proto: &Proto, runtime: &Runtime) -> Result<FilterOverride, ConfigError> {
    Ok(Arc::new(Policy::compile(proto, runtime)?))
}

impl Policy {
    fn compile(proto: &Proto, runtime: &Runtime) -> Result<Self, ConfigError> {
        let enabled = required(proto.filter_enabled.as_ref(), "filter_enabled")?;
        let origins = proto.additional_origins.iter().enumerate();
        Ok(Self {
            enabled: RuntimeFraction::compile(enabled, runtime).at("filter_enabled")?,
            shadow_enabled: match &proto.shadow_enabled {
                Some(shadow) => RuntimeFraction::compile(shadow, runtime).at("shadow_enabled")?,
                None => RuntimeFraction::fixed(Fraction::percent(0)),
            },
            additional_origins: origins
                .map(|(i, origin)| StringMatcher::compile(origin).at_index("additional_origins", i))
                .collect::<Result<_, _>>()?,
        })
    }

    fn trusts(&self, source: &[u8], request: &HeaderMap) -> bool {
        let target = request.get(HeaderId::Authority).unwrap_or_default();
        source == host_and_port(target)
            || self
                .additional_origins
                .iter()
                .any(|origin| origin.is_match(source))
    }
}

impl Csrf {
    pub fn compile(proto: &Proto, context: &FilterContext<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            policy: Box::new(Policy::compile(proto, &context.build.context.runtime)?),
            stats: context.stats("csrf.", CsrfStats::default()),
        })
    }

    pub(crate) fn decode_headers(&self, at: &Instance, stream: &ActiveStream<'_>) -> Decision {
        let request = &stream.messages.request;
        let changes = matches!(
            request.get(HeaderId::Method),
            Some(b"POST" | b"PUT" | b"DELETE" | b"PATCH")
        );
        let own = at.most_specific::<Policy>(stream.route.as_ref());
        let policy = own.unwrap_or(&self.policy);
        let enabled = policy.enabled.enabled(fastrand::u64(..));
        if !changes || !(enabled || policy.shadow_enabled.enabled(fastrand::u64(..))) {
            return Decision::Continue;
        }
        match source(request) {
            None => self.stats.missing_source_origin.inc(),
            Some(source) if policy.trusts(source, request) => {
                self.stats.request_valid.inc();
                return Decision::Continue;
            }
            Some(_) => self.stats.request_invalid.inc(),
        }
        if !enabled {
            return Decision::Continue;
        }
        Decision::reply(LocalReply::new(
            403,
            "Invalid origin",
            "csrf_origin_mismatch",
        ))
    }
}

/// Where a request comes from: its origin, or else its referer. An origin of `null` is none.
fn source(request: &HeaderMap) -> Option<&[u8]> {
    let of = |id| {
        let url = request.get(id).unwrap_or_default();
        (!url.is_empty() && url != b"null").then(|| host_and_port(url))
    };
    of(HeaderId::Origin).or_else(|| of(HeaderId::Referer))
}

/// Host and port of a URL; what is none stands for itself.
fn host_and_port(url: &[u8]) -> &[u8] {
    let Some(at) = memchr::memmem::find(url, b"://") else {
        return url;
    };
    let (scheme, rest) = (url.get(..at), url.get(at + 3..).unwrap_or_default());
    let is_scheme = |scheme: &[u8]| {
        scheme.first().is_some_and(u8::is_ascii_alphabetic)
            && scheme
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b))
    };
    let end = rest.iter().position(|b| b"/?#".contains(b));
    let authority = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
    // What stands before an `@` is no host, whatever it looks like.
    let host = match memchr::memrchr(b'@', authority) {
        Some(at) => authority.get(at + 1..).unwrap_or_default(),
        None => authority,
    };
    if host.is_empty() || !scheme.is_some_and(is_scheme) {
        return url;
    }
    host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_urls() {
        for (url, host) in [
            ("http://a.test", "a.test"),
            ("https://a.test:8443/x?y", "a.test:8443"),
            ("HTTP://[::1]:80?x", "[::1]:80"),
            ("http://a.test@evil.example/", "evil.example"),
            ("a.test", "a.test"),
            ("://a.test", "://a.test"),
            ("http://", "http://"),
            ("a b://c", "a b://c"),
        ] {
            assert_eq!(host_and_port(url.as_bytes()), host.as_bytes(), "{url}");
        }
    }
}
