//! What filters do to a body on its way: a row of steps that the bytes are drawn through.
//!
//! Whoever wants the body asks the last step, and a step asks the one before it only when it has nothing left to give. So
//! nothing is read that there is no room for, and a step makes one bounded piece at a time, however much it could make
//! of what it has taken. A body that no filter is interested in has no steps.

use super::{ActiveStream, HeldBody};
use crate::{
    codec::BodyEvent,
    filter::{
        StreamRateLimiter,
        compressor::Compress,
        decompressor::Decompress,
        grpc_stats::MessageCounter,
        grpc_web::{FromText, ToWeb},
    },
};
use bytes::Bytes;
use outrigger_core::HeaderMap;
use std::{
    ops::Range,
    task::{Context, Poll},
};

/// One thing that is done to a body.
#[derive(Debug)]
pub enum Transform {
    /// Holds it while a filter waits.
    Held(HeldBody),
    /// Lets so much of it pass in a second.
    RateLimit(Box<StreamRateLimiter>),
    /// Counts the gRPC messages in it.
    GrpcMessages(Box<MessageCounter>),
    Compress(Box<Compress>),
    Decompress(Box<Decompress>),
    /// A gRPC-Web request as text becomes one of gRPC.
    FromText(Box<FromText>),
    /// A gRPC response becomes one of gRPC-Web.
    ToWeb(Box<ToWeb>),
}

/// Which body it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Through the filters in order.
    Request,
    /// Through the filters in reverse.
    Response,
}

/// A transform and the filter that has asked for it.
#[derive(Debug)]
struct Step {
    /// Of the filter in its chain.
    place: usize,
    transform: Transform,
    /// What was taken and not given on, for transforms that keep nothing themselves.
    taken: Option<Bytes>,
    /// How the body ends; nothing more is taken.
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Plain,
    Trailers,
}

impl From<End> for BodyEvent {
    fn from(end: End) -> Self {
        match end {
            End::Plain => Self::End,
            End::Trailers => Self::Trailers,
        }
    }
}

/// The steps of one body, in the order in which bytes pass them.
#[derive(Debug, Default)]
pub struct Pipeline {
    steps: Vec<Step>,
}

/// Where the bytes come from before the first step.
pub(super) type Source<'s, E> =
    dyn FnMut(&mut ActiveStream<'_>, &mut Context<'_>) -> Poll<Result<BodyEvent, E>> + 's;

impl Pipeline {
    /// Nothing happens to the body.
    #[inline]
    pub fn is_direct(&self) -> bool {
        self.steps.is_empty()
    }

    /// Adds what the filter at this place does to the body, behind what filters have asked for that see it earlier.
    pub fn add(&mut self, way: Way, place: usize, transform: Transform) {
        let later = |step: &Step| match way {
            Way::Request => step.place > place,
            Way::Response => step.place < place,
        };
        let at = self.steps.iter().position(later);
        let step = Step {
            place,
            transform,
            taken: None,
            end: None,
        };
        self.steps.insert(at.unwrap_or(self.steps.len()), step);
    }

    /// What the last step holds, if that is its task.
    pub fn held(&self) -> Option<&HeldBody> {
        match self.steps.last() {
            Some(Step {
                transform: Transform::Held(held),
                ..
            }) => Some(held),
            _ => None,
        }
    }

    /// Gives up the bytes that the last step holds.
    pub(super) fn discard_held(&mut self) {
        if let Some(Step {
            transform: Transform::Held(held),
            ..
        }) = self.steps.last_mut()
        {
            held.discard();
        }
    }

    /// Gives up what the last step holds above so many bytes.
    pub(super) fn truncate_held(&mut self, limit: usize) {
        if let Some(Step {
            transform: Transform::Held(held),
            ..
        }) = self.steps.last_mut()
        {
            held.truncate(limit);
        }
    }

    /// Takes all that the last step holds.
    pub fn take_held(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(Step {
            transform: Transform::Held(held),
            ..
        }) = self.steps.last_mut()
        {
            while let Some(piece) = held.pop() {
                out.extend_from_slice(&piece);
            }
        }
        out
    }

