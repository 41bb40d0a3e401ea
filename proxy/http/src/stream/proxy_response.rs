//! An upstream's response on its way to the client, with what is left of the request going the other way.

use super::{
    ActiveStream, Expired,
    held_response::{self, HoldFailure},
};
use crate::{
    codec::{
        BodyEvent,
        h1::{ExchangeError, server::RequestError},
    },
    filter::Detour,
    hcm::Close,
    router::UpstreamResponse,
};
use outrigger_core::scaled_timer::ScaledTimer;
use std::{
    borrow::Cow,
    future::poll_fn,
    task::{Context, Poll},
};
use tokio::time::Instant;

/// Body is flushed when so much is waiting, even if more is at hand.
const FLUSH_AT: usize = 64 * 1024;

impl ActiveStream<'_> {
    /// Streams an upstream's response to the client, and what is left of the request to the upstream.
    pub(super) async fn proxy_response(&mut self, mut upstream: UpstreamResponse) -> Option<Close> {
        let end = upstream.exchange.response_complete();
        // The response head has just been read.
        let now = self.info.timing.upstream_rx_begin;
        let mut now = now.unwrap_or_else(|| self.info.elapsed());
        if let Some(detour) = self.filters.encode_headers(self, end) {
            // In a box: hardly any response is held.
            let held = match detour {
                Detour::Hold(hold) => Box::pin(self.hold_response_head(hold, &mut upstream)).await,
                Detour::Reply(reply) => Err(HoldFailure::Replaced(reply)),
                Detour::Redirect => Err(HoldFailure::Redirected),
            };
            match held {
                Ok(()) => now = self.info.elapsed(),
                Err(HoldFailure::Replaced(reply)) => {
                    upstream.discard(self);
                    return self.send_local_reply(*reply).await;
                }
                Err(HoldFailure::Redirected) => {
                    self.send_again(upstream.kept_body());
                    upstream.discard(self);
                    return None;
                }
                Err(HoldFailure::Ended(ResponseEnd::UpstreamFailed(error))) => {
                    let reply = upstream.fail_held(self, &error);
                    return self.send_local_reply(reply).await;
                }
                Err(HoldFailure::Ended(end)) => return self.end_response(end, upstream).await,
                Err(HoldFailure::TooLarge) => {
                    upstream.abort(self);
                    self.hcm.stats.rs_too_large.inc();
                    return self.send_local_reply(held_response::too_large()).await;
                }
            }
        }
        if self.send_response_head(upstream.status, end, now).is_err() {
            upstream.cancel(self);
            self.info.details = Cow::Borrowed("filter_added_invalid_response_data");
            return self.reset_response();
        }
        let mut waited = false;
        let result = poll_fn(|cx| {
            let result = self.poll_response(cx, &mut upstream, waited);
            waited = true;
            result
        })
        .await;
        self.end_response(result, upstream).await
    }

    async fn end_response(
        &mut self,
        end: ResponseEnd,
        upstream: UpstreamResponse,
    ) -> Option<Close> {
        match end {
            ResponseEnd::Complete => {
                self.info
                    .timing
                    .upstream_rx_end
                    .get_or_insert_with(|| self.info.start.elapsed());
                upstream.complete(self);
                // In a box: HTTP/1 never waits here.
                let flushing = self.connection.codec.is_flushing();
                if flushing && Box::pin(self.await_window()).await.is_err() {
                    return self.disconnected();
                }
                self.finish()
            }
            ResponseEnd::Disconnected(error) => {
                upstream.cancel(self);
                self.downstream_failed(error).await
            }
            ResponseEnd::UpstreamFailed(error) => {
                if self.upgrade.is_some() && matches!(error, ExchangeError::Terminated) {
                    self.connection.codec.fail_tunnel();
                }
                upstream.fail(self, &error);
                self.reset_response()
            }
            ResponseEnd::Expired(expired) => {
                upstream.expire(self, expired);
                self.expire_response(expired)
            }
        }
    }

    fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
        upstream: &mut UpstreamResponse,
        waited: bool,
    ) -> Poll<ResponseEnd> {
        let mut moved = false;
        let end = loop {
            // The request, if it still comes.
            match self.pump_request(cx, upstream, &mut moved) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(ResponseEnd::Disconnected(error));
                }
                Poll::Pending => return Poll::Pending,
            }
            // Whoever stopped reading because too much was waiting must look again once it is written: nothing else would
            // wake him. That holds for the request here and for the response below.
            let held_back = !self.request_complete && upstream.exchange.is_backed_up();
            let request_flushed = upstream.exchange.poll_flush(cx).is_ready();
            let more_request = request_flushed && held_back;
            // The response.
            let mut more = false;
            while !upstream.ended && !self.connection.codec.is_backed_up() {
                // Before anything is read: a deadline that wakes a stream whose client takes nothing is no reason to read
                // on, which would count as activity and put that very deadline off.
                if self.connection.codec.buffered() >= FLUSH_AT {
                    more = true;
                    break;
                }
                match self.poll_response_body(cx, &mut upstream.exchange) {
                    Poll::Ready(Ok(BodyEvent::Data(data))) => {
                        moved = true;
                        self.info.body_bytes_sent += data.len() as u64;
                        self.connection.codec.send_data(data);
                    }
                    Poll::Ready(Ok(event)) => {
                        upstream.ended = true;
                        if self.messages.response_body.is_direct() {
                            // What came with the head needs no look at the clock of its own.
                            self.info.timing.upstream_rx_end = match waited {
                                true => Some(self.info.elapsed()),
                                false => self.info.timing.upstream_rx_begin,
                            };
                        }
                        let trailers = matches!(event, BodyEvent::Trailers);
                        self.connection
                            .codec
                            .send_end(trailers.then_some(&self.messages.response_trailers));
                    }
                    Poll::Ready(Err(error)) => {
                        // What the upstream did send still reaches the client before the connection breaks off.
                        let _ = self.connection.codec.poll_flush(cx);
                        return Poll::Ready(ResponseEnd::UpstreamFailed(error));
                    }
                    Poll::Pending => break,
                }
            }
            more |= !upstream.ended && self.connection.codec.is_backed_up();
            let flushed = self.connection.codec.poll_flush(cx);
            if request_flushed || held_back {
                let backlog = (!request_flushed).then(|| self.request_backlog(&upstream.exchange));
                self.hold_request(backlog, upstream.cluster_stats());
            }
            if flushed.is_ready() || (more && self.connection.codec.is_limited()) {
                let backlog = flushed
                    .is_pending()
                    .then(|| self.response_backlog(&upstream.exchange));
                self.hold_response(backlog, upstream.cluster_stats());
            }
            match flushed {
                Poll::Ready(Ok(())) if upstream.ended => break Some(ResponseEnd::Complete),
                // What the client's window holds back is a matter between the codec and the client.
                Poll::Pending if upstream.ended && self.connection.codec.is_multiplexed() => {
                    break Some(ResponseEnd::Complete);
                }
                Poll::Ready(Err(_)) => break Some(ResponseEnd::Disconnected(RequestError::Closed)),
                Poll::Ready(Ok(())) if more => {}
                _ if more_request => {}
                _ => break None,
            }
        };
        if let Some(end) = end {
            return Poll::Ready(end);
        }
        if moved {
            self.deadlines.touch();
            upstream.touch(self);
        }
        if self.request_complete && self.connection.codec.poll_closed(cx).is_ready() {
            return Poll::Ready(ResponseEnd::Disconnected(RequestError::Closed));
        }
        self.poll_deadlines(cx, None).map(ResponseEnd::Expired)
    }
}

impl ActiveStream<'_> {
    /// Waits until the client's window has let all of a complete response through, or for as long as it may take. Fails
    /// if the client goes before that.
    async fn await_window(&mut self) -> Result<(), ()> {
        let timeout = self.flush_timeout();
        let deadline = timeout.map(|timeout| (timeout, Instant::now() + timeout));
        let timers = &self.hcm.overload.state.timers;
        poll_fn(|cx| {
            let codec = &mut self.connection.codec;
            if codec.poll_closed(cx).is_ready() {
                return Poll::Ready(Err(()));
            }
            match codec.poll_flush(cx) {
                Poll::Ready(result) => Poll::Ready(result.map_err(drop)),
                Poll::Pending => {
                    let due = |(timeout, at)| timers.due(ScaledTimer::StreamFlush, timeout, at);
                    let timer = &mut self.connection.timer;
                    timer.poll_deadline(cx, deadline.map(due)).map(Ok)
                }
            }
        })
        .await
    }
}

/// How the streaming of a response ended.
pub(super) enum ResponseEnd {
    Complete,
    Disconnected(RequestError),
    UpstreamFailed(ExchangeError),
    Expired(Expired),
}
