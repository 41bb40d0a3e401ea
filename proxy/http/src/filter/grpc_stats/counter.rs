//! Counts the messages of one body, and what the end of the response says about the call.

use super::Call;
use crate::{
    filter::grpc::{FrameCounter, Seen},
    stream::Way,
};
use outrigger_core::{HeaderId, HeaderMap, StreamInfo, stream_info::FilterState};

/// Envoy's key of the counts in the filter state.
const STATE: &str = "envoy.filters.http.grpc_stats";
/// In the flags of a Connect frame: it ends the stream.
const END_OF_STREAM: u8 = 0b10;
/// Bytes of the frame that ends a Connect stream; a larger one tells of no success.
const MAX_END_FRAME: usize = 64 * 1024;

/// The messages of a request or of a response.
#[derive(Debug)]
pub struct MessageCounter {
    pub(super) call: Call,
    /// The messages stand in frames that are to be counted.
    pub(super) framed: bool,
    pub(super) frames: FrameCounter,
    pub(super) end_frame: EndFrame,
}

/// The frame in which Connect says how a streaming call went.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum EndFrame {
    #[default]
    None,
    Reading(Vec<u8>),
    Success,
    Failure,
}

impl MessageCounter {
    pub fn count(&mut self, way: Way, data: &[u8], info: &mut StreamInfo) {
        if !self.framed {
            return;
        }
        let before = self.messages();
        match way {
            Way::Request => self.frames.inspect(data, |_| {}),
            Way::Response if matches!(self.end_frame, EndFrame::Success | EndFrame::Failure) => {}
            Way::Response => {
                let end_frame = &mut self.end_frame;
                self.frames.inspect(data, |seen| end_frame.see(&seen));
            }
        }
        let new = self.messages().saturating_sub(before);
        if new > 0 {
            self.show(way, self.messages(), info);
            self.call.record_messages(way, new);
        }
    }

    /// The body is over, with these trailers.
    pub fn finish(&mut self, way: Way, trailers: Option<&HeaderMap>, info: &mut StreamInfo) {
        match (way, trailers) {
            (Way::Request, _) | (Way::Response, None) if self.call.unary && !self.framed => {
                self.show(way, 1, info);
                self.call.record_messages(way, 1);
                if way == Way::Response {
                    self.call.record_time(info);
                }
            }
            (Way::Response, None) if self.call.streaming && !self.call.is_grpc_response => {
                if let Some(stats) = &self.call.stats {
                    stats.record(self.end_frame == EndFrame::Success);
                }
                self.call.record_time(info);
            }
            (Way::Response, Some(trailers)) if self.call.grpc && self.call.tracked => {
                if let (Some(status), Some(stats)) =
                    (trailers.get(HeaderId::GrpcStatus), &self.call.stats)
                {
                    stats.record_status(status);
                }
                self.call.record_time(info);
            }
            _ => {}
        }
    }

    /// Messages so far; the frame that ends a Connect stream is none.
    fn messages(&self) -> u64 {
        let ends = u64::from(self.end_frame != EndFrame::None);
        self.frames.count().saturating_sub(ends)
    }

    fn show(&self, way: Way, count: u64, info: &mut StreamInfo) {
        if !self.call.emit_filter_state {
            return;
        }
        let state = info.filter_state.entry(STATE.to_owned());
        let none = FilterState::GrpcMessages {
            requests: 0,
            responses: 0,
        };
        // Of a call that is unary as well as streaming, Envoy shows nothing.
        let count = if self.call.unary && self.framed {
            0
        } else {
            count
        };
        if let FilterState::GrpcMessages {
            requests,
            responses,
        } = state.or_insert(none)
        {
            match way {
                Way::Request => *requests = count,
                Way::Response => *responses = count,
            }
        }
    }
}

impl EndFrame {
    fn see(&mut self, seen: &Seen<'_>) {
        match (seen, &mut *self) {
            (Seen::Flags(flags), Self::None) if flags & END_OF_STREAM != 0 => {
                *self = Self::Reading(Vec::new());
            }
            (Seen::Payload(payload), Self::Reading(json)) => {
                if json.len() + payload.len() > MAX_END_FRAME {
                    *self = Self::Failure;
                } else {
                    json.extend_from_slice(payload);
                }
            }
            (Seen::End, Self::Reading(json)) => {
                let message: Result<serde_json::Map<_, _>, _> = serde_json::from_slice(json);
                *self = match message {
                    Ok(message) if !message.contains_key("error") => Self::Success,
                    _ => Self::Failure,
                };
            }
            _ => {}
        }
    }
}
