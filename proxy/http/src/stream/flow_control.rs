//! Envoy's watermarks of one stream, as its counters and gauges show them. Must cost no more than a comparison while all
//! data flows.

use super::ActiveStream;
use crate::codec::ClientExchange;
use outrigger_core::stats::Gauge;
use outrigger_upstream::stats::ClusterStats;

/// Bytes in the buffers of a direction that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backlog {
    /// Read, and not looked at.
    pub read: usize,
    /// To be written.
    pub write: usize,
}

/// Which directions wait because their sink has more to write than its buffer limit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    request: Option<Backlog>,
    response: Option<Backlog>,
}

/// What becomes of the gauges as a backlog grows, shrinks, comes or goes.
fn gauge(before: Option<Backlog>, now: Option<Backlog>, read: &Gauge, write: &Gauge) {
    let move_by = |gauge: &Gauge, before: usize, now: usize| {
        if now > before {
            gauge.add((now - before) as u64);
        } else if now < before {
            gauge.sub((before - now) as u64);
        }
    };
    let of = |backlog: Option<Backlog>| backlog.map_or((0, 0), |b| (b.read, b.write));
    let (before, now) = (of(before), of(now));
    move_by(read, before.0, now.0);
    move_by(write, before.1, now.1);
}

impl ActiveStream<'_> {
    /// What waits on the way of the request.
    pub fn request_backlog(&self, exchange: &ClientExchange) -> Backlog {
        Backlog {
            read: self.connection.codec.unread(),
            write: exchange.buffered(),
        }
    }

    /// What waits on the way of the response.
    pub fn response_backlog(&self, exchange: &ClientExchange) -> Backlog {
        Backlog {
            read: exchange.unread(),
            write: self.connection.codec.buffered(),
        }
    }

    /// Shows that the upstream has ceased to keep up with the request, or with `None` that it does again.
    #[inline]
    pub fn hold_request(&mut self, backlog: Option<Backlog>, upstream: &ClusterStats) {
        if self.held.request.is_some() || backlog.is_some() {
            self.show_request(backlog, upstream);
        }
    }

    #[cold]
    fn show_request(&mut self, backlog: Option<Backlog>, upstream: &ClusterStats) {
        let before = std::mem::replace(&mut self.held.request, backlog);
        let stats = &self.hcm.stats;
        gauge(
            before,
            backlog,
            &stats.downstream_cx_rx_bytes_buffered,
            &upstream.upstream_cx_tx_bytes_buffered,
        );
        match (before, backlog) {
            (None, Some(_)) => {
                upstream.upstream_flow_control_backed_up_total.inc();
                stats.downstream_flow_control_paused_reading_total.inc();
            }
            (Some(_), None) => {
                upstream.upstream_flow_control_drained_total.inc();
                stats.downstream_flow_control_resumed_reading_total.inc();
            }
            _ => {}
        }
    }

    /// Shows that the client has ceased to keep up with the response, or with `None` that it does again.
    #[inline]
    pub fn hold_response(&mut self, backlog: Option<Backlog>, upstream: &ClusterStats) {
        if self.held.response.is_some() || backlog.is_some() {
            self.show_response(backlog, upstream);
        }
    }

    #[cold]
    fn show_response(&mut self, backlog: Option<Backlog>, upstream: &ClusterStats) {
        let before = self.gauge_response(backlog, upstream);
        match (before, backlog) {
            (None, Some(_)) => upstream.upstream_flow_control_paused_reading_total.inc(),
            (Some(_), None) => upstream.upstream_flow_control_resumed_reading_total.inc(),
            _ => {}
        }
    }

    fn gauge_response(
        &mut self,
        backlog: Option<Backlog>,
        upstream: &ClusterStats,
    ) -> Option<Backlog> {
        let before = std::mem::replace(&mut self.held.response, backlog);
        let stats = &self.hcm.stats;
        gauge(
            before,
            backlog,
            &upstream.upstream_cx_rx_bytes_buffered,
            &stats.downstream_cx_tx_bytes_buffered,
        );
        before
    }

    /// The exchange is over, and nothing waits for it any more. A response that is broken off does not go on.
    pub fn release(&mut self, upstream: &ClusterStats) {
        self.hold_request(None, upstream);
        if self.held.response.is_some() {
            self.gauge_response(None, upstream);
        }
    }
}
