//! Workload identity: who a peer is, by the SPIFFE ID in its certificate.
//!
//! This floor knows no proxy type: the data path asks it questions and never the other way round.

pub mod spiffe;

pub use spiffe::SpiffeId;
