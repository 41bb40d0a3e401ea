//! What an HTTP/2 codec goes by, and how the crate below is told.

use crate::codec::h1::{Http1Settings, UnderscoreAction};
use h2::server::Builder;
use outrigger_upstream::{config::Http2Options, frames::send_buffer};
use std::time::Duration;

/// Streams that clients reset before they were looked at; Envoy's `overload.premature_reset_total_stream_count`.
const PENDING_RESETS: usize = 500;
/// How long a stream that we have reset is remembered: what its client had sent already is dropped, and is no error.
const RESET_MEMORY: Duration = Duration::from_secs(30);
/// Errors of single streams that a connection may cause before it is given up.
const STREAM_ERRORS: usize = 100;

/// `Http2ProtocolOptions` and the limits that hold for every version.
#[derive(Clone, Copy, Debug)]
pub struct Http2Settings {
    pub options: Http2Options,
    /// Bytes of all names and values.
    pub max_head_bytes: usize,
    /// Lines, pseudo headers included.
    pub max_headers_count: usize,
    pub headers_with_underscores_action: UnderscoreAction,
    /// A malformed message costs its stream alone, not the connection.
    pub stream_errors: bool,
}

impl Http2Settings {
    /// `limits` are those of the other codec on the same side.
    pub fn new(options: Http2Options, limits: &Http1Settings, stream_errors: bool) -> Self {
        Self {
            stream_errors: options
                .stream_error_on_invalid_http_message
                .unwrap_or(stream_errors),
            options,
            max_head_bytes: limits.max_head_bytes,
            max_headers_count: limits.max_headers_count,
            headers_with_underscores_action: limits.headers_with_underscores_action,
        }
    }

    /// The crate counts 32 bytes for each line on top, and answers what it finds too large itself: it must never be
    /// the first to do so.
    fn max_header_list_size(&self) -> u32 {
        let lines = self.max_headers_count.saturating_mul(32);
        let bytes = self.max_head_bytes.saturating_mul(2).saturating_add(lines);
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    /// All streams of a client may be reset at once, and as many again before it hears of that.
    fn remembered_resets(&self) -> usize {
        2 * self.options.max_concurrent_streams.min(1024) as usize
    }

    /// The downstream side of a listener with this limit of its buffers, where 0 is none.
    pub fn server(&self, buffer_limit: usize) -> Builder {
        let mut builder = Builder::new();
        let options = &self.options;
        builder
            .header_table_size(options.hpack_table_size)
            .max_concurrent_streams(options.max_concurrent_streams)
            .initial_window_size(options.initial_stream_window_size)
            .initial_connection_window_size(options.initial_connection_window_size)
            .max_header_list_size(self.max_header_list_size())
            .max_send_buffer_size(send_buffer(buffer_limit))
            .max_pending_accept_reset_streams(PENDING_RESETS)
            .max_concurrent_reset_streams(self.remembered_resets())
            .reset_stream_duration(RESET_MEMORY)
            .max_local_error_reset_streams(Some(STREAM_ERRORS));
        if options.allow_connect {
            builder.enable_connect_protocol();
        }
        builder
    }
}
