//! Counters, gauges and text readouts.

use super::lane::Sum;
use parking_lot::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// A number that only grows, until `/reset_counters` sets it back to 0.
#[derive(Debug, Default)]
pub struct Counter {
    sum: Sum,
    /// What the sum was at the last reset: a thread that counts never waits for one that resets.
    reset_at: AtomicU64,
}

impl Counter {
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    #[inline]
    pub fn add(&self, n: u64) {
        self.sum.add(n);
    }

    pub fn get(&self) -> u64 {
        self.sum.get().wrapping_sub(self.reset_at.load(Relaxed))
    }

    /// Back to 0; it stays "used".
    pub fn reset(&self) {
        self.reset_at.store(self.sum.get(), Relaxed);
    }

    /// It has counted something since the start: what `usedonly` shows.
    pub fn used(&self) -> bool {
        self.sum.get() != 0
    }
}

/// A number that rises and falls.
#[derive(Debug, Default)]
pub struct Gauge {
    sum: Sum,
    used: AtomicBool,
}

impl Gauge {
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    #[inline]
    pub fn dec(&self) {
        self.sub(1);
    }

    #[inline]
    pub fn add(&self, n: u64) {
        self.sum.add(n);
        self.touch();
    }

    #[inline]
    pub fn sub(&self, n: u64) {
        self.sum.add(n.wrapping_neg());
    }

    pub fn set(&self, n: u64) {
        self.sum.set(n);
        self.touch();
    }

    /// It has been set, if only for a moment: what a reader says who knows it from another stat.
    #[inline]
    pub fn touch(&self) {
        self.used.store(true, Relaxed);
    }

    /// Never below zero, even while one thread takes off what another adds.
    pub fn get(&self) -> u64 {
        // Some gauges hold hashes, which may be large.
        const BELOW_ZERO: u64 = u64::MAX - u32::MAX as u64;
        match self.sum.get() {
            BELOW_ZERO.. => 0,
            sum => sum,
        }
    }

    /// It has been set since the start: what `usedonly` shows.
    pub fn used(&self) -> bool {
        self.used.load(Relaxed)
    }
}

/// A stat whose value is text, such as an xDS version.
#[derive(Debug, Default)]
pub struct TextReadout {
    value: RwLock<Option<String>>,
}

impl TextReadout {
    pub fn set(&self, value: impl Into<String>) {
        *self.value.write() = Some(value.into());
    }

    pub fn get(&self) -> String {
        self.value.read().clone().unwrap_or_default()
    }

    /// It has been set since the start: what `usedonly` shows.
    pub fn used(&self) -> bool {
        self.value.read().is_some()
    }
}
