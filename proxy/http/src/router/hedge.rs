//! `hedge_on_per_try_timeout`: attempts that took too long stay in flight beside the next one, and whichever answers well
//! first wins (Envoy's soft per-try timeout).

use super::{
    Forwarding, Next,
    attempt::{AttemptEnd, Interrupt, TryDeadlines, close_failed},
    failure::ResetReason,
};
use crate::{
    codec::{ClientExchange, h1::ExchangeError},
    stream::ActiveStream,
};
use outrigger_core::{
    HeaderMap,
    stream_info::{Timing, UpstreamInfo},
};
use outrigger_upstream::{CloseReason, Host};
use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

/// An attempt whose time is over while its response is still welcome. Its request has been sent whole.
#[derive(Debug)]
pub(super) struct Parked {
    exchange: Box<ClientExchange>,
    response: HeaderMap,
    host: Arc<Host>,
    /// What the stream shows of it if it wins.
    upstream: UpstreamInfo,
    timing: Timing,
    /// Another attempt was made in its place. At most one is not, the last, when no retry was left for it.
    retried: bool,
}

impl Parked {
    /// Ready with the status of the final response.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<u16, ExchangeError>> {
        // A failed write shows when reading.
        let _ = self.exchange.poll_flush(cx);
        loop {
            match self.exchange.poll_head(cx, &mut self.response) {
                Poll::Ready(Ok(head)) if head.status == 101 || head.status >= 200 => {
                    return Poll::Ready(Ok(head.status));
                }
                Poll::Ready(Ok(_)) => self.response.clear(),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Forwarding {
    /// An attempt that runs out of time goes on beside the next.
    pub(super) fn hedges(&self) -> bool {
        self.hedge && !self.interim
    }

    /// An attempt's time is over: it stays, and another one begins if the policy has one left.
    #[cold]
    pub(super) fn on_soft_timeout(
        &mut self,
        stream: &mut ActiveStream<'_>,
        exchange: Box<ClientExchange>,
    ) -> Next {
        let retry = match &mut self.retry {
            Some(retry) if self.replay.is_replayable() => {
                Some(retry.on_soft_timeout(&self.cluster, &self.charge))
            }
            _ => None,
        };
        if let Some(host) = self.host.clone() {
            self.parked.push(Parked {
                exchange,
                response: HeaderMap::new(),
                host,
                upstream: stream.info.upstream.clone(),
                timing: stream.info.timing,
                retried: matches!(retry, Some(Ok(_))),
            });
        }
        match retry {
            Some(Ok(pause)) => {
                self.timeout_retry = true;
                Next::Attempt(pause)
            }
            Some(Err(refusal)) => {
                self.refuse(refusal, stream);
                Next::Wait
            }
            None => Next::Wait,
        }
    }

    /// Waits for the parked attempts, with none beside them.
    pub(super) async fn wait(&mut self, stream: &mut ActiveStream<'_>) -> AttemptEnd {
        self.alone = true;
        self.in_flight = false;
        let mut deadlines = TryDeadlines::default();
        let end = poll_fn(|cx| self.poll_interrupt(cx, stream, &mut deadlines)).await;
        self.alone = false;
        end.into()
    }

    /// Looks whether a parked attempt decides the request.
    pub(super) fn poll_parked(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut ActiveStream<'_>,
    ) -> Option<Interrupt> {
        let mut at = 0;
        while let Some(parked) = self.parked.get_mut(at) {
            match parked.poll(cx) {
                Poll::Pending => at += 1,
                Poll::Ready(result) => {
                    let parked = self.parked.remove(at);
                    if let Some(end) = self.on_parked(stream, parked, result) {
                        return Some(Interrupt::Hedged(Box::new(end)));
                    }
                }
            }
        }
        None
    }

    /// A parked attempt has ended. A bad end means nothing while another attempt may still bring a good one.
    #[cold]
    fn on_parked(
        &mut self,
        stream: &mut ActiveStream<'_>,
        mut parked: Parked,
        result: Result<u16, ExchangeError>,
    ) -> Option<AttemptEnd> {
        let status = match result {
            Ok(status) => status,
            Err(error) => {
                let reason = ResetReason::from(&error);
                self.account_bytes(stream, &parked.exchange);
                close_failed(&self.cluster, *parked.exchange, &error);
                if !self.alone {
                    self.charge_abort(Some(&parked.host), reason.code());
                    return None;
                }
                // The stream goes on to show the latest attempt.
                self.host = Some(parked.host);
                let retried = parked.retried;
                return Some(AttemptEnd::Reset {
                    reason,
                    sent: true,
                    retried,
                });
            }
        };
        if !self.alone && self.would_retry(status, &parked.response) {
            parked.host.stats.rq_error.inc();
            self.account_bytes(stream, &parked.exchange);
            parked.exchange.finish_or_close();
            return None;
        }
        self.host = Some(parked.host);
        show(stream, parked.upstream, parked.timing);
        stream.info.timing.upstream_rx_begin = Some(stream.info.elapsed());
        std::mem::swap(&mut stream.messages.response, &mut parked.response);
        Some(AttemptEnd::Head {
            exchange: parked.exchange,
            status,
            retried: parked.retried,
        })
    }

    pub(super) fn would_retry(&self, status: u16, response: &HeaderMap) -> bool {
        let retry = self.retry.as_ref();
        retry.is_some_and(|retry| retry.wants_response(status, response))
    }

    /// The race is decided: nobody waits for the others any more.
    pub(super) fn close_parked(&mut self, stream: &mut ActiveStream<'_>) {
        for parked in std::mem::take(&mut self.parked) {
            self.account_bytes(stream, &parked.exchange);
            parked.exchange.close(CloseReason::Local);
        }
    }

    /// The request times out: every attempt in flight counts as timed out.
    #[cold]
    pub(super) fn time_out_parked(&mut self, stream: &mut ActiveStream<'_>, code: u16) {
        for parked in &self.parked {
            self.charge.timeout(&self.cluster);
            parked.host.stats.rq_timeout.inc();
            self.charge_abort(Some(&parked.host), code);
        }
        self.close_parked(stream);
    }
}

/// Shows an earlier attempt again in place of the latest; the wire bytes are those of all.
fn show(stream: &mut ActiveStream<'_>, upstream: UpstreamInfo, timing: Timing) {
    let last = std::mem::replace(&mut stream.info.upstream, upstream);
    stream.info.upstream.wire_bytes_sent = last.wire_bytes_sent;
    stream.info.upstream.wire_bytes_received = last.wire_bytes_received;
    let shown = &mut stream.info.timing;
    shown.upstream_connect_end = timing.upstream_connect_end;
    shown.upstream_tx_begin = timing.upstream_tx_begin;
    shown.upstream_tx_end = timing.upstream_tx_end;
}
