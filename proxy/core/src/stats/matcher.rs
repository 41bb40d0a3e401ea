//! Which stats exist for readers: `stats_config.stats_matcher`.

use crate::{
    ConfigError,
    error::{ConfigResult, required},
    matcher::StringMatcher,
};
use envoy_api::pb::envoy::{
    config::metrics::v3::{StatsMatcher as Proto, stats_matcher::StatsMatcher as Kind},
    r#type::matcher::v3::ListStringMatcher,
};

/// Judges full names. A stat that is refused counts all the same, but nobody sees it.
#[derive(Clone, Debug, Default)]
pub enum StatsMatcher {
    #[default]
    AcceptAll,
    RejectAll,
    Include(Vec<StringMatcher>),
    Exclude(Vec<StringMatcher>),
}

impl StatsMatcher {
    pub fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        let list = |list: &ListStringMatcher| -> Result<Vec<StringMatcher>, ConfigError> {
            list.patterns
                .iter()
                .enumerate()
                .map(|(i, pattern)| StringMatcher::compile(pattern).at_index("patterns", i))
                .collect()
        };
        Ok(
            match required(proto.stats_matcher.as_ref(), "stats_matcher")? {
                Kind::RejectAll(true) => Self::RejectAll,
                Kind::RejectAll(false) => Self::AcceptAll,
                Kind::InclusionList(patterns) => {
                    Self::Include(list(patterns).at("inclusion_list")?)
                }
                Kind::ExclusionList(patterns) => {
                    Self::Exclude(list(patterns).at("exclusion_list")?)
                }
            },
        )
    }

    /// No name needs to be looked at.
    pub fn accepts_all(&self) -> bool {
        matches!(self, Self::AcceptAll)
    }

    pub fn rejects(&self, name: &str) -> bool {
        let any = |patterns: &[StringMatcher]| {
            patterns
                .iter()
                .any(|pattern| pattern.is_match(name.as_bytes()))
        };
        match self {
            Self::AcceptAll => false,
            Self::RejectAll => true,
            Self::Include(patterns) => !any(patterns),
            Self::Exclude(patterns) => any(patterns),
        }
    }
}
