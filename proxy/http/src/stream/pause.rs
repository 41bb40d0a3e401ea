//! A request that waits because a filter has asked for time: Envoy's stopped iteration.

use super::{ActiveStream, Expired, RequestEvent, Step};
use crate::{
    codec::h1::server::RequestError,
    filter::{Decision, Pause, Paused},
};
use std::{future::poll_fn, task::Poll};
use tokio::time::Instant;

/// How a wait ended.
enum Wait {
    Over,
    Expired(Expired),
    Failed(RequestError),
}

impl ActiveStream<'_> {
    /// Waits as the filter asked, then leads the request on behind it.
    pub(super) async fn resume(&mut self, mut paused: Paused) -> Step {
        let hcm = self.connection.hcm.clone();
        loop {
            match self.wait(&paused.pause).await {
                Wait::Over => {}
                Wait::Expired(expired) => return Step::Reply(self.expired_reply(expired)),
                Wait::Failed(error) => return Step::Disconnected(error),
            }
            match hcm.filters.resume(self, paused.place) {
                Decision::Continue => return self.take_route(),
                Decision::Reply(reply) => return Step::Reply(*reply),
                Decision::Pause(again) => paused = again,
            }
        }
    }

    async fn wait(&mut self, pause: &Pause) -> Wait {
        let (until, limit) = match pause {
            Pause::For(time) => (
                Some(Instant::now() + *time),
                self.connection.hcm.buffer_limit,
            ),
        };
        poll_fn(|cx| {
            if let Poll::Ready(RequestEvent::Failed(error)) = self.poll_hold(cx, limit) {
                return Poll::Ready(Wait::Failed(error));
            }
            if self.received && self.connection.codec.poll_closed(cx).is_ready() {
                return Poll::Ready(Wait::Failed(RequestError::Closed));
            }
            // `100 Continue` may still wait to be written.
            if matches!(self.connection.codec.poll_flush(cx), Poll::Ready(Err(_))) {
                return Poll::Ready(Wait::Failed(RequestError::Closed));
            }
            self.poll_deadlines(cx, until).map(|expired| match expired {
                Expired::Route => Wait::Over,
                expired => Wait::Expired(expired),
            })
        })
        .await
    }
}
