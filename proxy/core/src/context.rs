//! What every `compile` is handed: the process-wide services, passed and never global.

use crate::{
    access_log, local_info::LocalInfo, overload::OverloadState, runtime::Runtime, stats::Store,
    token_bucket::SharedBuckets,
};
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
    /// The layered runtime.
    pub runtime: Arc<Runtime>,
    /// Every log file of the process.
    pub log_manager: Arc<access_log::Manager>,
    /// The token buckets that filters share.
    pub shared_buckets: SharedBuckets,
    /// What the overload manager demands.
    pub overload: Arc<OverloadState>,
}

impl Context {
    /// What access logs need of the process.
    pub fn log_services(&self) -> access_log::LogServices {
        access_log::LogServices {
            manager: self.log_manager.clone(),
            runtime: self.runtime.clone(),
        }
    }
}

impl Default for Context {
    /// One worker, no node, no runtime layer.
    fn default() -> Self {
        Self {
            stats: Arc::default(),
            concurrency: 1,
            local_info: LocalInfo::default(),
            runtime: Arc::default(),
            log_manager: Arc::default(),
            shared_buckets: SharedBuckets::default(),
            overload: Arc::default(),
        }
    }
}
