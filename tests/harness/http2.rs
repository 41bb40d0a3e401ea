//! Just enough HTTP/2 to play scripts: frames written by hand, so that a case can send what no library would, and frames
//! read by the `h2` crate's decoder. Synchronous like the rest of the harness: what was received is decoded from its
//! beginning whenever somebody asks.

pub mod burst;
pub mod frame;

use crate::bytes::{raw, show};
use frame::{
    ACK, GOAWAY, PING, PREFACE, PRIORITY, RST_STREAM, SETTINGS, WIDEST_WINDOW, data, frame, head,
    settings, window_update, windows,
};
use futures_util::Stream as _;
use h2::frame::{Frame, Reason};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One frame of the other side, as far as scripts and reports care.
#[derive(Debug)]
pub enum Event {
    Headers {
        stream: u32,
        lines: Vec<String>,
        end: bool,
    },
    Data {
        stream: u32,
        bytes: Vec<u8>,
        end: bool,
    },
    Reset {
        stream: u32,
        code: Reason,
    },
    GoAway {
        last: u32,
        code: Reason,
    },
    Settings,
    Ping([u8; 8]),
    Other,
    /// What is no frame ends the reading.
    Broken(String),
}

/// Everything of one stream, in the order in which it came.
#[derive(Debug, Default)]
pub struct Stream {
    /// Heads and trailers as lines, bodies between them.
    pub lines: Vec<String>,
    pub body: Vec<u8>,
    pub heads: usize,
    /// The final head of a response is there, or the only one of a request.
    pub headed: bool,
    pub ended: bool,
    pub reset: Option<Reason>,
}

impl Stream {
    fn flush_body(&mut self) {
        if !self.body.is_empty() {
            let body = std::mem::take(&mut self.body);
            let line = format!("body[{}]: {}", body.len(), show(&body));
            self.lines.push(line);
        }
    }

    /// Nothing more will come on it.
    pub fn done(&self) -> bool {
        self.ended || self.reset.is_some()
    }
}

/// One side of a connection that speaks HTTP/2.
#[derive(Debug)]
pub struct Session {
    server: bool,
    next: u32,
    settings_answered: usize,
    pings_answered: usize,
    /// Messages that reads have consumed.
    taken: usize,
    /// The stream that `respond` answers.
    pub current: u32,
}

impl Session {
    pub fn new(server: bool) -> Self {
        Self {
            server,
            next: 1,
            settings_answered: 0,
            pings_answered: 0,
            taken: 0,
            current: 1,
        }
    }

