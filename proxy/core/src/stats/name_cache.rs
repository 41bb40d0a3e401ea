//! What is known of a stat's name, so that matchers and tag extractors run once per name and not once per reading.

use super::{Settings, tags::Tagged};
use foldhash::quality::RandomState;
use hashbrown::HashMap;
use std::{hash::BuildHasher, sync::Arc};

#[derive(Debug)]
struct Known {
    rejected: bool,
    tagged: Option<Arc<Tagged>>,
}

/// Remembers names by a 64-bit hash: a rejected name costs some 30 bytes here, whatever its length. Two of a million
/// names share a hash with a chance of one in 10^7, and then one of them shows the other's labels.
#[derive(Debug, Default)]
pub(super) struct NameCache {
    hasher: RandomState,
    names: HashMap<u64, Known>,
}

impl NameCache {
    /// Starts anew when most of the names are those of stats that are gone. `living` is how many stats there are.
    pub(super) fn prune(&mut self, living: usize) {
        if self.names.len() > 2 * living + 1024 {
            self.names = HashMap::default();
        }
    }

    /// The stats matcher has refused this name.
    pub(super) fn rejected(&mut self, name: &str, settings: &Settings) -> bool {
        !settings.matcher.accepts_all() && self.known(name, settings).rejected
    }

    /// The name without its tags, and these.
    pub(super) fn tagged(&mut self, name: &str, settings: &Settings) -> Arc<Tagged> {
        self.known(name, settings)
            .tagged
            .get_or_insert_with(|| Arc::new(settings.tags.extract(name)))
            .clone()
    }

    fn known(&mut self, name: &str, settings: &Settings) -> &mut Known {
        self.names
            .entry(self.hasher.hash_one(name))
            .or_insert_with(|| Known {
                rejected: settings.matcher.rejects(name),
                tagged: None,
            })
    }
}
