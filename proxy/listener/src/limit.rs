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
    counts_exempt: bool,
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
            counts_exempt: false,
        }
    }

    /// What it never stops takes room all the same. In Envoy this is so for the limit from the runtime, not for the one of
    /// the overload manager.
    pub fn counting_exempt(mut self) -> Self {
        self.counts_exempt = true;
        self
    }

    /// Connections that are open now.
    pub fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }

    pub fn max(&self) -> u64 {
        self.max.get()
    }

    /// A connection that this limit never stops; `None` if it does not even count.
    pub fn exempt(self: &Arc<Self>) -> Option<ConnectionPermit> {
        self.counts_exempt.then(|| {
            self.open.fetch_add(1, Relaxed);
            ConnectionPermit {
                limit: self.clone(),
            }
        })
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
        assert!(limit.exempt().is_none());
    }

    #[test]
    fn what_is_exempt_can_take_room() {
        let limit = ConnectionLimit::new(RuntimeUint64::fixed(1)).counting_exempt();
        let limit = Arc::new(limit);
        let both = (limit.exempt(), limit.exempt());
        assert_eq!(limit.open(), 2);
        assert!(limit.acquire().is_none());
        drop(both);
        assert!(limit.acquire().is_some());
    }
}
