//! The routes of a virtual host: a list of which the first match wins, or a tree that leads to one.

use outrigger_core::{HeaderMap, StreamInfo};
use regex::bytes::{RegexSet, RegexSetBuilder, SetMatches};

use super::{
    match_tree::MatchTree,
    path::PathMatcher,
    virtual_host::{Candidate, Target},
};

/// From this many regex routes on, one pass over the path tells which of them match.
const MIN_REGEX_SET: usize = 5;

/// Memory that a set may take; beyond it the routes are tried one by one.
const SET_SIZE_LIMIT: usize = 64 << 20;

/// The routes of one virtual host.
#[derive(Debug)]
pub(super) enum Routes {
    List(RouteList),
    Tree(MatchTree),
}

/// Routes in order.
#[derive(Debug)]
pub(super) struct RouteList {
    routes: Box<[Candidate]>,
    /// The regex routes' patterns, in their order.
    set: Option<RegexSet>,
}

impl RouteList {
    pub(super) fn new(routes: Box<[Candidate]>) -> Self {
        let patterns: Vec<_> = routes
            .iter()
            .filter_map(|candidate| match &candidate.matcher.path {
                PathMatcher::Regex(regex) => Some(regex.as_str()),
                _ => None,
            })
            .collect();
        let set = if patterns.len() < MIN_REGEX_SET {
            None
        } else {
            RegexSetBuilder::new(patterns)
                .size_limit(SET_SIZE_LIMIT)
                .build()
                .ok()
        };
        Self { routes, set }
    }

    fn find(&self, headers: &HeaderMap, path: Option<&[u8]>, info: &StreamInfo) -> Option<&Target> {
        let (Some(set), Some(text)) = (&self.set, path) else {
            return first(&self.routes, headers, path, info);
        };
        let mut matched: Option<SetMatches> = None;
        let mut regexes = 0;
        let found = self.routes.iter().find(|candidate| {
            if !matches!(candidate.matcher.path, PathMatcher::Regex(_)) {
                return candidate.matcher.is_match(headers, path, info);
            }
            regexes += 1;
            // Routes in front of the first regex route often win: then the set is not asked.
            matched
                .get_or_insert_with(|| set.matches(text))
                .matched(regexes - 1)
                && candidate.matcher.is_match_beyond_path(headers, info)
        });
        found.map(|candidate| &candidate.target)
    }
}

impl Routes {
    /// `path` is the path as path specifiers see it.
    pub(super) fn find(
        &self,
        headers: &HeaderMap,
        path: Option<&[u8]>,
        info: &StreamInfo,
    ) -> Option<&Target> {
        match self {
            Self::List(list) => list.find(headers, path, info),
            Self::Tree(tree) => first(tree.find(headers, info)?, headers, path, info),
        }
    }
}

fn first<'a>(
    routes: &'a [Candidate],
    headers: &HeaderMap,
    path: Option<&[u8]>,
    info: &StreamInfo,
) -> Option<&'a Target> {
    routes
        .iter()
        .find(|candidate| candidate.matcher.is_match(headers, path, info))
        .map(|candidate| &candidate.target)
}
