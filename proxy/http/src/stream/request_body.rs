//! The request body on its way to the router: straight from the codec, or held while a filter has asked for time.

use super::{ActiveStream, RequestEvent};
use crate::codec::BodyEvent;
use bytes::Bytes;
use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

/// What was read of a request body before anybody wanted it.
#[derive(Debug, Default)]
pub struct HeldBody {
    pieces: VecDeque<Bytes>,
    len: usize,
    /// The request was read to its end, with trailers or without; who reads has not been told.
    end: Option<bool>,
}

impl HeldBody {
    /// Bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Forgets the bytes, not that there was an end.
    pub(super) fn discard(&mut self) {
        self.pieces.clear();
        self.len = 0;
    }

    fn push(&mut self, piece: Bytes) {
        self.len += piece.len();
        self.pieces.push_back(piece);
    }

    fn pop(&mut self) -> Option<Bytes> {
        let piece = self.pieces.pop_front()?;
        self.len -= piece.len();
        Some(piece)
    }

    pub(super) fn clear(&mut self) {
        self.discard();
        self.end = None;
    }
}

impl ActiveStream<'_> {
    /// The next piece of the request, for the router.
    pub fn poll_request_body(&mut self, cx: &mut Context<'_>) -> Poll<RequestEvent> {
        if self.holds_body {
            let held = &mut self.messages.held;
            if let Some(piece) = held.pop() {
                return Poll::Ready(RequestEvent::Data(piece));
            }
            if let Some(trailers) = held.end {
                self.request_complete = true;
                return Poll::Ready(RequestEvent::End { trailers });
            }
        }
        let event = self.poll_received_body(cx);
        if let Poll::Ready(RequestEvent::End { .. }) = event {
            self.request_complete = true;
        }
        event
    }

    /// Reads on and holds what comes, up to `limit` bytes or a little more. Ready with what went wrong.
    pub(super) fn poll_hold(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<RequestEvent> {
        self.holds_body = true;
        while !self.received && self.messages.held.len() <= limit {
            match self.poll_received_body(cx) {
                Poll::Ready(RequestEvent::Data(piece)) => self.messages.held.push(piece),
                Poll::Ready(RequestEvent::End { trailers }) => {
                    self.messages.held.end = Some(trailers);
                }
                failed_or_pending => return failed_or_pending,
            }
        }
        Poll::Pending
    }

    /// The next piece as it arrives, accounted for.
    fn poll_received_body(&mut self, cx: &mut Context<'_>) -> Poll<RequestEvent> {
        match self
            .connection
            .codec
            .poll_body(cx, &mut self.messages.request_trailers)
        {
            Poll::Ready(Ok(BodyEvent::Data(data))) => {
                self.info.body_bytes_received += data.len() as u64;
                self.deadlines.touch();
                Poll::Ready(RequestEvent::Data(data))
            }
            Poll::Ready(Ok(event)) => {
                self.receive_end(self.info.elapsed());
                let trailers = matches!(event, BodyEvent::Trailers);
                if trailers {
                    if self.connection.codec.is_multiplexed() {
                        self.hcm.http2_stats.get().trailers.inc();
                    }
                    self.hcm.filters.decode_trailers(self);
                }
                Poll::Ready(RequestEvent::End { trailers })
            }
            Poll::Ready(Err(error)) => Poll::Ready(RequestEvent::Failed(error)),
            Poll::Pending => Poll::Pending,
        }
    }
}