    /// The body has come to its end as far as the last step, and trailers follow.
    pub fn has_trailers(&self) -> bool {
        let last = self.steps.last();
        last.is_some_and(|step| step.end == Some(End::Trailers))
    }

    /// All of the body has come as far as the last step.
    pub fn is_whole(&self) -> bool {
        self.steps.last().is_some_and(|step| step.end.is_some())
    }

    pub(super) fn clear(&mut self) {
        self.steps.clear();
    }

    /// What comes out next.
    pub(super) fn poll<E>(
        &mut self,
        way: Way,
        stream: &mut ActiveStream<'_>,
        cx: &mut Context<'_>,
        source: &mut Source<'_, E>,
    ) -> Poll<Result<BodyEvent, E>> {
        let event = draw(&mut self.steps, way, stream, cx, source);
        if let Poll::Ready(Ok(BodyEvent::Trailers)) = event {
            let last = self.steps.last().map(|step| step.place);
            way.pass_trailers(stream, last, None);
            // A filter may have taken them all.
            if way.trailers(stream).is_empty() {
                return Poll::Ready(Ok(BodyEvent::End));
            }
        }
        event
    }

    /// Draws the body as far as the filter at this place and holds it there, up to `limit` bytes or a little more. Ready
    /// with what went wrong.
    pub(super) fn poll_hold<E>(
        &mut self,
        way: Way,
        (place, limit): (usize, usize),
        stream: &mut ActiveStream<'_>,
        cx: &mut Context<'_>,
        source: &mut Source<'_, E>,
    ) -> Poll<E> {
        let holds =
            |step: &Step| step.place == place && matches!(step.transform, Transform::Held(_));
        if !self.steps.last().is_some_and(holds) {
            self.add(way, place, Transform::Held(HeldBody::default()));
        }
        let Some((step, before)) = self.steps.split_last_mut() else {
            return Poll::Pending;
        };
        while step.end.is_none() && step.held() <= limit {
            match draw(before, way, stream, cx, source) {
                Poll::Ready(Ok(event)) => step.take(event, before.last(), way, stream),
                Poll::Ready(Err(error)) => return Poll::Ready(error),
                Poll::Pending => break,
            }
        }
        Poll::Pending
    }
}

