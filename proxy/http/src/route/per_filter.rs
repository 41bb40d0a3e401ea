//! `typed_per_filter_config`: what a filter is told to do otherwise for some routes, or that it is off or on there.

use envoy_api::{
    Message, Name, pb::envoy::config::route::v3::FilterConfig, prost_types, type_name,
};
use outrigger_core::{ConfigError, error::ConfigResult};
use std::{any::Any, collections::HashMap, fmt, sync::Arc};

/// A filter's compiled override of one level; the filter that made it knows its type.
pub type FilterOverride = Arc<dyn Any + Send + Sync>;

/// Compiles `typed_per_filter_config` entries.
pub trait PerFilterConfig {
    /// The override for the filter of this name, nothing if no filter has overrides of this type, or the reason why there
    /// can be none.
    fn compile(
        &self,
        filter_name: &str,
        config: &prost_types::Any,
    ) -> Result<Option<FilterOverride>, ConfigError>;
}

/// What one level says about a filter.
#[derive(Clone)]
enum Entry {
    /// The filter is skipped.
    Disabled,
    /// The filter runs even if it is `disabled` in its chain, with an override of its own or without.
    Enabled(Option<FilterOverride>),
}

/// What applies to one route, by filter instance name, of every level that says something.
#[derive(Clone, Default)]
pub struct PerFilter {
    /// Least specific level first.
    levels: Vec<(Arc<str>, Entry)>,
}

impl PerFilter {
    /// These levels with one that is more specific.
    pub(super) fn with(
        &self,
        typed: &HashMap<String, prost_types::Any>,
        filters: &dyn PerFilterConfig,
    ) -> Result<Self, ConfigError> {
        let mut typed: Vec<_> = typed.iter().collect();
        typed.sort_unstable_by_key(|(name, _)| *name);
        let mut levels = self.levels.clone();
        for (name, config) in typed {
            let entry = Entry::compile(name, config, filters)
                .map_err(|e| e.at(&format!("typed_per_filter_config[{name}]")))?;
            levels.push((name.as_str().into(), entry));
        }
        Ok(Self { levels })
    }

    /// Whether the most specific level that mentions the filter switches it off or on; nothing if none does.
    pub fn disabled(&self, filter_name: &str) -> Option<bool> {
        self.levels
            .iter()
            .rev()
            .find(|(name, _)| &**name == filter_name)
            .map(|(_, entry)| matches!(entry, Entry::Disabled))
    }

    /// What the most specific level says that has something to say.
    pub fn most_specific(&self, filter_name: &str) -> Option<&FilterOverride> {
        self.levels
            .iter()
            .rev()
            .find_map(|(name, entry)| match entry {
                Entry::Enabled(Some(config)) if &**name == filter_name => Some(config),
                _ => None,
            })
    }

    /// Every override of a filter, least specific first; from the other end, weighted cluster over route over virtual host
    /// over route configuration.
    pub fn all<'a>(
        &'a self,
        filter_name: &'a str,
    ) -> impl DoubleEndedIterator<Item = &'a FilterOverride> {
        self.levels
            .iter()
            .filter(move |(name, _)| &**name == filter_name)
            .filter_map(|(_, entry)| match entry {
                Entry::Enabled(config) => config.as_ref(),
                Entry::Disabled => None,
            })
    }
}

impl Entry {
    /// The config stands alone or in a `FilterConfig`.
    fn compile(
        filter_name: &str,
        config: &prost_types::Any,
        filters: &dyn PerFilterConfig,
    ) -> Result<Self, ConfigError> {
        let compile = |config: &prost_types::Any, optional: bool| {
            let compiled = filters.compile(filter_name, config)?;
            if compiled.is_none() && !optional {
                let type_name = type_name(&config.type_url);
                return Err(ConfigError::new(format!(
                    "Didn't find a registered implementation for '{filter_name}' with type URL: '{type_name}'"
                )));
            }
            Ok(Self::Enabled(compiled))
        };
        if type_name(&config.type_url) != FilterConfig::full_name() {
            return compile(config, false);
        }
        let wrapper = FilterConfig::decode(config.value.as_slice())
            .map_err(|e| ConfigError::new(e.to_string()))?;
        match &wrapper.config {
            _ if wrapper.disabled => Ok(Self::Disabled),
            None => Err(ConfigError::new(format!(
                "Empty route/virtual host per filter configuration for {filter_name} filter"
            ))),
            Some(config) if config.type_url.is_empty() => Ok(Self::Enabled(None)),
            Some(config) => compile(config, wrapper.is_optional).at("config"),
        }
    }
}

impl fmt::Debug for PerFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.levels.iter().map(|(name, _)| name))
            .finish()
    }
}
