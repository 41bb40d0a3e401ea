//! Benchmarks of Outrigger.
