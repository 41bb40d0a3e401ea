//! `RouteMatch`: everything that a request must be for a route to take it.

use envoy_api::pb::envoy::config::route::v3::{
    RouteMatch as Proto, route_match::TlsContextMatchOptions,
};
use outrigger_core::{
    ConfigError, HeaderId, HeaderMap, HeaderName, StreamInfo,
    error::{ConfigResult, required},
    matcher::{FilterStateMatcher, HeaderMatchers, MetadataMatcher},
    runtime::{Runtime, RuntimeFraction},
    tls_info::TlsInfo,
};

use super::{
    path::PathMatcher,
    query::{CookieMatcher, QueryParameterMatcher},
};

/// A compiled `RouteMatch`. All its conditions have to hold.
#[derive(Debug)]
pub(super) struct RouteMatcher {
    pub path: PathMatcher,
    headers: HeaderMatchers,
    /// What few routes have, apart so that the others skip it at once.
    rest: Option<Box<Rest>>,
}

#[derive(Debug)]
struct Rest {
    query: Box<[QueryParameterMatcher]>,
    cookies: Box<[CookieMatcher]>,
    cookie: HeaderName,
    grpc: bool,
    fraction: Option<RuntimeFraction>,
    tls: Option<TlsContextMatchOptions>,
    metadata: Box<[MetadataMatcher]>,
    filter_state: Box<[FilterStateMatcher]>,
}

/// Compiles every element of a repeated field.
fn each<P, T>(
    protos: &[P],
    field: &str,
    compile: impl Fn(&P) -> Result<T, ConfigError>,
) -> Result<Box<[T]>, ConfigError> {
    protos
        .iter()
        .enumerate()
        .map(|(i, proto)| compile(proto).at_index(field, i))
        .collect()
}

impl RouteMatcher {
    pub(super) fn compile(proto: &Proto, runtime: &Runtime) -> Result<Self, ConfigError> {
        let specifier = required(proto.path_specifier.as_ref(), "path_specifier")?;
        let rest = Rest {
            query: each(
                &proto.query_parameters,
                "query_parameters",
                QueryParameterMatcher::compile,
            )?,
            cookies: each(&proto.cookies, "cookies", CookieMatcher::compile)?,
            cookie: HeaderName::from(HeaderId::Cookie),
            grpc: proto.grpc.is_some(),
            fraction: proto
                .runtime_fraction
                .as_ref()
                .map(|fraction| RuntimeFraction::compile(fraction, runtime))
                .transpose()
                .at("runtime_fraction")?,
            tls: proto.tls_context,
            metadata: each(
                &proto.dynamic_metadata,
                "dynamic_metadata",
                MetadataMatcher::compile,
            )?,
            filter_state: each(
                &proto.filter_state,
                "filter_state",
                FilterStateMatcher::compile,
            )?,
        };
        Ok(Self {
            path: PathMatcher::compile(specifier, proto.case_sensitive.unwrap_or(true))?,
            headers: HeaderMatchers::compile(&proto.headers).at("headers")?,
            rest: (!rest.is_empty()).then(|| Box::new(rest)),
        })
    }

    /// A matcher of a path alone.
    pub(super) fn any(path: PathMatcher) -> Self {
        Self {
            path,
            headers: HeaderMatchers::default(),
            rest: None,
        }
    }

    /// `path` is the path as path specifiers see it: see [`PathMatcher::is_match`].
    pub(super) fn is_match(
        &self,
        headers: &HeaderMap,
        path: Option<&[u8]>,
        info: &StreamInfo,
    ) -> bool {
        self.path.is_match(headers, path) && self.is_match_beyond_path(headers, info)
    }

    /// Every condition but the path's.
    pub(super) fn is_match_beyond_path(&self, headers: &HeaderMap, info: &StreamInfo) -> bool {
        self.headers.all_match(headers)
            && self
                .rest
                .as_ref()
                .is_none_or(|rest| rest.is_match(headers, info))
    }
}

impl Rest {
    fn is_empty(&self) -> bool {
        self.query.is_empty()
            && self.cookies.is_empty()
            && !self.grpc
            && self.fraction.is_none()
            && self.tls.is_none()
            && self.metadata.is_empty()
            && self.filter_state.is_empty()
    }

    fn is_match(&self, headers: &HeaderMap, info: &StreamInfo) -> bool {
        let path = headers.get(HeaderId::Path).unwrap_or_default();
        (!self.grpc || is_grpc(headers))
            && self
                .fraction
                .as_ref()
                .is_none_or(|fraction| fraction.enabled(info.stream_id))
            && self.query.iter().all(|matcher| matcher.is_match(path))
            && self
                .cookies
                .iter()
                .all(|matcher| matcher.is_match(headers, &self.cookie))
            && self
                .tls
                .as_ref()
                .is_none_or(|options| matches_tls(options, info.connection.tls.as_deref()))
            && self
                .metadata
                .iter()
                .all(|matcher| matcher.is_match(&info.dynamic_metadata))
            && self
                .filter_state
                .iter()
                .all(|matcher| matcher.is_match(info))
    }
}

/// Without TLS no certificate is presented and none is validated.
fn matches_tls(options: &TlsContextMatchOptions, tls: Option<&TlsInfo>) -> bool {
    let presented = tls.is_some_and(|tls| tls.peer.is_some());
    let validated = tls.is_some_and(|tls| tls.peer_validated);
    options.presented.is_none_or(|wanted| wanted == presented)
        && options.validated.is_none_or(|wanted| wanted == validated)
}

/// A path and `application/grpc`, alone or with `+…`; gRPC-Web is not meant.
fn is_grpc(headers: &HeaderMap) -> bool {
    headers.contains(HeaderId::Path)
        && headers
            .get(HeaderId::ContentType)
            .and_then(|value| value.strip_prefix(b"application/grpc"))
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'+')))
}
