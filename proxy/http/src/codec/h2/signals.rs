//! What the frames of a connection tell its manager and its streams, which do not see them.

use super::server::Ending;
use outrigger_upstream::frames::Flood;
use parking_lot::Mutex;
use std::sync::{
    OnceLock,
    atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
};

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// On this stream, if on one.
    Flood(Flood, u32),
    /// The head of this stream was malformed.
    Head(u32),
    /// The trailers of this stream were.
    Trailers(u32),
}

/// Shared by the socket under a codec, the connection on top of it, and its streams.
#[derive(Debug, Default)]
pub struct Signals {
    /// The last stream that the codec has shown.
    accepted: AtomicU32,
    /// The stream whose head is on its way, or zero.
    head: AtomicU32,
    /// Frames of messages that were handed to the codec.
    handed: AtomicU32,
    /// Streams with a malformed head that the codec has reset before it showed them.
    unseen_malformed: AtomicU32,
    /// Streams with too large a head that the codec has answered.
    unseen_oversize: AtomicU32,
    /// Heads that the codec has refused because there are too many streams.
    refused: AtomicU32,
    /// The last stream that was reset for its trailers.
    trailers: AtomicU32,
    violation: OnceLock<Violation>,
    /// What streams that it ends say of the end of their connection.
    cause: OnceLock<Ending>,
    /// Frames of our own to write between those of the codec.
    extra: Mutex<Vec<u8>>,
    has_extra: AtomicBool,
    /// A stream has begun its response while the server drains.
    draining: AtomicBool,
}

impl Signals {
    /// The codec has shown a stream.
    pub fn accept(&self, stream: u32) {
        self.accepted.fetch_max(stream, Relaxed);
    }

    pub(super) fn is_accepted(&self, stream: u32) -> bool {
        stream <= self.accepted()
    }

    pub(super) fn set_head(&self, stream: u32) {
        self.head.store(stream, Relaxed);
    }

    /// The stream whose head has begun to arrive, and is not complete.
    pub fn head(&self) -> Option<u32> {
        Some(self.head.load(Relaxed)).filter(|&stream| stream != 0)
    }

    /// A frame of a message goes to the codec.
    pub(super) fn hand(&self) {
        self.handed.fetch_add(1, Relaxed);
    }

    pub(super) fn handed(&self) -> u32 {
        self.handed.load(Relaxed)
    }

    pub(super) fn note(&self, unseen: Unseen) {
        self.unseen(unseen).fetch_add(1, Relaxed);
    }

    /// How many such streams there were since somebody asked.
    pub fn take(&self, unseen: Unseen) -> u32 {
        let count = self.unseen(unseen);
        match count.load(Relaxed) {
            0 => 0,
            _ => count.swap(0, Relaxed),
        }
    }

    fn unseen(&self, unseen: Unseen) -> &AtomicU32 {
        match unseen {
            Unseen::Malformed => &self.unseen_malformed,
            Unseen::TooLarge => &self.unseen_oversize,
            Unseen::Refused => &self.refused,
        }
    }

    pub(super) fn set_malformed_trailers(&self, stream: u32) {
        self.trailers.store(stream, Relaxed);
    }

    /// Whether the codec has reset this stream for its trailers.
    pub(super) fn has_malformed_trailers(&self, stream: u32) -> bool {
        self.trailers.load(Relaxed) == stream
    }

    /// The first violation is the one that counts.
    pub(super) fn raise(&self, violation: Violation) {
        // Another one is why the connection ends already.
        let _ = self.violation.set(violation);
    }

    pub fn violation(&self) -> Option<Violation> {
        self.violation.get().copied()
    }

    /// The connection is about to end: how its streams do then.
    pub fn set_cause(&self, ending: Ending) {
        // Whatever came first has ended it.
        let _ = self.cause.set(ending);
    }

    /// How a stream has ended with its connection.
    pub fn cause(&self, stream: u32) -> Ending {
        match self.violation() {
            Some(Violation::Flood(Flood::EmptyFrames, on)) if on == stream => {
                Ending::Violation("http2.inbound_empty_frames_flood")
            }
            Some(Violation::Trailers(on)) if on == stream => Ending::Violation(MESSAGING_RULE),
            _ => self.cause.get().copied().unwrap_or(Ending::Closed),
        }
    }

    /// The last stream that the codec has shown.
    pub fn accepted(&self) -> u32 {
        self.accepted.load(Relaxed)
    }

    /// A stream begins its response while the server drains: its connection is to say so at once.
    pub(super) fn ask_to_drain(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Whether one has.
    pub fn is_asked_to_drain(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Frames to write as soon as the codec is between two.
    pub fn write(&self, frames: &[u8]) {
        self.extra.lock().extend_from_slice(frames);
        self.has_extra.store(true, Relaxed);
    }

    pub(super) fn has_extra(&self) -> bool {
        self.has_extra.load(Relaxed)
    }

    pub(super) fn take_extra(&self) -> Vec<u8> {
        self.has_extra.store(false, Relaxed);
        std::mem::take(&mut *self.extra.lock())
    }
}

/// Streams that end without that the connection manager has seen them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unseen {
    Malformed,
    TooLarge,
    Refused,
}

/// The details of a malformed message.
pub const MESSAGING_RULE: &str = "http2.violation.of.messaging.rule";
