//! The stats that a reader asked for, with their values, sorted by name.

use super::{BucketSettings, Metric, Store, histogram::Merged, tags::Tagged};
use std::sync::Arc;

/// A kind of stat: `type=` of `/stats`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counters,
    Gauges,
    Histograms,
    TextReadouts,
}

/// Which stats a reader wants.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Only those that have been touched: `usedonly`.
    pub used_only: bool,
    pub kind: Option<Kind>,
    /// Searched in the full name: `filter`.
    pub filter: Option<regex::Regex>,
    /// Those that the filter does not find: `invert_filter`.
    pub invert: bool,
    /// Take the names apart: what Prometheus needs.
    pub tags: bool,
}

impl Query {
    fn wants(&self, name: &str, metric: Metric<'_>) -> bool {
        let (kind, used) = match metric {
            Metric::Counter(counter) => (Kind::Counters, counter.used()),
            Metric::Gauge(gauge) => (Kind::Gauges, gauge.used()),
            Metric::Histogram(histogram) => (Kind::Histograms, histogram.used()),
            Metric::Text(text) => (Kind::TextReadouts, text.used()),
        };
        (used || !self.used_only)
            && self.kind.is_none_or(|wanted| wanted == kind)
            && self
                .filter
                .as_ref()
                .is_none_or(|filter| filter.is_match(name) != self.invert)
    }
}

/// One stat with its value.
#[derive(Clone, Debug)]
pub struct Sample<V> {
    pub name: Box<str>,
    /// If the query asked for tags.
    pub tagged: Option<Arc<Tagged>>,
    pub value: V,
}

/// A counter's or a gauge's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    pub value: u64,
    pub is_gauge: bool,
}

/// A histogram's statistics and the bounds of the buckets that it is shown in.
#[derive(Clone, Debug)]
pub struct Distribution {
    /// `None` until a flush has seen a value.
    pub merged: Option<Arc<Merged>>,
    pub buckets: Arc<[f64]>,
}

/// Values of one moment; nothing in it refers to the store.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub texts: Vec<Sample<String>>,
    /// Counters and gauges.
    pub numbers: Vec<Sample<Number>>,
    pub histograms: Vec<Sample<Distribution>>,
}

impl Snapshot {
    /// Reads the stats that the stats matcher accepts and the query wants.
    pub fn take(store: &Store, query: &Query) -> Self {
        let settings = store.settings();
        let buckets: &BucketSettings = &settings.buckets;
        let mut snapshot = Self::default();
        let mut names = store.names.lock();
        let mut living = 0;
        store.visit(&mut |name, metric| {
            living += 1;
            if names.rejected(name, settings) || !query.wants(name, metric) {
                return;
            }
            let tagged = query.tags.then(|| names.tagged(name, settings));
            let name = name.into();
            let number = |value, is_gauge| Number { value, is_gauge };
            match metric {
                Metric::Counter(counter) => snapshot.numbers.push(Sample {
                    name,
                    tagged,
                    value: number(counter.get(), false),
                }),
                Metric::Gauge(gauge) => snapshot.numbers.push(Sample {
                    name,
                    tagged,
                    value: number(gauge.get(), true),
                }),
                Metric::Histogram(histogram) => {
                    let value = Distribution {
                        merged: histogram.merged(),
                        buckets: buckets.bounds(&name),
                    };
                    snapshot.histograms.push(Sample {
                        name,
                        tagged,
                        value,
                    });
                }
                Metric::Text(text) => snapshot.texts.push(Sample {
                    name,
                    tagged,
                    value: text.get(),
                }),
            }
        });
        names.prune(living);
        drop(names);
        sort(&mut snapshot.texts, |_, _| {});
        sort(&mut snapshot.numbers, |sum, other| {
            sum.value = sum.value.wrapping_add(other.value);
        });
        sort(&mut snapshot.histograms, |sum, other| {
            match (&mut sum.merged, &other.merged) {
                (Some(sum), Some(other)) => {
                    let sum = Arc::make_mut(sum);
                    sum.interval.merge(&other.interval);
                    sum.cumulative.merge(&other.cumulative);
                }
                (sum @ None, other) => sum.clone_from(other),
                (_, None) => {}
            }
        });
        snapshot
    }
}

