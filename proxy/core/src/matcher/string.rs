//! `type.matcher.v3.StringMatcher`: exact, prefix, suffix, contains or regex, over raw bytes.

use crate::{
    ConfigError,
    error::{ConfigResult, required},
};
use envoy_api::pb::envoy::r#type::matcher::v3::{
    PathMatcher as PathProto, StringMatcher as Proto, path_matcher::Rule,
    string_matcher::MatchPattern,
};
use envoy_api::pb::xds::r#type::matcher::v3::{
    StringMatcher as XdsProto, string_matcher::MatchPattern as XdsPattern,
};
use memchr::memmem::Finder;

use super::regex::Regex;

/// A compiled string matcher. Ignoring case means ASCII letters only, as in Envoy.
#[derive(Clone, Debug)]
pub struct StringMatcher {
    pattern: Pattern,
    ignore_case: bool,
}

#[derive(Clone, Debug)]
enum Pattern {
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    Suffix(Box<[u8]>),
    Contains(Box<Finder<'static>>),
    Regex(Regex),
}

impl StringMatcher {
    pub fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        let pattern = match required(proto.match_pattern.as_ref(), "match_pattern")? {
            MatchPattern::Exact(text) => Pattern::Exact(text.as_bytes().into()),
            MatchPattern::Prefix(text) => Pattern::Prefix(not_empty(text).at("prefix")?.into()),
            MatchPattern::Suffix(text) => Pattern::Suffix(not_empty(text).at("suffix")?.into()),
            MatchPattern::Contains(text) => {
                let text = not_empty(text).at("contains")?;
                return Ok(Self::contains(text, proto.ignore_case));
            }
            MatchPattern::SafeRegex(regex) => {
                return Self::regex(Regex::compile(regex).at("safe_regex")?, proto.ignore_case);
            }
            MatchPattern::Custom(extension) => return Err(no_extension(&extension.name)),
        };
        Ok(Self {
            pattern,
            ignore_case: proto.ignore_case,
        })
    }

    /// The same message in the xDS namespace, as the unified matcher holds it.
    pub fn compile_xds(proto: &XdsProto) -> Result<Self, ConfigError> {
        let pattern = match required(proto.match_pattern.as_ref(), "match_pattern")? {
            XdsPattern::Exact(text) => Pattern::Exact(text.as_bytes().into()),
            XdsPattern::Prefix(text) => Pattern::Prefix(not_empty(text).at("prefix")?.into()),
            XdsPattern::Suffix(text) => Pattern::Suffix(not_empty(text).at("suffix")?.into()),
            XdsPattern::Contains(text) => {
                let text = not_empty(text).at("contains")?;
                return Ok(Self::contains(text, proto.ignore_case));
            }
            XdsPattern::SafeRegex(regex) => {
                let regex = Regex::new(&regex.regex).at("regex").at("safe_regex")?;
                return Self::regex(regex, proto.ignore_case);
            }
            XdsPattern::Custom(extension) => return Err(no_extension(&extension.name)),
        };
        Ok(Self {
            pattern,
            ignore_case: proto.ignore_case,
        })
    }

    /// Matches exactly this text.
    pub fn exact(text: impl AsRef<[u8]>) -> Self {
        Self {
            pattern: Pattern::Exact(text.as_ref().into()),
            ignore_case: false,
        }
    }

    pub(super) fn prefix(text: &[u8]) -> Self {
        Self {
            pattern: Pattern::Prefix(text.into()),
            ignore_case: false,
        }
    }

    pub(super) fn suffix(text: &[u8]) -> Self {
        Self {
            pattern: Pattern::Suffix(text.into()),
            ignore_case: false,
        }
    }

    pub(super) fn contains(text: &[u8], ignore_case: bool) -> Self {
        let needle = if ignore_case {
            text.to_ascii_lowercase()
        } else {
            text.to_vec()
        };
        Self {
            pattern: Pattern::Contains(Box::new(Finder::new(&needle).into_owned())),
            ignore_case,
        }
    }

    pub(super) fn regex(regex: Regex, ignore_case: bool) -> Result<Self, ConfigError> {
        if ignore_case {
            return Err(ConfigError::new(
                "ignore_case has no effect for safe_regex.",
            ));
        }
        Ok(Self {
            pattern: Pattern::Regex(regex),
            ignore_case,
        })
    }

