//! A request or a response that is sent over and over, as the bytes of its frames.

use outrigger_tests::http2::frame::{DATA, END_HEADERS, END_STREAM, Frame, HEADER, HEADERS};

/// Lines of the static table that are known whole.
const WHOLE: [(&str, &str, u8); 5] = [
    (":method", "GET", 2),
    (":method", "POST", 3),
    (":path", "/", 4),
    (":scheme", "http", 6),
    (":status", "200", 8),
];
/// Names of the static table.
const NAMES: [(&str, u8); 6] = [
    (":authority", 1),
    (":path", 4),
    ("accept", 19),
    ("content-length", 28),
    ("content-type", 31),
    ("user-agent", 58),
];
/// Names whose values usually differ from message to message: real clients keep them out of the table.
const NEVER_ENTERED: [&str; 2] = [":path", "content-length"];
/// The place of the newest line of the dynamic table.
const NEWEST: u8 = 62;

/// A new size of the dynamic table: none.
const NO_TABLE: u8 = 0x20;

/// Name and value.
type Line = (String, String);

/// The bytes of all frames, and where the number of the stream belongs.
#[derive(Clone, Debug, Default)]
struct Bytes {
    bytes: Vec<u8>,
    streams: Vec<usize>,
}

impl Bytes {
    fn frame(&mut self, kind: u8, flags: u8, payload: &[u8]) {
        self.streams.push(self.bytes.len() + HEADER - 4);
        Frame {
            kind,
            flags,
            stream: 0,
            payload,
        }
        .write(&mut self.bytes);
    }

    fn end(&mut self) {
        // The flags stand before the number of the stream.
        if let Some(last) = self.streams.last().copied() {
            self.bytes[last - 1] |= END_STREAM;
        }
    }

    fn write(&self, out: &mut Vec<u8>, stream: u32) {
        let begin = out.len();
        out.extend_from_slice(&self.bytes);
        for at in &self.streams {
            out[begin + at..begin + at + 4].copy_from_slice(&stream.to_be_bytes());
        }
    }
}

/// It enters its lines in the peer's HPACK table when it is sent for the first time, and names their places from then on:
/// what a client or server does that says the same all the time.
#[derive(Clone, Debug, Default)]
pub struct Message {
    first: Bytes,
    again: Bytes,
    plain: Bytes,
    /// Lines that belong into the dynamic table.
    lines: Vec<Line>,
    heads: Vec<Vec<Line>>,
    parts: Vec<Part>,
    data: usize,
}

/// How a message is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// It is the first on its connection.
    First,
    /// Its lines stand in the table.
    Again,
    /// The peer has no table.
    Plain,
}

#[derive(Clone, Debug)]
enum Part {
    Head(usize),
    Data(Vec<u8>),
}

impl Message {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a head, or trailers.
    pub fn head(mut self, lines: &[(&str, &str)]) -> Self {
        let lines: Vec<_> = lines
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        for line in lines.iter().filter(|line| is_entered(line)) {
            self.lines.push(line.clone());
        }
        self.parts.push(Part::Head(self.heads.len()));
        self.heads.push(lines);
        self
    }

    /// Adds a piece of the body.
    pub fn data(mut self, data: &[u8]) -> Self {
        self.data += data.len();
        self.parts.push(Part::Data(data.to_vec()));
        self
    }

    /// Encodes it; what was added last ends the stream.
    pub fn end(mut self) -> Self {
        for part in &self.parts {
            match part {
                Part::Data(data) => {
                    self.first.frame(DATA, 0, data);
                    self.again.frame(DATA, 0, data);
                    self.plain.frame(DATA, 0, data);
                }
                Part::Head(index) => {
                    let lines = &self.heads[*index];
                    let all = |encode: &dyn Fn(&Line) -> Vec<u8>| -> Vec<u8> {
                        lines.iter().flat_map(encode).collect()
                    };
                    let first = all(&|line| literal(line, is_entered(line)));
                    let again = all(&|line| self.place(line));
                    let plain = [vec![NO_TABLE], all(&|line| literal(line, false))].concat();
                    self.first.frame(HEADERS, END_HEADERS, &first);
                    self.again.frame(HEADERS, END_HEADERS, &again);
                    self.plain.frame(HEADERS, END_HEADERS, &plain);
                }
            }
        }
        self.first.end();
        self.again.end();
        self.plain.end();
        self
    }

