//! Envoy's `ProtocolConstraints`: how much a peer may ask for before its connection ends.

use super::{
    ACK, CONTINUATION, DATA, END_STREAM, Frame, HEADERS, PING, PRIORITY, SETTINGS, WINDOW_UPDATE,
};
use crate::{config::FrameLimits, stats::Http2Stats};

/// What a peer has sent, or asked for, too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    /// Frames that say nothing.
    EmptyFrames,
    Priority,
    WindowUpdate,
    /// Answers that wait because nobody reads them.
    OutboundControl,
    /// Frames of messages that do.
    Outbound,
}

/// The frames of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Constraints {
    limits: FrameLimits,
    empty: u32,
    priorities: u64,
    window_updates: u64,
    /// Streams that were opened, by either side.
    opened: u64,
    /// DATA frames that were sent.
    data_sent: u64,
    /// Frames that must be answered, since the peer was last found to wait.
    unanswered: u32,
}

impl Flood {
    /// Envoy's word for it as the error of a codec.
    pub fn codec_error(self) -> &'static str {
        match self {
            Self::EmptyFrames => "codec_error:Too_many_consecutive_frames_with_an_empty_payload",
            Self::Priority => "codec_error:Too_many_PRIORITY_frames",
            Self::WindowUpdate => "codec_error:Too_many_WINDOW_UPDATE_frames",
            Self::OutboundControl => "codec_error:Too_many_control_frames_in_the_outbound_queue.",
            Self::Outbound => "codec_error:Too_many_frames_in_the_outbound_queue.",
        }
    }

    /// Adds it to the stats of its codec.
    pub fn count(self, stats: &Http2Stats) {
        match self {
            Self::EmptyFrames => stats.inbound_empty_frames_flood.inc(),
            Self::Priority => stats.inbound_priority_frames_flood.inc(),
            Self::WindowUpdate => stats.inbound_window_update_frames_flood.inc(),
            Self::OutboundControl => stats.outbound_control_flood.inc(),
            Self::Outbound => stats.outbound_flood.inc(),
        }
    }
}

impl Constraints {
    pub fn new(limits: FrameLimits) -> Self {
        Self {
            limits,
            empty: 0,
            priorities: 0,
            window_updates: 0,
            opened: 0,
            data_sent: 0,
            unanswered: 0,
        }
    }

    pub fn stream_opened(&mut self) {
        self.opened += 1;
    }

    pub fn data_sent(&mut self) {
        self.data_sent += 1;
    }

    /// So many frames of messages wait to be written.
    pub fn waiting(&self, frames: u32) -> Result<(), Flood> {
        check(frames <= self.limits.outbound, Flood::Outbound)
    }

    /// All that was received is answered.
    pub fn all_answered(&mut self) {
        self.unanswered = 0;
    }

    /// Takes note of a frame that was received.
    pub fn received(&mut self, frame: &Frame) -> Result<(), Flood> {
        let limits = &self.limits;
        match frame.kind {
            DATA | HEADERS | CONTINUATION => {
                if frame.content_length() > 0 || frame.has(END_STREAM) {
                    self.empty = 0;
                    return Ok(());
                }
                self.empty += 1;
                check(self.empty <= limits.empty, Flood::EmptyFrames)
            }
            PRIORITY => {
                self.priorities += 1;
                let allowed = u64::from(limits.priority).saturating_mul(1 + self.opened);
                check(self.priorities <= allowed, Flood::Priority)
            }
            WINDOW_UPDATE => {
                self.window_updates += 1;
                let data = u64::from(limits.window_update).saturating_mul(self.data_sent);
                let allowed = self.opened.saturating_add(data).saturating_mul(2);
                check(
                    self.window_updates <= allowed.saturating_add(5),
                    Flood::WindowUpdate,
                )
            }
            PING | SETTINGS if !frame.has(ACK) => {
                self.unanswered = self.unanswered.saturating_add(1);
                check(
                    self.unanswered <= limits.outbound_control,
                    Flood::OutboundControl,
                )
            }
            _ => Ok(()),
        }
    }
}

fn check(allowed: bool, flood: Flood) -> Result<(), Flood> {
    if allowed { Ok(()) } else { Err(flood) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::frames::Scanner;

    fn frame(kind: u8, flags: u8, length: u8) -> Frame {
        let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        bytes.resize(9 + usize::from(length), 0);
        let mut found = None;
        Scanner::default().scan(&bytes, |frame| {
            found = Some(*frame);
            true
        });
        found.unwrap()
    }

    /// How many frames pass.
    fn pass(constraints: &mut Constraints, frame: &Frame) -> (usize, Flood) {
        for passed in 0.. {
            if let Err(flood) = constraints.received(frame) {
                return (passed, flood);
            }
        }
        unreachable!()
    }

    #[test]
    fn limits_are_those_of_envoy() {
        let mut constraints = Constraints::new(FrameLimits::default());
        let mut passed = |kind, flags, length| pass(&mut constraints, &frame(kind, flags, length));
        assert_eq!(passed(DATA, 0, 0), (1, Flood::EmptyFrames));
        assert_eq!(passed(PRIORITY, 0, 5), (100, Flood::Priority));
        assert_eq!(passed(WINDOW_UPDATE, 0, 4), (5, Flood::WindowUpdate));
        assert_eq!(passed(PING, 0, 8), (1000, Flood::OutboundControl));
    }

    #[test]
    fn streams_and_data_raise_them() {
        let mut constraints = Constraints::new(FrameLimits::default());
        constraints.stream_opened();
        constraints.data_sent();
        let mut passed = |kind| pass(&mut constraints, &frame(kind, 0, 5)).0;
        assert_eq!(passed(PRIORITY), 200);
        assert_eq!(passed(WINDOW_UPDATE), 5 + 2 * (1 + 10));
    }

    #[test]
    fn what_ends_a_stream_or_answers_is_no_flood() {
        let mut constraints = Constraints::new(FrameLimits::default());
        for _ in 0..5000 {
            constraints.received(&frame(DATA, END_STREAM, 0)).unwrap();
            constraints.received(&frame(PING, ACK, 8)).unwrap();
            constraints.received(&frame(SETTINGS, 0, 0)).unwrap();
            constraints.all_answered();
        }
    }
}
