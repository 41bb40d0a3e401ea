//! Listeners: from an accepted socket to the end of its last network filter.
//!
//! A listener is compiled once and never changes; this crate must never speak a protocol itself.

pub mod fields;
pub mod filter_chain;
