//! Envoy's hosts: one upstream address with its counters, health and connection pools.
//!
//! A host outlives the host sets that it is part of: an update that keeps the address keeps the object, and with it the
//! pooled connections.

use crate::{
    circuit_breaker::Priority,
    cluster::Cluster,
    pool::{
        http1::{Pool, PoolParts},
        http2::Http2Pool,
        proxied::Proxied,
    },
    stats::HostStats,
};
use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use outrigger_core::{Address, ConnectionInfo, stream_info::HostInfo, worker};
use outrigger_transport::proxy_protocol::UpstreamProxyProtocol;
use std::{
    ops::Deref,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, AtomicU32, Ordering::Relaxed},
    },
};

/// `core.v3.Locality`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Locality {
    pub region: String,
    pub zone: String,
    pub sub_zone: String,
}

/// `core.v3.HealthStatus` as the configuration or EDS gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum EdsHealth {
    #[default]
    Unknown,
    Healthy,
    Unhealthy,
    Draining,
    Timeout,
    Degraded,
}

/// How far a host may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    Healthy,
    /// Used when there are not enough healthy ones.
    Degraded,
    Unhealthy,
}

impl EdsHealth {
    /// From the number in the message; what is unknown counts as `UNKNOWN`.
    pub fn from_number(number: i32) -> Self {
        match number {
            1 => Self::Healthy,
            2 => Self::Unhealthy,
            3 => Self::Draining,
            4 => Self::Timeout,
            5 => Self::Degraded,
            _ => Self::Unknown,
        }
    }

    /// As `/clusters` prints it in `eds_health_status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Healthy => "HEALTHY",
            Self::Unhealthy => "UNHEALTHY",
            Self::Draining => "DRAINING",
            Self::Timeout => "TIMEOUT",
            Self::Degraded => "DEGRADED",
        }
    }
}

/// What a host is, apart from its pools (Envoy's `HostDescription`): pools and connections keep this alive.
#[derive(Debug)]
pub struct HostDescription {
    info: ArcSwap<HostInfo>,
    addresses: ArcSwapOption<Vec<Address>>,
    pub stats: HostStats,
    pub locality: Arc<Locality>,
    /// 0 is the first choice.
    pub priority: u32,
    weight: AtomicU32,
    health: AtomicU8,
}

impl HostDescription {
    /// Address, hostname and metadata. The address of a `LOGICAL_DNS` host moves.
    pub fn info(&self) -> Guard<Arc<HostInfo>> {
        self.info.load()
    }

    /// Where a connection is tried, in this order, if there is more than one address (happy eyeballs).
    pub(crate) fn addresses(&self) -> Guard<Option<Arc<Vec<Address>>>> {
        self.addresses.load()
    }

    /// Moves the host: its connections stay, new ones go where the endpoint is.
    pub(crate) fn relocate(&self, endpoint: Endpoint) {
        self.info.store(Arc::new(endpoint.info));
        self.addresses.store(endpoint.addresses);
    }

    /// `load_balancing_weight`, at least 1.
    pub fn weight(&self) -> u32 {
        self.weight.load(Relaxed)
    }

    pub fn eds_health(&self) -> EdsHealth {
        EdsHealth::from_number(self.health.load(Relaxed).into())
    }

    pub fn availability(&self) -> Availability {
        match self.eds_health() {
            EdsHealth::Unknown | EdsHealth::Healthy => Availability::Healthy,
            EdsHealth::Degraded => Availability::Degraded,
            // A draining host keeps what it has and gets nothing new.
            EdsHealth::Unhealthy | EdsHealth::Timeout | EdsHealth::Draining => {
                Availability::Unhealthy
            }
        }
    }

    /// As `/clusters` prints it: `healthy`, or every reason why it is not.
    pub fn health_flags(&self) -> &'static str {
        match self.eds_health() {
            EdsHealth::Unknown | EdsHealth::Healthy => "healthy",
            EdsHealth::Degraded => "/degraded_eds_health",
            EdsHealth::Draining => "/eds_status_draining",
            EdsHealth::Unhealthy | EdsHealth::Timeout => "/failed_eds_health",
        }
    }
}

/// What the configuration or a discovery says of one endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub info: HostInfo,
    /// All of its addresses in the order of the attempts; `None` if it has but the one of [`Self::info`].
    pub addresses: Option<Arc<Vec<Address>>>,
    pub locality: Arc<Locality>,
    pub priority: u32,
    pub weight: u32,
    pub health: EdsHealth,
}

/// One upstream host of a cluster.
#[derive(Debug)]
pub struct Host {
    description: Arc<HostDescription>,
    /// HTTP/1 pools, made at first use: by worker, and within by priority.
    pools: Box<[OnceLock<Arc<Pool>>]>,
    /// HTTP/2 pools, in the same order.
    http2_pools: Box<[OnceLock<Arc<Http2Pool>>]>,
    /// In place of them where connections begin with a PROXY header.
    proxied: OnceLock<Box<(Proxied<Pool>, Proxied<Http2Pool>)>>,
}

