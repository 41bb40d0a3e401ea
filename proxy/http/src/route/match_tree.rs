//! `VirtualHost.matcher`: the unified matcher as a way to a route, over request headers.
//!
//! A leaf holds one route or a list of them, which then have to match as everywhere else; if they do not, no other leaf
//! is tried.

use envoy_api::{
    pb::{
        envoy::{
            config::route::v3::{Route as RouteProto, RouteList},
            r#type::matcher::v3::HttpRequestHeaderMatchInput,
        },
        xds::{
            core::v3::TypedExtensionConfig,
            r#type::matcher::v3::{
                Matcher as Proto,
                matcher::{
                    MatcherType, OnMatch as OnMatchProto,
                    matcher_list::{
                        Predicate as PredicateProto,
                        predicate::{
                            MatchType, SinglePredicate, single_predicate::Matcher as ValueProto,
                        },
                    },
                    matcher_tree::{MatchMap, TreeType},
                    on_match,
                },
            },
        },
    },
    unpack,
};
use hashbrown::HashMap;
use outrigger_core::{
    ConfigError, HeaderMap, HeaderName,
    error::{ConfigResult, required},
    matcher::StringMatcher,
};
use smallvec::SmallVec;

use super::{
    config::{Level, compile_route, no_extension},
    virtual_host::Candidate,
};

/// One node of the tree.
#[derive(Debug)]
pub(super) struct MatchTree {
    kind: Kind,
    on_no_match: Option<Box<OnMatch>>,
}

#[derive(Debug)]
enum Kind {
    /// Only `on_no_match` counts.
    Empty,
    /// The first field matcher that leads to a leaf.
    List(Box<[(Predicate, OnMatch)]>),
    Exact(
        HeaderName,
        HashMap<Box<[u8]>, OnMatch, foldhash::fast::RandomState>,
    ),
    /// Longest prefix first.
    Prefix(HeaderName, Box<[Entry]>),
}

#[derive(Debug)]
enum OnMatch {
    Leaf(Box<[Candidate]>),
    Node(Box<MatchTree>),
}

#[derive(Debug)]
enum Predicate {
    Single(HeaderName, StringMatcher),
    Or(Box<[Predicate]>),
    And(Box<[Predicate]>),
    Not(Box<Predicate>),
}

/// What a key of a map leads to.
type Entry = (Box<[u8]>, OnMatch);

/// A header's value as the unified matcher sees it: several lines joined with a comma.
type Value = SmallVec<[u8; 128]>;

fn value(headers: &HeaderMap, name: &HeaderName) -> Option<Value> {
    let mut values = headers.get_all(name);
    let mut joined = Value::from_slice(values.next()?);
    for value in values {
        joined.push(b',');
        joined.extend_from_slice(value);
    }
    Some(joined)
}

impl MatchTree {
    pub(super) fn compile(proto: &Proto, level: &Level<'_>) -> Result<Self, ConfigError> {
        let kind = match &proto.matcher_type {
            None => Kind::Empty,
            Some(MatcherType::MatcherList(list)) => Kind::List(
                list.matchers
                    .iter()
                    .enumerate()
                    .map(|(i, matcher)| {
                        let predicate = required(matcher.predicate.as_ref(), "predicate")
                            .and_then(|predicate| Predicate::compile(predicate).at("predicate"))
                            .at_index("matchers", i)?;
                        let on_match = required(matcher.on_match.as_ref(), "on_match")
                            .and_then(|on_match| OnMatch::compile(on_match, level).at("on_match"))
                            .at_index("matchers", i)?;
                        Ok((predicate, on_match))
                    })
                    .collect::<Result<_, ConfigError>>()
                    .at("matcher_list")?,
            ),
            Some(MatcherType::MatcherTree(tree)) => {
                let input = required(tree.input.as_ref(), "input").at("matcher_tree")?;
                let header = header_input(input).at("input").at("matcher_tree")?;
                match required(tree.tree_type.as_ref(), "tree_type").at("matcher_tree")? {
                    TreeType::ExactMatchMap(map) => {
                        let entries = entries(map, level)
                            .at("exact_match_map")
                            .at("matcher_tree")?;
                        Kind::Exact(header, entries.into_iter().collect())
                    }
                    TreeType::PrefixMatchMap(map) => {
                        let mut entries = entries(map, level)
                            .at("prefix_match_map")
                            .at("matcher_tree")?;
                        entries.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
                        Kind::Prefix(header, entries.into())
                    }
                    TreeType::CustomMatch(custom) => {
                        return Err(unknown(custom).at("custom_match").at("matcher_tree"));
                    }
                }
            }
        };
        let on_no_match = proto
            .on_no_match
            .as_ref()
            .map(|on_match| OnMatch::compile(on_match, level).map(Box::new))
            .transpose()
            .at("on_no_match")?;
        Ok(Self { kind, on_no_match })
    }

