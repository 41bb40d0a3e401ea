//! `RedirectAction`, and the redirect of `require_tls`: the `location` of a reply.

use envoy_api::pb::envoy::config::route::v3::{
    RedirectAction as Proto,
    redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier},
};
use outrigger_core::{
    ConfigError, HeaderId, HeaderMap, StreamInfo, error::ConfigResult, formatter::FormatContext,
    matcher::RegexRewrite,
};

use super::{
    header_value::HeaderValue,
    path::PathMatcher,
    rewrite::{PathRewrite, Scratch, path_format},
};

/// A compiled redirect.
#[derive(Debug)]
pub struct Redirect {
    code: u16,
    scheme: Scheme,
    /// Empty: the request's host, possibly without its port.
    host: Box<[u8]>,
    /// With its colon; empty: the port of the host.
    port: Box<str>,
    path: Path,
    strip_query: bool,
    /// What `prefix_rewrite` replaces.
    matcher: PathMatcher,
}

#[derive(Debug)]
enum Scheme {
    /// The request's `:scheme`.
    Keep,
    Set(Box<[u8]>),
    /// `require_tls`: `https`, and everything else of the request as it is.
    Tls,
}

#[derive(Debug)]
enum Path {
    Keep,
    /// Replaces the path by this text or format; the request's query follows unless the result has one.
    Set(HeaderValue),
    Rewrite(PathRewrite),
}

impl Redirect {
    pub(super) fn compile(proto: &Proto, matcher: PathMatcher) -> Result<Self, ConfigError> {
        if proto
            .host_redirect
            .bytes()
            .any(|b| matches!(b, 0 | b'\n' | b'\r'))
        {
            return Err(
                ConfigError::new(r#"value does not match regex pattern "^[^\x00\n\r]*$""#)
                    .at("host_redirect"),
            );
        }
        let scheme = match &proto.scheme_rewrite_specifier {
            Some(SchemeRewriteSpecifier::HttpsRedirect(true)) => Scheme::Set((*b"https").into()),
            Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) if !scheme.is_empty() => {
                Scheme::Set(scheme.as_bytes().into())
            }
            _ => Scheme::Keep,
        };
        let path = match &proto.path_rewrite_specifier {
            Some(PathRewriteSpecifier::PathRedirect(path)) if !path.is_empty() => {
                Path::Set(HeaderValue::fixed(path))
            }
            Some(PathRewriteSpecifier::PrefixRewrite(prefix)) if !prefix.is_empty() => {
                Path::Rewrite(PathRewrite::Prefix(prefix.as_bytes().into()))
            }
            Some(PathRewriteSpecifier::RegexRewrite(rewrite)) => Path::Rewrite(PathRewrite::Regex(
                Box::new(RegexRewrite::compile(rewrite).at("regex_rewrite")?),
            )),
            Some(PathRewriteSpecifier::PathRewrite(format)) if !format.is_empty() => {
                Path::Set(path_format(format)?)
            }
            _ => Path::Keep,
        };
        let code = match RedirectResponseCode::try_from(proto.response_code) {
            Ok(RedirectResponseCode::MovedPermanently) => 301,
            Ok(RedirectResponseCode::Found) => 302,
            Ok(RedirectResponseCode::SeeOther) => 303,
            Ok(RedirectResponseCode::TemporaryRedirect) => 307,
            Ok(RedirectResponseCode::PermanentRedirect) => 308,
            Err(_) => return Err(ConfigError::new("unknown enum value").at("response_code")),
        };
        Ok(Self {
            code,
            scheme,
            host: proto.host_redirect.as_bytes().into(),
            port: match proto.port_redirect {
                0 => "".into(),
                port => format!(":{port}").into(),
            },
            path,
            strip_query: proto.strip_query,
            matcher,
        })
    }

    /// A redirect of a response, whatever route that comes from.
    pub(crate) fn of_response(proto: &Proto) -> Result<Self, ConfigError> {
        let refused = match &proto.path_rewrite_specifier {
            Some(PathRewriteSpecifier::PrefixRewrite(_)) => "prefix_rewrite",
            Some(PathRewriteSpecifier::RegexRewrite(_)) => "regex_rewrite",
            Some(PathRewriteSpecifier::PathRewrite(_)) => "path_rewrite",
            Some(PathRewriteSpecifier::PathRedirect(_)) | None => {
                return Self::compile(proto, PathMatcher::Connect);
            }
        };
        let reason = format!("{refused} is not supported for Custom Response");
        Err(ConfigError::new(reason).at(refused))
    }

