//! Outrigger's proxy process: what stands above the data path. The binary is a thin shell around this.

pub mod admin;