/// Sorts by name and joins stats of one name: a name is one stat, whoever counts.
fn sort<V>(samples: &mut Vec<Sample<V>>, join: impl Fn(&mut V, &V)) {
    samples.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    samples.dedup_by(|next, first| {
        let same = next.name == first.name;
        if same {
            join(&mut first.value, &next.value);
        }
        same
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::stats::Unit;

    fn names<V>(samples: &[Sample<V>]) -> Vec<&str> {
        samples.iter().map(|sample| &*sample.name).collect()
    }

    fn store() -> Store {
        let store = Store::default();
        store.counter("b.rq_200").inc();
        store.counter("a.rq_total");
        store.gauge("a.live").set(1);
        store.text("a.version");
        store.histogram("a.time", Unit::Milliseconds).record(3);
        store.flush();
        store
    }

    #[test]
    fn samples_are_sorted_by_name() {
        let snapshot = Snapshot::take(&store(), &Query::default());
        assert_eq!(
            names(&snapshot.numbers),
            ["a.live", "a.rq_total", "b.rq_200"]
        );
        assert_eq!(names(&snapshot.texts), ["a.version"]);
        assert_eq!(names(&snapshot.histograms), ["a.time"]);
    }

    #[test]
    fn a_query_chooses() {
        let store = store();
        let used = Query {
            used_only: true,
            ..Query::default()
        };
        let snapshot = Snapshot::take(&store, &used);
        assert_eq!(names(&snapshot.numbers), ["a.live", "b.rq_200"]);
        assert!(snapshot.texts.is_empty());
        assert_eq!(names(&snapshot.histograms), ["a.time"]);

        let filter = Query {
            filter: Some(regex::Regex::new("rq_").unwrap()),
            ..Query::default()
        };
        let snapshot = Snapshot::take(&store, &filter);
        assert_eq!(names(&snapshot.numbers), ["a.rq_total", "b.rq_200"]);
        assert!(snapshot.histograms.is_empty());

        let inverted = Query {
            invert: true,
            kind: Some(Kind::Gauges),
            ..filter
        };
        let snapshot = Snapshot::take(&store, &inverted);
        assert_eq!(names(&snapshot.numbers), ["a.live"]);
    }

    #[test]
    fn a_gauge_is_used_with_the_counters_that_tell_of_it() {
        crate::stat_group! {
            struct Stats { counter read, counter sent, gauge unread with read or sent, gauge unsent with sent }
        }
        let store = Store::default();
        let group = store.register("x.", Stats::default());
        let used = Query {
            used_only: true,
            ..Query::default()
        };
        let numbers = || Snapshot::take(&store, &used).numbers;
        assert!(numbers().is_empty());
        group.read.inc();
        assert_eq!(names(&numbers()), ["x.read", "x.unread"]);
        group.read.reset();
        group.sent.inc();
        assert_eq!(
            names(&numbers()),
            ["x.read", "x.sent", "x.unread", "x.unsent"]
        );
    }

    #[test]
    fn one_name_is_one_stat() {
        crate::stat_group! { struct Stats { counter n, histogram(Milliseconds) h } }
        let store = Store::default();
        let group = store.register("x.", Stats::default());
        group.n.inc();
        store.counter("x.n").add(2);
        group.h.record(1);
        store.histogram("x.h", Unit::Milliseconds).record(2);
        store.flush();
        let snapshot = Snapshot::take(&store, &Query::default());
        assert_eq!(names(&snapshot.numbers), ["x.n"]);
        assert_eq!(snapshot.numbers[0].value.value, 3);
        let merged = snapshot.histograms[0].value.merged.clone().unwrap();
        assert_eq!(merged.cumulative.count(), 2);
    }
}
