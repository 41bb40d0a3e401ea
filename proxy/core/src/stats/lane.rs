//! Adding up without locked instructions: each of the first workers has a lane of its own in every counter.

use std::{
    cell::Cell,
    marker::PhantomData,
    sync::atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{AcqRel, Acquire, Relaxed, Release},
    },
};

/// Threads with a lane of their own: as many as a sidecar has workers. All others share one, where an addition is a
/// locked instruction as in any shared counter.
const OWN: usize = 2;

/// One bit for each lane that a thread has.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The lane of this thread; none of [`OWN`] unless it holds a [`Lane`].
    static LANE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// A lane, held by a thread for as long as it counts much.
#[derive(Debug)]
pub struct Lane {
    index: usize,
    /// It belongs to the thread that claimed it.
    not_send: PhantomData<*const ()>,
}

impl Lane {
    /// A lane for this thread; `None` if all are taken, or it has one.
    pub fn claim() -> Option<Self> {
        if LANE.get() < OWN {
            return None;
        }
        let free = |taken: usize| (0..OWN).find(|lane| taken & 1 << lane == 0);
        // What the thread before has counted in this lane must be seen.
        let taken = TAKEN.fetch_update(AcqRel, Acquire, |taken| Some(taken | 1 << free(taken)?));
        let index = free(taken.ok()?)?;
        LANE.set(index);
        Some(Self {
            index,
            not_send: PhantomData,
        })
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        LANE.set(usize::MAX);
        TAKEN.fetch_and(!(1 << self.index), Release);
    }
}

/// A sum that threads add to, each in its lane.
#[derive(Debug, Default)]
pub(super) struct Sum {
    shared: AtomicU64,
    own: [AtomicU64; OWN],
}

impl Sum {
    /// Adds, or takes off what `n` is the two's complement of.
    #[inline]
    pub(super) fn add(&self, n: u64) {
        match self.own.get(LANE.get()) {
            // Nobody else writes here.
            Some(own) => own.store(own.load(Relaxed).wrapping_add(n), Relaxed),
            None => {
                self.shared.fetch_add(n, Relaxed);
            }
        }
    }

    /// The sum of all lanes. What one thread added and another took off in the meantime may be seen by half: then it is
    /// wrong by that, and may be below zero.
    pub(super) fn get(&self) -> u64 {
        let shared = self.shared.load(Relaxed);
        let own = self.own.iter().map(|lane| lane.load(Relaxed));
        own.fold(shared, u64::wrapping_add)
    }

    /// Makes the sum `n`, give or take what is added in the meantime.
    pub(super) fn set(&self, n: u64) {
        let own = self.own.iter().map(|lane| lane.load(Relaxed));
        self.shared.store(own.fold(n, u64::wrapping_sub), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Barrier, thread};

    #[test]
    fn nothing_is_lost_whoever_counts() {
        const THREADS: usize = 5;
        const EACH: u64 = 10_000;
        let (sum, all_claimed) = (Sum::default(), Barrier::new(THREADS));
        let lanes = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        let lane = Lane::claim();
                        all_claimed.wait();
                        (0..EACH).for_each(|_| sum.add(1));
                        all_claimed.wait();
                        assert!(lane.is_none() || Lane::claim().is_none());
                        lane.is_some()
                    })
                })
                .collect();
            let ended = threads.into_iter().map(thread::ScopedJoinHandle::join);
            ended.filter(|had| matches!(had, Ok(true))).count()
        });
        assert_eq!(lanes, OWN);
        assert_eq!(sum.get(), THREADS as u64 * EACH);
        // The lanes are free again.
        let lane = thread::scope(|scope| scope.spawn(|| Lane::claim().is_some()).join().ok());
        assert_eq!(lane, Some(true));
    }

    #[test]
    fn a_sum_is_set_whatever_stands_in_its_lanes() {
        let sum = Sum::default();
        thread::scope(|scope| {
            scope.spawn(|| {
                let _lane = Lane::claim();
                sum.add(7);
            });
        });
        sum.add(5u64.wrapping_neg());
        assert_eq!(sum.get(), 2);
        sum.set(40);
        assert_eq!(sum.get(), 40);
    }
}
