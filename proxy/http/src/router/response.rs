//! An upstream's response on its way to the client, and what is counted when it ends.

use super::{Forwarding, charge, failure::ResetReason};
use crate::{
    codec::{ClientExchange, h1::ExchangeError},
    local_reply::LocalReply,
    stream::{ActiveStream, Expired},
};
use bytes::Bytes;
use outrigger_upstream::{CloseReason, stats::ClusterStats};
use std::borrow::Cow;

/// The head has been received; the body follows on the exchange.
#[derive(Debug)]
pub struct UpstreamResponse {
    pub exchange: Box<ClientExchange>,
    pub status: u16,
    /// The body has been read to its end.
    pub ended: bool,
    /// What the client still sends is for the upstream: not so if that has refused an upgrade.
    pub agreed: bool,
    pub(super) forwarding: Box<Forwarding>,
}

impl UpstreamResponse {
    /// Bytes have moved.
    pub(crate) fn touch(&self, stream: &mut ActiveStream<'_>) {
        if stream.deadlines.try_idle.is_some() {
            self.forwarding.touch_response(stream);
        }
    }

    /// The body of the request, if it was kept to be sent again.
    pub(crate) fn kept_body(&self) -> &[Bytes] {
        match self.forwarding.retry.is_some() || self.forwarding.redirects {
            true => self.forwarding.replay.pieces(),
            false => &[],
        }
    }

    /// Of the cluster that answers.
    pub(crate) fn cluster_stats(&self) -> &ClusterStats {
        &self.forwarding.cluster.stats
    }

    /// The whole response reached the client: the connection may serve again.
    pub(crate) fn complete(self, stream: &mut ActiveStream<'_>) {
        self.account(stream);
        self.charge_grpc(stream);
        let end = stream.info.timing.upstream_rx_end.unwrap_or_default();
        if stream.request_complete {
            let start = stream.received_at().unwrap_or_default();
            let millis = u64::try_from(end.saturating_sub(start).as_millis()).unwrap_or(u64::MAX);
            let Forwarding {
                charge, cluster, ..
            } = &*self.forwarding;
            charge.time(cluster, millis);
        }
        if self.exchange.has_surplus() {
            self.forwarding
                .cluster
                .stats
                .upstream_cx_protocol_error
                .inc();
        }
        self.exchange.finish(stream.info.start + end);
    }

    /// The trailers have said by now how a gRPC call went, if they ever will.
    fn charge_grpc(&self, stream: &ActiveStream<'_>) {
        if let Some(host) = &self.forwarding.host
            && self.forwarding.grpc_status_follows
        {
            charge::grpc_status(host, &stream.messages.response_trailers);
        }
    }

    /// The client has gone: the upstream's work is thrown away, unless it is done.
    #[cold]
    pub(crate) fn cancel(self, stream: &mut ActiveStream<'_>) {
        self.account(stream);
        self.exchange.finish_or_close();
    }

    /// Another response goes to the client. A connection that still has something to say of this one is of no use.
    #[cold]
    pub(crate) fn discard(self, stream: &mut ActiveStream<'_>) {
        if !self.exchange.response_complete() {
            return self.abort(stream);
        }
        let received = stream.info.timing.upstream_rx_begin;
        let end = &mut stream.info.timing.upstream_rx_end;
        *end = end.or(received);
        if stream.request_complete {
            self.complete(stream);
        } else {
            self.cancel(stream);
        }
    }

    /// The response cannot be passed on.
    #[cold]
    pub(crate) fn abort(self, stream: &mut ActiveStream<'_>) {
        self.account(stream);
        self.exchange.close(CloseReason::Local);
    }

    /// The upstream broke off in the middle.
    #[cold]
    pub(crate) fn fail(self, stream: &mut ActiveStream<'_>, error: &ExchangeError) {
        self.account(stream);
        self.charge_grpc(stream);
        if self.forwarding.grpc_status_follows {
            let stats = &stream.hcm.router_stats;
            stats.rq_reset_after_downstream_response_started.inc();
        }
        let reason = ResetReason::from(error);
        stream.info.set_flag(reason.flag());
        let word = reason.as_str().replace(' ', "_");
        stream.info.details =
            Cow::Owned(format!("upstream_reset_after_response_started{{{word}}}"));
        // The connection of a stream that is cut short goes on.
        let stream_alone =
            self.exchange.is_multiplexed() && matches!(error, ExchangeError::Truncated);
        if reason == ResetReason::ProtocolError && !stream_alone {
            let stats = &self.forwarding.cluster.stats;
            stats.upstream_cx_protocol_error.inc();
        }
        let reason = match error {
            ExchangeError::Protocol(_) => CloseReason::Local,
            _ if self.exchange.ends_connect() => CloseReason::Local,
            _ => CloseReason::Remote,
        };
        self.exchange.close(reason);
    }

    /// The upstream broke off while a filter held the head: the client can still be told so. No filter sees it.
    #[cold]
    pub(crate) fn fail_held(
        self,
        stream: &mut ActiveStream<'_>,
        error: &ExchangeError,
    ) -> LocalReply {
        self.fail(stream, error);
        let mut reply = ResetReason::from(error).reply(false, false);
        reply.details = std::mem::take(&mut stream.info.details);
        reply.direct = true;
        reply
    }

    /// A timeout ends the response.
    #[cold]
    pub(crate) fn expire(self, stream: &mut ActiveStream<'_>, expired: Expired) {
        self.account(stream);
        let stats = &self.forwarding.cluster.stats;
        match expired {
            Expired::Route => {
                self.forwarding.charge.timeout(&self.forwarding.cluster);
                self.forwarding.charge_host_timeout();
            }
            Expired::PerTryIdle => {
                stats.upstream_rq_per_try_idle_timeout.inc();
                self.forwarding.charge_host_timeout();
            }
            Expired::UpstreamMaxDuration => stats.upstream_rq_max_duration_reached.inc(),
            Expired::StreamIdle | Expired::Request | Expired::MaxStreamDuration => {}
        }
        self.exchange.close(CloseReason::Local);
    }

    fn account(&self, stream: &mut ActiveStream<'_>) {
        self.forwarding.account_bytes(stream, &self.exchange);
    }
}
