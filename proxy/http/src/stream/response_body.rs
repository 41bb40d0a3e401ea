//! The response body on its way from the upstream to the codec: straight through, or through what filters have put in
//! its way.

use super::{
    ActiveStream,
    pipeline::{EVERYWHERE, Source, Way},
};
use crate::codec::{BodyEvent, ClientExchange, h1::ExchangeError};
use std::task::{Context, Poll};

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
            stream.note_upstream_end(&event);
            event
        })
    }

    /// The upstream has done its part in time, whatever filters still do with it.
    pub(super) fn note_upstream_end<E>(&mut self, event: &Poll<Result<BodyEvent, E>>) {
        if let Poll::Ready(Ok(BodyEvent::End | BodyEvent::Trailers)) = event {
            self.deadlines.route = None;
            self.deadlines.upstream = None;
            self.deadlines.try_idle = None;
            self.info.timing.upstream_rx_end = Some(self.info.elapsed());
        }
    }

    pub(super) fn draw_response<E>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Source<'_, E>,
    ) -> Poll<Result<BodyEvent, E>> {
        let mut pipeline = std::mem::take(&mut self.messages.response_body);
        let event = pipeline.poll(Way::Response, self, cx, source);
        self.messages.response_body = pipeline;
        event
    }
}
