//! Envoy's exact connection balance: a connection goes to the worker with the fewest connections of its listener.

use crossbeam_utils::CachePadded;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Connections of one listener per worker.
#[derive(Debug)]
pub struct Balancer {
    connections: Box<[CachePadded<AtomicUsize>]>,
}

/// One connection in its worker's count.
#[derive(Debug)]
pub struct Assigned {
    balancer: Arc<Balancer>,
    pub worker: usize,
}

impl Balancer {
    pub fn new(workers: usize) -> Self {
        Self {
            connections: (0..workers.max(1))
                .map(|_| CachePadded::default())
                .collect(),
        }
    }

    /// The worker for a new connection that `current` has accepted: itself, unless another has fewer.
    pub fn pick(self: &Arc<Self>, current: usize) -> Assigned {
        let load = |worker: usize| self.connections.get(worker).map(|c| c.load(Relaxed));
        let least = (0..self.connections.len())
            .min_by_key(|worker| (load(*worker), *worker != current))
            .unwrap_or(current);
        if let Some(count) = self.connections.get(least) {
            count.fetch_add(1, Relaxed);
        }
        Assigned {
            balancer: self.clone(),
            worker: least,
        }
    }
}

impl Drop for Assigned {
    fn drop(&mut self) {
        if let Some(count) = self.balancer.connections.get(self.worker) {
            count.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_loaded_worker_gets_it_and_a_tie_stays() {
        let balancer = Arc::new(Balancer::new(3));
        let a = balancer.pick(1);
        let b = balancer.pick(1);
        let c = balancer.pick(1);
        assert_eq!([a.worker, b.worker, c.worker], [1, 0, 2]);
        drop(b);
        assert_eq!(balancer.pick(2).worker, 0);
    }
}
