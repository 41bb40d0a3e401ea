//! The list of all stat groups of the process, under their prefixes.

use super::{Metric, StatGroup};
use parking_lot::RwLock;
use std::{
    fmt,
    sync::{Arc, Weak},
};

/// A prefix and the group that stands under it.
type Registered = (Arc<str>, Weak<dyn StatGroup>);

/// Registers groups of stats and lets readers walk them. A group leaves when its owner is dropped.
#[derive(Default)]
pub struct Store {
    groups: RwLock<Vec<Registered>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("groups", &self.groups.read().len())
            .finish()
    }
}

impl Store {
    /// Makes a group known under a prefix that ends with a dot, such as `cluster.up.` (`:` in it becomes `_`).
    pub fn register<G: StatGroup + 'static>(&self, prefix: &str, group: G) -> Arc<G> {
        let group = Arc::new(group);
        let weak: Weak<dyn StatGroup> = Arc::downgrade(&(group.clone() as Arc<dyn StatGroup>));
        self.groups
            .write()
            .push((prefix.replace(':', "_").into(), weak));
        group
    }

    /// Lends every stat of every living group with its full name, in no particular order.
    pub fn visit(&self, visit: &mut dyn FnMut(&str, Metric<'_>)) {
        self.groups
            .write()
            .retain(|(_, group)| group.strong_count() > 0);
        let groups = self.groups.read().clone();
        let mut name = String::new();
        for (prefix, group) in groups {
            let Some(group) = group.upgrade() else {
                continue;
            };
            group.visit(&mut |suffix, metric| {
                name.clear();
                name.push_str(&prefix);
                name.push_str(suffix);
                visit(&name, metric);
            });
        }
    }
}
