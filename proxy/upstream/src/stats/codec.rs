//! The stats of the HTTP codecs towards a cluster: there from the first connection with that codec.

use super::Http2Stats;
use outrigger_core::{
    stat_group,
    stats::{Metric, StatGroup},
};
use std::sync::OnceLock;

stat_group! {
    /// `cluster.<name>.http1.`, and `http1.` for all downstream codecs of the process.
    pub struct Http1Stats {
        counter dropped_headers_with_underscores,
        counter metadata_not_supported_error,
        counter requests_rejected_with_underscores_in_headers,
        counter response_flood,
    }
}

/// `cluster.<name>.<codec>.`
#[derive(Debug, Default)]
pub struct CodecStats {
    http1: OnceLock<Http1Stats>,
    http2: OnceLock<Http2Stats>,
}

impl CodecStats {
    /// A connection with an HTTP/1 codec is made.
    pub(crate) fn show_http1(&self) {
        self.http1.get_or_init(Http1Stats::default);
    }

    /// Those of the HTTP/2 codec, which exist from now on.
    pub(crate) fn http2(&self) -> &Http2Stats {
        self.http2.get_or_init(Http2Stats::default)
    }
}

impl StatGroup for CodecStats {
    fn visit(&self, visit: &mut dyn FnMut(&str, Metric<'_>)) {
        if let Some(http1) = self.http1.get() {
            http1.visit(&mut |name, metric| visit(&format!("http1.{name}"), metric));
        }
        if let Some(http2) = self.http2.get() {
            http2.visit(&mut |name, metric| visit(&format!("http2.{name}"), metric));
        }
    }
}
