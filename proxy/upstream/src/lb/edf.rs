//! Envoy's EDF scheduler: entries by weight, as evenly spread as can be.
//!
//! Each entry has a deadline of 1 / weight after its last turn; the earliest is next. While weights stand still, the
//! order repeats: then it is a table, and a turn is one step of a counter.

use parking_lot::Mutex;
use std::{
    cmp::Ordering,
    collections::BinaryHeap,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The longest order that is kept as a table.
const MAX_TABLE: u64 = 4096;

/// One entry that waits for its turn.
#[derive(Debug, Clone, Copy)]
struct Entry {
    deadline: f64,
    /// Earlier insertions win between equal deadlines.
    order: u64,
    index: usize,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The greatest entry is the one with the earliest deadline.
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .deadline
            .total_cmp(&self.deadline)
            .then(other.order.cmp(&self.order))
    }
}

/// The scheduler itself.
#[derive(Debug, Default, Clone)]
struct Edf {
    queue: BinaryHeap<Entry>,
    now: f64,
    order: u64,
}

impl Edf {
    fn new(weights: &[f64]) -> Self {
        let mut edf = Self::default();
        for (index, weight) in weights.iter().enumerate() {
            edf.add(index, *weight);
        }
        edf
    }

    fn add(&mut self, index: usize, weight: f64) {
        self.queue.push(Entry {
            deadline: self.now + 1.0 / weight,
            order: self.order,
            index,
        });
        self.order += 1;
    }

    /// The entry whose turn it is. `weight` says what it weighs now.
    fn next(&mut self, weight: impl FnOnce(usize) -> f64) -> Option<usize> {
        let Entry {
            deadline, index, ..
        } = self.queue.pop()?;
        self.now = deadline;
        self.add(index, weight(index));
        Some(index)
    }
}

/// A schedule that all workers use, each at its own place of it, which starts at random.
#[derive(Debug)]
pub(super) struct Schedule {
    weights: Vec<f64>,
    order: Order,
}

#[derive(Debug)]
enum Order {
    Table { table: Box<[u32]>, places: Places },
    Live(Box<[Mutex<Edf>]>),
}

impl Schedule {
    /// Weights that stand still.
    pub(super) fn new(weights: Vec<f64>, concurrency: usize) -> Self {
        match period(&weights) {
            Some(length) => {
                let mut edf = Edf::new(&weights);
                let table: Box<[u32]> = (0..length)
                    .filter_map(|_| edf.next(|i| weights.get(i).copied().unwrap_or(1.0)))
                    .map(|index| index as u32)
                    .collect();
                let places = Places::new(concurrency);
                Self {
                    weights,
                    order: Order::Table { table, places },
                }
            }
            None => Self::live(weights, concurrency),
        }
    }

    /// Weights that are asked for at each turn.
    pub(super) fn live(weights: Vec<f64>, concurrency: usize) -> Self {
        let start = |_| {
            let mut edf = Edf::new(&weights);
            for _ in 0..fastrand::usize(..weights.len().max(1)) {
                edf.next(|i| weights.get(i).copied().unwrap_or(1.0));
            }
            Mutex::new(edf)
        };
        let order = Order::Live((0..concurrency.max(1)).map(start).collect());
        Self { weights, order }
    }

    /// The next entry for this worker. `weight` turns the configured weight into that of the moment; a schedule made
    /// by [`new`](Self::new) may not ask for it.
    pub(super) fn next(
        &self,
        worker: usize,
        weight: impl FnOnce(usize, f64) -> f64,
    ) -> Option<usize> {
        match &self.order {
            Order::Table { table, places } => {
                let place = places.next(worker).checked_rem(table.len())?;
                table.get(place).map(|index| *index as usize)
            }
            Order::Live(workers) => {
                let edf = workers.get(worker).or_else(|| workers.first())?;
                edf.lock().next(|index| {
                    let configured = self.weights.get(index).copied().unwrap_or(1.0);
                    weight(index, configured)
                })
            }
        }
    }
}

