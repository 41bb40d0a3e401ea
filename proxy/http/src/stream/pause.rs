//! A request that waits because a filter has asked for time: Envoy's stopped iteration.

use super::{ActiveStream, Expired, Step};
use crate::{
    codec::h1::server::RequestError,
    filter::{Decision, Pause, Paused},
    local_reply::LocalReply,
};
use std::{future::poll_fn, task::Poll};
use tokio::time::Instant;

/// How a wait ended.
enum Wait {
    Over,
    Expired(Expired),
    Failed(RequestError),
    /// The body is larger than the filter allows.
    TooLarge,
}

impl ActiveStream<'_> {
    /// Waits as the filter asked, then leads the request on behind it.
    pub(super) async fn resume(&mut self, mut paused: Paused) -> Step {
        let hcm = self.hcm;
        loop {
            match self.wait(&paused).await {
                Wait::Over => {}
                Wait::Expired(expired) => return Step::Reply(self.expired_reply(expired)),
                Wait::Failed(error) => return Step::Disconnected(error),
                Wait::TooLarge => {
                    hcm.stats.downstream_rq_too_large.inc();
                    return Step::Reply(LocalReply::new(
                        413,
                        "Payload Too Large",
                        "request_payload_too_large",
                    ));
                }
            }
            match self.filters.resume(self, paused.place) {
                Decision::Continue => return self.take_route(),
                Decision::Reply(reply) => return self.filter_reply(*reply),
                Decision::Pause(again) => paused = again,
            }
        }
    }

    async fn wait(&mut self, paused: &Paused) -> Wait {
        let buffer_limit = self.hcm.buffer_limit;
        let (until, limit, keep, whole) = match &paused.pause {
            Pause::For(time) => (Some(Instant::now() + *time), buffer_limit, true, false),
            Pause::WholeRequest { limit } => (None, *limit, true, true),
            Pause::EndOfRequest => (None, buffer_limit, false, true),
        };
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(error) = self.poll_hold(cx, paused.place, limit) {
                    return Poll::Ready(Wait::Failed(error));
                }
                let body = &mut self.messages.request_body;
                let full = body.held().is_some_and(|held| held.len() > limit);
                if whole && keep && full {
                    return Poll::Ready(Wait::TooLarge);
                }
                if whole && (self.request_complete || body.is_whole()) {
                    return Poll::Ready(Wait::Over);
                }
                if keep || !full {
                    break;
                }
                body.discard_held();
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
