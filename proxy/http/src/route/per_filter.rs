//! `typed_per_filter_config`: what a filter is told to do otherwise for some routes.

use envoy_api::prost_types;
use outrigger_core::ConfigError;
use std::{any::Any, collections::HashMap, fmt, sync::Arc};

/// A filter's compiled override of one level; the filter that made it knows its type.
pub type FilterOverride = Arc<dyn Any + Send + Sync>;

/// Compiles `typed_per_filter_config` entries.
pub trait PerFilterConfig {
    /// The override for the filter of this name, nothing if the entry has no effect, or the reason why there can be none.
    fn compile(
        &self,
        filter_name: &str,
        config: &prost_types::Any,
    ) -> Result<Option<FilterOverride>, ConfigError>;
}

/// The overrides that apply to one route, by filter instance name, every level that sets one.
#[derive(Clone, Default)]
pub struct PerFilter {
    /// Least specific level first.
    levels: Vec<(Arc<str>, FilterOverride)>,
}

impl PerFilter {
    /// These levels with one that is more specific.
    pub(super) fn with(
        &self,
        typed: &HashMap<String, prost_types::Any>,
        filters: &dyn PerFilterConfig,
    ) -> Result<Self, ConfigError> {
        let mut names: Vec<_> = typed.keys().collect();
        names.sort_unstable();
        let mut levels = self.levels.clone();
        for name in names {
            let Some(config) = typed.get(name) else {
                continue;
            };
            let compiled = filters
                .compile(name, config)
                .map_err(|e| e.at(&format!("typed_per_filter_config[{name}]")))?;
            levels.extend(compiled.map(|compiled| (name.as_str().into(), compiled)));
        }
        Ok(Self { levels })
    }

    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// The most specific override of a filter: weighted cluster over route over virtual host over route configuration.
    pub fn get(&self, filter_name: &str) -> Option<&FilterOverride> {
        self.levels
            .iter()
            .rev()
            .find(|(name, _)| &**name == filter_name)
            .map(|(_, config)| config)
    }

    /// Every override of a filter, least specific first, for the filters that merge them.
    pub fn all<'a>(&'a self, filter_name: &'a str) -> impl Iterator<Item = &'a FilterOverride> {
        self.levels
            .iter()
            .filter(move |(name, _)| &**name == filter_name)
            .map(|(_, config)| config)
    }
}

impl fmt::Debug for PerFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.levels.iter().map(|(name, _)| name))
            .finish()
    }
}
