//! Envoy's cluster: a named group of hosts with its limits, its stats and its way to choose among them.

use crate::{
    circuit_breaker::{CircuitBreakers, Overflow, Priority, RequestPermit, RetryPermit},
    config::{ClusterConfig, DiscoveryType},
    host::Host,
    host_set::{Assignment, HostSet},
    lb::LbContext,
    pool::{Http1Request, Http2Request, PoolFailure, TcpConnection, http1::PoolParts, tcp_connect},
    stats::{ClusterStats, CodecStats, GrpcStats, ResponseKind, ResponseStats},
};
use arc_swap::{ArcSwap, Guard};
use outrigger_core::{ConnectionInfo, Context, runtime::RuntimeUint32, stream_info::ClusterInfo};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::task::JoinSet;

/// A cluster, immutable but for its hosts.
#[derive(Debug)]
pub struct Cluster {
    pub info: Arc<ClusterInfo>,
    pub config: Arc<ClusterConfig>,
    pub stats: Arc<ClusterStats>,
    /// Of gRPC calls, for the filters that count them.
    pub grpc: Arc<GrpcStats>,
    pub breakers: CircuitBreakers,
    responses: Arc<ResponseStats>,
    codecs: Arc<CodecStats>,
    hosts: ArcSwap<HostSet>,
    concurrency: usize,
    /// `upstream.maintenance_mode.<cluster>`: percentage of the requests that are turned away.
    maintenance: RuntimeUint32,
    /// `upstream.healthy_panic_threshold`, for all clusters; asked whenever the hosts change, as in Envoy.
    panic_threshold: RuntimeUint32,
    /// The tasks that find its hosts; they end with it.
    discovery: Mutex<JoinSet<()>>,
    /// It came from the control plane: `added_via_api`.
    pub added_via_api: bool,
}

impl Cluster {
    /// A cluster without hosts.
    pub(crate) fn new(info: ClusterInfo, config: ClusterConfig, context: &Context) -> Self {
        let prefix = format!("cluster.{}.", info.observability_name);
        let stats = context.stats.register(&prefix, ClusterStats::default());
        // A static cluster never warms, and Envoy says so.
        stats.warming_state.set(0);
        let breakers = CircuitBreakers::new(
            &info.name,
            config.thresholds_default,
            config.thresholds_high,
            &prefix,
            context,
        );
        let empty = HostSet::build(
            Assignment::default(),
            None,
            &config.lb,
            context.concurrency,
            &stats,
        );
        let panic_threshold = "upstream.healthy_panic_threshold";
        let maintenance = format!("upstream.maintenance_mode.{}", info.name);
        Self {
            info: Arc::new(info),
            maintenance: RuntimeUint32::new(0, &maintenance, &context.runtime),
            panic_threshold: RuntimeUint32::new(0, panic_threshold, &context.runtime),
            responses: context.stats.register(&prefix, ResponseStats::default()),
            codecs: context.stats.register(&prefix, CodecStats::default()),
            config: Arc::new(config),
            grpc: context.stats.register(&prefix, GrpcStats::default()),
            stats,
            breakers,
            hosts: ArcSwap::from_pointee(empty),
            concurrency: context.concurrency,
            discovery: Mutex::default(),
            added_via_api: false,
        }
    }

    /// The present hosts.
    pub fn hosts(&self) -> Guard<Arc<HostSet>> {
        self.hosts.load()
    }

    /// Replaces the hosts; those that stay keep their connections and counters.
    pub(crate) fn update_hosts(&self, assignment: Assignment) {
        if let DiscoveryType::Dns { logical: false, .. } = self.config.discovery {
            // Envoy tells it of hosts that come and go alone.
            let weights = assignment.endpoints.iter().map(|endpoint| endpoint.weight);
            let max = weights.max().unwrap_or(0);
            self.stats.max_host_weight.set(max.into());
        }
        let previous = self.hosts.load_full();
        let mut lb = self.config.lb;
        if let Some(threshold) = self.panic_threshold.overridden() {
            lb.healthy_panic_threshold = threshold.into();
        }
        let set = HostSet::build(
            assignment,
            Some(&previous),
            &lb,
            self.concurrency,
            &self.stats,
        );
        self.hosts.store(Arc::new(set));
    }

