//! Limits on the number of open connections, of one listener or of the process.

use hashbrown::HashMap;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// The limits that the configuration sets outside of the listeners.
#[derive(Clone, Debug)]
pub struct Limits {
    /// `envoy.resource_monitors.global_downstream_max_connections`, or the runtime key
    /// `overload.global_downstream_max_connections`.
    pub global: Arc<ConnectionLimit>,
    /// By name of the listener: runtime keys `envoy.resource_limits.listener.<name>.connection_limit`.
    pub per_listener: HashMap<String, u64>,
}

impl Default for Limits {
    /// No limits.
    fn default() -> Self {
        Self {
            global: Arc::new(ConnectionLimit::new(u64::MAX)),
            per_listener: HashMap::new(),
        }
    }
}

/// How many connections may be open at once; may change while they are.
#[derive(Debug)]
pub struct ConnectionLimit {
    max: AtomicU64,
    open: AtomicU64,
}

/// One open connection.
#[derive(Debug)]
pub struct ConnectionPermit {
    limit: Arc<ConnectionLimit>,
}

impl ConnectionLimit {
    /// `u64::MAX` is no limit.
    pub fn new(max: u64) -> Self {
        Self {
            max: AtomicU64::new(max),
            open: AtomicU64::new(0),
        }
    }

    pub fn set_max(&self, max: u64) {
        self.max.store(max, Relaxed);
    }

    /// Connections that are open now.
    pub fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }

    pub fn max(&self) -> u64 {
        self.max.load(Relaxed)
    }

    /// Room for one more.
    pub fn acquire(self: &Arc<Self>) -> Option<ConnectionPermit> {
        let max = self.max();
        self.open
            .fetch_update(Relaxed, Relaxed, |open| (open < max).then_some(open + 1))
            .ok()
            .map(|_| ConnectionPermit {
                limit: self.clone(),
            })
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.limit.open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_connection_makes_room() {
        let limit = Arc::new(ConnectionLimit::new(1));
        let first = limit.acquire();
        assert!(first.is_some());
        assert!(limit.acquire().is_none());
        drop(first);
        assert!(limit.acquire().is_some());
        assert_eq!(limit.open(), 0);
    }
}
