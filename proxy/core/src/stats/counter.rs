//! Counters, gauges and text readouts.

use parking_lot::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// A number that only grows, until `/reset_counters` sets it back to 0.
#[derive(Debug, Default)]
pub struct Counter {
    value: AtomicU64,
    reset: AtomicBool,
}

impl Counter {
    #[inline]
    pub fn inc(&self) {
        self.value.fetch_add(1, Relaxed);
    }

    #[inline]
    pub fn add(&self, n: u64) {
        self.value.fetch_add(n, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.value.load(Relaxed)
    }

    /// Back to 0; it stays "used".
    pub fn reset(&self) {
        if self.value.swap(0, Relaxed) != 0 {
            self.reset.store(true, Relaxed);
        }
    }

    /// It has counted something since the start: what `usedonly` shows.
    pub fn used(&self) -> bool {
        self.get() != 0 || self.reset.load(Relaxed)
    }
}

/// A number that rises and falls.
#[derive(Debug, Default)]
pub struct Gauge {
    value: AtomicU64,
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
        self.value.fetch_add(n, Relaxed);
        self.used.store(true, Relaxed);
    }

    #[inline]
    pub fn sub(&self, n: u64) {
        self.value.fetch_sub(n, Relaxed);
    }

    pub fn set(&self, n: u64) {
        self.value.store(n, Relaxed);
        self.used.store(true, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.value.load(Relaxed)
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
