//! `route.v3.RateLimit`: what a request is to a rate limiter, as lists of keys and values.

use super::{Action as RouteAction, RouteMatch, query::QueryParameterMatcher};
use envoy_api::{
    pb::envoy::{
        config::route::v3::{
            RateLimit as Proto,
            rate_limit::{
                Action as ActionProto, XRateLimitOption, action::ActionSpecifier,
                action::meta_data::Source,
            },
        },
        r#type::metadata::v3::{MetadataKey, metadata_key::path_segment::Segment},
    },
    prost_types::value::Kind,
};
use outrigger_core::{
    ConfigError, HeaderMap, HeaderName, StreamInfo,
    error::{ConfigResult, required},
    local_info::LocalInfo,
    matcher::{CidrList, HeaderMatchers},
    metadata::Metadata,
};
use percent_encoding::percent_decode;
use std::{net::IpAddr, sync::Arc};

/// The entries of one descriptor: (key, value), in order.
pub type Descriptor = Vec<(Arc<str>, Arc<str>)>;

/// One `RateLimit`: its actions together make one descriptor, or none.
#[derive(Debug)]
pub struct RateLimit {
    actions: Box<[Action]>,
    /// `x_ratelimit_option`, if it is given.
    tells: Option<bool>,
}

/// One `RateLimit.Action`.
#[derive(Debug)]
enum Action {
    /// Known before the request.
    Fixed(Arc<str>, Arc<str>),
    DestinationCluster,
    RequestHeader {
        header: HeaderName,
        key: Arc<str>,
        skip_if_absent: bool,
    },
    QueryParameter {
        name: Box<[u8]>,
        key: Arc<str>,
        skip_if_absent: bool,
    },
    RemoteAddress,
    MaskedRemoteAddress {
        v4: u8,
        v6: u8,
    },
    RemoteAddressMatch {
        ranges: CidrList,
        invert: bool,
        key: Arc<str>,
        value: Arc<str>,
    },
    HeaderValueMatch {
        headers: HeaderMatchers,
        expect: bool,
        key: Arc<str>,
        value: Arc<str>,
    },
    QueryParameterValueMatch {
        parameters: Box<[QueryParameterMatcher]>,
        expect: bool,
        key: Arc<str>,
        value: Arc<str>,
    },
    Metadata {
        source: Source,
        namespace: Box<str>,
        path: Box<[Box<str>]>,
        key: Arc<str>,
        default: Arc<str>,
        skip_if_absent: bool,
    },
}

/// What actions look at.
#[derive(Debug)]
pub struct RateLimitInput<'a> {
    pub request: &'a HeaderMap,
    pub info: &'a StreamInfo,
    pub route: Option<&'a RouteMatch>,
}

/// What one action has to say.
enum Entry {
    Is(Arc<str>, Arc<str>),
    /// The descriptor does without it.
    Skipped,
    /// There is no descriptor.
    Missing,
}

impl RateLimit {
    pub fn compile(proto: &Proto, local: &LocalInfo) -> Result<Self, ConfigError> {
        let actions = proto.actions.iter().enumerate();
        Ok(Self {
            actions: actions
                .map(|(i, action)| Action::compile(action, local).at_index("actions", i))
                .collect::<Result<_, _>>()?,
            tells: match proto.x_ratelimit_option() {
                XRateLimitOption::Unspecified => None,
                option => Some(option == XRateLimitOption::DraftVersion03),
            },
        })
    }

    /// Whether clients are told what is left to them, in the place of what the filter says.
    pub fn tells(&self) -> Option<bool> {
        self.tells
    }

    /// The descriptor of a request, if all its parts are there.
    pub fn descriptor(&self, input: &RateLimitInput<'_>) -> Option<Descriptor> {
        let mut descriptor = Descriptor::with_capacity(self.actions.len());
        for action in &self.actions {
            match action.entry(input) {
                Entry::Is(key, value) => descriptor.push((key, value)),
                Entry::Skipped => {}
                Entry::Missing => return None,
            }
        }
        (!descriptor.is_empty()).then_some(descriptor)
    }
}

/// A key that the user may name.
fn named(key: &str, default: &str) -> Arc<str> {
    if key.is_empty() { default } else { key }.into()
}

fn refused<T>(field: &str) -> Result<T, ConfigError> {
    Err(ConfigError::new("this action is not supported").at(field))
}