/// The length after which the order of these weights repeats, if they are whole numbers and it is not too long.
fn period(weights: &[f64]) -> Option<usize> {
    let mut sum = 0u64;
    let mut divisor = 0u64;
    for weight in weights {
        if weight.fract() != 0.0 || *weight < 1.0 || *weight > f64::from(u32::MAX) {
            return None;
        }
        sum += *weight as u64;
        divisor = gcd(divisor, *weight as u64);
    }
    let length = sum.checked_div(divisor)?;
    (length <= MAX_TABLE).then_some(length as usize)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// One counter for each worker, on a cache line of its own.
#[derive(Debug)]
pub(super) struct Places(Box<[Place]>);

#[derive(Debug)]
#[repr(align(64))]
struct Place(AtomicUsize);

impl Places {
    pub(super) fn new(concurrency: usize) -> Self {
        let random = |_| Place(AtomicUsize::new(fastrand::u32(..) as usize));
        Self((0..concurrency.max(1)).map(random).collect())
    }

    /// Where this worker is, and one further for the next time.
    pub(super) fn next(&self, worker: usize) -> usize {
        let place = self.0.get(worker).or_else(|| self.0.first());
        place.map_or(0, |place| place.0.fetch_add(1, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn picks(weights: &[u32], count: usize) -> Vec<usize> {
        let weights: Vec<f64> = weights.iter().map(|w| f64::from(*w)).collect();
        let mut edf = Edf::new(&weights);
        (0..count)
            .filter_map(|_| edf.next(|i| weights.get(i).copied().unwrap_or(1.0)))
            .collect()
    }

    #[test]
    fn one_two_three_is_spread() {
        let picked = picks(&[1, 2, 3], 6);
        assert_eq!(picked.iter().filter(|i| **i == 2).count(), 3);
        assert_eq!(picked.iter().filter(|i| **i == 1).count(), 2);
        assert!(
            picked
                .windows(2)
                .all(|w| w.first() != w.last() || w.first() == Some(&2))
        );
    }

    #[test]
    fn a_table_and_a_live_schedule_have_the_same_shares() {
        let table = Schedule::new(vec![1.0, 2.0, 3.0], 1);
        assert!(matches!(table.order, Order::Table { .. }));
        let live = Schedule::live(vec![1.0, 2.0, 3.0], 1);
        for schedule in [table, live] {
            let mut counts = [0; 3];
            for _ in 0..600 {
                if let Some(count) = schedule
                    .next(0, |_, weight| weight)
                    .and_then(|index| counts.get_mut(index))
                {
                    *count += 1;
                }
            }
            assert!((99..=101).contains(&counts[0]), "{counts:?}");
            assert!((299..=301).contains(&counts[2]), "{counts:?}");
        }
    }

    #[test]
    fn an_empty_schedule_has_nobody() {
        assert_eq!(Schedule::new(vec![], 2).next(0, |_, w| w), None);
        assert_eq!(Schedule::live(vec![], 2).next(0, |_, w| w), None);
    }

    proptest! {
        /// At no time has an entry had more than one turn too few or too many per competitor.
        #[test]
        fn every_prefix_is_fair(weights in prop::collection::vec(1u32..20, 1..8)) {
            let sum: u32 = weights.iter().sum();
            let picked = picks(&weights, 3 * sum as usize);
            let mut counts = vec![0.0; weights.len()];
            for (turn, index) in picked.iter().enumerate() {
                if let Some(count) = counts.get_mut(*index) {
                    *count += 1.0;
                }
                for (count, weight) in counts.iter().zip(&weights) {
                    let share = (turn + 1) as f64 * f64::from(*weight) / f64::from(sum);
                    prop_assert!((count - share).abs() <= weights.len() as f64);
                }
            }
        }

        /// After each period every entry has had exactly its weight.
        #[test]
        fn proportions_are_exact(weights in prop::collection::vec(1u32..20, 1..8)) {
            let sum: u32 = weights.iter().sum();
            let picked = picks(&weights, sum as usize);
            for (index, weight) in weights.iter().enumerate() {
                let turns = picked.iter().filter(|i| **i == index).count();
                // Deadlines are sums of fractions: two that meet at the very end may change places.
                prop_assert!(turns.abs_diff(*weight as usize) <= 1, "{} {:?}", index, weights);
            }
        }
    }
}
