//! Criterion benches of the data path: each step of a request alone, then a whole request in process.
//!
//! One binary, because what costs in building it is linking the proxy: `cargo bench -p outrigger-benches -- lb/` runs
//! the benches whose name holds `lb/`.
#![allow(clippy::unwrap_used)]

mod access_log;
mod filter_chain;
mod http1;
mod hyper_proxy;
mod lb;
mod request;
mod route;
mod stats;
mod support;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    data_path,
    filter_chain::benches,
    http1::benches,
    route::benches,
    lb::benches,
    stats::benches,
    access_log::benches,
    request::benches,
);
criterion_main!(data_path);
