//! A descriptor for any value: each set of values that comes up has a bucket of its own, as long as it is among the last ones.

use crate::route::Descriptor;
use hashbrown::HashMap;
use outrigger_core::token_bucket::{BucketConfig, TokenBucket};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// A descriptor some of whose values are empty and stand for any.
#[derive(Debug)]
pub struct Wildcard {
    pub entries: Descriptor,
    pub bucket: BucketConfig,
    pub shadow: bool,
}

impl Wildcard {
    pub fn is_match(&self, descriptor: &Descriptor) -> bool {
        let mut entries = self.entries.iter().zip(descriptor);
        self.entries.len() == descriptor.len()
            && entries.all(|((key, value), (k, v))| key == k && (value.is_empty() || value == v))
    }
}

/// The buckets of one such descriptor: at most so many, those that were asked for last.
#[derive(Debug)]
pub struct DynamicBuckets {
    capacity: usize,
    config: BucketConfig,
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    /// Of the last request.
    tick: u64,
    buckets: HashMap<Descriptor, (u64, Arc<TokenBucket>)>,
    by_age: BTreeMap<u64, Descriptor>,
}

impl DynamicBuckets {
    pub fn new(config: BucketConfig, capacity: usize) -> Self {
        Self {
            capacity,
            config,
            recent: Mutex::default(),
        }
    }

    /// The bucket of these values.
    pub fn get(&self, descriptor: Descriptor) -> Arc<TokenBucket> {
        let recent = &mut *self.recent.lock();
        recent.tick += 1;
        let tick = recent.tick;
        if let Some((at, bucket)) = recent.buckets.get_mut(&descriptor) {
            recent.by_age.remove(at);
            *at = tick;
            recent.by_age.insert(tick, descriptor);
            return bucket.clone();
        }
        if recent.buckets.len() >= self.capacity
            && let Some((_, oldest)) = recent.by_age.pop_first()
        {
            recent.buckets.remove(&oldest);
        }
        let bucket = Arc::new(TokenBucket::new(self.config));
        recent.by_age.insert(tick, descriptor.clone());
        recent.buckets.insert(descriptor, (tick, bucket.clone()));
        bucket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(entries: &[(&str, &str)]) -> Descriptor {
        let entries = entries.iter();
        entries
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect()
    }

    const BUCKET: BucketConfig = BucketConfig {
        max_tokens: 1,
        fill_rate: 0.001,
    };

    #[test]
    fn an_empty_value_stands_for_any() {
        let wildcard = Wildcard {
            entries: descriptor(&[("a", ""), ("b", "1")]),
            bucket: BUCKET,
            shadow: false,
        };
        assert!(wildcard.is_match(&descriptor(&[("a", "x"), ("b", "1")])));
        for other in [
            &[("a", "x"), ("b", "2")][..],
            &[("x", "x"), ("b", "1")],
            &[("a", "x")],
            &[("a", "x"), ("b", "1"), ("c", "")],
        ] {
            assert!(!wildcard.is_match(&descriptor(other)), "{other:?}");
        }
    }

    #[test]
    fn only_the_last_values_keep_their_buckets() {
        let buckets = DynamicBuckets::new(BUCKET, 2);
        let consume = |value| buckets.get(descriptor(&[("a", value)])).consume(1);
        assert!(consume("1") && consume("2"));
        // Asked for again, the first is younger than the second.
        assert!(!consume("1"));
        assert!(consume("3"));
        assert!(!consume("1"));
        assert!(consume("2"));
        assert_eq!(buckets.recent.lock().buckets.len(), 2);
        assert_eq!(buckets.recent.lock().by_age.len(), 2);
    }
}
