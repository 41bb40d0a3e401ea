//! A reply of our own on its way to the client, through the encode filters and what they do to bodies.

use super::{ActiveStream, Expired, Messages, pipeline::Way, sanitize_details};
use crate::{
    codec::BodyEvent,
    filter::{Detour, HoldHead},
    hcm::{Close, DrainState},
    local_reply::{LocalReply, Recipient},
};
use bytes::Bytes;
use outrigger_core::{Method, log_debug};
use std::{borrow::Cow, convert::Infallible, future::poll_fn, task::Poll};

/// The body of a reply as a source of events: all of it, then its end.
fn next(body: &mut Option<Bytes>) -> Poll<Result<BodyEvent, Infallible>> {
    Poll::Ready(Ok(body.take().map_or(BodyEvent::End, BodyEvent::Data)))
}

impl ActiveStream<'_> {
    /// Sends a reply of our own through the encode filters, one of which may put another in its place.
    pub async fn send_local_reply(&mut self, mut reply: LocalReply) -> Option<Close> {
        let (code, mut body, end, now) = loop {
            let (code, body) = self.begin_local_reply(&reply);
            let end = body.is_empty() || self.method == Method::Head;
            let now = self.info.elapsed();
            let mut body = Some(body);
            if reply.direct {
                self.messages.response_body.clear();
                break (code, body, end, now);
            }
            let detour = match self.filters.encode_headers(self, end) {
                Some(Detour::Hold(hold)) => {
                    match Box::pin(self.hold_local(hold, &mut body)).await {
                        Ok(detour) => detour,
                        Err(expired) => return self.expire_response(expired),
                    }
                }
                detour => detour,
            };
            match detour {
                Some(Detour::Reply(other)) => reply = *other,
                // The stream goes on with another request.
                Some(Detour::Redirect) => return None,
                Some(Detour::Hold(_)) | None => break (code, body, end, now),
            }
        };
        if self.send_response_head(code, end, now).is_err() {
            return self.reset_response();
        }
        if !end {
            if self.messages.response_body.is_direct() {
                let body = body.unwrap_or_default();
                self.info.body_bytes_sent += body.len() as u64;
                self.connection.codec.send_data(body);
                self.connection.codec.send_end(None);
            } else if let Err(expired) = Box::pin(self.send_transformed(&mut body)).await {
                return match expired {
                    Some(expired) => self.expire_response(expired),
                    None => self.disconnected(),
                };
            }
        }
        let flushed = poll_fn(|cx| {
            if self.connection.codec.poll_flush(cx)?.is_ready() {
                return Poll::Ready(Ok::<_, std::io::Error>(true));
            }
            Poll::Ready(Ok(false))
        })
        .await;
        match flushed {
            Ok(true) => self.finish(),
            Ok(false) => match self.flush_response().await {
                Ok(()) => self.finish(),
                Err(Some(expired)) => self.expire_response(expired),
                Err(None) => self.disconnected(),
            },
            Err(_) => self.disconnected(),
        }
    }

    /// Makes the head of a reply; returns its status and its body.
    fn begin_local_reply(&mut self, reply: &LocalReply) -> (u16, Bytes) {
        if let Some(flag) = reply.flag {
            self.info.set_flag(flag);
        }
        self.info.details = Cow::Owned(sanitize_details(&reply.details));
        log_debug!("http", &self.info => "Sending local reply with details {}", self.info.details);
        if reply.code == 400 && !self.hcm.keep_after_bad_request {
            self.connection.drain = DrainState::Closing;
        }
        let Messages {
            request, response, ..
        } = &mut *self.messages;
        let (route, info) = (&self.route, &self.info);
        reply.begin_head(response, |head| {
            if let Some(found) = route
                && reply.route_headers
            {
                found.finalize_response_headers(head, request, info);
            }
            if let Some(amend) = &reply.amend {
                amend.apply(head, request, info);
            }
        });
        let content = match &self.hcm.local_replies {
            Some(config) => config.map(reply, request, response, &mut self.info),
            None => reply.content(),
        };
        let code = content.code;
        self.info.response_code = code;
        let to = Recipient {
            grpc: self.grpc,
            head: self.method == Method::Head,
        };
        (code, reply.finish_head(content, to, response))
    }

    /// Waits until a response that is already complete has been taken by the client.
    async fn flush_response(&mut self) -> Result<(), Option<Expired>> {
        poll_fn(|cx| match self.connection.codec.poll_flush(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(_)) => Poll::Ready(Err(None)),
            Poll::Pending => self
                .poll_deadlines(cx, None)
                .map(|expired| Err(Some(expired))),
        })
        .await
    }

    /// Sends the body of a local reply, and its end, the way that filters have laid out. Fails if the client or the time
    /// is gone.
    async fn send_transformed(&mut self, body: &mut Option<Bytes>) -> Result<(), Option<Expired>> {
        poll_fn(|cx| {
            loop {
                let flushed = self.connection.codec.poll_flush(cx);
                let closed = self.received && self.connection.codec.poll_closed(cx).is_ready();
                if closed || matches!(flushed, Poll::Ready(Err(_))) {
                    return Poll::Ready(Err(None));
                }
                if !self.connection.codec.is_backed_up() {
                    let event = self.draw_response(cx, &mut |_, _| next(body));
                    match event {
                        Poll::Ready(Ok(BodyEvent::Data(data))) => {
                            self.info.body_bytes_sent += data.len() as u64;
                            self.connection.codec.send_data(data);
                            self.deadlines.touch();
                            continue;
                        }
                        Poll::Ready(Ok(end)) => {
                            let trailers = matches!(end, BodyEvent::Trailers)
                                .then_some(&self.messages.response_trailers);
                            self.connection.codec.send_end(trailers);
                            return Poll::Ready(Ok(()));
                        }
                        Poll::Pending => {}
                    }
                }
                return self
                    .poll_deadlines(cx, None)
                    .map(|expired| Err(Some(expired)));
            }
        })
        .await
    }

    /// Shows the whole reply to the filter that holds its head, and to those behind it. `Some`: what one of them wants in its
    /// place; it is held no more.
    async fn hold_local(
        &mut self,
        mut hold: HoldHead,
        body: &mut Option<Bytes>,
    ) -> Result<Option<Detour>, Expired> {
        loop {
            poll_fn(|cx| {
                let mut pipeline = std::mem::take(&mut self.messages.response_body);
                // What we say ourselves is as long as the configuration makes it.
                let at = (hold.place, usize::MAX);
                let Poll::Pending = pipeline
                    .poll_hold(Way::Response, at, self, cx, &mut |_, _| next(body))
                    .map(|error| match error {});
                let whole = pipeline.is_whole();
                self.messages.response_body = pipeline;
                if whole {
                    return Poll::Ready(Ok(()));
                }
                self.poll_deadlines(cx, None).map(Err)
            })
            .await?;
            match self.filters.resume_encode(self, hold.place) {
                Some(Detour::Hold(next)) => hold = next,
                detour => return Ok(detour),
            }
        }
    }
}