    /// The first bytes of this side; `window` is how much the peer may send on one stream.
    pub fn opening(&self, window: Option<u32>) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.server {
            out.extend(PREFACE);
        }
        windows(&mut out, window.unwrap_or(WIDEST_WINDOW));
        out
    }

    /// A message in the block form of HTTP/1, as frames on the next stream, or on the current one for a server.
    pub fn message(&mut self, text: &str) -> Vec<u8> {
        let (lines, body) = match text.split_once("\n\n") {
            Some((lines, body)) => (lines, Some(body.strip_suffix('\n').unwrap_or(body))),
            None => (text.trim_end_matches('\n'), None),
        };
        let mut lines = lines.split('\n');
        let start: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        let mut fields = Vec::new();
        let stream = if self.server {
            fields.push((
                ":status".to_owned(),
                start.get(1).copied().unwrap_or("200").to_owned(),
            ));
            self.current
        } else {
            fields.push((
                ":method".to_owned(),
                start.first().copied().unwrap_or_default().to_owned(),
            ));
            fields.push((":scheme".to_owned(), "http".to_owned()));
            self.next += 2;
            self.next - 2
        };
        let mut trailers = Vec::new();
        for line in lines {
            let (name, value) = split_field(line);
            match name.strip_prefix("trailer-") {
                Some(name) => trailers.push((name.to_owned(), value)),
                None if !self.server && name == "host" => {
                    fields.push((":authority".to_owned(), value));
                }
                None => fields.push((name, value)),
            }
        }
        if !self.server {
            let path = start.get(1).copied().unwrap_or("/").to_owned();
            let pseudo = fields.iter().take_while(|(name, _)| name.starts_with(':'));
            fields.insert(pseudo.count(), (":path".to_owned(), path));
        }
        let interim = self.server && start.get(1).is_some_and(|code| code.starts_with('1'));
        let bodiless = body.is_none() && trailers.is_empty() && !interim;
        let mut out = Vec::new();
        head(&mut out, stream, &fields, bodiless);
        if let Some(body) = body {
            data(&mut out, stream, &raw(body), trailers.is_empty());
        }
        if !trailers.is_empty() {
            head(&mut out, stream, &trailers, true);
        }
        out
    }

    /// The frames that a step of a script spells out, one per line; lines that begin with two blanks are its headers.
    pub fn frames(&mut self, text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |index: usize| -> u32 {
                match words.get(index) {
                    Some(&"current") => self.current,
                    Some(&"next") => self.next,
                    Some(&"last") => self.next.saturating_sub(2),
                    Some(word) => word.parse().unwrap_or(0),
                    None => 0,
                }
            };
            let stream = number(1);
            let end = words.get(2) == Some(&"end");
            match words.first().copied().unwrap_or_default() {
                "HEADERS" => {
                    let mut fields = Vec::new();
                    while let Some(field) = lines.next_if(|next| next.starts_with("  ")) {
                        fields.push(split_field(field.trim_start()));
                    }
                    head(&mut out, stream, &fields, end);
                    if !self.server {
                        self.next = self.next.max(stream + 2);
                    }
                }
                "DATA" => {
                    let text = words
                        .get(if end { 3 } else { 2 }..)
                        .unwrap_or_default()
                        .join(" ");
                    data(&mut out, stream, &raw(&text), end);
                }
                "RST_STREAM" => frame(&mut out, RST_STREAM, 0, stream, &number(2).to_be_bytes()),
                "PRIORITY" => frame(&mut out, PRIORITY, 0, stream, &[0, 0, 0, 0, 15]),
                "SETTINGS" => {
                    let setting = |word: &&str| {
                        let (id, value) = word.split_once('=').unwrap_or(("0", "0"));
                        (id.parse().unwrap_or(0), value.parse().unwrap_or(0))
                    };
                    let said: Vec<(u16, u32)> = words.iter().skip(1).map(setting).collect();
                    settings(&mut out, &said);
                }
                "PING" => frame(&mut out, PING, 0, 0, b"01234567"),
                "GOAWAY" => {
                    let payload = [stream.to_be_bytes(), number(2).to_be_bytes()].concat();
                    frame(&mut out, GOAWAY, 0, 0, &payload);
                }
                "WINDOW_UPDATE" => window_update(&mut out, stream, number(2)),
                // Anything else: type, flags, stream, then the payload.
                "RAW" => {
                    let byte = |index| u8::try_from(number(index)).unwrap_or(0);
                    let payload = words.get(4..).unwrap_or_default().join(" ");
                    frame(&mut out, byte(1), byte(2), number(3), &raw(&payload));
                }
                _ => {}
            }
        }
        out
    }

    /// What a peer must answer of what it has received so far, once.
    pub fn answers(&mut self, received: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let events = self.events(received);
        let said = events
            .iter()
            .filter(|e| matches!(e, Event::Settings))
            .count();
        for _ in self.settings_answered..said {
            frame(&mut out, SETTINGS, ACK, 0, &[]);
        }
        self.settings_answered = said;
        let pings: Vec<[u8; 8]> = events
            .iter()
            .filter_map(|e| match e {
                Event::Ping(payload) => Some(*payload),
                _ => None,
            })
            .collect();
        for payload in pings.iter().skip(self.pings_answered) {
            frame(&mut out, PING, ACK, 0, payload);
        }
        self.pings_answered = pings.len();
        out
    }

    fn events(&self, received: &[u8]) -> Vec<Event> {
        let skip = if self.server { PREFACE.len() } else { 0 };
        decode(received.get(skip..).unwrap_or_default())
    }

    /// The streams of what was received.
    pub fn streams(&self, received: &[u8]) -> BTreeMap<u32, Stream> {
        streams(&self.events(received))
    }

    /// Consumes the next message for which `ready` holds; streams are taken in their order.
    pub fn take(&mut self, received: &[u8], ready: impl Fn(&Stream) -> bool) -> bool {
        let streams = self.streams(received);
        let Some((id, stream)) = streams.iter().nth(self.taken) else {
            return false;
        };
        if !ready(stream) {
            return false;
        }
        self.taken += 1;
        self.current = *id;
        true
    }

    /// All that came, as lines: stream by stream, then what concerns the connection.
    pub fn transcript(&self, received: &[u8]) -> Vec<String> {
        let events = self.events(received);
        let mut out = Vec::new();
        for (id, mut stream) in streams(&events) {
            stream.flush_body();
            out.push(format!("stream {id}"));
            out.extend(stream.lines);
            match stream.reset {
                Some(code) => out.push(format!("RST_STREAM {code:?}")),
                None if stream.ended => {}
                None => out.push("(stream open)".to_owned()),
            }
        }
        for event in events {
            match event {
                Event::GoAway { last, code } => out.push(format!("GOAWAY {last} {code:?}")),
                Event::Broken(text) => out.push(format!("no HTTP/2: {text}")),
                _ => {}
            }
        }
        out
    }
}

fn streams(events: &[Event]) -> BTreeMap<u32, Stream> {
    let mut out: BTreeMap<u32, Stream> = BTreeMap::new();
    for event in events {
        match event {
            Event::Headers { stream, lines, end } => {
                let stream = out.entry(*stream).or_default();
                stream.flush_body();
                let interim = lines.iter().any(|line| line.starts_with(":status: 1"));
                if stream.headed {
                    stream
                        .lines
                        .extend(lines.iter().map(|line| format!("trailer {line}")));
                } else {
                    stream.lines.extend(lines.iter().cloned());
                }
                stream.heads += 1;
                stream.headed |= !interim;
                stream.ended |= end;
            }
            Event::Data { stream, bytes, end } => {
                let stream = out.entry(*stream).or_default();
                stream.body.extend(bytes);
                stream.ended |= end;
            }
            Event::Reset { stream, code } => {
                out.entry(*stream).or_default().reset.get_or_insert(*code);
            }
            _ => {}
        }
    }
    out
}

