//! The response body on its way from the upstream to the codec: straight through, or through what filters have put in
//! its way.

use super::{
    ActiveStream, Expired,
    pipeline::{EVERYWHERE, Source, Way},
};
use crate::codec::{BodyEvent, ClientExchange, h1::ExchangeError};
use bytes::Bytes;
use std::{
    convert::Infallible,
    future::poll_fn,
    task::{Context, Poll},
};

impl ActiveStream<'_> {
    /// The next piece of the upstream's response, for the client.
    pub(super) fn poll_response_body(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut ClientExchange,
    ) -> Poll<Result<BodyEvent, ExchangeError>> {
        if self.messages.response_body.is_direct() {
            let event = exchange.poll_body(cx, &mut self.messages.response_trailers);
            if let Poll::Ready(Ok(BodyEvent::Trailers)) = event {
                self.filters.encode_trailers(self, EVERYWHERE);
            }
            return event;
        }
        self.draw_response(cx, &mut |stream, cx| {
            let event = exchange.poll_body(cx, &mut stream.messages.response_trailers);
            if let Poll::Ready(Ok(BodyEvent::End | BodyEvent::Trailers)) = event {
                // The upstream has done its part in time.
                stream.deadlines.route = None;
                stream.deadlines.upstream = None;
                stream.deadlines.try_idle = None;
                stream.info.timing.upstream_rx_end = Some(stream.info.elapsed());
            }
            event
        })
    }

    fn draw_response<E>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Source<'_, E>,
    ) -> Poll<Result<BodyEvent, E>> {
        let mut pipeline = std::mem::take(&mut self.messages.response_body);
        let event = pipeline.poll(Way::Response, self, cx, source);
        self.messages.response_body = pipeline;
        event
    }

    /// Sends the body of a local reply, and its end, the way that filters have laid out. Fails if the client or the time
    /// is gone.
    pub(super) async fn send_transformed(&mut self, body: Bytes) -> Result<(), Option<Expired>> {
        let mut body = Some(body);
        poll_fn(|cx| {
            loop {
                let flushed = self.connection.codec.poll_flush(cx);
                let closed = self.received && self.connection.codec.poll_closed(cx).is_ready();
                if closed || matches!(flushed, Poll::Ready(Err(_))) {
                    return Poll::Ready(Err(None));
                }
                if !self.connection.codec.is_backed_up() {
                    let event = self.draw_response::<Infallible>(cx, &mut |_, _| {
                        let whole = body.take().map(BodyEvent::Data);
                        Poll::Ready(Ok(whole.unwrap_or(BodyEvent::End)))
                    });
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
}
