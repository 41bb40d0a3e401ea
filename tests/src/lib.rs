//! Test harness of Outrigger.
