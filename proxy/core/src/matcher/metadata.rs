//! `type.matcher.v3.MetadataMatcher`, `ValueMatcher` and `FilterStateMatcher`: matchers over what filters left behind.

use crate::{
    ConfigError, StreamInfo,
    error::{ConfigResult, required},
    metadata::Metadata,
    stream_info::FilterState,
};
use envoy_api::pb::envoy::r#type::matcher::v3::{
    FilterStateMatcher as FilterStateProto, MetadataMatcher as Proto, ValueMatcher as ValueProto,
    double_matcher::MatchPattern as DoublePattern, filter_state_matcher::Matcher,
    list_matcher::MatchPattern as ListPattern, metadata_matcher::path_segment::Segment,
    value_matcher::MatchPattern,
};
use envoy_api::prost_types::{Value, value::Kind};
use std::net::IpAddr;

use super::{cidr::CidrList, string::StringMatcher};

/// A value matcher over one path of one metadata namespace.
#[derive(Clone, Debug)]
pub struct MetadataMatcher {
    filter: Box<str>,
    path: Box<[Box<str>]>,
    value: ValueMatcher,
    invert: bool,
}

impl MetadataMatcher {
    pub fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        if proto.filter.is_empty() {
            return Err(
                ConfigError::new("value length must be at least 1 characters").at("filter"),
            );
        }
        if proto.path.is_empty() {
            return Err(ConfigError::new("value must contain at least 1 item(s)").at("path"));
        }
        let path = proto
            .path
            .iter()
            .enumerate()
            .map(|(i, segment)| {
                let Segment::Key(key) =
                    required(segment.segment.as_ref(), "segment").at_index("path", i)?;
                Ok(key.as_str().into())
            })
            .collect::<Result<_, ConfigError>>()?;
        let value = ValueMatcher::compile(required(proto.value.as_ref(), "value")?).at("value")?;
        Ok(Self {
            filter: proto.filter.as_str().into(),
            path,
            value,
            invert: proto.invert,
        })
    }

    pub fn is_match(&self, metadata: &Metadata) -> bool {
        let value = metadata.get(&self.filter, &self.path);
        self.value.is_match(value) != self.invert
    }
}

/// A matcher over one protobuf value, which may be missing.
#[derive(Clone, Debug)]
pub enum ValueMatcher {
    Null,
    /// `[start, end)`.
    DoubleRange(f64, f64),
    Double(f64),
    String(StringMatcher),
    Bool(bool),
    /// True: there is a value; false never matches, as in Envoy.
    Present(bool),
    /// Some element of a list matches.
    ListOneOf(Box<ValueMatcher>),
    Or(Box<[ValueMatcher]>),
}

impl ValueMatcher {
    pub fn compile(proto: &ValueProto) -> Result<Self, ConfigError> {
        Ok(
            match required(proto.match_pattern.as_ref(), "match_pattern")? {
                MatchPattern::NullMatch(_) => Self::Null,
                MatchPattern::DoubleMatch(double) => {
                    match required(double.match_pattern.as_ref(), "match_pattern")
                        .at("double_match")?
                    {
                        DoublePattern::Range(range) => Self::DoubleRange(range.start, range.end),
                        DoublePattern::Exact(number) => Self::Double(*number),
                    }
                }
                MatchPattern::StringMatch(matcher) => {
                    Self::String(StringMatcher::compile(matcher).at("string_match")?)
                }
                MatchPattern::BoolMatch(value) => Self::Bool(*value),
                MatchPattern::PresentMatch(present) => Self::Present(*present),
                MatchPattern::ListMatch(list) => {
                    let ListPattern::OneOf(inner) =
                        required(list.match_pattern.as_ref(), "match_pattern").at("list_match")?;
                    Self::ListOneOf(Box::new(
                        Self::compile(inner).at("one_of").at("list_match")?,
                    ))
                }
                MatchPattern::OrMatch(or) => Self::Or(
                    or.value_matchers
                        .iter()
                        .enumerate()
                        .map(|(i, matcher)| Self::compile(matcher).at_index("value_matchers", i))
                        .collect::<Result<_, _>>()
                        .at("or_match")?,
                ),
            },
        )
    }

    pub fn is_match(&self, value: Option<&Value>) -> bool {
        let kind = value.and_then(|value| value.kind.as_ref());
        match (self, kind) {
            (Self::Or(matchers), _) => matchers.iter().any(|matcher| matcher.is_match(value)),
            (Self::Present(present), kind) => *present && kind.is_some(),
            (Self::Null, Some(Kind::NullValue(_))) => true,
            (Self::Double(wanted), Some(Kind::NumberValue(number))) => wanted == number,
            (Self::DoubleRange(start, end), Some(Kind::NumberValue(number))) => {
                start <= number && number < end
            }
            (Self::String(matcher), Some(Kind::StringValue(text))) => {
                matcher.is_match(text.as_bytes())
            }
            (Self::Bool(wanted), Some(Kind::BoolValue(value))) => wanted == value,
            (Self::ListOneOf(matcher), Some(Kind::ListValue(list))) => list
                .values
                .iter()
                .any(|value| matcher.is_match(Some(value))),
            _ => false,
        }
    }
}

/// A matcher over one object of the filter state. A missing object never matches.
#[derive(Clone, Debug)]
pub struct FilterStateMatcher {
    key: Box<str>,
    matcher: StateMatcher,
}

#[derive(Clone, Debug)]
enum StateMatcher {
    String(StringMatcher),
    Address { ranges: CidrList, invert: bool },
}

impl FilterStateMatcher {
    pub fn compile(proto: &FilterStateProto) -> Result<Self, ConfigError> {
        if proto.key.is_empty() {
            return Err(ConfigError::new("value length must be at least 1 characters").at("key"));
        }
        let matcher = match required(proto.matcher.as_ref(), "matcher")? {
            Matcher::StringMatch(matcher) => {
                StateMatcher::String(StringMatcher::compile(matcher).at("string_match")?)
            }
            Matcher::AddressMatch(matcher) => StateMatcher::Address {
                ranges: CidrList::compile_xds(&matcher.ranges).at("address_match")?,
                invert: matcher.invert_match,
            },
        };
        Ok(Self {
            key: proto.key.as_str().into(),
            matcher,
        })
    }

    pub fn is_match(&self, info: &StreamInfo) -> bool {
        let Some(FilterState::String(text)) = info.filter_state.get(&*self.key) else {
            return false;
        };
        match &self.matcher {
            StateMatcher::String(matcher) => matcher.is_match(text.as_bytes()),
            StateMatcher::Address { ranges, invert } => text
                .parse::<IpAddr>()
                .is_ok_and(|ip| ranges.contains(ip) != *invert),
        }
    }
}
