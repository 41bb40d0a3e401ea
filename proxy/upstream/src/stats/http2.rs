//! The stats of Envoy's HTTP/2 codec, of either side.

use outrigger_core::{
    stat_group,
    stats::{StatGroup, Store},
};
use std::{
    fmt,
    sync::{Arc, OnceLock},
};

stat_group! {
    /// `http2.`: one tree for all downstream HTTP/2 codecs of the process; `cluster.<name>.http2.` for those of a cluster.
    pub struct Http2Stats {
        counter cookies_total_bytes_too_large,
        counter dropped_headers_with_underscores,
        counter goaway_sent,
        counter header_list_size_too_large,
        counter header_overflow,
        counter headers_cb_no_stream,
        counter inbound_empty_frames_flood,
        counter inbound_priority_frames_flood,
        counter inbound_window_update_frames_flood,
        counter keepalive_timeout,
        counter metadata_empty_frames,
        counter nghttp2_downstream_connections,
        counter nghttp2_upstream_connections,
        counter oghttp2_downstream_connections,
        counter oghttp2_upstream_connections,
        counter outbound_control_flood,
        counter outbound_flood,
        counter requests_rejected_with_underscores_in_headers,
        counter rx_messaging_error,
        counter rx_reset,
        counter stream_refused_errors,
        counter trailers,
        counter tx_flush_timeout,
        counter tx_reset,
        gauge deferred_stream_close,
        gauge outbound_control_frames_active with nghttp2_downstream_connections or nghttp2_upstream_connections,
        gauge outbound_frames_active with nghttp2_downstream_connections or nghttp2_upstream_connections,
        gauge pending_send_bytes with nghttp2_downstream_connections,
        gauge streams_active with nghttp2_upstream_connections,
        histogram(Unspecified) cookie_count,
        histogram(Unspecified) cookie_size,
        histogram(Unspecified) header_count,
        histogram(Unspecified) header_list_size,
    }
}

/// Stats that exist from their first use on, as those of Envoy's codecs do.
pub struct LazyStats<G> {
    store: Arc<Store>,
    prefix: Box<str>,
    group: OnceLock<Arc<G>>,
}

impl<G: StatGroup + Default + 'static> LazyStats<G> {
    pub fn new(store: &Arc<Store>, prefix: &str) -> Self {
        Self {
            store: store.clone(),
            prefix: prefix.into(),
            group: OnceLock::new(),
        }
    }

    pub fn get(&self) -> &Arc<G> {
        self.group
            .get_or_init(|| self.store.register(&self.prefix, G::default()))
    }
}

impl<G: fmt::Debug> fmt::Debug for LazyStats<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LazyStats").field(&self.group).finish()
    }
}
