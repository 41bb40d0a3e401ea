//! `listener.<address>.` and `listener_manager.`: the stats of listeners.

use outrigger_core::stat_group;

stat_group! {
    /// `listener.<stat_prefix or address>.`
    pub struct ListenerStats {
        counter downstream_cx_destroy,
        counter downstream_cx_overflow,
        counter downstream_cx_overload_reject,
        counter downstream_cx_total,
        counter downstream_cx_transport_socket_connect_timeout,
        counter downstream_global_cx_overflow,
        counter downstream_listener_filter_error,
        counter downstream_listener_filter_remote_close,
        counter downstream_pre_cx_timeout,
        counter extension_config_missing,
        counter network_extension_config_missing,
        counter no_filter_chain_match,
        gauge downstream_cx_active,
        gauge downstream_pre_cx_active,
        histogram(Unspecified) connections_accepted_per_socket_event,
        histogram(Milliseconds) downstream_cx_length_ms,
    }
}

stat_group! {
    /// `listener.<stat_prefix or address>.worker_<index>.`
    pub struct WorkerStats {
        counter downstream_cx_total,
        gauge downstream_cx_active,
    }
}

stat_group! {
    /// `listener_manager.`
    pub struct ListenerManagerStats {
        counter listener_added,
        counter listener_create_failure,
        counter listener_create_success,
        counter listener_in_place_updated,
        counter listener_modified,
        counter listener_removed,
        counter listener_stopped,
        gauge total_filter_chains_draining,
        gauge total_listeners_active,
        gauge total_listeners_draining,
        gauge total_listeners_warming,
        gauge workers_pinned,
        gauge workers_started,
    }
}