    /// Bytes of its body: what it takes of the windows.
    pub fn data_length(&self) -> usize {
        self.data
    }

    /// Appends it.
    pub fn write(&self, out: &mut Vec<u8>, stream: u32, form: Form) {
        let bytes = match form {
            Form::First => &self.first,
            Form::Again => &self.again,
            Form::Plain => &self.plain,
        };
        bytes.write(out, stream);
    }

    /// A line by its place in the table once all lines are entered.
    fn place(&self, line: &Line) -> Vec<u8> {
        match self.lines.iter().rev().position(|entered| entered == line) {
            Some(age) if is_entered(line) => vec![0x80 | (NEWEST + age as u8)],
            _ => literal(line, false),
        }
    }
}

fn whole((name, value): &Line) -> Option<u8> {
    WHOLE
        .iter()
        .find_map(|(n, v, place)| (n == name && v == value).then_some(0x80 | place))
}

fn is_entered(line: &Line) -> bool {
    whole(line).is_none() && !NEVER_ENTERED.contains(&line.0.as_str())
}

/// A line as one that the peer does not know yet, and that it enters if told so.
fn literal(line: &Line, enter: bool) -> Vec<u8> {
    if let Some(place) = whole(line) {
        return vec![place];
    }
    let (name, value) = line;
    let known = NAMES.iter().find(|(known, _)| known == name);
    let known = known.map_or(0, |(_, place)| *place);
    let mut out = if enter {
        vec![0x40 | known]
    } else if known < 15 {
        vec![known]
    } else {
        // Four bits of the first byte, the rest in a second one.
        vec![15, known - 15]
    };
    if known == 0 {
        string(&mut out, name);
    }
    string(&mut out, value);
    out
}

fn string(out: &mut Vec<u8>, text: &str) {
    assert!(
        text.len() < 127,
        "{text} takes more than one byte of length"
    );
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::h2::{Exchange, GRPC_PATH};

    fn written(message: &Message, form: Form) -> Vec<u8> {
        let mut out = Vec::new();
        message.write(&mut out, 9, form);
        out
    }

    #[test]
    fn lines_are_entered_once_and_then_named() {
        let message = Message::new()
            .head(&[(":status", "200"), ("a", "b"), ("content-length", "7")])
            .data(b"7 bytes")
            .head(&[("c", "d")])
            .end();
        let first = written(&message, Form::First);
        assert_eq!(first[9..], *b"\x88\x40\x01a\x01b\x0f\x0d\x017\0\0\x07\0\0\0\0\0\x097 bytes\0\0\x05\x01\x05\0\0\0\x09\x40\x01c\x01d");
        let plain = written(&message, Form::Plain);
        assert_eq!(plain[9..21], *b"\x20\x88\0\x01a\x01b\x0f\x0d\x017\0");
        let again = written(&message, Form::Again);
        assert_eq!(again[9..15], *b"\x88\xbf\x0f\x0d\x017");
        assert_eq!(again[again.len() - 1], 0x80 | 62);
        assert_eq!(message.data_length(), 7);
    }

    #[test]
    fn each_frame_names_the_stream_and_the_last_ends_it() {
        for exchange in [Exchange::Get, Exchange::Grpc] {
            for message in [exchange.request(), exchange.response()] {
                for form in [Form::First, Form::Again, Form::Plain] {
                    let bytes = written(message, form);
                    let (mut rest, mut ends) = (&bytes[..], Vec::new());
                    while let Some(frame) = Frame::read(rest) {
                        assert_eq!(frame.stream, 9);
                        ends.push(frame.has(END_STREAM));
                        rest = &rest[frame.size()..];
                    }
                    assert!(rest.is_empty());
                    assert_eq!(ends.iter().position(|end| *end), Some(ends.len() - 1));
                }
            }
        }
    }

    #[test]
    fn a_path_is_never_entered() {
        let request = Exchange::Grpc.request();
        for form in [Form::First, Form::Again, Form::Plain] {
            let bytes = written(request, form);
            let found = memchr::memmem::find(&bytes, GRPC_PATH.as_bytes()).unwrap();
            assert_eq!(bytes[found - 2..found], [4, GRPC_PATH.len() as u8]);
        }
    }
}
