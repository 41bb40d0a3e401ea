//! Watches the frames of a connection for what the codec does not tell or does not limit: floods, and what it found
//! malformed before anybody saw it.

use super::signals::{Signals, Unseen, Violation};
use h2::Reason;
use outrigger_upstream::{
    config::FrameLimits,
    frames::{
        CONTINUATION, Constraints, DATA, END_HEADERS, Flood, Frame, GOAWAY, HEADERS, RST_STREAM,
        Scanner,
    },
};
use std::{io::IoSlice, sync::Arc};

/// Bytes before the first frame of a client.
const PREFACE: usize = 24;
/// Streams whose last frame is known.
const RECENT: usize = 32;

/// What a client has last sent on a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Last {
    #[default]
    Head,
    Trailers,
    Other,
}

/// The head that is being received.
#[derive(Clone, Copy, Debug)]
struct Head {
    stream: u32,
    /// Its last frame has begun.
    ends: bool,
}

/// Both directions of a connection from a client.
#[derive(Debug)]
pub(super) struct Watch {
    signals: Arc<Signals>,
    inbound: Scanner,
    outbound: Scanner,
    preface: usize,
    constraints: Constraints,
    notes: Notes,
    /// Frames of messages that were written.
    written: u32,
    /// A malformed message costs its stream alone.
    lenient: bool,
}

/// What is remembered of the client's streams.
#[derive(Clone, Copy, Debug)]
struct Notes {
    recent: [(u32, Last); RECENT],
    /// The highest stream that the client has opened.
    highest: u32,
    head: Option<Head>,
}

impl Notes {
    fn place(&mut self, stream: u32) -> Option<&mut (u32, Last)> {
        self.recent.get_mut((stream / 2) as usize % RECENT)
    }

    fn set(&mut self, stream: u32, last: Last) {
        if let Some(place) = self.place(stream) {
            *place = (stream, last);
        }
    }

    fn last(&mut self, stream: u32) -> Option<Last> {
        let (of, last) = *self.place(stream)?;
        (of == stream).then_some(last)
    }
}

impl Watch {
    pub fn new(signals: Arc<Signals>, limits: FrameLimits, lenient: bool) -> Self {
        Self {
            signals,
            inbound: Scanner::default(),
            outbound: Scanner::default(),
            preface: PREFACE,
            constraints: Constraints::new(limits),
            notes: Notes {
                recent: [(0, Last::Head); RECENT],
                highest: 0,
                head: None,
            },
            written: 0,
            lenient,
        }
    }

    /// The client waits for us: all that it sent was looked at, and all that was said to it is written.
    pub fn idle(&mut self) {
        self.constraints.all_answered();
        // Frames of streams that were reset are never written.
        self.written = self.signals.handed();
    }

    /// The client does not read what was written.
    pub fn blocked(&mut self) {
        // The codec may have written one as several.
        let waiting = self
            .signals
            .handed()
            .wrapping_sub(self.written)
            .cast_signed();
        if let Err(flood) = self.constraints.waiting(waiting.max(0).cast_unsigned()) {
            self.signals.raise(Violation::Flood(flood, 0));
        }
    }

    /// Looks at what was received; how much of it may go to the codec.
    pub fn received(&mut self, bytes: &[u8]) -> usize {
        let preface = self.preface.min(bytes.len());
        self.preface -= preface;
        let (constraints, notes) = (&mut self.constraints, &mut self.notes);
        let mut found = None;
        let stop = self.inbound.scan(
            bytes.get(preface..).unwrap_or_default(),
            |frame| match inbound(notes, constraints, frame) {
                Ok(()) => true,
                Err(flood) => {
                    found = Some(Violation::Flood(flood, frame.stream));
                    false
                }
            },
        );
        let complete = notes.head.is_some_and(|head| head.ends) && self.inbound.payload_passed();
        if complete {
            notes.head = None;
        }
        self.signals
            .set_head(notes.head.map_or(0, |head| head.stream));
        if let Some(violation) = found {
            self.signals.raise(violation);
        }
        stop.map_or(bytes.len(), |at| preface + at)
    }

