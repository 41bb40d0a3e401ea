//! `max_stream_duration`: how long a stream may last, from its first byte to its last.

use super::ActiveStream;
use crate::{
    grpc_timeout,
    local_reply::is_grpc,
    route::{Action, MaxStreamDuration},
};
use outrigger_core::HeaderMap;
use std::time::Duration;

impl ActiveStream<'_> {
    /// The route decides, or what the gRPC client asks for within the route's bounds; else the connection manager does.
    pub(super) fn limit_duration(&mut self) {
        let Some(found) = &self.route else { return };
        let Action::Forward(forward) = &found.route.action else {
            return;
        };
        let Some(limits) = &forward.max_stream_duration else {
            return;
        };
        let request = &mut self.messages.request;
        let general = self.hcm.timeouts.max_stream_duration;
        let limit = limit(limits, request, general);
        if let Some(limit) = limit
            && is_grpc(request)
        {
            grpc_timeout::write(request, limit);
        }
        self.deadlines.max_duration = limit.map(|limit| self.begun() + limit);
    }
}

/// Envoy's `refreshDurationTimeout`. `general` is the connection manager's limit.
fn limit(
    limits: &MaxStreamDuration,
    request: &HeaderMap,
    general: Option<Duration>,
) -> Option<Duration> {
    let (Some(asked), Some(max)) = (grpc_timeout::read(request), limits.grpc_timeout_header_max)
    else {
        return match limits.max_stream_duration {
            Some(limit) => Some(limit).filter(|limit| !limit.is_zero()),
            None => general,
        };
    };
    let asked = if max.is_zero() { asked } else { asked.min(max) };
    // An offset that leaves nothing ends the stream at once: the client has given up already.
    Some(asked.saturating_sub(limits.grpc_timeout_header_offset.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use outrigger_core::HeaderId;

    #[test]
    fn the_client_asks_within_the_bounds_of_the_route() {
        let ms = |n| Some(Duration::from_millis(n));
        let general = ms(9);
        for (route, max, offset, asked, expected) in [
            (None, None, None, None, ms(9)),
            (ms(5), None, None, None, ms(5)),
            (ms(0), None, None, None, None),
            (ms(5), None, None, Some("7m"), ms(5)),
            (ms(5), ms(6), None, None, ms(5)),
            (ms(5), ms(6), None, Some("7m"), ms(6)),
            (ms(5), ms(0), None, Some("7m"), ms(7)),
            (None, ms(9), ms(3), Some("7m"), ms(4)),
            (None, ms(9), ms(8), Some("7m"), ms(0)),
        ] {
            let limits = MaxStreamDuration {
                max_stream_duration: route,
                grpc_timeout_header_max: max,
                grpc_timeout_header_offset: offset,
            };
            let mut request = HeaderMap::new();
            if let Some(asked) = asked {
                request.set(HeaderId::GrpcTimeout, asked.as_bytes());
            }
            assert_eq!(
                limit(&limits, &request, general),
                expected,
                "{limits:?} {asked:?}"
            );
        }
    }
}
