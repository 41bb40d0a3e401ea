//! Watches the frames of a connection for what the codec does not tell or does not limit: floods, and what it found
//! malformed before anybody saw it.

use super::signals::{Signals, Unseen, Violation};
use h2::Reason;
use outrigger_upstream::{
    config::FrameLimits,
    frames::{
        CONTINUATION, Constraints, DATA, END_HEADERS, Flood, Frame, GOAWAY, HEADERS, PRIORITY,
        RST_STREAM, Scanner,
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
        DATA | PRIORITY => notes.set(stream, Last::Other),
        _ => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap_or(0);
        let mut out = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
        out.extend_from_slice(payload);
        out
    }

    fn reset(stream: u8, reason: Reason) -> Vec<u8> {
        frame(RST_STREAM, 0, stream, &u32::from(reason).to_be_bytes())
    }

    fn watch(lenient: bool) -> (Watch, Arc<Signals>) {
        let signals = Arc::new(Signals::default());
        let mut watch = Watch::new(signals.clone(), FrameLimits::default(), lenient);
        assert_eq!(watch.received(&[b'x'; PREFACE]), PREFACE);
        (watch, signals)
    }

    fn write(watch: &mut Watch, bytes: &[u8]) -> usize {
        let bufs = [IoSlice::new(bytes)];
        let allowed = watch.may_write(&bufs);
        watch.wrote(&bufs, allowed);
        allowed
    }

    #[test]
    fn a_reset_right_after_a_head_is_a_violation() {
        let (mut watch, signals) = watch(false);
        watch.received(&frame(HEADERS, END_HEADERS, 1, b"x"));
        let answers = [frame(4, 1, 0, b""), reset(1, Reason::PROTOCOL_ERROR)].concat();
        assert_eq!(write(&mut watch, &answers), 9);
        assert_eq!(signals.violation(), Some(Violation::Head(1)));
    }

    #[test]
    fn resets_for_other_reasons_pass() {
        let (mut watch, signals) = watch(false);
        watch.received(&frame(HEADERS, END_HEADERS, 1, b"x"));
        write(&mut watch, &reset(1, Reason::FLOW_CONTROL_ERROR));
        watch.received(&frame(HEADERS, END_HEADERS, 3, b"x"));
        watch.received(&frame(DATA, 0, 3, b"more than its length"));
        write(&mut watch, &reset(3, Reason::PROTOCOL_ERROR));
        assert_eq!(signals.violation(), None);
        watch.received(&frame(HEADERS, END_HEADERS, 3, b"x"));
        write(&mut watch, &reset(3, Reason::PROTOCOL_ERROR));
        assert_eq!(signals.violation(), Some(Violation::Trailers(3)));
    }

    #[test]
    fn a_lenient_connection_notes_what_nobody_saw() {
        let (mut watch, signals) = watch(true);
        for stream in [1, 3, 5] {
            watch.received(&frame(HEADERS, END_HEADERS, stream, b"x"));
        }
        signals.accept(1);
        for stream in [1, 3] {
            write(&mut watch, &reset(stream, Reason::PROTOCOL_ERROR));
        }
        let own_answer = frame(HEADERS, END_HEADERS, 5, b"x");
        write(&mut watch, &own_answer);
        write(&mut watch, &reset(5, Reason::PROTOCOL_ERROR));
        assert_eq!(signals.violation(), None);
        assert_eq!(signals.take(Unseen::Malformed), 1);
        assert_eq!(signals.take(Unseen::TooLarge), 1);
        assert_eq!(signals.take(Unseen::Malformed), 0);
    }

    #[test]
    fn what_leads_to_a_flood_passes_and_the_rest_does_not() {
        let (mut watch, signals) = watch(false);
        let head = frame(HEADERS, END_HEADERS, 1, b"x");
        let empty = frame(DATA, 0, 1, b"");
        let all = [&head[..], &empty, &empty, &empty].concat();
        assert_eq!(watch.received(&all), head.len() + empty.len());
        let flood = Violation::Flood(Flood::EmptyFrames, 1);
        assert_eq!(signals.violation(), Some(flood));
    }

    #[test]
    fn a_head_is_on_its_way_until_its_last_byte() {
        let (mut watch, signals) = watch(false);
        let (head, rest) = (
            frame(HEADERS, 0, 1, b"x"),
            frame(CONTINUATION, END_HEADERS, 1, b"yz"),
        );
        watch.received(&head);
        assert_eq!(signals.head(), Some(1));
        let (begin, end) = rest.split_at(10);
        watch.received(begin);
        assert_eq!(signals.head(), Some(1));
        watch.received(end);
        assert_eq!(signals.head(), None);
        watch.received(&frame(HEADERS, END_HEADERS, 1, b"trailers")[..12]);
        assert_eq!(signals.head(), None);
    }

    #[test]
    fn frames_wait_only_until_the_client_is_idle() {
        let (mut watch, signals) = watch(false);
        for _ in 0..=FrameLimits::default().outbound {
            signals.hand();
        }
        watch.idle();
        watch.blocked();
        assert_eq!(signals.violation(), None);
        for _ in 0..=FrameLimits::default().outbound {
            signals.hand();
        }
        watch.blocked();
        let flood = Violation::Flood(Flood::Outbound, 0);
        assert_eq!(signals.violation(), Some(flood));
    }
}