    /// Looks at what the codec is about to write; how much of it may pass.
    pub fn may_write(&mut self, bufs: &[IoSlice<'_>]) -> usize {
        let mut scanner = self.outbound;
        let mut length = 0;
        let mut found = None;
        for buf in bufs {
            let (signals, notes, lenient) = (&self.signals, &mut self.notes, self.lenient);
            let stop = scanner.scan(buf, |frame| {
                found = malformed(signals, notes, frame).filter(|_| !lenient);
                found.is_none()
            });
            if let Some(violation) = found {
                self.signals.raise(violation);
                return length + stop.unwrap_or(0);
            }
            length += buf.len();
        }
        length
    }

    /// So much of it was written.
    pub fn wrote(&mut self, bufs: &[IoSlice<'_>], mut length: usize) {
        let (signals, notes) = (&self.signals, &mut self.notes);
        let (constraints, written) = (&mut self.constraints, &mut self.written);
        for buf in bufs {
            let piece = buf.get(..length.min(buf.len())).unwrap_or_default();
            length -= piece.len();
            self.outbound.scan(piece, |frame| {
                match frame.kind {
                    DATA => {
                        constraints.data_sent();
                        *written = written.wrapping_add(1);
                    }
                    HEADERS => *written = written.wrapping_add(1),
                    _ => {}
                }
                note_unseen(signals, notes, frame);
                true
            });
        }
    }

    /// Whether frames of our own may be written now.
    pub fn is_between_frames(&self) -> bool {
        self.outbound.is_between_frames()
    }
}

/// A frame of the client.
fn inbound(notes: &mut Notes, constraints: &mut Constraints, frame: &Frame) -> Result<(), Flood> {
    if notes.head.is_some_and(|head| head.ends) {
        notes.head = None;
    }
    let stream = frame.stream;
    match frame.kind {
        HEADERS if stream % 2 == 1 && stream > notes.highest => {
            notes.highest = stream;
            notes.set(stream, Last::Head);
            notes.head = Some(Head {
                stream,
                ends: frame.has(END_HEADERS),
            });
            constraints.stream_opened();
        }
        HEADERS => notes.set(stream, Last::Trailers),
        CONTINUATION => {
            if let Some(head) = &mut notes.head {
                head.ends = frame.has(END_HEADERS);
            }
        }
        _ => notes.set(stream, Last::Other),
    }
    constraints.received(frame)
}

/// Whether a frame of the codec says that it has found a message malformed.
fn malformed(signals: &Signals, notes: &mut Notes, frame: &Frame) -> Option<Violation> {
    let protocol_error = u32::from(Reason::PROTOCOL_ERROR);
    match frame.kind {
        RST_STREAM if frame.reset_code() == protocol_error => match notes.last(frame.stream)? {
            Last::Head => Some(Violation::Head(frame.stream)),
            Last::Trailers => Some(Violation::Trailers(frame.stream)),
            Last::Other => None,
        },
        GOAWAY => {
            let (last, code) = frame.go_away();
            let highest = notes.highest;
            // A head that something else has interrupted is not what is wrong.
            let interrupted = notes.head.is_some_and(|head| !head.ends);
            if code != protocol_error || interrupted {
                None
            } else if last < highest && !signals.is_accepted(highest) {
                // The codec gave up before it knew of the stream: it could not read its head.
                Some(Violation::Head(highest))
            } else {
                let trailers = notes.last(highest) == Some(Last::Trailers);
                trailers.then_some(Violation::Trailers(highest))
            }
        }
        _ => None,
    }
}

/// Notes what the codec says to a stream that nobody else has seen.
fn note_unseen(signals: &Signals, notes: &mut Notes, frame: &Frame) {
    if frame.kind == HEADERS && !signals.is_accepted(frame.stream) {
        // It answers heads that are too large by itself, and then resets the stream.
        notes.set(frame.stream, Last::Other);
        return signals.note(Unseen::TooLarge);
    }
    if frame.kind == RST_STREAM && frame.reset_code() == u32::from(Reason::REFUSED_STREAM) {
        return signals.note(Unseen::Refused);
    }
    match malformed(signals, notes, frame) {
        Some(Violation::Head(stream)) if !signals.is_accepted(stream) => {
            signals.note(Unseen::Malformed);
        }
        Some(Violation::Trailers(stream)) => signals.set_malformed_trailers(stream),
        _ => {}
    }
}
