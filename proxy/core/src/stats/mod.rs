//! Envoy's stat model over plain atomics: counters, gauges and histograms that live inside the object they describe.
//!
//! A cluster, listener or connection manager owns one struct of stats (made by [`stat_group!`]); to count is one atomic
//! addition on a field. Names exist once per kind of object, not once per object: the store keeps a prefix and a weak
//! reference for each group and puts the full name together when somebody reads.

mod counter;
mod group;
mod histogram;
mod lane;
mod matcher;
mod name_cache;
pub mod render;
mod response_codes;
mod settings;
mod snapshot;
mod store;
mod tags;

pub use counter::{Counter, Gauge, TextReadout};
pub use group::{Metric, StatGroup};
pub use histogram::{
    Bin, Bins, BucketRule, BucketSettings, DEFAULT_BUCKETS, Histogram, Merged, QUANTILES, Unit,
};
pub use lane::Lane;
pub use matcher::StatsMatcher;
pub use response_codes::ResponseCodes;
pub use settings::{FIELDS, Flush, Settings};
pub use snapshot::{Distribution, Kind, Number, Query, Sample, Snapshot};
pub use store::Store;
pub use tags::{TagProducer, TagRule, Tagged};
