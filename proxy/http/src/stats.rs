//! `http.<stat_prefix>.`: the stats of one HTTP connection manager, of its router and of its tracing, and those of the
//! codecs.

use outrigger_core::{Protocol, stat_group};
pub use outrigger_upstream::stats::Http1Stats;

stat_group! {
    /// `http.<stat_prefix>.`: what the connection manager counts itself.
    pub struct HcmStats {
        counter downstream_cx_delayed_close_timeout,
        counter downstream_cx_destroy,
        counter downstream_cx_destroy_active_rq,
        counter downstream_cx_destroy_local,
        counter downstream_cx_destroy_local_active_rq,
        counter downstream_cx_destroy_remote,
        counter downstream_cx_destroy_remote_active_rq,
        counter downstream_cx_drain_close,
        counter downstream_cx_http1_total,
        counter downstream_cx_http2_total,
        counter downstream_cx_http3_total,
        counter downstream_cx_idle_timeout,
        counter downstream_cx_max_duration_reached,
        counter downstream_cx_max_requests_reached,
        counter downstream_cx_overload_disable_keepalive,
        counter downstream_cx_protocol_error,
        counter downstream_cx_rx_bytes_total,
        counter downstream_cx_ssl_total,
        counter downstream_cx_total,
        counter downstream_cx_tx_bytes_total,
        counter downstream_cx_upgrades_total,
        counter downstream_flow_control_paused_reading_total,
        counter downstream_flow_control_resumed_reading_total,
        counter downstream_rq_1xx,
        counter downstream_rq_2xx,
        counter downstream_rq_3xx,
        counter downstream_rq_4xx,
        counter downstream_rq_5xx,
        counter downstream_rq_completed,
        counter downstream_rq_failed_path_normalization,
        counter downstream_rq_header_timeout,
        counter downstream_rq_http1_total,
        counter downstream_rq_http2_total,
        counter downstream_rq_http3_total,
        counter downstream_rq_idle_timeout,
        counter downstream_rq_max_duration_reached,
        counter downstream_rq_non_relative_path,
        counter downstream_rq_overload_close,
        counter downstream_rq_redirected_with_normalized_path,
        counter downstream_rq_rejected_via_ip_detection,
        counter downstream_rq_response_before_rq_complete,
        counter downstream_rq_rx_reset,
        counter downstream_rq_timeout,
        counter downstream_rq_too_large,
        counter downstream_rq_too_many_premature_resets,
        counter downstream_rq_total,
        counter downstream_rq_tx_reset,
        counter downstream_rq_ws_on_non_ws_route,
        counter rs_too_large,
        gauge downstream_cx_active,
        gauge downstream_cx_http1_active,
        gauge downstream_cx_http1_soft_drain,
        gauge downstream_cx_http2_active,
        gauge downstream_cx_http3_active,
        gauge downstream_cx_rx_bytes_buffered with downstream_cx_rx_bytes_total,
        gauge downstream_cx_ssl_active,
        gauge downstream_cx_tx_bytes_buffered,
        gauge downstream_cx_upgrades_active,
        gauge downstream_rq_active,
        histogram(Milliseconds) downstream_cx_length_ms,
        histogram(Milliseconds) downstream_rq_time,
    }
}

stat_group! {
    /// Under `http.<stat_prefix>.` as well: what the router counts.
    pub struct RouterStats {
        counter no_cluster,
        counter no_route,
        counter passthrough_internal_redirect_bad_location,
        counter passthrough_internal_redirect_no_route,
        counter passthrough_internal_redirect_predicate,
        counter passthrough_internal_redirect_too_many_redirects,
        counter passthrough_internal_redirect_unsafe_scheme,
        counter rq_direct_response,
        counter rq_overload_local_reply,
        counter rq_redirect,
        counter rq_reset_after_downstream_response_started,
        counter rq_total,
    }
}

stat_group! {
    /// `http.<stat_prefix>.tracing.`: why requests are traced or are not. They stand at 0 without a tracer.
    pub struct TracingStats {
        counter client_enabled,
        counter health_check,
        counter not_traceable,
        counter random_sampling,
        counter service_forced,
    }
}

stat_group! {
    /// `listener.<address>.http.<stat_prefix>.`: the responses of one connection manager, by listener.
    pub struct ListenerHttpStats {
        counter downstream_rq_1xx,
        counter downstream_rq_2xx,
        counter downstream_rq_3xx,
        counter downstream_rq_4xx,
        counter downstream_rq_5xx,
        counter downstream_rq_completed,
    }
}

impl HcmStats {
    /// Counts a response by its class and as completed.
    pub fn charge_response(&self, code: u16) {
        self.downstream_rq_completed.inc();
        match code / 100 {
            1 => self.downstream_rq_1xx.inc(),
            2 => self.downstream_rq_2xx.inc(),
            3 => self.downstream_rq_3xx.inc(),
            4 => self.downstream_rq_4xx.inc(),
            5 => self.downstream_rq_5xx.inc(),
            _ => {}
        }
    }

    /// Counts a request by its protocol.
    pub fn charge_request(&self, protocol: Protocol) {
        self.downstream_rq_total.inc();
        match protocol {
            Protocol::Http10 | Protocol::Http11 => self.downstream_rq_http1_total.inc(),
            Protocol::Http2 => self.downstream_rq_http2_total.inc(),
            Protocol::Http3 => self.downstream_rq_http3_total.inc(),
        }
    }
}

impl ListenerHttpStats {
    /// Counts a response by its class and as completed.
    pub fn charge_response(&self, code: u16) {
        self.downstream_rq_completed.inc();
        match code / 100 {
            1 => self.downstream_rq_1xx.inc(),
            2 => self.downstream_rq_2xx.inc(),
            3 => self.downstream_rq_3xx.inc(),
            4 => self.downstream_rq_4xx.inc(),
            5 => self.downstream_rq_5xx.inc(),
            _ => {}
        }
    }
}
