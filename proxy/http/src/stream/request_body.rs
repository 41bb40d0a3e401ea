//! The request body on its way to the router: straight from the codec, or through what filters have put in its way.

use super::{
    ActiveStream, RequestEvent,
    pipeline::{EVERYWHERE, Way},
};
use crate::codec::{BodyEvent, h1::server::RequestError};
use bytes::Bytes;
use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

/// What was read of a body before anybody wanted it.
#[derive(Debug, Default)]
pub struct HeldBody {
    pieces: VecDeque<Bytes>,
    len: usize,
}

impl HeldBody {
    /// Bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    pub(super) fn truncate(&mut self, limit: usize) {
        while let Some(last) = self.pieces.back_mut() {
            let surplus = self.len.saturating_sub(limit);
            if surplus == 0 {
                break;
            }
            let kept = last.len().saturating_sub(surplus);
            self.len -= last.len() - kept;
            last.truncate(kept);
            if kept == 0 {
                self.pieces.pop_back();
            }
        }
    }

    pub(super) fn discard(&mut self) {
        self.pieces.clear();
        self.len = 0;
    }

    pub(super) fn push(&mut self, piece: Bytes) {
        self.len += piece.len();
        self.pieces.push_back(piece);
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let piece = self.pieces.pop_front()?;
        self.len -= piece.len();
        Some(piece)
    }
}

impl ActiveStream<'_> {
    /// The next piece of the request, for the router.
    pub fn poll_request_body(&mut self, cx: &mut Context<'_>) -> Poll<RequestEvent> {
        let event = if self.messages.request_body.is_direct() {
            let event = self.poll_received_body(cx);
            if let Poll::Ready(Ok(BodyEvent::Trailers)) = event {
                self.filters.decode_trailers(self, EVERYWHERE);
            }
            event
        } else {
            let mut pipeline = std::mem::take(&mut self.messages.request_body);
            let event = pipeline.poll(Way::Request, self, cx, &mut |stream, cx| {
                stream.poll_received_body(cx)
            });
            self.messages.request_body = pipeline;
            if self.refusal.is_some() {
                return Poll::Ready(RequestEvent::Failed(RequestError::Refused));
            }
            event
        };
        event.map(|event| match event {
            Ok(BodyEvent::Data(data)) => RequestEvent::Data(data),
            Ok(end) => {
                self.request_complete = true;
                let trailers = matches!(end, BodyEvent::Trailers);
                RequestEvent::End { trailers }
            }
            Err(error) => RequestEvent::Failed(error),
        })
    }

    /// Reads on and holds what comes for the filter at this place, up to `limit` bytes or a little more. Ready with what
    /// went wrong.
    pub(super) fn poll_hold(
        &mut self,
        cx: &mut Context<'_>,
        place: usize,
        limit: usize,
    ) -> Poll<RequestError> {
        if self.request_complete {
            // It has no body.
            return Poll::Pending;
        }
        let mut pipeline = std::mem::take(&mut self.messages.request_body);
        let failed =
            pipeline.poll_hold(Way::Request, (place, limit), self, cx, &mut |stream, cx| {
                stream.poll_received_body(cx)
            });
        self.messages.request_body = pipeline;
        match self.refusal {
            Some(_) => Poll::Ready(RequestError::Refused),
            None => failed,
        }
    }

    /// The next piece as it arrives, accounted for.
    fn poll_received_body(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<BodyEvent, RequestError>> {
        if let Some(past) = &mut self.past
            && let Some(event) = past.next_piece()
        {
            if let BodyEvent::Data(data) = &event {
                // Envoy counts them again.
                self.info.body_bytes_received += data.len() as u64;
            }
            return Poll::Ready(Ok(event));
        }
        let codec = &mut self.connection.codec;
        let event = codec.poll_body(cx, &mut self.messages.request_trailers);
        match &event {
            Poll::Ready(Ok(BodyEvent::Data(data))) => {
                self.info.body_bytes_received += data.len() as u64;
                self.deadlines.touch();
            }
            Poll::Ready(Ok(end)) => {
                self.receive_end(self.info.elapsed());
                let trailers = matches!(end, BodyEvent::Trailers);
                if trailers && self.connection.codec.is_multiplexed() {
                    self.hcm.http2_stats.get().trailers.inc();
                }
            }
            Poll::Ready(Err(_)) | Poll::Pending => {}
        }
        event
    }
}
