//! Stats of clusters and hosts under Envoy's names.

mod codec;
mod grpc;
mod http2;
mod response;

pub use codec::{CodecStats, Http1Stats};
pub use grpc::{CallStats, GrpcProtocol, GrpcStats};
pub use http2::{Http2Stats, LazyStats};
use outrigger_core::{
    stat_group,
    stats::{Counter, Gauge},
};
pub use response::{ResponseKind, ResponseStats};

stat_group! {
    /// `cluster.<name>.`: what every cluster has from its birth.
    pub struct ClusterStats {
        counter assignment_stale,
        counter assignment_timeout_received,
        counter assignment_use_cached,
        counter bind_errors,
        counter default_total_match_count = "default.total_match_count",
        counter lb_healthy_panic,
        counter lb_local_cluster_not_ok,
        counter lb_recalculate_zone_structures,
        counter lb_subsets_created,
        counter lb_subsets_fallback,
        counter lb_subsets_fallback_panic,
        counter lb_subsets_removed,
        counter lb_subsets_selected,
        counter lb_zone_cluster_too_small,
        counter lb_zone_no_capacity_left,
        counter lb_zone_routing_all_directly,
        counter lb_zone_routing_cross_zone,
        counter lb_zone_routing_sampled,
        counter membership_change,
        counter original_dst_host_invalid,
        counter retry_or_shadow_abandoned,
        counter update_attempt,
        counter update_empty,
        counter update_failure,
        counter update_no_rebuild,
        counter update_success,
        counter upstream_cx_close_notify,
        counter upstream_cx_connect_attempts_exceeded,
        counter upstream_cx_connect_fail,
        counter upstream_cx_connect_timeout,
        counter upstream_cx_connect_with_0_rtt,
        counter upstream_cx_destroy,
        counter upstream_cx_destroy_local,
        counter upstream_cx_destroy_local_with_active_rq,
        counter upstream_cx_destroy_remote,
        counter upstream_cx_destroy_remote_with_active_rq,
        counter upstream_cx_destroy_with_active_rq,
        counter upstream_cx_http1_total,
        counter upstream_cx_http2_total,
        counter upstream_cx_http3_total,
        counter upstream_cx_idle_timeout,
        counter upstream_cx_max_duration_reached,
        counter upstream_cx_max_requests,
        counter upstream_cx_none_healthy,
        counter upstream_cx_overflow,
        counter upstream_cx_pool_overflow,
        counter upstream_cx_preconnect_skipped,
        counter upstream_cx_protocol_error,
        counter upstream_cx_rx_bytes_total,
        counter upstream_cx_total,
        counter upstream_cx_tx_bytes_total,
        counter upstream_flow_control_backed_up_total,
        counter upstream_flow_control_drained_total,
        counter upstream_flow_control_paused_reading_total,
        counter upstream_flow_control_resumed_reading_total,
        counter upstream_http3_broken,
        counter upstream_internal_redirect_failed_total,
        counter upstream_internal_redirect_succeeded_total,
        counter upstream_rq_0rtt,
        counter upstream_rq_active_overflow,
        counter upstream_rq_cancelled,
        counter upstream_rq_maintenance_mode,
        counter upstream_rq_max_duration_reached,
        counter upstream_rq_pending_failure_eject,
        counter upstream_rq_pending_overflow,
        counter upstream_rq_pending_total,
        counter upstream_rq_per_try_idle_timeout,
        counter upstream_rq_per_try_timeout,
        counter upstream_rq_retry,
        counter upstream_rq_retry_backoff_exponential,
        counter upstream_rq_retry_backoff_ratelimited,
        counter upstream_rq_retry_limit_exceeded,
        counter upstream_rq_retry_overflow,
        counter upstream_rq_retry_success,
        counter upstream_rq_rx_reset,
        counter upstream_rq_rx_reset_no_error,
        counter upstream_rq_timeout,
        counter upstream_rq_total,
        counter upstream_rq_tx_reset,
        gauge lb_subsets_active,
        gauge max_host_weight,
        gauge membership_degraded,
        gauge membership_excluded,
        gauge membership_healthy,
        gauge membership_total,
        gauge upstream_cx_active,
        gauge upstream_cx_rx_bytes_buffered with upstream_cx_rx_bytes_total,
        gauge upstream_cx_tx_bytes_buffered,
        gauge upstream_queue_overloaded,
        gauge upstream_rq_active,
        gauge upstream_rq_pending_active,
        gauge version,
        gauge warming_state,
        histogram(Milliseconds) upstream_cx_connect_ms,
        histogram(Milliseconds) upstream_cx_length_ms,
        histogram(Unspecified) upstream_rq_per_cx,
    }
}

stat_group! {
    /// `cluster.<name>.circuit_breakers.<priority>.`: 1 while a limit is reached.
    pub struct BreakerStats {
        gauge cx_open,
        gauge cx_pool_open,
        gauge rq_open,
        gauge rq_pending_open,
        gauge rq_retry_open,
    }
}

stat_group! {
    /// `cluster.<name>.circuit_breakers.<priority>.` with `track_remaining`: what is left of each limit.
    pub struct RemainingStats {
        gauge remaining_cx,
        gauge remaining_cx_pools,
        gauge remaining_pending,
        gauge remaining_retries,
        gauge remaining_rq,
    }
}

stat_group! {
    /// `thread_local_cluster_manager.<thread>.`: Envoy makes the clusters of a thread when they are first used, if told to.
    /// Ours are shared by all threads, and there from the start.
    pub struct ThreadLocalStats {
        gauge clusters_inflated,
    }
}

stat_group! {
    /// `dns.cares.`, which is there from the first cluster on that asks. There is no channel that could be made anew, so
    /// `reinits` stays.
    pub struct DnsStats {
        counter get_addr_failure,
        counter not_found,
        counter reinits,
        counter resolve_total,
        counter timeouts,
        gauge pending_resolutions,
    }
}

stat_group! {
    /// `cluster_manager.`
    pub struct ClusterManagerStats {
        counter cluster_added,
        counter cluster_modified,
        counter cluster_removed,
        counter cluster_updated,
        counter cluster_updated_via_merge,
        counter update_merge_cancelled,
        counter update_out_of_merge_window,
        gauge active_clusters,
        gauge warming_clusters,
    }
}

/// What `/clusters` shows of each host. Not part of `/stats`, as in Envoy.
#[derive(Debug, Default)]
pub struct HostStats {
    pub cx_active: Gauge,
    pub cx_connect_fail: Counter,
    pub cx_total: Counter,
    pub rq_active: Gauge,
    pub rq_error: Counter,
    pub rq_pending_active: Gauge,
    pub rq_success: Counter,
    pub rq_timeout: Counter,
    pub rq_total: Counter,
}
