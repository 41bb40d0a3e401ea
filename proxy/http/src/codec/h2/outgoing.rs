//! A body on its way out: what waits for the peer's windows, and how it ends.

use super::head::fields;
use bytes::Bytes;
use h2::{Reason, SendStream};
use outrigger_core::HeaderMap;
use std::{
    collections::VecDeque,
    task::{Context, Poll, ready},
};

/// No frame is larger, as in Envoy, even if the peer would take it: streams share the connection in such pieces.
const LARGEST_FRAME: usize = 16 * 1024;

/// Bytes of a frame header: what a message costs on the wire beside its own bytes.
pub(super) const FRAME: u64 = 9;

/// What ends the body.
#[derive(Debug, Default)]
enum Tail {
    /// More may come.
    #[default]
    Open,
    /// Everything is queued; then the stream ends, by trailers if there are some.
    Queued(Option<http::HeaderMap>),
    Sent,
}

/// The body of one message.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    queue: VecDeque<Bytes>,
    queued: usize,
    tail: Tail,
}

impl Outgoing {
    /// Queues a piece; returns what it takes on the wire. What comes behind the end is dropped.
    pub(super) fn push(&mut self, data: Bytes) -> u64 {
        if !matches!(self.tail, Tail::Open) {
            return 0;
        }
        let length = data.len();
        self.queued += length;
        self.queue.push_back(data);
        FRAME + length as u64
    }

    /// Ends the body. Trailers that must not be written are left out; the body itself is whole.
    pub(super) fn end(&mut self, trailers: Option<&HeaderMap>) {
        if matches!(self.tail, Tail::Open) {
            self.tail = Tail::Queued(trailers.and_then(|trailers| fields(trailers).ok()));
        }
    }

    /// The head has ended the message.
    pub(super) fn set_sent(&mut self) {
        self.tail = Tail::Sent;
    }

    /// Everything was handed over, the end as well.
    pub(super) fn is_sent(&self) -> bool {
        matches!(self.tail, Tail::Sent) && self.queue.is_empty()
    }

    /// Nothing more comes to what is queued.
    pub(super) fn is_whole(&self) -> bool {
        !matches!(self.tail, Tail::Open)
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.queued
    }

    /// Hands over as much as the peer's windows allow; ready when nothing waits.
    pub(super) fn poll_send(
        &mut self,
        send: &mut SendStream<Bytes>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), h2::Error>> {
        while let Some(front) = self.queue.front_mut() {
            send.reserve_capacity(front.len());
            let mut room = send.capacity();
            while room == 0 {
                room = match ready!(send.poll_capacity(cx)) {
                    Some(room) => room?,
                    // The stream takes no more: it was reset.
                    None => return Poll::Ready(Err(Reason::CANCEL.into())),
                };
            }
            let piece = front.split_to(room.min(front.len()).min(LARGEST_FRAME));
            if front.is_empty() {
                self.queue.pop_front();
            }
            self.queued -= piece.len();
            let last = self.queue.is_empty() && matches!(self.tail, Tail::Queued(None));
            if last {
                self.tail = Tail::Sent;
            }
            send.send_data(piece, last)?;
        }
        if let Tail::Queued(trailers) = &mut self.tail {
            let trailers = trailers.take();
            self.tail = Tail::Sent;
            match trailers {
                Some(trailers) => send.send_trailers(trailers)?,
                None => send.send_data(Bytes::new(), true)?,
            }
        }
        Poll::Ready(Ok(()))
    }
}
