//! The path specifiers of `RouteMatch`: on the path alone, never on its query.

use envoy_api::pb::envoy::config::route::v3::route_match::PathSpecifier;
use outrigger_core::{ConfigError, HeaderId, HeaderMap, error::ConfigResult, matcher::Regex};

use super::{path_template::PathTemplate, rewrite::Scratch};

/// A compiled path specifier.
#[derive(Clone, Debug)]
pub(super) enum PathMatcher {
    Prefix {
        prefix: Box<[u8]>,
        any_case: bool,
    },
    Exact {
        path: Box<[u8]>,
        any_case: bool,
    },
    /// The prefix, alone or followed by `/`.
    Separated {
        prefix: Box<[u8]>,
        any_case: bool,
    },
    Regex(Regex),
    Template(Box<PathTemplate>),
    /// Any CONNECT request.
    Connect,
}

/// The path without the parameters of its segments (`;…`), as `ignore_path_parameters_in_path_matching` asks for.
pub(super) fn without_parameters(path: &[u8], out: &mut Scratch) {
    for (i, segment) in path.split(|b| *b == b'/').enumerate() {
        if i > 0 {
            out.push(b'/');
        }
        let end = memchr::memchr(b';', segment).unwrap_or(segment.len());
        out.extend_from_slice(segment.get(..end).unwrap_or_default());
    }
}

/// The path in front of its query and fragment.
pub(super) fn without_query(path: &[u8]) -> &[u8] {
    let end = memchr::memchr2(b'?', b'#', path).unwrap_or(path.len());
    path.get(..end).unwrap_or_default()
}

impl PathMatcher {
    pub(super) fn compile(
        proto: &PathSpecifier,
        case_sensitive: bool,
    ) -> Result<Self, ConfigError> {
        let any_case = !case_sensitive;
        Ok(match proto {
            PathSpecifier::Prefix(prefix) => Self::Prefix {
                prefix: prefix.as_bytes().into(),
                any_case,
            },
            PathSpecifier::Path(path) => Self::Exact {
                path: path.as_bytes().into(),
                any_case,
            },
            PathSpecifier::PathSeparatedPrefix(prefix) => {
                let bytes = prefix.as_bytes();
                if bytes.len() < 2
                    || bytes.last() == Some(&b'/')
                    || bytes.iter().any(|b| matches!(b, b'?' | b'#'))
                {
                    return Err(ConfigError::new(
                        r#"value does not match regex pattern "^[^?#]+[^?#/]$""#,
                    )
                    .at("path_separated_prefix"));
                }
                Self::Separated {
                    prefix: bytes.into(),
                    any_case,
                }
            }
            PathSpecifier::SafeRegex(regex) => Self::Regex(Regex::compile(regex).at("safe_regex")?),
            PathSpecifier::ConnectMatcher(_) => Self::Connect,
            PathSpecifier::PathMatchPolicy(policy) => Self::Template(Box::new(
                PathTemplate::compile_policy(policy).at("path_match_policy")?,
            )),
        })
    }

    /// Whether a request matches, given its path without query (and, where configured so, without parameters).
    pub(super) fn is_match(&self, headers: &HeaderMap, path: Option<&[u8]>) -> bool {
        let Some(path) = path else {
            return matches!(self, Self::Connect) && is_connect(headers);
        };
        match self {
            Self::Prefix { prefix, any_case } => starts_with(path, prefix, *any_case),
            Self::Exact {
                path: exact,
                any_case,
            } => equal(path, exact, *any_case),
            Self::Separated { prefix, any_case } => {
                starts_with(path, prefix, *any_case)
                    && matches!(path.get(prefix.len()), None | Some(b'/'))
            }
            Self::Regex(regex) => regex.is_match(path),
            Self::Template(template) => template.is_match(path),
            Self::Connect => is_connect(headers),
        }
    }

    /// How much of a path `prefix_rewrite` replaces: the prefix, or for other specifiers all in front of the query.
    pub(super) fn matched_len(&self, path: &[u8]) -> Option<usize> {
        match self {
            Self::Prefix { prefix, any_case } | Self::Separated { prefix, any_case } => {
                starts_with(path, prefix, *any_case).then_some(prefix.len())
            }
            _ => Some(without_query(path).len()),
        }
    }
}

fn is_connect(headers: &HeaderMap) -> bool {
    headers.get(HeaderId::Method) == Some(b"CONNECT")
}

fn equal(a: &[u8], b: &[u8], any_case: bool) -> bool {
    if any_case {
        a.eq_ignore_ascii_case(b)
    } else {
        a == b
    }
}

fn starts_with(path: &[u8], prefix: &[u8], any_case: bool) -> bool {
    path.get(..prefix.len())
        .is_some_and(|start| equal(start, prefix, any_case))
}
