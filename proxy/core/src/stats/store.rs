//! The list of all stats of the process: groups under their prefixes, and single stats by name.

use super::{
    Counter, Gauge, Histogram, Metric, Settings, StatGroup, TextReadout, Unit,
    name_cache::NameCache,
};
use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};
use std::{
    any::{Any, TypeId},
    fmt,
    sync::{Arc, Weak},
};

/// Identifies a group: its prefix, its type and [`StatGroup::key`].
type Key = (Arc<str>, TypeId, &'static str);

struct Registered {
    group: Weak<dyn StatGroup>,
    /// The same group, for the owner of the next object under this prefix.
    any: Weak<dyn Any + Send + Sync>,
}

/// A stat that belongs to no group.
#[derive(Clone)]
enum Single {
    Counter(Arc<Counter>),
    Gauge(Arc<Gauge>),
    Histogram(Arc<Histogram>),
    Text(Arc<TextReadout>),
}

/// Registers stats and lets readers walk them. A group leaves when its last owner is dropped.
#[derive(Default)]
pub struct Store {
    settings: Settings,
    groups: RwLock<HashMap<Key, Registered>>,
    singles: RwLock<HashMap<Arc<str>, Single>>,
    pub(super) names: Mutex<NameCache>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("groups", &self.groups.read().len())
            .field("singles", &self.singles.read().len())
            .finish()
    }
}