    /// The redirect of a virtual host that requires TLS.
    pub(super) fn to_tls() -> Self {
        Self {
            code: 301,
            scheme: Scheme::Tls,
            host: Box::default(),
            port: "".into(),
            path: Path::Keep,
            strip_query: false,
            matcher: PathMatcher::Connect,
        }
    }

    pub fn code(&self) -> u16 {
        self.code
    }

    /// The `location` header of the reply to this request.
    pub fn location(&self, headers: &HeaderMap, info: &StreamInfo) -> Vec<u8> {
        let old_scheme = headers.get(HeaderId::Scheme).unwrap_or_default();
        let old_host = headers.get(HeaderId::Authority).unwrap_or_default();
        let scheme: &[u8] = match &self.scheme {
            Scheme::Keep => old_scheme,
            Scheme::Set(scheme) => scheme,
            Scheme::Tls => b"https",
        };
        let host = if !self.host.is_empty() {
            &self.host
        } else if matches!(self.scheme, Scheme::Tls) {
            old_host
        } else {
            let protocol = headers.get(HeaderId::ForwardedProto).unwrap_or_default();
            self.request_host(old_host, protocol, scheme)
        };
        let mut location = Vec::with_capacity(128);
        location.extend_from_slice(scheme);
        location.extend_from_slice(b"://");
        location.extend_from_slice(host);
        location.extend_from_slice(self.port.as_bytes());
        self.push_path(headers, info, &mut location);
        location
    }

    fn push_path(&self, headers: &HeaderMap, info: &StreamInfo, location: &mut Vec<u8>) {
        let path = headers.get(HeaderId::Path).unwrap_or_default();
        let mut new = Scratch::new();
        let cx = FormatContext {
            request: Some(headers),
            ..FormatContext::new(info)
        };
        let mut strip_query = self.strip_query;
        match &self.path {
            Path::Keep => {}
            Path::Set(value) => {
                new.extend_from_slice(&value.text(&cx));
                if new.contains(&b'?') {
                    // A query of its own replaces the request's and is never stripped.
                    strip_query = false;
                } else if !new.is_empty() {
                    let query = path.get(query_start(path)..);
                    new.extend_from_slice(query.unwrap_or_default());
                }
            }
            Path::Rewrite(rewrite) => {
                if !rewrite.apply(&self.matcher, path, &cx, &mut new) {
                    new.clear();
                }
            }
        }
        let path = if new.is_empty() { path } else { &new };
        let end = if strip_query {
            query_start(path)
        } else {
            path.len()
        };
        if path.first() != Some(&b'/') {
            location.push(b'/');
        }
        location.extend_from_slice(path.get(..end).unwrap_or_default());
    }

    /// The request's host without a port that the new scheme or port makes wrong (`processRequestHost`).
    fn request_host<'a>(&self, host: &'a [u8], protocol: &[u8], scheme: &[u8]) -> &'a [u8] {
        let Some(colon) = port_start(host) else {
            return host;
        };
        let port = host.get(colon..).unwrap_or_default();
        let default_port =
            (protocol == b"http" && port == b":80") || (protocol == b"https" && port == b":443");
        if !self.port.is_empty() || (default_port && scheme != protocol) {
            host.get(..colon).unwrap_or_default()
        } else {
            host
        }
    }
}

fn query_start(path: &[u8]) -> usize {
    memchr::memchr(b'?', path).unwrap_or(path.len())
}

/// Where the `:port` of a host starts, brackets of IPv6 respected. Envoy does not look at what follows the colon.
pub(super) fn port_start(host: &[u8]) -> Option<usize> {
    let colon = memchr::memrchr(b':', host)?;
    let bracket = memchr::memrchr(b']', host);
    bracket
        .is_none_or(|bracket| bracket < colon)
        .then_some(colon)
}
