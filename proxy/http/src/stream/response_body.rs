//! The response body on its way from the upstream to the codec: straight through, or through what filters have put in
//! its way.

use super::ActiveStream;
use crate::{
    codec::{BodyEvent, ClientExchange, h1::ExchangeError},
    filter::StreamRateLimiter,
};
use bytes::Bytes;
use std::{
    future::poll_fn,
    task::{Context, Poll},
};

/// What filters do to a response body.
#[derive(Debug, Default)]
pub struct ResponseBody {
    limiter: Option<StreamRateLimiter>,
    /// The response was read to its end, with trailers or without.
    end: Option<bool>,
}

impl ResponseBody {
    /// At most so many KiB/s. Where several filters ask for that, the last one has it its way.
    pub fn limit_rate(&mut self, kbps: u64) {
        self.limiter = Some(StreamRateLimiter::new(kbps));
    }

    /// Nothing happens to the body.
    pub fn is_plain(&self) -> bool {
        self.limiter.is_none()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl ActiveStream<'_> {
    /// The next piece of the upstream's response, for the client.
    pub(super) fn poll_response_body(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut ClientExchange,
    ) -> Poll<Result<BodyEvent, ExchangeError>> {
        let messages = &mut *self.messages;
        let Some(limiter) = &mut messages.response_body.limiter else {
            return exchange.poll_body(cx, &mut messages.response_trailers);
        };
        let limit = self.hcm.buffer_limit;
        let end = &mut messages.response_body.end;
        while end.is_none() && limiter.buffered() <= limit {
            match exchange.poll_body(cx, &mut messages.response_trailers) {
                Poll::Ready(Ok(BodyEvent::Data(data))) => limiter.push(data),
                Poll::Ready(Ok(event)) => {
                    *end = Some(matches!(event, BodyEvent::Trailers));
                    // The upstream has done its part in time.
                    self.deadlines.route = None;
                    self.deadlines.upstream = None;
                    self.deadlines.try_idle = None;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => break,
            }
        }
        match (*end, limiter.buffered()) {
            (Some(true), 0) => Poll::Ready(Ok(BodyEvent::Trailers)),
            (Some(false), 0) => Poll::Ready(Ok(BodyEvent::End)),
            _ => limiter.poll_next(cx).map(|data| Ok(BodyEvent::Data(data))),
        }
    }

    /// Sends the body of a local reply the way that filters have laid out. False if the client or the time is gone.
    pub(super) async fn send_limited(&mut self, body: Bytes) -> Result<(), Option<super::Expired>> {
        if let Some(limiter) = &mut self.messages.response_body.limiter {
            limiter.push(body);
        }
        poll_fn(|cx| {
            loop {
                let Some(limiter) = &mut self.messages.response_body.limiter else {
                    return Poll::Ready(Ok(()));
                };
                if limiter.buffered() == 0 {
                    return Poll::Ready(Ok(()));
                }
                if let Poll::Ready(data) = limiter.poll_next(cx) {
                    self.info.body_bytes_sent += data.len() as u64;
                    self.connection.codec.send_data(data);
                    self.deadlines.touch();
                    continue;
                }
                let closed = self.received && self.connection.codec.poll_closed(cx).is_ready();
                if closed || matches!(self.connection.codec.poll_flush(cx), Poll::Ready(Err(_))) {
                    return Poll::Ready(Err(None));
                }
                return self
                    .poll_deadlines(cx, None)
                    .map(|expired| Err(Some(expired)));
            }
        })
        .await
    }
}
