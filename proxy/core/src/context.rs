//! What every `compile` is handed: the process-wide services, passed and never global.

use crate::stats::Store;
use std::sync::Arc;

/// Built once by the binary. There is no other global state.
#[derive(Debug)]
pub struct Context {
    /// Every stat of the process.
    pub stats: Arc<Store>,
    /// Number of workers: the size of every per-worker table.
    pub concurrency: usize,
}
