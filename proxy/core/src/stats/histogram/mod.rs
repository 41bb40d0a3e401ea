//! A histogram over log-linear bins of two significant decimal digits, as Envoy's (circllhist).
//!
//! Recording is one addition to a live bin. Each stats flush moves the live bins into the interval and the cumulative
//! statistics, and these are all that readers ever see.

mod bins;
mod live;
mod settings;

pub use bins::{Bin, Bins, QUANTILES};
pub use settings::{BucketRule, BucketSettings, DEFAULT_BUCKETS};

use live::Live;
use std::sync::{Arc, OnceLock};

/// What a histogram's values count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    #[default]
    Unspecified,
    Bytes,
    Microseconds,
    Milliseconds,
    /// Recorded as a fraction times [`Unit::PERCENT_SCALE`], shown as a fraction.
    Percent,
}

impl Unit {
    /// 1.0, as recorded by a histogram of unit [`Unit::Percent`].
    pub const PERCENT_SCALE: u64 = 1_000_000;

    fn scale(self) -> f64 {
        match self {
            Self::Percent => Self::PERCENT_SCALE as f64,
            _ => 1.0,
        }
    }
}

/// What the last stats flush left for readers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Merged {
    /// Values of the last flush interval.
    pub interval: Bins,
    /// Values since the start.
    pub cumulative: Bins,
}

/// Records values from the data path; read after a flush.
#[derive(Debug, Default)]
pub struct Histogram {
    unit: Unit,
    live: OnceLock<Box<Live>>,
}

impl Histogram {
    pub fn new(unit: Unit) -> Self {
        Self {
            unit,
            live: OnceLock::new(),
        }
    }

    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Adds one value.
    #[inline]
    pub fn record(&self, value: u64) {
        self.live.get_or_init(Box::default).record(value);
    }

    /// Some value has been recorded since the start, flushed or not.
    pub fn recorded(&self) -> bool {
        self.live.get().is_some()
    }

    /// A flush has seen values: what `usedonly` shows.
    pub fn used(&self) -> bool {
        self.merged().is_some()
    }

    /// Ends the interval. For the one task that flushes all stats.
    pub fn flush(&self) {
        if let Some(live) = self.live.get() {
            live.flush(self.unit.scale());
        }
    }

    /// The statistics of the last flush; `None` as long as no flush has seen a value.
    pub fn merged(&self) -> Option<Arc<Merged>> {
        self.live.get().and_then(|live| live.merged())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn readers_see_what_the_flush_left() {
        let histogram = Histogram::new(Unit::Milliseconds);
        assert!(!histogram.recorded() && !histogram.used());
        histogram.record(5);
        assert!(histogram.recorded() && !histogram.used());

        histogram.flush();
        let merged = histogram.merged().unwrap();
        assert_eq!((merged.interval.count(), merged.cumulative.count()), (1, 1));

        histogram.record(7);
        histogram.record(7);
        histogram.flush();
        let merged = histogram.merged().unwrap();
        assert_eq!((merged.interval.count(), merged.cumulative.count()), (2, 3));

        histogram.flush();
        let merged = histogram.merged().unwrap();
        assert_eq!((merged.interval.count(), merged.cumulative.count()), (0, 3));
        assert!(histogram.used());
    }

    #[test]
    fn percent_is_shown_as_a_fraction() {
        let histogram = Histogram::new(Unit::Percent);
        histogram.record(Unit::PERCENT_SCALE / 2);
        histogram.flush();
        let bins = histogram.merged().unwrap().cumulative.clone();
        assert_eq!(bins.counts_up_to(&[0.4, 0.5]), [0, 1]);
        let quantile = bins.quantiles(&[0.5])[0];
        assert!((0.5..0.51).contains(&quantile), "{quantile}");
    }
}