impl Action {
    #[allow(deprecated)]
    fn compile(proto: &ActionProto, local: &LocalInfo) -> Result<Self, ConfigError> {
        let specifier = required(proto.action_specifier.as_ref(), "action_specifier")?;
        Ok(match specifier {
            ActionSpecifier::SourceCluster(_) => {
                Self::Fixed("source_cluster".into(), local.cluster.clone())
            }
            ActionSpecifier::DestinationCluster(_) => Self::DestinationCluster,
            ActionSpecifier::RequestHeaders(action) => Self::RequestHeader {
                header: action.header_name.as_str().into(),
                key: action.descriptor_key.as_str().into(),
                skip_if_absent: action.skip_if_absent,
            },
            ActionSpecifier::QueryParameters(action) => Self::QueryParameter {
                name: action.query_parameter_name.as_bytes().into(),
                key: action.descriptor_key.as_str().into(),
                skip_if_absent: action.skip_if_absent,
            },
            ActionSpecifier::RemoteAddress(_) => Self::RemoteAddress,
            ActionSpecifier::MaskedRemoteAddress(action) => {
                let bits = |field: Option<u32>, all: u8| {
                    field.map_or(all, |bits| u8::try_from(bits).unwrap_or(all))
                };
                Self::MaskedRemoteAddress {
                    v4: bits(action.v4_prefix_mask_len, 32),
                    v6: bits(action.v6_prefix_mask_len, 128),
                }
            }
            ActionSpecifier::GenericKey(action) => Self::Fixed(
                named(&action.descriptor_key, "generic_key"),
                action.descriptor_value.as_str().into(),
            ),
            ActionSpecifier::HeaderValueMatch(action) => Self::HeaderValueMatch {
                headers: HeaderMatchers::compile(&action.headers)
                    .at("headers")
                    .at("header_value_match")?,
                expect: action.expect_match.unwrap_or(true),
                key: named(&action.descriptor_key, "header_match"),
                value: action.descriptor_value.as_str().into(),
            },
            ActionSpecifier::QueryParameterValueMatch(action) => {
                let parameters = action.query_parameters.iter().enumerate();
                Self::QueryParameterValueMatch {
                    parameters: parameters
                        .map(|(i, parameter)| {
                            QueryParameterMatcher::compile(parameter)
                                .at_index("query_parameters", i)
                        })
                        .collect::<Result<_, _>>()
                        .at("query_parameter_value_match")?,
                    expect: action.expect_match.unwrap_or(true),
                    key: named(&action.descriptor_key, "query_match"),
                    value: action.descriptor_value.as_str().into(),
                }
            }
            ActionSpecifier::Metadata(action) => {
                let key = required(action.metadata_key.as_ref(), "metadata_key").at("metadata")?;
                Self::Metadata {
                    source: match action.source() {
                        source @ (Source::Dynamic | Source::RouteEntry) => source,
                        _ => return refused("source").at("metadata"),
                    },
                    namespace: key.key.as_str().into(),
                    path: path(key).at("metadata_key").at("metadata")?,
                    key: action.descriptor_key.as_str().into(),
                    default: action.default_value.as_str().into(),
                    skip_if_absent: action.skip_if_absent,
                }
            }
            ActionSpecifier::DynamicMetadata(_) => return refused("dynamic_metadata"),
            ActionSpecifier::Extension(_) => return refused("extension"),
            ActionSpecifier::RemoteAddressMatch(action) => {
                let matcher = required(action.address_matcher.as_ref(), "address_matcher")
                    .at("remote_address_match")?;
                Self::RemoteAddressMatch {
                    ranges: CidrList::compile_xds(&matcher.ranges)
                        .at("address_matcher")
                        .at("remote_address_match")?,
                    invert: matcher.invert_match,
                    key: named(&action.descriptor_key, "remote_address_match"),
                    value: action.descriptor_value.as_str().into(),
                }
            }
        })
    }

