//! Envoy's stat model over plain atomics: counters, gauges and histograms that live inside the object they describe.
//!
//! A cluster, listener or connection manager owns one struct of stats (made by [`stat_group!`]); to count is one atomic
//! addition on a field. Names exist once per kind of object, not once per object: the store keeps a prefix and a weak
//! reference for each group and puts the full name together when somebody reads.

mod counter;
mod group;
mod histogram;
mod response_codes;
mod store;

pub use counter::{Counter, Gauge, TextReadout};
pub use group::{Metric, StatGroup};
pub use histogram::{Histogram, Unit};
pub use response_codes::ResponseCodes;
pub use store::Store;
