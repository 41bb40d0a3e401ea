//! Query parameter and cookie matchers of `RouteMatch`.

use envoy_api::pb::envoy::config::route::v3::{
    CookieMatcher as CookieProto, QueryParameterMatcher as Proto,
    query_parameter_matcher::QueryParameterMatchSpecifier as Specifier,
};
use outrigger_core::{
    ConfigError, HeaderId, HeaderMap, HeaderName,
    error::{ConfigResult, required},
    matcher::StringMatcher,
};

/// One query parameter. Only the first of several with one name counts; nothing is percent-decoded.
#[derive(Clone, Debug)]
pub(super) struct QueryParameterMatcher {
    name: Box<[u8]>,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Present(bool),
    String(StringMatcher),
}

impl QueryParameterMatcher {
    pub(super) fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        if proto.name.is_empty() {
            return Err(ConfigError::new("value length must be at least 1 characters").at("name"));
        }
        let kind = match &proto.query_parameter_match_specifier {
            None => Kind::Present(true),
            Some(Specifier::PresentMatch(present)) => Kind::Present(*present),
            Some(Specifier::StringMatch(matcher)) => {
                Kind::String(StringMatcher::compile(matcher).at("string_match")?)
            }
        };
        Ok(Self {
            name: proto.name.as_bytes().into(),
            kind,
        })
    }

    /// Matches a `:path` value.
    pub(super) fn is_match(&self, path: &[u8]) -> bool {
        let value = first_parameter(path, &self.name);
        match &self.kind {
            Kind::Present(present) => value.is_some() == *present,
            Kind::String(matcher) => value.is_some_and(|value| matcher.is_match(value)),
        }
    }
}

/// The first value of a query parameter; empty for a bare name.
fn first_parameter<'a>(path: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let query = path.get(memchr::memchr(b'?', path)? + 1..)?;
    let end = memchr::memchr(b'#', query).unwrap_or(query.len());
    query.get(..end)?.split(|b| *b == b'&').find_map(|pair| {
        let (key, value) = match memchr::memchr(b'=', pair) {
            Some(at) => (pair.get(..at)?, pair.get(at + 1..)?),
            None => (pair, &[][..]),
        };
        (key == name).then_some(value)
    })
}

/// A cookie's value without the quotes around it.
fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

/// The value of a cookie, the first of its name, without quotes. `header` is `cookie`.
pub(crate) fn cookie_value<'a>(
    headers: &'a HeaderMap,
    header: &'a HeaderName,
    name: &[u8],
) -> Option<&'a [u8]> {
    headers
        .get_all(header)
        .flat_map(|line| line.split(|b| *b == b';'))
        .find_map(|pair| {
            let pair = pair.trim_ascii();
            let at = memchr::memchr(b'=', pair)?;
            (pair.get(..at)? == name).then(|| unquoted(pair.get(at + 1..).unwrap_or_default()))
        })
}

/// One cookie of the `cookie` headers: the first of its name. A missing one matches an inverted matcher.
#[derive(Clone, Debug)]
pub(super) struct CookieMatcher {
    name: Box<[u8]>,
    matcher: StringMatcher,
    invert: bool,
}

impl CookieMatcher {
    pub(super) fn compile(proto: &CookieProto) -> Result<Self, ConfigError> {
        if proto.name.is_empty() {
            return Err(ConfigError::new("value length must be at least 1 characters").at("name"));
        }
        Ok(Self {
            name: proto.name.as_bytes().into(),
            matcher: StringMatcher::compile(required(proto.string_match.as_ref(), "string_match")?)
                .at("string_match")?,
            invert: proto.invert_match,
        })
    }

    pub(super) fn is_match(&self, headers: &HeaderMap, cookie: &HeaderName) -> bool {
        debug_assert_eq!(cookie.id(), HeaderId::Cookie);
        let value = cookie_value(headers, cookie, &self.name);
        match value {
            Some(value) => self.matcher.is_match(value) != self.invert,
            None => self.invert,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::pb::envoy::r#type::matcher::v3::{
        StringMatcher as StringProto, string_matcher::MatchPattern,
    };

    fn exact(text: &str) -> StringProto {
        StringProto {
            match_pattern: Some(MatchPattern::Exact(text.into())),
            ..Default::default()
        }
    }

    #[test]
    fn the_first_parameter_of_a_name_counts() {
        let matcher = |kind| {
            QueryParameterMatcher::compile(&Proto {
                name: "a".into(),
                query_parameter_match_specifier: kind,
            })
            .unwrap()
        };
        let present = matcher(Some(Specifier::PresentMatch(true)));
        let absent = matcher(Some(Specifier::PresentMatch(false)));
        let named = matcher(None);
        let b = matcher(Some(Specifier::StringMatch(exact("b"))));
        let empty = matcher(Some(Specifier::StringMatch(exact(""))));
        for (path, is_there, is_b, is_empty) in [
            ("/", false, false, false),
            ("/?", false, false, false),
            ("/?a", true, false, true),
            ("/?a=", true, false, true),
            ("/?a=b", true, true, false),
            ("/?a=b&a=c", true, true, false),
            ("/?a=c&a=b", true, false, false),
            ("/?A=b", false, false, false),
            ("/?%61=b", false, false, false),
            ("/?a=%62", true, false, false),
            ("/?x&&a=b", true, true, false),
            ("/?x?a=b", false, false, false),
            ("/?x;a=b", false, false, false),
            ("/?a=b=c", true, false, false),
        ] {
            let got = [&present, &absent, &named, &b, &empty].map(|m| m.is_match(path.as_bytes()));
            assert_eq!(
                got,
                [is_there, !is_there, is_there, is_b, is_empty],
                "{path}"
            );
        }
    }

    #[test]
    fn the_first_cookie_of_a_name_counts() {
        let name = HeaderName::from(HeaderId::Cookie);
        let matcher = |invert| {
            CookieMatcher::compile(&CookieProto {
                name: "a".into(),
                string_match: Some(exact("b")),
                invert_match: invert,
            })
            .unwrap()
        };
        for (lines, expected) in [
            (&[][..], false),
            (&["a=b"], true),
            (&["x=1; a=b"], true),
            (&["a=b;a=c"], true),
            (&["a=c;a=b"], false),
            (&["a=c", "a=b"], false),
            (&["a=\"b\""], true),
            (&["a"], false),
            (&["A=b"], false),
            (&["a =b"], false),
            (&["a= b"], false),
            (&["a=b=c"], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append_raw(b"cookie", line.as_bytes());
            }
            assert_eq!(
                matcher(false).is_match(&headers, &name),
                expected,
                "{lines:?}"
            );
            assert_eq!(
                matcher(true).is_match(&headers, &name),
                !expected,
                "{lines:?}"
            );
        }
    }
}