    fn entry(&self, input: &RateLimitInput<'_>) -> Entry {
        let text = |bytes: &[u8]| Arc::<str>::from(String::from_utf8_lossy(bytes));
        let or_absent = |key: &Arc<str>, value: Option<Arc<str>>, skip_if_absent: bool| match value
        {
            Some(value) => Entry::Is(key.clone(), value),
            None if skip_if_absent => Entry::Skipped,
            None => Entry::Missing,
        };
        let if_matched = |matched: bool, key: &Arc<str>, value: &Arc<str>| match matched {
            true => Entry::Is(key.clone(), value.clone()),
            false => Entry::Missing,
        };
        match self {
            Self::Fixed(key, value) => Entry::Is(key.clone(), value.clone()),
            Self::DestinationCluster => {
                let cluster = input.route.and_then(|found| match &found.route.action {
                    RouteAction::Forward(forward) => forward.cluster_name(input.request),
                    _ => None,
                });
                or_absent(&"destination_cluster".into(), cluster.map(text), false)
            }
            Self::RequestHeader {
                header,
                key,
                skip_if_absent,
            } => or_absent(
                key,
                input.request.get_name(header).map(text),
                *skip_if_absent,
            ),
            Self::QueryParameter {
                name,
                key,
                skip_if_absent,
            } => or_absent(key, query_parameter(input.request, name), *skip_if_absent),
            Self::RemoteAddress => match input.info.remote_address().ip() {
                Some(address) => {
                    Entry::Is("remote_address".into(), address.ip().to_string().into())
                }
                None => Entry::Missing,
            },
            Self::MaskedRemoteAddress { v4, v6 } => match input.info.remote_address().ip() {
                Some(address) => Entry::Is(
                    "masked_remote_address".into(),
                    network(address.ip(), *v4, *v6).into(),
                ),
                None => Entry::Missing,
            },
            Self::RemoteAddressMatch {
                ranges,
                invert,
                key,
                value,
            } => match input.info.remote_address().ip() {
                Some(address) => if_matched(ranges.contains(address.ip()) != *invert, key, value),
                None => Entry::Missing,
            },
            Self::HeaderValueMatch {
                headers,
                expect,
                key,
                value,
            } => if_matched(headers.all_match(input.request) == *expect, key, value),
            Self::QueryParameterValueMatch {
                parameters,
                expect,
                key,
                value,
            } => {
                let path = input.request.get(outrigger_core::HeaderId::Path);
                let path = path.unwrap_or_default();
                let matched = parameters.iter().all(|parameter| parameter.is_match(path));
                if_matched(matched == *expect, key, value)
            }
            Self::Metadata {
                source,
                namespace,
                path,
                key,
                default,
                skip_if_absent,
            } => {
                let metadata: Option<&Metadata> = match source {
                    Source::Dynamic => Some(&input.info.dynamic_metadata),
                    _ => input.info.route.as_ref().map(|route| &route.metadata),
                };
                let value = metadata.and_then(|metadata| metadata.get(namespace, path));
                let found = match value.and_then(|value| value.kind.as_ref()) {
                    Some(Kind::StringValue(found)) if !found.is_empty() => {
                        Some(found.as_str().into())
                    }
                    _ => (!default.is_empty()).then(|| default.clone()),
                };
                or_absent(key, found, *skip_if_absent)
            }
        }
    }
}

/// The keys below the namespace.
fn path(proto: &MetadataKey) -> Result<Box<[Box<str>]>, ConfigError> {
    let segments = proto.path.iter().enumerate();
    segments
        .map(|(i, segment)| {
            match required(segment.segment.as_ref(), "segment").at_index("path", i)? {
                Segment::Key(key) => Ok(key.as_str().into()),
                Segment::Index(_) => {
                    let error = ConfigError::new("only keys lead on in metadata");
                    Err(error.at("index").index(i).at("path"))
                }
            }
        })
        .collect()
}

/// The network of an address, such as `10.0.0.0/8`.
fn network(address: IpAddr, v4: u8, v6: u8) -> String {
    let bits = if address.is_ipv4() { v4 } else { v6 };
    match ipnet::IpNet::new(address, bits) {
        Ok(network) => network.trunc().to_string(),
        Err(_) => String::new(),
    }
}

/// The first value of a query parameter, decoded.
fn query_parameter(request: &HeaderMap, name: &[u8]) -> Option<Arc<str>> {
    let path = request.get(outrigger_core::HeaderId::Path)?;
    let query = path.get(memchr::memchr(b'?', path)? + 1..)?;
    let query = query.split(|&b| b == b'#').next()?;
    query.split(|&b| b == b'&').find_map(|parameter| {
        let (key, value) = match memchr::memchr(b'=', parameter) {
            Some(at) => (parameter.get(..at)?, parameter.get(at + 1..)?),
            None => (parameter, &[][..]),
        };
        let found = percent_decode(key).eq(name.iter().copied());
        found.then(|| percent_decode(value).decode_utf8_lossy().into())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use outrigger_core::HeaderId;

    #[test]
    fn networks_have_their_length() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(network(ip("10.1.2.3"), 8, 64), "10.0.0.0/8");
        assert_eq!(network(ip("10.1.2.3"), 32, 64), "10.1.2.3/32");
        assert_eq!(network(ip("fe80::1:2:3:4"), 8, 64), "fe80::/64");
    }

    #[test]
    fn the_first_query_parameter_counts_and_is_decoded() {
        let mut request = HeaderMap::new();
        request.set(HeaderId::Path, b"/p?x&q=a%20b+c&q=2#q=3");
        let get = |name: &str| query_parameter(&request, name.as_bytes());
        assert_eq!(get("q").as_deref(), Some("a b+c"));
        assert_eq!(get("x").as_deref(), Some(""));
        assert_eq!(get("z"), None);
    }
}
