//! A response whose head is held back until a filter has seen the whole of it.

use super::{ActiveStream, RequestEvent, pipeline::Way, proxy_response::ResponseEnd};
use crate::{
    codec::h1::server::RequestError,
    filter::{Detour, HoldHead, Overflow},
    local_reply::LocalReply,
    router::UpstreamResponse,
};
use std::{
    future::poll_fn,
    task::{Context, Poll},
};

/// Why a held response does not reach the client.
pub(super) enum HoldFailure {
    /// It is larger than the connection may hold.
    TooLarge,
    /// A filter has another in its place.
    Replaced(Box<LocalReply>),
    /// The stream begins again.
    Redirected,
    Ended(ResponseEnd),
}

/// The answer in place of a response that is too large to be held. No filter sees it: they have seen another head.
pub(super) fn too_large() -> LocalReply {
    let details = "response_payload_too_large";
    let mut reply = LocalReply::new(500, "Internal Server Error", details);
    reply.direct = true;
    reply
}

impl ActiveStream<'_> {
    /// Reads the response for the filters that hold its head, each in its turn.
    pub(super) async fn hold_response_head(
        &mut self,
        mut hold: HoldHead,
        upstream: &mut UpstreamResponse,
    ) -> Result<(), HoldFailure> {
        loop {
            poll_fn(|cx| self.poll_whole(cx, &hold, upstream)).await?;
            match self.filters.resume_encode(self, hold.place) {
                Some(Detour::Hold(next)) => hold = next,
                Some(Detour::Reply(reply)) => return Err(HoldFailure::Replaced(reply)),
                Some(Detour::Redirect) => return Err(HoldFailure::Redirected),
                None => return Ok(()),
            }
        }
    }

    fn poll_whole(
        &mut self,
        cx: &mut Context<'_>,
        hold: &HoldHead,
        upstream: &mut UpstreamResponse,
    ) -> Poll<Result<(), HoldFailure>> {
        let failed = |end| Poll::Ready(Err(HoldFailure::Ended(end)));
        loop {
            match self.pump_request(cx, upstream, &mut false) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return failed(ResponseEnd::Disconnected(error)),
                Poll::Pending => return Poll::Pending,
            }
            let held_back = !self.request_complete && upstream.exchange.is_backed_up();
            let flushed = upstream.exchange.poll_flush(cx).is_ready();
            if !(flushed && held_back) {
                break;
            }
        }
        loop {
            let exchange = &mut upstream.exchange;
            let mut pipeline = std::mem::take(&mut self.messages.response_body);
            let at = (hold.place, hold.limit);
            let error = pipeline.poll_hold(Way::Response, at, self, cx, &mut |stream, cx| {
                let event = exchange.poll_body(cx, &mut stream.messages.response_trailers);
                stream.note_upstream_end(&event);
                event
            });
            let whole = pipeline.is_whole();
            let full = pipeline.held().is_some_and(|held| held.len() > hold.limit);
            if full && hold.overflow == Overflow::Drop {
                pipeline.truncate_held(hold.limit);
            }
            self.messages.response_body = pipeline;
            if let Poll::Ready(error) = error {
                return failed(ResponseEnd::UpstreamFailed(error));
            }
            match (full, hold.overflow) {
                (true, Overflow::Refuse) => return Poll::Ready(Err(HoldFailure::TooLarge)),
                _ if whole => return Poll::Ready(Ok(())),
                (true, Overflow::Drop) => {}
                (false, _) => break,
            }
        }
        let closed = self.request_complete && self.connection.codec.poll_closed(cx).is_ready();
        // `100 Continue` may still wait to be written.
        if closed || matches!(self.connection.codec.poll_flush(cx), Poll::Ready(Err(_))) {
            return failed(ResponseEnd::Disconnected(RequestError::Closed));
        }
        match self.poll_deadlines(cx, None) {
            Poll::Ready(expired) => failed(ResponseEnd::Expired(expired)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Moves what is left of the request to the upstream, and tells whether any of it has `moved`. Ready once nothing more is
    /// at hand.
    pub(super) fn pump_request(
        &mut self,
        cx: &mut Context<'_>,
        upstream: &mut UpstreamResponse,
        moved: &mut bool,
    ) -> Poll<Result<(), RequestError>> {
        while !self.request_complete && !upstream.exchange.is_backed_up() {
            match self.poll_request_body(cx) {
                Poll::Ready(RequestEvent::Data(data)) => {
                    *moved = true;
                    if upstream.agreed {
                        upstream.exchange.send_data(data);
                    }
                }
                Poll::Ready(RequestEvent::End { .. }) if !upstream.agreed => {}
                Poll::Ready(RequestEvent::End { trailers }) => {
                    let trailers = trailers.then_some(&self.messages.request_trailers);
                    upstream.exchange.send_end(trailers);
                    self.info.timing.upstream_tx_end = Some(self.info.elapsed());
                }
                Poll::Ready(RequestEvent::Failed(error)) => {
                    // What the client said before that still reaches the upstream: a connection that others share needs
                    // its turn for that.
                    let _ = upstream.exchange.poll_flush(cx);
                    let shared = upstream.exchange.is_multiplexed();
                    if *moved && shared && !self.connection.codec.is_multiplexed() {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