    pub(crate) fn set_discovery(&self, tasks: JoinSet<()>) {
        *self.discovery.lock() = tasks;
    }

    /// Chooses a host. `None`: there is none that may be used.
    pub fn pick(&self, cx: &mut LbContext<'_>) -> Option<Arc<Host>> {
        let hosts = self.hosts.load();
        let host = match cx.override_host {
            None => hosts.balancer().pick(cx, &self.stats),
            Some(wanted) => {
                let statuses = self.config.lb.override_host_status;
                let found = hosts.find(&wanted.address);
                match found.filter(|host| statuses.contains(host.eds_health())) {
                    None if !wanted.strict => hosts.balancer().pick(cx, &self.stats),
                    found => found,
                }
            }
        };
        if host.is_none() {
            self.stats.upstream_cx_none_healthy.inc();
        }
        host
    }

    /// Whether the runtime turns this request away; `random` decides where only some are.
    pub fn in_maintenance(&self, random: u64) -> bool {
        random % 100 < self.maintenance.get().into()
    }

    /// A connection for one HTTP/1 request of this client. Dropping the future cancels.
    pub fn http1(
        &self,
        host: &Arc<Host>,
        priority: Priority,
        downstream: &ConnectionInfo,
    ) -> Http1Request {
        if let Some(proxy) = &self.config.proxy_protocol {
            return host
                .proxied_http1_pool(self, priority, proxy, downstream)
                .request();
        }
        match host.http1_pool(self, priority) {
            Some(pool) => pool.request(),
            None => Http1Request::failed(PoolFailure::overflow(None)),
        }
    }

    /// A stream for one HTTP/2 request of this client. Dropping the future cancels.
    pub fn http2(
        &self,
        host: &Arc<Host>,
        priority: Priority,
        downstream: &ConnectionInfo,
    ) -> Http2Request {
        if let Some(proxy) = &self.config.proxy_protocol {
            return host
                .proxied_http2_pool(self, priority, proxy, downstream)
                .request();
        }
        match host.http2_pool(self, priority) {
            Some(pool) => pool.request(),
            None => Http2Request::failed(PoolFailure::overflow(None)),
        }
    }

    /// A connection for one TCP session of this client. Dropping the future cancels.
    pub fn tcp_connect(
        &self,
        host: &Arc<Host>,
        priority: Priority,
        downstream: &ConnectionInfo,
    ) -> impl Future<Output = Result<TcpConnection, PoolFailure>> + Send + use<> {
        let proxy = self.config.proxy_protocol.as_ref();
        let header = proxy.map(|proxy| proxy.header(downstream).into());
        tcp_connect(Arc::new(PoolParts {
            header,
            ..self.pool_parts(host, priority)
        }))
    }

    pub(crate) fn pool_parts(&self, host: &Host, priority: Priority) -> PoolParts {
        PoolParts {
            config: self.config.clone(),
            stats: self.stats.clone(),
            codecs: self.codecs.clone(),
            breakers: self.breakers.of(priority).clone(),
            other_breakers: self.breakers.of(priority.other()).clone(),
            host: host.description().clone(),
            header: None,
            connections: Default::default(),
        }
    }

    /// Counts one request of `max_requests` that goes not through a pool of this crate. Those that do are counted by
    /// their connection.
    pub fn request_permit(&self, priority: Priority) -> Result<RequestPermit, Overflow> {
        RequestPermit::acquire(self.breakers.of(priority))
    }

    /// Counts one retry of `max_retries` or of the retry budget.
    pub fn retry_permit(&self, priority: Priority) -> Result<RetryPermit, Overflow> {
        RetryPermit::acquire(self.breakers.of(priority))
    }

    /// A final response.
    pub fn charge_response(&self, code: u16, kind: ResponseKind) {
        self.responses.charge(code, kind);
    }

    /// A response that is retried and never reaches the client.
    pub fn charge_retry_response(&self, code: u16, kind: ResponseKind) {
        self.responses.charge_retry(code, kind);
    }

    /// `upstream_rq_time` of a final response, in milliseconds.
    pub fn charge_response_time(&self, milliseconds: u64, kind: ResponseKind) {
        self.responses.charge_time(milliseconds, kind);
    }
}