/// What the last of these steps gives next.
fn draw<E>(
    steps: &mut [Step],
    way: Way,
    stream: &mut ActiveStream<'_>,
    cx: &mut Context<'_>,
    source: &mut Source<'_, E>,
) -> Poll<Result<BodyEvent, E>> {
    let Some((step, before)) = steps.split_last_mut() else {
        return source(stream, cx);
    };
    loop {
        let mut idle = step.end.is_some();
        if !idle && step.has_room(stream) {
            match draw(before, way, stream, cx, source) {
                Poll::Ready(Ok(event)) => {
                    step.take(event, before.last(), way, stream);
                    if stream.refusal.is_some() {
                        return Poll::Pending;
                    }
                    continue;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => idle = true,
            }
        }
        match step.give(idle, way, stream, cx) {
            Some(event) => return Poll::Ready(Ok(event)),
            None if idle || !step.has_room(stream) => return Poll::Pending,
            // All that it took came to nothing.
            None => {}
        }
    }
}

impl Step {
    fn held(&self) -> usize {
        match &self.transform {
            Transform::Held(held) => held.len(),
            _ => 0,
        }
    }

    /// It would take more now.
    fn has_room(&self, stream: &ActiveStream<'_>) -> bool {
        match &self.transform {
            Transform::Held(held) => held.len() == 0,
            Transform::RateLimit(limiter) => limiter.buffered() <= stream.hcm.buffer_limit,
            Transform::GrpcMessages(_) | Transform::FromText(_) | Transform::ToWeb(_) => {
                self.taken.is_none()
            }
            Transform::Compress(body) => body.has_room(),
            Transform::Decompress(body) => body.has_room(),
        }
    }

    fn take(
        &mut self,
        event: BodyEvent,
        before: Option<&Self>,
        way: Way,
        stream: &mut ActiveStream<'_>,
    ) {
        let end = match event {
            BodyEvent::Data(data) if data.is_empty() => return,
            BodyEvent::Data(data) => {
                match &mut self.transform {
                    Transform::Held(held) => held.push(data),
                    Transform::RateLimit(limiter) => limiter.push(data),
                    Transform::GrpcMessages(counter) => {
                        counter.count(way, &data, &mut stream.info);
                        self.taken = Some(data);
                    }
                    Transform::Compress(body) => body.push(data),
                    Transform::Decompress(body) => body.push(data),
                    Transform::FromText(body) => match body.decode(&data) {
                        Ok(decoded) => self.taken = Some(decoded).filter(|d| !d.is_empty()),
                        Err(reply) => stream.refusal = Some(reply),
                    },
                    Transform::ToWeb(body) => {
                        self.taken = Some(body.encode(data)).filter(|d| !d.is_empty());
                    }
                }
                return;
            }
            BodyEvent::End => End::Plain,
            BodyEvent::Trailers => {
                way.pass_trailers(stream, before.map(|step| step.place), Some(self.place));
                End::Trailers
            }
        };
        self.end = Some(end);
        let messages = &mut *stream.messages;
        match &mut self.transform {
            Transform::GrpcMessages(counter) => {
                let trailers = match (way, end) {
                    (Way::Response, End::Trailers) => Some(&messages.response_trailers),
                    _ => None,
                };
                counter.finish(way, trailers, &mut stream.info);
            }
            Transform::FromText(body) if end == End::Plain => {
                let refusal = body.finish().err();
                stream.refusal = stream.refusal.take().or(refusal);
            }
            Transform::ToWeb(body) if end == End::Trailers => {
                self.taken = Some(body.finish(&mut messages.response_trailers));
            }
            _ => {}
        }
    }

    /// The next of what it has to give; `idle`: nothing more is at hand. It gives nothing behind the end.
    fn give(
        &mut self,
        idle: bool,
        way: Way,
        stream: &mut ActiveStream<'_>,
        cx: &mut Context<'_>,
    ) -> Option<BodyEvent> {
        let data = match &mut self.transform {
            Transform::Held(held) => held.pop(),
            Transform::RateLimit(limiter) if limiter.buffered() == 0 => None,
            Transform::RateLimit(limiter) => match limiter.poll_next(cx) {
                Poll::Ready(data) => Some(data),
                Poll::Pending => return None,
            },
            Transform::GrpcMessages(_) | Transform::FromText(_) | Transform::ToWeb(_) => {
                self.taken.take()
            }
            Transform::Compress(body) => body.pop(idle, self.end.is_some()),
            Transform::Decompress(body) => body.pop(),
        };
        if let Some(data) = data {
            return Some(BodyEvent::Data(data));
        }
        let end = self.end?;
        if let Transform::Decompress(body) = &mut self.transform {
            body.finish(way.trailers(stream));
            return Some(BodyEvent::Trailers);
        }
        Some(end.into())
    }
}

impl Way {
    fn trailers<'a>(self, stream: &'a mut ActiveStream<'_>) -> &'a mut HeaderMap {
        match self {
            Self::Request => &mut stream.messages.request_trailers,
            Self::Response => &mut stream.messages.response_trailers,
        }
    }

    /// Shows the trailers to the filters between two steps, or between a step and either end of the chain.
    fn pass_trailers(self, stream: &mut ActiveStream<'_>, from: Option<usize>, to: Option<usize>) {
        let filters = stream.filters;
        match self {
            Self::Request => {
                let places = from.unwrap_or(0)..to.unwrap_or(usize::MAX);
                filters.decode_trailers(stream, places);
            }
            Self::Response => {
                let places = to.unwrap_or(0)..from.unwrap_or(usize::MAX);
                filters.encode_trailers(stream, places);
            }
        }
    }
}

/// The places of all filters.
pub(super) const EVERYWHERE: Range<usize> = 0..usize::MAX;