impl Store {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    /// What the bootstrap says about stats.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Makes a group known under a prefix that ends with a dot, such as `cluster.up.` (`:` in it becomes `_`).
    ///
    /// As stats are their names, a second group of the same type under the same prefix is the first one as long as
    /// that lives: connection managers with one `stat_prefix` count together, and an updated listener counts on.
    pub fn register<G: StatGroup + 'static>(&self, prefix: &str, group: G) -> Arc<G> {
        self.register_verbatim(&prefix.replace(':', "_"), group)
    }

    /// As [`register`](Self::register), but `:` stays, as in the names of virtual hosts.
    pub fn register_verbatim<G: StatGroup + 'static>(&self, prefix: &str, group: G) -> Arc<G> {
        let key = (Arc::from(prefix), TypeId::of::<G>(), group.key());
        let mut groups = self.groups.write();
        let known = groups
            .get(&key)
            .and_then(|known| known.any.upgrade())
            .and_then(|known| known.downcast::<G>().ok());
        if let Some(known) = known {
            return known;
        }
        let group = Arc::new(group);
        let any: Arc<dyn Any + Send + Sync> = group.clone();
        let dynamic: Arc<dyn StatGroup> = group.clone();
        let registered = Registered {
            group: Arc::downgrade(&dynamic),
            any: Arc::downgrade(&any),
        };
        groups.insert(key, registered);
        group
    }

    /// The counter of this full name, for odd cases; it lives as long as the store.
    /// A name that belongs to another kind of stat gives a counter that nobody sees.
    pub fn counter(&self, name: &str) -> Arc<Counter> {
        match self.single(name, || Single::Counter(Arc::default())) {
            Single::Counter(counter) => counter,
            _ => Arc::default(),
        }
    }

    /// See [`counter`](Self::counter).
    pub fn gauge(&self, name: &str) -> Arc<Gauge> {
        match self.single(name, || Single::Gauge(Arc::default())) {
            Single::Gauge(gauge) => gauge,
            _ => Arc::default(),
        }
    }

    /// See [`counter`](Self::counter).
    pub fn histogram(&self, name: &str, unit: Unit) -> Arc<Histogram> {
        match self.single(name, || Single::Histogram(Arc::new(Histogram::new(unit)))) {
            Single::Histogram(histogram) => histogram,
            _ => Arc::default(),
        }
    }

    /// See [`counter`](Self::counter).
    pub fn text(&self, name: &str) -> Arc<TextReadout> {
        match self.single(name, || Single::Text(Arc::default())) {
            Single::Text(text) => text,
            _ => Arc::default(),
        }
    }

    fn single(&self, name: &str, make: impl FnOnce() -> Single) -> Single {
        let name: Arc<str> = name.replace(':', "_").into();
        self.singles
            .write()
            .entry(name)
            .or_insert_with(make)
            .clone()
    }

    /// Lends every stat of every living group with its full name, in no particular order.
    pub fn visit(&self, visit: &mut dyn FnMut(&str, Metric<'_>)) {
        let mut name = String::new();
        self.walk(&mut |prefix, suffix, metric| {
            name.clear();
            name.push_str(prefix);
            name.push_str(suffix);
            visit(&name, metric);
        });
    }

    /// Ends the interval of every histogram: `stats_flush_interval`.
    pub fn flush(&self) {
        self.groups
            .write()
            .retain(|_, registered| registered.group.strong_count() > 0);
        self.walk(&mut |_, _, metric| {
            if let Metric::Histogram(histogram) = metric {
                histogram.flush();
            }
        });
    }

    /// Sets every counter to 0: `/reset_counters`.
    pub fn reset_counters(&self) {
        self.walk(&mut |_, _, metric| {
            if let Metric::Counter(counter) = metric {
                counter.reset();
            }
        });
    }

    /// Walks over copies of the lists, so that a visitor may be slow and groups may come and go meanwhile.
    fn walk(&self, visit: &mut dyn FnMut(&str, &str, Metric<'_>)) {
        let groups: Vec<(Arc<str>, Weak<dyn StatGroup>)> = self
            .groups
            .read()
            .iter()
            .map(|((prefix, ..), registered)| (prefix.clone(), registered.group.clone()))
            .collect();
        for (prefix, group) in groups {
            if let Some(group) = group.upgrade() {
                group.visit(&mut |suffix, metric| visit(&prefix, suffix, metric));
            }
        }
        let singles: Vec<(Arc<str>, Single)> = self
            .singles
            .read()
            .iter()
            .map(|(name, single)| (name.clone(), single.clone()))
            .collect();
        for (name, single) in &singles {
            let metric = match single {
                Single::Counter(counter) => Metric::Counter(counter),
                Single::Gauge(gauge) => Metric::Gauge(gauge),
                Single::Histogram(histogram) => Metric::Histogram(histogram),
                Single::Text(text) => Metric::Text(text),
            };
            visit("", name, metric);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::stat_group! {
        struct Stats { counter hits, gauge live }
    }

    fn shown(store: &Store) -> Vec<String> {
        let mut lines = Vec::new();
        store.visit(&mut |name, metric| {
            lines.push(match metric {
                Metric::Counter(counter) => format!("{name}: {}", counter.get()),
                Metric::Gauge(gauge) => format!("{name}: {}", gauge.get()),
                Metric::Histogram(_) => format!("{name}: histogram"),
                Metric::Text(text) => format!("{name}: {}", text.get()),
            });
        });
        lines.sort();
        lines
    }

    #[test]
    fn the_same_prefix_is_the_same_group_while_it_lives() {
        let store = Store::default();
        let first = store.register("listener.[::1]_80.", Stats::default());
        let second = store.register("listener.[::1]_80.", Stats::default());
        first.hits.inc();
        second.hits.inc();
        drop(first);
        assert_eq!(
            shown(&store),
            ["listener.[__1]_80.hits: 2", "listener.[__1]_80.live: 0"]
        );
        drop(second);
        assert!(shown(&store).is_empty());
        let third = store.register("listener.[::1]_80.", Stats::default());
        assert_eq!(third.hits.get(), 0);
    }

    #[test]
    fn trees_of_codes_with_other_prefixes_are_other_groups() {
        use crate::stats::ResponseCodes;
        let store = Store::default();
        let main = store.register("cluster.c.", ResponseCodes::main());
        let external = store.register("cluster.c.", ResponseCodes::new("external."));
        external.record(200);
        assert_eq!((main.completed(), external.completed()), (0, 1));
    }

    #[test]
    fn single_stats_are_found_by_name() {
        let store = Store::default();
        store.counter("a.b").add(2);
        store.counter("a.b").inc();
        store.text("t").set("x");
        store.gauge("a.b").set(9);
        assert_eq!(shown(&store), ["a.b: 3", "t: x"]);
        store.reset_counters();
        assert_eq!(shown(&store), ["a.b: 0", "t: x"]);
        assert!(store.counter("a.b").used());
    }

    #[test]
    fn flush_reaches_every_histogram() {
        let store = Store::default();
        let histogram = store.histogram("h", Unit::Milliseconds);
        histogram.record(1);
        store.flush();
        assert!(histogram.used());
    }
}
