//! Tasks that wait for something that hardly ever happens to the whole process, such as a drain sequence.

use crate::worker;
use parking_lot::Mutex;
use std::{sync::Arc, task::Waker};

/// Workers share a list only if there are more of them.
const SHARDS: usize = 16;

/// The wakers of those who wait.
#[derive(Debug, Default)]
pub struct Wakers([Mutex<List>; SHARDS]);

#[derive(Debug, Default)]
struct List {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

/// Keeps a waker registered.
#[derive(Debug)]
pub struct Watch {
    wakers: Arc<Wakers>,
    shard: usize,
    slot: usize,
}

impl Wakers {
    /// Wakes a task each time, until the guard is dropped. Who looks afterwards at what has happened misses nothing.
    pub fn watch(self: &Arc<Self>, waker: Waker) -> Watch {
        let shard = worker::current() % SHARDS;
        let mut list = self.0[shard].lock();
        let slot = list.free.pop().unwrap_or_else(|| {
            list.wakers.push(None);
            list.wakers.len() - 1
        });
        if let Some(entry) = list.wakers.get_mut(slot) {
            *entry = Some(waker);
        }
        drop(list);
        Watch {
            wakers: self.clone(),
            shard,
            slot,
        }
    }

    pub fn wake_all(&self) {
        for shard in &self.0 {
            for waker in shard.lock().wakers.iter().flatten() {
                waker.wake_by_ref();
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut list = self.wakers.0[self.shard].lock();
        if let Some(entry) = list.wakers.get_mut(self.slot) {
            *entry = None;
            list.free.push(self.slot);
        }
    }
}
