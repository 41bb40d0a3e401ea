//! Envoy's `CodeStats`: what a request counts of its cluster, and of its virtual cluster and its route where these keep
//! stats of their own. Every stat was found when the route was compiled.

use super::RouterConfig;
use crate::route::{RequestStats, VirtualCluster};
use outrigger_core::{HeaderId, HeaderMap};
use outrigger_upstream::{Cluster, Host, ResponseKind};
use std::sync::Arc;

/// Counts a gRPC call by its status. One that says nothing has failed.
pub(super) fn grpc_status(host: &Host, headers: &HeaderMap) {
    let status = headers.get_str(HeaderId::GrpcStatus);
    match status.and_then(|status| status.parse::<u32>().ok()) {
        // What Envoy translates to a status of HTTP below 500.
        Some(0 | 1 | 3 | 5..=11 | 16) => host.stats.rq_success.inc(),
        _ => host.stats.rq_error.inc(),
    }
}

/// Where the stats of one request go.
#[derive(Debug)]
pub(super) struct Charge {
    /// Of the virtual cluster, then of the route.
    requests: [Option<Arc<RequestStats>>; 2],
    /// `dynamic_stats`: responses are counted.
    dynamic: bool,
    kind: ResponseKind,
}

/// Counters that the cluster and the others have in common.
macro_rules! counted {
    ($($(#[$doc:meta])* $method:ident => $field:ident;)*) => {
        $($(#[$doc])*
        pub(super) fn $method(&self, cluster: &Cluster) {
            cluster.stats.$field.inc();
            for stats in self.requests.iter().flatten() {
                stats.counters.$field.inc();
            }
        })*
    };
}

impl Charge {
    /// `internal`: the request came from inside the mesh; `grpc`: it is a gRPC request; `counted`: it is no health check,
    /// whose response nobody counts.
    pub(super) fn new(
        config: RouterConfig,
        virtual_cluster: Option<&VirtualCluster>,
        route: Option<&Arc<RequestStats>>,
        internal: bool,
        grpc: bool,
        counted: bool,
    ) -> Self {
        Self {
            requests: [
                virtual_cluster.map(|cluster| cluster.stats.clone()),
                route.cloned(),
            ],
            dynamic: config.dynamic_stats && counted,
            kind: ResponseKind {
                internal,
                canary: false,
                suppress_codes: grpc && config.suppress_grpc_request_failure_code_stats,
            },
        }
    }

    counted! {
        retry => upstream_rq_retry;
        retry_limit_exceeded => upstream_rq_retry_limit_exceeded;
        retry_overflow => upstream_rq_retry_overflow;
        retry_success => upstream_rq_retry_success;
        timeout => upstream_rq_timeout;
    }

    /// An attempt has its connection, which the cluster has counted.
    pub(super) fn attempt(&self) {
        for stats in self.requests.iter().flatten() {
            stats.counters.upstream_rq_total.inc();
        }
    }

    /// The response came from a canary.
    pub(super) fn set_canary(&mut self, canary: bool) {
        self.kind.canary = canary;
    }

    /// A response to the client. Says whether responses are counted at all.
    pub(super) fn response(&self, cluster: &Cluster, code: u16) -> bool {
        self.charge(cluster, code, self.kind)
    }

    /// A reply of ours, whatever host was asked before.
    pub(super) fn reply(&self, cluster: &Cluster, code: u16) -> bool {
        let kind = ResponseKind {
            canary: false,
            ..self.kind
        };
        self.charge(cluster, code, kind)
    }

    fn charge(&self, cluster: &Cluster, code: u16, kind: ResponseKind) -> bool {
        if self.dynamic {
            cluster.charge_response(code, kind);
            for stats in self.requests.iter().flatten() {
                stats.responses.record(code);
            }
        }
        self.dynamic
    }

    /// A response that is dropped for another attempt.
    pub(super) fn retried_response(&self, cluster: &Cluster, code: u16) {
        cluster.charge_retry_response(code, self.kind);
    }

    /// `upstream_rq_time`, in milliseconds.
    pub(super) fn time(&self, cluster: &Cluster, milliseconds: u64) {
        if self.dynamic {
            cluster.charge_response_time(milliseconds, self.kind);
            for stats in self.requests.iter().flatten() {
                stats.responses.time.record(milliseconds);
            }
        }
    }
}