    pub fn is_match(&self, text: &[u8]) -> bool {
        let equal = |a: &[u8], b: &[u8]| {
            if self.ignore_case {
                a.eq_ignore_ascii_case(b)
            } else {
                a == b
            }
        };
        match &self.pattern {
            Pattern::Exact(exact) => equal(text, exact),
            Pattern::Prefix(prefix) => text
                .get(..prefix.len())
                .is_some_and(|start| equal(start, prefix)),
            Pattern::Suffix(suffix) => text
                .len()
                .checked_sub(suffix.len())
                .and_then(|at| text.get(at..))
                .is_some_and(|end| equal(end, suffix)),
            Pattern::Contains(finder) if self.ignore_case => text
                .windows(finder.needle().len())
                .any(|window| window.eq_ignore_ascii_case(finder.needle())),
            Pattern::Contains(finder) => finder.find(text).is_some(),
            Pattern::Regex(regex) => regex.is_match(text),
        }
    }
}

fn not_empty(text: &str) -> Result<&[u8], ConfigError> {
    if text.is_empty() {
        return Err(ConfigError::new(
            "value length must be at least 1 characters",
        ));
    }
    Ok(text.as_bytes())
}

fn no_extension(name: &str) -> ConfigError {
    ConfigError::new(format!(
        "Didn't find a registered implementation for '{name}'"
    ))
    .at("custom")
}

/// `type.matcher.v3.PathMatcher`: a string matcher over a path without its query and fragment.
#[derive(Clone, Debug)]
pub struct PathMatcher(StringMatcher);

impl PathMatcher {
    pub fn compile(proto: &PathProto) -> Result<Self, ConfigError> {
        match required(proto.rule.as_ref(), "rule")? {
            Rule::Path(matcher) => StringMatcher::compile(matcher).at("path").map(Self),
        }
    }

    /// Matches a `:path` value.
    pub fn is_match(&self, path: &[u8]) -> bool {
        let end = memchr::memchr2(b'?', b'#', path).unwrap_or(path.len());
        self.0.is_match(path.get(..end).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn matcher(pattern: MatchPattern, ignore_case: bool) -> StringMatcher {
        StringMatcher::compile(&Proto {
            match_pattern: Some(pattern),
            ignore_case,
        })
        .unwrap()
    }

    #[test]
    fn every_kind_with_and_without_case() {
        type Kind = fn(String) -> MatchPattern;
        let table: [(Kind, &str, &str); 4] = [
            (MatchPattern::Exact, "aBc", "aBcd"),
            (MatchPattern::Prefix, "aBcd", "daBc"),
            (MatchPattern::Suffix, "daBc", "aBcd"),
            (MatchPattern::Contains, "daBcd", "daBd"),
        ];
        for (kind, yes, no) in table {
            let exact_case = matcher(kind("aBc".into()), false);
            let any_case = matcher(kind("aBc".into()), true);
            assert!(exact_case.is_match(yes.as_bytes()), "{yes}");
            assert!(!exact_case.is_match(no.as_bytes()), "{no}");
            assert!(!exact_case.is_match(yes.to_lowercase().as_bytes()));
            assert!(any_case.is_match(yes.to_lowercase().as_bytes()));
            assert!(!any_case.is_match(no.to_lowercase().as_bytes()));
            assert!(!any_case.is_match(b""));
        }
    }

    #[test]
    fn errors_are_envoys() {
        let compile = |pattern, ignore_case| {
            StringMatcher::compile(&Proto {
                match_pattern: pattern,
                ignore_case,
            })
            .unwrap_err()
            .to_string()
        };
        assert_eq!(compile(None, false), "match_pattern: is required");
        assert_eq!(
            compile(Some(MatchPattern::Prefix(String::new())), false),
            "prefix: value length must be at least 1 characters"
        );
        let regex = |text: &str| {
            MatchPattern::SafeRegex(envoy_api::pb::envoy::r#type::matcher::v3::RegexMatcher {
                regex: text.into(),
                ..Default::default()
            })
        };
        assert_eq!(
            compile(Some(regex("a")), true),
            "ignore_case has no effect for safe_regex."
        );
        assert_eq!(
            compile(Some(regex("a(")), false),
            "safe_regex.regex: missing ): a("
        );
    }

    #[test]
    fn a_path_ends_at_its_query() {
        let matcher = PathMatcher(matcher(MatchPattern::Exact("/a".into()), false));
        assert!(matcher.is_match(b"/a"));
        assert!(matcher.is_match(b"/a?b"));
        assert!(matcher.is_match(b"/a#b"));
        assert!(!matcher.is_match(b"/a/"));
    }
}