impl Deref for Host {
    type Target = HostDescription;

    fn deref(&self) -> &HostDescription {
        &self.description
    }
}

/// Pools of one worker: one for each routing priority, whose limits differ.
const PRIORITIES: usize = 2;

impl Host {
    pub fn new(endpoint: Endpoint, concurrency: usize) -> Self {
        let description = HostDescription {
            info: ArcSwap::from_pointee(endpoint.info),
            addresses: ArcSwapOption::new(endpoint.addresses),
            stats: HostStats::default(),
            locality: endpoint.locality,
            priority: endpoint.priority,
            weight: AtomicU32::new(endpoint.weight),
            health: AtomicU8::new(endpoint.health as u8),
        };
        Self {
            description: Arc::new(description),
            pools: (0..concurrency.max(1) * PRIORITIES)
                .map(|_| OnceLock::new())
                .collect(),
            http2_pools: (0..concurrency.max(1) * PRIORITIES)
                .map(|_| OnceLock::new())
                .collect(),
            proxied: OnceLock::new(),
        }
    }

    /// Takes over what may change while the host stays the same host.
    pub(crate) fn update(&self, endpoint: Endpoint) {
        self.weight.store(endpoint.weight, Relaxed);
        self.health.store(endpoint.health as u8, Relaxed);
        self.relocate(endpoint);
    }

    pub(crate) fn description(&self) -> &Arc<HostDescription> {
        &self.description
    }

    /// The HTTP/1 pool of this worker.
    pub(crate) fn http1_pool(&self, cluster: &Cluster, priority: Priority) -> Option<&Arc<Pool>> {
        let index = worker::current() * PRIORITIES + priority as usize;
        let place = self.pools.get(index)?;
        if let Some(pool) = place.get() {
            return Some(pool);
        }
        Some(place.get_or_init(|| Pool::new(cluster.pool_parts(self, priority))))
    }

    /// The HTTP/2 pool of this worker.
    pub(crate) fn http2_pool(
        &self,
        cluster: &Cluster,
        priority: Priority,
    ) -> Option<&Arc<Http2Pool>> {
        let index = worker::current() * PRIORITIES + priority as usize;
        let place = self.http2_pools.get(index)?;
        if let Some(pool) = place.get() {
            return Some(pool);
        }
        Some(place.get_or_init(|| Http2Pool::new(cluster.pool_parts(self, priority))))
    }

    /// The HTTP/1 pool of this worker for the clients of a downstream connection.
    pub(crate) fn proxied_http1_pool(
        &self,
        cluster: &Cluster,
        priority: Priority,
        proxy: &UpstreamProxyProtocol,
        downstream: &ConnectionInfo,
    ) -> Arc<Pool> {
        let place = worker::current() * PRIORITIES + priority as usize;
        let new = || Pool::new(self.proxied_parts(cluster, priority, proxy, downstream));
        let (pools, _) = &**self.proxied.get_or_init(Box::default);
        pools.get(place, proxy.key(downstream), new)
    }

    /// The HTTP/2 pool of this worker for the clients of a downstream connection.
    pub(crate) fn proxied_http2_pool(
        &self,
        cluster: &Cluster,
        priority: Priority,
        proxy: &UpstreamProxyProtocol,
        downstream: &ConnectionInfo,
    ) -> Arc<Http2Pool> {
        let place = worker::current() * PRIORITIES + priority as usize;
        let new = || Http2Pool::new(self.proxied_parts(cluster, priority, proxy, downstream));
        let (_, pools) = &**self.proxied.get_or_init(Box::default);
        pools.get(place, proxy.key(downstream), new)
    }

    #[cfg(test)]
    pub(crate) fn proxied_http1_pools(&self) -> usize {
        self.proxied.get().map_or(0, |proxied| proxied.0.len())
    }

    fn proxied_parts(
        &self,
        cluster: &Cluster,
        priority: Priority,
        proxy: &UpstreamProxyProtocol,
        downstream: &ConnectionInfo,
    ) -> PoolParts {
        PoolParts {
            header: Some(proxy.header(downstream).into()),
            ..cluster.pool_parts(self, priority)
        }
    }

    /// The host left its cluster: idle connections close now, others when their request ends.
    pub(crate) fn drain(&self) {
        for pool in self.pools.iter().filter_map(OnceLock::get) {
            pool.drain();
        }
        for pool in self.http2_pools.iter().filter_map(OnceLock::get) {
            pool.drain();
        }
        if let Some(proxied) = self.proxied.get() {
            proxied.0.drain();
            proxied.1.drain();
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.drain();
    }
}
