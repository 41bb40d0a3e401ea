//! The bins that the data path adds to.

use super::{Bin, Bins, Merged};
use parking_lot::RwLock;
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// Bins of one decade, by leading digits 10..=99.
type Decade = [AtomicU64; Bin::PER_DECADE];

/// Decades are allocated when they get their first value: a histogram of durations needs two or three of twenty.
#[derive(Debug)]
pub(super) struct Live {
    zero: AtomicU64,
    decades: [OnceLock<Box<Decade>>; Bin::DECADES],
    merged: RwLock<Option<Arc<Merged>>>,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            zero: AtomicU64::new(0),
            decades: Default::default(),
            merged: RwLock::default(),
        }
    }
}

impl Live {
    #[inline]
    pub(super) fn record(&self, value: u64) {
        let counter = match Bin::place(value) {
            None => Some(&self.zero),
            Some((decade, digits)) => self.decades.get(decade).and_then(|decade| {
                decade
                    .get_or_init(|| Box::new([const { AtomicU64::new(0) }; Bin::PER_DECADE]))
                    .get(digits)
            }),
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn merged(&self) -> Option<Arc<Merged>> {
        self.merged.read().clone()
    }

    /// Moves the live values into the interval. A value that is recorded meanwhile falls into this interval or the next.
    pub(super) fn flush(&self, scale: f64) {
        let interval = self.take(scale);
        let mut merged = self.merged.write();
        match merged.as_mut() {
            None if interval.is_empty() => {}
            // Nothing has changed: spare the copy.
            Some(old) if interval.is_empty() && old.interval.is_empty() => {}
            _ => {
                let mut cumulative = merged
                    .take()
                    .map(Arc::unwrap_or_clone)
                    .map_or_else(|| Bins::new(scale), |old| old.cumulative);
                cumulative.merge(&interval);
                *merged = Some(Arc::new(Merged {
                    interval,
                    cumulative,
                }));
            }
        }
    }

    fn take(&self, scale: f64) -> Bins {
        let mut bins = Bins::new(scale);
        bins.push(Bin::ZERO, self.zero.swap(0, Relaxed));
        for (decade, counters) in self.decades.iter().enumerate() {
            let counters = counters.get().into_iter().flat_map(|c| c.iter());
            for (digits, counter) in counters.enumerate() {
                // Reading first leaves the cache lines of idle bins shared.
                if counter.load(Relaxed) != 0 {
                    bins.push(Bin::at(decade, digits), counter.swap(0, Relaxed));
                }
            }
        }
        bins
    }
}
