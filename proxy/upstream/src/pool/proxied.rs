//! The pools of a host whose connections begin with a PROXY header: one for each header, as in Envoy, since what is said there of
//! the client holds for all requests of a connection.

use super::{http1::Pool, http2::Http2Pool};
use hashbrown::{HashMap, hash_map::Entry};
use outrigger_transport::proxy_protocol::ProxyKey;
use parking_lot::Mutex;
use std::sync::Arc;

/// Pools that are looked at before the table first forgets those without connections.
const FEW: usize = 64;

/// Worker and priority, and the client.
type Key = (usize, ProxyKey);

/// The pools of one protocol.
#[derive(Debug)]
pub(crate) struct Proxied<P> {
    table: Mutex<Table<P>>,
}

#[derive(Debug)]
struct Table<P> {
    pools: HashMap<Key, Arc<P>>,
    forget_at: usize,
}

/// A pool that can be forgotten.
pub(crate) trait Rests {
    /// It has no connection, and nobody waits for one.
    fn is_resting(&self) -> bool;

    fn drain(&self);
}

impl Rests for Pool {
    fn is_resting(&self) -> bool {
        Pool::is_resting(self)
    }

    fn drain(&self) {
        Pool::drain(self);
    }
}

impl Rests for Http2Pool {
    fn is_resting(&self) -> bool {
        Http2Pool::is_resting(self)
    }

    fn drain(&self) {
        Http2Pool::drain(self);
    }
}

impl<P> Default for Proxied<P> {
    fn default() -> Self {
        let table = Table {
            pools: HashMap::new(),
            forget_at: FEW,
        };
        Self {
            table: Mutex::new(table),
        }
    }
}

impl<P: Rests> Proxied<P> {
    pub fn get(&self, place: usize, key: ProxyKey, new: impl FnOnce() -> Arc<P>) -> Arc<P> {
        let mut table = self.table.lock();
        let Table { pools, forget_at } = &mut *table;
        if pools.len() >= *forget_at {
            pools.retain(|_, pool| !Self::is_forgettable(pool));
            *forget_at = (2 * pools.len()).max(FEW);
        }
        match pools.entry((place, key)) {
            // Its header may be another by now.
            Entry::Occupied(mut pool) if Self::is_forgettable(pool.get()) => {
                pool.insert(new());
                pool.get().clone()
            }
            Entry::Occupied(pool) => pool.get().clone(),
            Entry::Vacant(place) => place.insert(new()).clone(),
        }
    }

    /// A pool that somebody holds is about to be used.
    fn is_forgettable(pool: &Arc<P>) -> bool {
        Arc::strong_count(pool) == 1 && pool.is_resting()
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.table.lock().pools.len()
    }

    pub fn drain(&self) {
        for pool in self.table.lock().pools.values() {
            pool.drain();
        }
    }
}
