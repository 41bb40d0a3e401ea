//! What every `compile` is handed: the process-wide services, passed and never global.

use crate::{local_info::LocalInfo, stats::Store};
use std::sync::Arc;

/// Built once by the binary. There is no other global state.
#[derive(Debug)]
pub struct Context {
    /// Every stat of the process.
    pub stats: Arc<Store>,
    /// Number of workers: the size of every per-worker table.
    pub concurrency: usize,
    /// Who this proxy is.
    pub local_info: LocalInfo,
}

impl Default for Context {
    /// One worker, no node.
    fn default() -> Self {
        Self {
            stats: Arc::default(),
            concurrency: 1,
            local_info: LocalInfo::default(),
        }
    }
}
