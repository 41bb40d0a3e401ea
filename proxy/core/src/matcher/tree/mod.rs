//! `xds.type.matcher.v3.Matcher`, the unified matcher: from what is known of a stream to one of several actions.
//!
//! What may be looked at and what an action is differ from place to place: a [`Compiler`] says it. What has no value matches
//! nothing, so a tree that guards something must not let pass what it leads nowhere.

mod fields;
mod input;
mod predicate;
#[cfg(test)]
mod tests;

pub use fields::FIELDS;
pub use input::{MatchData, MatchInput, Scope};
pub use predicate::unknown;

use self::{input::Value, predicate::Predicate};
use crate::{
    ConfigError,
    error::{ConfigResult, required},
    stats::Store,
};
use envoy_api::pb::xds::{
    core::v3::TypedExtensionConfig,
    r#type::matcher::v3::{
        Matcher as Proto,
        matcher::{
            MatcherType, OnMatch as OnMatchProto,
            matcher_tree::{MatchMap, TreeType},
            on_match,
        },
    },
};
use hashbrown::HashMap;

/// What the parts of a tree are compiled to.
pub trait Compiler {
    type Action;

    fn input(&self, proto: &TypedExtensionConfig) -> Result<MatchInput, ConfigError>;

    fn action(&self, proto: &TypedExtensionConfig) -> Result<Self::Action, ConfigError>;

    /// Where matchers count.
    fn stats(&self) -> &Store;

    /// A part of a tree that has no place here.
    fn violation(&self, reason: &str) -> ConfigError {
        ConfigError::new(reason)
    }
}

/// One node of a tree, whose leaves are actions.
#[derive(Debug)]
pub struct MatchTree<A> {
    kind: Kind<A>,
    on_no_match: Option<Box<OnMatch<A>>>,
}

#[derive(Debug)]
enum Kind<A> {
    /// Only `on_no_match` counts.
    Empty,
    /// The first field matcher that leads to an action.
    List(Box<[(Predicate, OnMatch<A>)]>),
    Exact(
        MatchInput,
        HashMap<Box<[u8]>, OnMatch<A>, foldhash::fast::RandomState>,
    ),
    /// Longest prefix first.
    Prefix(MatchInput, Box<[Entry<A>]>),
}

#[derive(Debug)]
enum OnMatch<A> {
    Action(A),
    Node(Box<MatchTree<A>>),
}

/// What a key of a map leads to.
type Entry<A> = (Box<[u8]>, OnMatch<A>);

impl<A> MatchTree<A> {
    pub fn compile(
        proto: &Proto,
        compiler: &dyn Compiler<Action = A>,
    ) -> Result<Self, ConfigError> {
        let kind = match &proto.matcher_type {
            None => Kind::Empty,
            Some(MatcherType::MatcherList(list)) => Kind::List(
                list.matchers
                    .iter()
                    .enumerate()
                    .map(|(i, matcher)| {
                        let predicate = required(matcher.predicate.as_ref(), "predicate")
                            .and_then(|predicate| {
                                Predicate::compile(predicate, compiler).at("predicate")
                            })
                            .at_index("matchers", i)?;
                        let on_match = required(matcher.on_match.as_ref(), "on_match")
                            .and_then(|on_match| {
                                OnMatch::compile(on_match, compiler).at("on_match")
                            })
                            .at_index("matchers", i)?;
                        Ok((predicate, on_match))
                    })
                    .collect::<Result<_, ConfigError>>()
                    .at("matcher_list")?,
            ),
            Some(MatcherType::MatcherTree(tree)) => {
                let input = required(tree.input.as_ref(), "input").at("matcher_tree")?;
                let input = compiler.input(input).at("input").at("matcher_tree")?;
                match required(tree.tree_type.as_ref(), "tree_type").at("matcher_tree")? {
                    TreeType::ExactMatchMap(map) => {
                        let entries = entries(map, compiler)
                            .at("exact_match_map")
                            .at("matcher_tree")?;
                        Kind::Exact(input, entries.into_iter().collect())
                    }
                    TreeType::PrefixMatchMap(map) => {
                        let mut entries = entries(map, compiler)
                            .at("prefix_match_map")
                            .at("matcher_tree")?;
                        entries.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
                        Kind::Prefix(input, entries.into())
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
            .map(|on_match| OnMatch::compile(on_match, compiler).map(Box::new))
            .transpose()
            .at("on_no_match")?;
        Ok(Self { kind, on_no_match })
    }

    /// The action that this leads to.
    pub fn find(&self, data: &MatchData<'_>) -> Option<&A> {
        let found = match &self.kind {
            Kind::Empty => None,
            Kind::List(matchers) => matchers
                .iter()
                .filter(|(predicate, _)| predicate.is_match(data))
                .find_map(|(_, on_match)| on_match.find(data)),
            Kind::Exact(input, map) => input
                .value(data)
                .and_then(|value: Value| map.get(&value[..]))
                .and_then(|on_match| on_match.find(data)),
            Kind::Prefix(input, prefixes) => input.value(data).and_then(|value| {
                prefixes
                    .iter()
                    .filter(|(prefix, _)| value.starts_with(prefix))
                    .find_map(|(_, on_match)| on_match.find(data))
            }),
        };
        found.or_else(|| self.on_no_match.as_ref()?.find(data))
    }
}

impl<A> OnMatch<A> {
    fn compile(
        proto: &OnMatchProto,
        compiler: &dyn Compiler<Action = A>,
    ) -> Result<Self, ConfigError> {
        if proto.keep_matching {
            return Err(compiler.violation("keep_matching is not supported in this context"));
        }
        match required(proto.on_match.as_ref(), "on_match")? {
            on_match::OnMatch::Matcher(matcher) => MatchTree::compile(matcher, compiler)
                .at("matcher")
                .map(|tree| Self::Node(Box::new(tree))),
            on_match::OnMatch::Action(action) => {
                compiler.action(action).at("action").map(Self::Action)
            }
        }
    }

    fn find(&self, data: &MatchData<'_>) -> Option<&A> {
        match self {
            Self::Action(action) => Some(action),
            Self::Node(tree) => tree.find(data),
        }
    }
}

/// The entries of a map in no order.
fn entries<A>(
    map: &MatchMap,
    compiler: &dyn Compiler<Action = A>,
) -> Result<Vec<Entry<A>>, ConfigError> {
    map.map
        .iter()
        .map(|(key, on_match)| {
            let on_match =
                OnMatch::compile(on_match, compiler).map_err(|e| e.at(&format!("map[{key}]")))?;
            Ok((key.as_bytes().into(), on_match))
        })
        .collect()
}
