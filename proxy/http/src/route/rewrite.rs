//! Path and host rewrites of a forwarded request.

use envoy_api::pb::envoy::config::route::v3::{RouteAction, route_action::HostRewriteSpecifier};
use outrigger_core::{
    ConfigError, HeaderId, HeaderMap, HeaderName, StreamInfo, error::ConfigResult,
    formatter::FormatContext, matcher::RegexRewrite,
};
use smallvec::SmallVec;

use super::{
    header_value::HeaderValue,
    path::{PathMatcher, without_query},
    path_template::TemplateRewrite,
};

/// Long enough for nearly every path: a rewrite then allocates nothing of its own.
pub(super) type Scratch = SmallVec<[u8; 512]>;

/// How the path changes.
#[derive(Clone, Debug, Default)]
pub(super) enum PathRewrite {
    #[default]
    None,
    /// Replaces what the route's path specifier matched.
    Prefix(Box<[u8]>),
    /// Replaces every match in the path without its query.
    Regex(Box<RegexRewrite>),
    /// `path_rewrite`: replaces the path without its query by a formatted text.
    Format(Box<HeaderValue>),
    /// `path_rewrite_policy` with a URI template.
    Template(Box<TemplateRewrite>),
}

impl PathRewrite {
    /// Appends the new path with its query, or says that the path stays.
    pub(super) fn apply(
        &self,
        matcher: &PathMatcher,
        path: &[u8],
        cx: &FormatContext<'_>,
        out: &mut Scratch,
    ) -> bool {
        let bare = without_query(path);
        let query = path.get(bare.len()..).unwrap_or_default();
        match self {
            Self::None => return false,
            Self::Prefix(rewrite) => {
                // A filter may have changed the path since the match: then there is nothing to replace.
                let Some(matched) = matcher.matched_len(path) else {
                    return false;
                };
                out.extend_from_slice(rewrite);
                out.extend_from_slice(path.get(matched..).unwrap_or_default());
                return true;
            }
            Self::Regex(rewrite) => rewrite.replace_all(bare, out),
            Self::Format(value) => out.extend_from_slice(&value.text(cx)),
            Self::Template(rewrite) => rewrite.apply(matcher, bare, out),
        }
        // To Envoy an empty path is no rewrite.
        if out.is_empty() {
            return false;
        }
        out.extend_from_slice(query);
        true
    }
}

/// The format string of a `path_rewrite`.
pub(super) fn path_format(format: &str) -> Result<HeaderValue, ConfigError> {
    HeaderValue::compile(format).map_err(|error| {
        ConfigError::new(format!(
            "Failed to create path rewrite formatter: INVALID_ARGUMENT: {}",
            error.reason()
        ))
        .at("path_rewrite")
    })
}

/// How the authority changes before the upstream host is known.
#[derive(Clone, Debug, Default)]
pub(super) enum HostRewrite {
    #[default]
    None,
    Literal(Box<[u8]>),
    /// The value of a header, if it is there and not empty.
    Header(HeaderName),
    /// The path without its query, with every match replaced.
    PathRegex(Box<RegexRewrite>),
    /// A format string; an empty result changes nothing.
    Format(Box<HeaderValue>),
}

impl HostRewrite {
    /// The specifier of an action; `auto_host_rewrite` happens later and is no rewrite here.
    pub(super) fn compile(proto: &RouteAction) -> Result<Self, ConfigError> {
        Ok(match &proto.host_rewrite_specifier {
            None | Some(HostRewriteSpecifier::AutoHostRewrite(_)) => Self::None,
            Some(HostRewriteSpecifier::HostRewriteLiteral(host)) if host.is_empty() => Self::None,
            Some(HostRewriteSpecifier::HostRewriteLiteral(host)) => {
                Self::Literal(host.as_bytes().into())
            }
            Some(HostRewriteSpecifier::HostRewriteHeader(name)) if name.is_empty() => Self::None,
            Some(HostRewriteSpecifier::HostRewriteHeader(name)) => {
                Self::Header(HeaderName::from(name.as_str()))
            }
            Some(HostRewriteSpecifier::HostRewritePathRegex(rewrite)) => Self::PathRegex(Box::new(
                RegexRewrite::compile(rewrite).at("host_rewrite_path_regex")?,
            )),
            Some(HostRewriteSpecifier::HostRewrite(format)) => Self::Format(Box::new(
                HeaderValue::compile_with_dash(format).at("host_rewrite")?,
            )),
        })
    }

    pub(super) fn apply(
        &self,
        headers: &mut HeaderMap,
        info: &StreamInfo,
        append_xfh: bool,
        keep_original: bool,
    ) {
        let mut host = Scratch::new();
        match self {
            Self::None => return,
            Self::Literal(literal) => host.extend_from_slice(literal),
            Self::Header(name) => match headers.get_name(name) {
                Some(value) if !value.is_empty() => host.extend_from_slice(value),
                _ => return,
            },
            Self::PathRegex(rewrite) => {
                let path = headers.get(HeaderId::Path).unwrap_or_default();
                rewrite.replace_all(without_query(path), &mut host);
            }
            Self::Format(value) => {
                let cx = FormatContext {
                    request: Some(headers),
                    ..FormatContext::new(info)
                };
                host.extend_from_slice(&value.text(&cx));
                if host.is_empty() {
                    return;
                }
            }
        }
        update_authority(headers, &host, append_xfh, keep_original);
    }
}

/// Envoy's `Utility::updateAuthority`: the old host goes to `x-forwarded-host` unless it stands last there already, and
/// to `x-envoy-original-host`.
pub(super) fn update_authority(
    headers: &mut HeaderMap,
    host: &[u8],
    append_xfh: bool,
    keep_original: bool,
) {
    let old: Scratch = headers.get(HeaderId::Authority).unwrap_or_default().into();
    let mut append = false;
    if append_xfh && !old.is_empty() {
        let last = headers
            .get(HeaderId::ForwardedHost)
            .and_then(|value| value.rsplit(|b| *b == b',').find(|part| !part.is_empty()));
        append = last != Some(&old);
    }
    if keep_original {
        headers.set(HeaderId::EnvoyOriginalHost, &old);
    }
    if append {
        headers.append(HeaderId::ForwardedHost, &old);
    }
    headers.set(HeaderId::Authority, host);
}

/// Replaces the path and keeps the old one in `x-envoy-original-path`.
pub(super) fn update_path(headers: &mut HeaderMap, path: &[u8], keep_original: bool) {
    if keep_original {
        let old: Scratch = headers.get(HeaderId::Path).unwrap_or_default().into();
        headers.set(HeaderId::EnvoyOriginalPath, &old);
    }
    headers.set(HeaderId::Path, path);
}
