//! `route.v3.HeaderMatcher`: whether a message's headers are as configuration says.

use crate::{ConfigError, HeaderMap, HeaderName, error::ConfigResult};
use envoy_api::pb::envoy::config::route::v3::{
    HeaderMatcher as Proto, header_matcher::HeaderMatchSpecifier as Specifier,
};

use super::{regex::Regex, string::StringMatcher};

/// One compiled header matcher.
///
/// A header that came in several lines matches if one of its values does. A missing header matches nothing, inverted or
/// not, unless the matcher takes it for an empty one.
#[derive(Clone, Debug)]
pub struct HeaderMatcher {
    name: HeaderName,
    kind: Kind,
    invert: bool,
    missing_is_empty: bool,
}

#[derive(Clone, Debug)]
enum Kind {
    /// True: the header must be there; false: it must not.
    Present(bool),
    String(StringMatcher),
    /// `[start, end)`.
    Range(i64, i64),
}

impl HeaderMatcher {
    #[allow(deprecated)]
    pub fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        if proto.name.is_empty() {
            return Err(ConfigError::new("value length must be at least 1 characters").at("name"));
        }
        let kind = match &proto.header_match_specifier {
            None => Kind::Present(true),
            Some(specifier) => match specifier {
                Specifier::PresentMatch(present) => Kind::Present(*present),
                Specifier::RangeMatch(range) => Kind::Range(range.start, range.end),
                Specifier::StringMatch(matcher) => {
                    Kind::String(StringMatcher::compile(matcher).at("string_match")?)
                }
                // The old field cannot tell an empty text from none: it asks for the header's presence.
                Specifier::ExactMatch(text) if text.is_empty() => Kind::Present(true),
                Specifier::ExactMatch(text) => Kind::String(StringMatcher::exact(text)),
                Specifier::PrefixMatch(text) => {
                    Kind::String(StringMatcher::prefix(text.as_bytes()))
                }
                Specifier::SuffixMatch(text) => {
                    Kind::String(StringMatcher::suffix(text.as_bytes()))
                }
                Specifier::ContainsMatch(text) => {
                    Kind::String(StringMatcher::contains(text.as_bytes(), false))
                }
                Specifier::SafeRegexMatch(regex) => {
                    let regex = Regex::compile(regex).at("safe_regex_match")?;
                    Kind::String(StringMatcher::regex(regex, false)?)
                }
            },
        };
        Ok(Self {
            name: HeaderName::from(proto.name.as_str()),
            kind,
            invert: proto.invert_match,
            missing_is_empty: proto.treat_missing_header_as_empty,
        })
    }

    pub fn is_match(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(&self.name).peekable();
        let missing = values.peek().is_none();
        if missing && !self.missing_is_empty {
            // Here alone inversion counts for a missing header: it asks for its absence.
            return matches!(&self.kind, Kind::Present(present) if *present == self.invert);
        }
        let matched = match &self.kind {
            Kind::Present(present) => *present,
            Kind::String(matcher) => {
                (missing && matcher.is_match(b"")) || values.any(|value| matcher.is_match(value))
            }
            Kind::Range(start, end) => values.any(|value| {
                std::str::from_utf8(value)
                    .ok()
                    .and_then(|text| text.parse::<i64>().ok())
                    .is_some_and(|number| number >= *start && number < *end)
            }),
        };
        matched != self.invert
    }
}

/// Header matchers that all have to match.
#[derive(Clone, Debug, Default)]
pub struct HeaderMatchers(Box<[HeaderMatcher]>);

impl HeaderMatchers {
    /// Compiles a repeated field; errors carry the index only, the caller names the field.
    pub fn compile(protos: &[Proto]) -> Result<Self, ConfigError> {
        protos
            .iter()
            .enumerate()
            .map(|(i, proto)| HeaderMatcher::compile(proto).map_err(|e| e.index(i)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True when there are none.
    pub fn all_match(&self, headers: &HeaderMap) -> bool {
        self.0.iter().all(|matcher| matcher.is_match(headers))
    }

    /// False when there are none.
    pub fn any_match(&self, headers: &HeaderMap) -> bool {
        self.0.iter().any(|matcher| matcher.is_match(headers))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::pb::envoy::r#type::{
        matcher::v3::{StringMatcher as StringProto, string_matcher::MatchPattern},
        v3::Int64Range,
    };

    fn string(pattern: MatchPattern, ignore_case: bool) -> Option<Specifier> {
        Some(Specifier::StringMatch(StringProto {
            match_pattern: Some(pattern),
            ignore_case,
        }))
    }

    fn matches(specifier: &Option<Specifier>, flags: &str, values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append_raw(b"X-H", value.as_bytes());
        }
        HeaderMatcher::compile(&Proto {
            name: "x-h".into(),
            invert_match: flags.contains('i'),
            treat_missing_header_as_empty: flags.contains('m'),
            header_match_specifier: specifier.clone(),
        })
        .unwrap()
        .is_match(&headers)
    }

    /// What Envoy 1.40 answers for a header that is missing, `a`, empty, and two lines `b` and `a`.
    #[test]
    #[allow(deprecated)]
    fn missing_empty_and_repeated_headers() {
        let exact = |text: &str| string(MatchPattern::Exact(text.into()), false);
        let present = |p| Some(Specifier::PresentMatch(p));
        let range = Some(Specifier::RangeMatch(Int64Range { start: -5, end: 10 }));
        let table = [
            (present(true), "", [false, true, true, true]),
            (present(false), "", [true, false, false, false]),
            (None, "", [false, true, true, true]),
            (present(true), "i", [true, false, false, false]),
            (present(false), "i", [false, true, true, true]),
            (present(true), "m", [true, true, true, true]),
            (present(false), "m", [false, false, false, false]),
            (present(true), "im", [false, false, false, false]),
            (None, "i", [true, false, false, false]),
            (exact("a"), "", [false, true, false, true]),
            (exact("a"), "i", [false, false, true, false]),
            (exact("a"), "im", [true, false, true, false]),
            (exact(""), "", [false, false, true, false]),
            (exact(""), "m", [true, false, true, false]),
            (range.clone(), "", [false, false, false, false]),
            (range.clone(), "i", [false, true, true, true]),
            (range, "im", [true, true, true, true]),
            (
                Some(Specifier::ExactMatch(String::new())),
                "",
                [false, true, true, true],
            ),
        ];
        for (specifier, flags, expected) in table {
            let got = [&[][..], &["a"], &[""], &["b", "a"]].map(|v| matches(&specifier, flags, v));
            assert_eq!(got, expected, "{specifier:?} {flags}");
        }
    }

    #[test]
    fn a_range_takes_whole_numbers_only() {
        let range = Some(Specifier::RangeMatch(Int64Range { start: -5, end: 10 }));
        for (value, expected) in [
            ("5", true),
            ("-5", true),
            ("+5", true),
            ("05", true),
            ("10", false),
            ("5x", false),
            ("0x5", false),
            ("9223372036854775808", false),
        ] {
            assert_eq!(matches(&range, "", &[value]), expected, "{value}");
        }
        assert!(matches(&range, "", &["20", "5"]));
    }

    #[test]
    fn host_is_authority() {
        let mut headers = HeaderMap::new();
        headers.append_raw(b"host", b"a.example");
        for name in ["host", "Host", ":authority"] {
            let matcher = HeaderMatcher::compile(&Proto {
                name: name.into(),
                header_match_specifier: string(MatchPattern::Suffix(".example".into()), false),
                ..Default::default()
            })
            .unwrap();
            assert!(matcher.is_match(&headers), "{name}");
        }
    }
}
