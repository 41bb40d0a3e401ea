//! What the bootstrap says about stats, compiled.

use super::{BucketSettings, matcher::StatsMatcher, tags::TagProducer};

/// Read by every reader of stats, never by those who count.
#[derive(Debug, Default)]
pub struct Settings {
    /// Which stats exist for readers.
    pub matcher: StatsMatcher,
    /// How names become labels.
    pub tags: TagProducer,
    /// How histograms are shown.
    pub buckets: BucketSettings,
}