    /// The routes of the leaf that these headers lead to.
    pub(super) fn find(&self, headers: &HeaderMap) -> Option<&[Candidate]> {
        let found = match &self.kind {
            Kind::Empty => None,
            Kind::List(matchers) => matchers
                .iter()
                .filter(|(predicate, _)| predicate.is_match(headers))
                .find_map(|(_, on_match)| on_match.find(headers)),
            Kind::Exact(name, map) => value(headers, name)
                .and_then(|value| map.get(&value[..]))
                .and_then(|on_match| on_match.find(headers)),
            Kind::Prefix(name, prefixes) => value(headers, name).and_then(|value| {
                prefixes
                    .iter()
                    .filter(|(prefix, _)| value.starts_with(prefix))
                    .find_map(|(_, on_match)| on_match.find(headers))
            }),
        };
        found.or_else(|| self.on_no_match.as_ref()?.find(headers))
    }
}

impl OnMatch {
    fn compile(proto: &OnMatchProto, level: &Level<'_>) -> Result<Self, ConfigError> {
        if proto.keep_matching {
            return Err(violation("keep_matching is not supported in this context"));
        }
        match required(proto.on_match.as_ref(), "on_match")? {
            on_match::OnMatch::Matcher(matcher) => MatchTree::compile(matcher, level)
                .at("matcher")
                .map(|tree| Self::Node(Box::new(tree))),
            on_match::OnMatch::Action(action) => leaf(action, level).at("action").map(Self::Leaf),
        }
    }

    fn find(&self, headers: &HeaderMap) -> Option<&[Candidate]> {
        match self {
            Self::Leaf(routes) => Some(routes),
            Self::Node(tree) => tree.find(headers),
        }
    }
}

impl Predicate {
    fn compile(proto: &PredicateProto) -> Result<Self, ConfigError> {
        let all = |predicates: &[PredicateProto]| {
            predicates
                .iter()
                .enumerate()
                .map(|(i, predicate)| Self::compile(predicate).at_index("predicate", i))
                .collect::<Result<_, ConfigError>>()
        };
        Ok(match required(proto.match_type.as_ref(), "match_type")? {
            MatchType::SinglePredicate(single) => Self::single(single).at("single_predicate")?,
            MatchType::OrMatcher(list) => Self::Or(all(&list.predicate).at("or_matcher")?),
            MatchType::AndMatcher(list) => Self::And(all(&list.predicate).at("and_matcher")?),
            MatchType::NotMatcher(inner) => {
                Self::Not(Box::new(Self::compile(inner).at("not_matcher")?))
            }
        })
    }

    fn single(proto: &SinglePredicate) -> Result<Self, ConfigError> {
        let header = header_input(required(proto.input.as_ref(), "input")?).at("input")?;
        match required(proto.matcher.as_ref(), "matcher")? {
            ValueProto::ValueMatch(matcher) => {
                let matcher = StringMatcher::compile_xds(matcher).at("value_match")?;
                Ok(Self::Single(header, matcher))
            }
            ValueProto::CustomMatch(custom) => Err(unknown(custom).at("custom_match")),
        }
    }

    /// A missing header matches nothing.
    fn is_match(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::Single(name, matcher) => {
                value(headers, name).is_some_and(|value| matcher.is_match(&value))
            }
            Self::Or(predicates) => predicates.iter().any(|p| p.is_match(headers)),
            Self::And(predicates) => predicates.iter().all(|p| p.is_match(headers)),
            Self::Not(predicate) => !predicate.is_match(headers),
        }
    }
}

/// The entries of a map in no order.
fn entries(map: &MatchMap, level: &Level<'_>) -> Result<Vec<Entry>, ConfigError> {
    map.map
        .iter()
        .map(|(key, on_match)| {
            let on_match =
                OnMatch::compile(on_match, level).map_err(|e| e.at(&format!("map[{key}]")))?;
            Ok((key.as_bytes().into(), on_match))
        })
        .collect()
}

fn header_input(proto: &TypedExtensionConfig) -> Result<HeaderName, ConfigError> {
    let any = required(proto.typed_config.as_ref(), "typed_config")?;
    let input = unpack::<HttpRequestHeaderMatchInput>(any).map_err(|_| {
        violation(&format!(
            "Route table can only match on request headers, saw {}",
            any.type_url
        ))
    })?;
    Ok(HeaderName::from(input.header_name.as_str()))
}

fn leaf(proto: &TypedExtensionConfig, level: &Level<'_>) -> Result<Box<[Candidate]>, ConfigError> {
    let any = required(proto.typed_config.as_ref(), "typed_config")?;
    if let Ok(route) = unpack::<RouteProto>(any) {
        return Ok([compile_route(&route, level).at("typed_config")?].into());
    }
    let list = unpack::<RouteList>(any).map_err(|_| unknown(proto))?;
    list.routes
        .iter()
        .enumerate()
        .map(|(i, route)| compile_route(route, level).at_index("routes", i))
        .collect::<Result<_, _>>()
        .at("typed_config")
}

fn violation(reason: &str) -> ConfigError {
    ConfigError::new(format!(
        "requirement violation while creating route match tree: INVALID_ARGUMENT: {reason}"
    ))
}

fn unknown(extension: &TypedExtensionConfig) -> ConfigError {
    let type_url = extension
        .typed_config
        .as_ref()
        .map_or("", |any| any.type_url.as_str());
    no_extension(&extension.name, type_url)
}