/// `name: value`; pseudo headers keep their colon.
fn split_field(line: &str) -> (String, String) {
    let (start, rest) = match line.strip_prefix(':') {
        Some(rest) => (":", rest),
        None => ("", line),
    };
    let (name, value) = rest.split_once(':').unwrap_or((rest, ""));
    let value = value.strip_prefix(' ').unwrap_or(value);
    (format!("{start}{name}"), value.to_owned())
}

/// Bytes in hand as a socket that has no more to say.
struct Bytes<'a>(&'a [u8]);

impl AsyncRead for Bytes<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        if this.0.is_empty() {
            return Poll::Pending;
        }
        let length = this.0.len().min(buf.remaining());
        let (now, later) = this.0.split_at(length);
        buf.put_slice(now);
        this.0 = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bytes<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Every whole frame at the beginning of `bytes`.
fn decode(bytes: &[u8]) -> Vec<Event> {
    let mut codec: h2::Codec<Bytes<'_>, bytes::Bytes> = h2::Codec::new(Bytes(bytes));
    codec.set_max_recv_header_list_size(1 << 24);
    let mut cx = Context::from_waker(Waker::noop());
    let mut out = Vec::new();
    while let Poll::Ready(Some(frame)) = Pin::new(&mut codec).poll_next(&mut cx) {
        match frame {
            Ok(frame) => out.push(event(frame)),
            Err(error) => {
                out.push(Event::Broken(format!("{error:?}")));
                break;
            }
        }
    }
    out
}

fn event(frame: Frame) -> Event {
    match frame {
        Frame::Headers(headers) => {
            let (stream, end) = (headers.stream_id().into(), headers.is_end_stream());
            let (pseudo, fields) = headers.into_parts();
            let mut lines = Vec::new();
            let mut pseudo_line = |name: &str, value: Option<String>| {
                lines.extend(value.map(|value| format!("{name}: {}", show(value.as_bytes()))));
            };
            pseudo_line(":method", pseudo.method.map(|m| m.to_string()));
            pseudo_line(":scheme", pseudo.scheme.map(|s| s.to_string()));
            pseudo_line(":authority", pseudo.authority.map(|a| a.to_string()));
            pseudo_line(":path", pseudo.path.map(|p| p.to_string()));
            pseudo_line(":protocol", pseudo.protocol.map(|p| p.as_str().to_owned()));
            pseudo_line(":status", pseudo.status.map(|s| s.as_str().to_owned()));
            let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
                format!("{name}: {}", show(value.as_bytes()))
            };
            lines.extend(fields.iter().map(line));
            Event::Headers { stream, lines, end }
        }
        Frame::Data(data) => Event::Data {
            stream: data.stream_id().into(),
            end: data.is_end_stream(),
            bytes: data.into_payload().to_vec(),
        },
        Frame::Reset(reset) => Event::Reset {
            stream: reset.stream_id().into(),
            code: reset.reason(),
        },
        Frame::GoAway(away) => Event::GoAway {
            last: away.last_stream_id().into(),
            code: away.reason(),
        },
        Frame::Settings(settings) if !settings.is_ack() => Event::Settings,
        Frame::Ping(ping) if !ping.is_ack() => Event::Ping(*ping.payload()),
        _ => Event::Other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn what_one_side_writes_the_other_reads() {
        let mut client = Session::new(false);
        let mut bytes = client.opening(None);
        bytes.extend(client.message("POST /x HTTP/2\nhost: a.test\nx: y\ntrailer-t: u\n\nbody"));
        let server = Session::new(true);
        assert_eq!(
            server.transcript(&bytes),
            [
                "stream 1",
                ":method: POST",
                ":scheme: http",
                ":authority: a.test",
                ":path: /x",
                "x: y",
                "body[4]: body",
                "trailer t: u"
            ]
        );
        let answers = Session::new(true).answers(&bytes);
        assert_eq!(answers, [0, 0, 0, 4, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn frames_are_spelt_out() {
        let mut client = Session::new(false);
        let mut bytes = client.opening(None);
        bytes.extend(client.frames("HEADERS 1\n  :method: GET\nRST_STREAM 1 8\nGOAWAY 0 0"));
        let lines = Session::new(true).transcript(&bytes);
        assert_eq!(
            lines,
            [
                "stream 1",
                ":method: GET",
                "RST_STREAM CANCEL",
                "GOAWAY 0 NO_ERROR"
            ]
        );
    }

    #[test]
    fn a_long_head_goes_on_in_continuations() {
        let mut client = Session::new(false);
        let mut bytes = client.opening(None);
        bytes.extend(client.message(&format!("GET / HTTP/2\nx: {}", "y".repeat(40_000))));
        let server = Session::new(true);
        let streams = server.streams(&bytes);
        assert!(streams[&1].ended && streams[&1].headed);
    }
}
