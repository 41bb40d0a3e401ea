//! A compiled listener: immutable, shared by the workers that accept for it.

use crate::{
    balancer::Balancer,
    directory::Directory,
    filter_chain::{MatchInput, MatchTree},
    limit::ConnectionLimit,
    network_filter::FilterStack,
    stats::{ListenerStats, WorkerStats},
};
use outrigger_core::{
    Address,
    access_log::AccessLogs,
    overload::OverloadState,
    stream_info::{FilterChainInfo, ListenerInfo},
};
use outrigger_transport::{inspect::ListenerFilter, listen::ListenOptions};
use outrigger_upstream::ClusterManager;
use std::{num::NonZeroU32, sync::Arc, time::Duration};

/// What is done to the connections of one address or several.
#[derive(Debug)]
pub struct Listener {
    pub info: Arc<ListenerInfo>,
    /// `address` and `additional_addresses`, as configured.
    pub(crate) addresses: Vec<ListenAddress>,
    /// False: connections only come from another listener with `use_original_dst`.
    pub bind_to_port: bool,
    pub(crate) use_original_dst: bool,
    pub(crate) filters: Box<[ListenerFilter]>,
    /// `listener_filters_timeout`; `None` waits for ever.
    pub(crate) filters_timeout: Option<Duration>,
    pub(crate) continue_on_filters_timeout: bool,
    pub(crate) chains: MatchTree<Arc<FilterChain>>,
    pub(crate) default_chain: Option<Arc<FilterChain>>,
    pub(crate) backlog: i32,
    pub(crate) max_accepts_per_event: Option<NonZeroU32>,
    pub(crate) balancer: Arc<Balancer>,
    pub(crate) limit: Arc<ConnectionLimit>,
    /// The process's limit.
    pub(crate) global_limit: Arc<ConnectionLimit>,
    /// `ignore_global_conn_limit`.
    pub(crate) ignores_global_limit: bool,
    /// That of the process, unless `bypass_overload_manager`.
    pub(crate) overload: Arc<OverloadState>,
    pub(crate) clusters: Arc<ClusterManager>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) access_logs: AccessLogs,
    pub stats: Arc<ListenerStats>,
    pub(crate) worker_stats: Box<[Arc<WorkerStats>]>,
}

/// One address of a listener and how to bind to it.
#[derive(Clone, Debug)]
pub(crate) struct ListenAddress {
    pub address: Address,
    pub options: ListenOptions,
}

/// A compiled filter chain.
#[derive(Debug)]
pub struct FilterChain {
    pub info: Arc<FilterChainInfo>,
    /// `None`: there is no filter, and connections are closed.
    pub(crate) filters: Option<FilterStack>,
}

impl Listener {
    pub fn name(&self) -> &Arc<str> {
        &self.info.name
    }

    /// The addresses of the configuration; a bound port 0 is found in [`ListenerManager::addresses`].
    ///
    /// [`ListenerManager::addresses`]: crate::ListenerManager::addresses
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.addresses.iter().map(|a| &a.address)
    }

    /// `ipv4_compat` on `[::]`.
    pub(crate) fn takes_ipv4_on_ipv6(&self) -> bool {
        self.addresses.iter().any(|a| a.options.ipv4_compat)
    }

    pub(crate) fn find_chain(&self, input: &MatchInput<'_>) -> Option<&Arc<FilterChain>> {
        self.chains.find(input).or(self.default_chain.as_ref())
    }
}
