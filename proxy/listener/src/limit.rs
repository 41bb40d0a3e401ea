//! Limits on the number of open connections, of one listener or of the process.

use outrigger_core::runtime::RuntimeUint64;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// How many connections may be open at once; the runtime may change it while they are.
#[derive(Debug)]
pub struct ConnectionLimit {
    max: RuntimeUint64,
    open: AtomicU64,
}

/// One open connection.
#[derive(Debug)]
pub struct ConnectionPermit {
    limit: Arc<ConnectionLimit>,
}

impl ConnectionLimit {
    /// `u64::MAX` is no limit.
    pub fn new(max: RuntimeUint64) -> Self {
        Self {
            max,
            open: AtomicU64::new(0),
        }
    }

    /// Connections that are open now.
    pub fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }

    pub fn max(&self) -> u64 {
        self.max.get()
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
        let limit = Arc::new(ConnectionLimit::new(RuntimeUint64::fixed(1)));
        let first = limit.acquire();
        assert!(first.is_some());
        assert!(limit.acquire().is_none());
        drop(first);
        assert!(limit.acquire().is_some());
        assert_eq!(limit.open(), 0);
    }
}
