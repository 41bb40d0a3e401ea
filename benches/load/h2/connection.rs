//! One HTTP/2 connection of the load side, of either role: it reads what there is, looks at all of it, and writes its
//! answers at once.

use super::message::{Form, Message};
use anyhow::{Context, Result, bail, ensure};
use outrigger_tests::http2::frame::{
    ACK, CONTINUATION, DATA, FIRST_WINDOW, Frame, GOAWAY, HEADER_TABLE_SIZE, HEADERS,
    INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, PADDED, PING, PREFACE, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, settings, window_update,
};
use std::collections::VecDeque;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const BUFFER: usize = 256 * 1024;
/// The windows that we give: large, as load generators do, so that they never limit a subject.
const WINDOW: u32 = (1 << 30) - 1;
/// The table that messages are encoded for.
const TABLE: u32 = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Client,
    Server,
}

/// A connection, and the message that it sends on each stream.
pub struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
    books: Books,
}

/// What is about to be written, and what may be.
pub struct Books {
    out: Vec<u8>,
    message: &'static Message,
    /// How the next one is encoded.
    form: Form,
    /// What the peer's window of the connection has left.
    window: usize,
    /// Streams whose message waits for it.
    waiting: VecDeque<u32>,
    /// Bytes received that the peer has not got back.
    received: u32,
    /// Streams that the client may have open.
    max_streams: usize,
    /// Bytes of the peer's preface that are still to come.
    preface: usize,
}

impl Connection {
    pub fn new(socket: TcpStream, role: Role, message: &'static Message) -> Result<Self> {
        socket.set_nodelay(true)?;
        let mut out = Vec::new();
        if role == Role::Client {
            out.extend_from_slice(PREFACE);
        }
        settings(&mut out, &[(INITIAL_WINDOW_SIZE, WINDOW)]);
        window_update(&mut out, 0, WINDOW - FIRST_WINDOW);
        Ok(Self {
            socket,
            buffer: vec![0; BUFFER],
            filled: 0,
            books: Books::new(out, role, message),
        })
    }

    pub fn books(&mut self) -> &mut Books {
        &mut self.books
    }

    /// Writes what is due, waits for what comes, and shows HEADERS, CONTINUATION and DATA to `each`. False: the peer has
    /// closed.
    pub async fn step(
        &mut self,
        mut each: impl FnMut(&mut Books, &Frame<'_>) -> Result<()>,
    ) -> Result<bool> {
        if !self.books.out.is_empty() {
            self.socket
                .write_all(&self.books.out)
                .await
                .context("send")?;
            self.books.out.clear();
        }
        let space = self.buffer.get_mut(self.filled..).unwrap_or_default();
        ensure!(!space.is_empty(), "a frame is larger than the buffer");
        match self.socket.read(space).await.context("receive")? {
            0 => return Ok(false),
            length => self.filled += length,
        }
        let mut rest = self.buffer.get(..self.filled).unwrap_or_default();
        if self.books.preface != 0 {
            if rest.len() < self.books.preface {
                return Ok(true);
            }
            ensure!(rest.starts_with(PREFACE), "no preface");
            rest = &rest[self.books.preface..];
            self.books.preface = 0;
        }
        while let Some(frame) = Frame::read(rest) {
            rest = &rest[frame.size()..];
            if self.books.receive(&frame)? {
                each(&mut self.books, &frame)?;
            }
        }
        let left = rest.len();
        self.buffer.copy_within(self.filled - left..self.filled, 0);
        self.filled = left;
        Ok(true)
    }
}

impl Books {
    fn new(out: Vec<u8>, role: Role, message: &'static Message) -> Self {
        Self {
            out,
            message,
            form: Form::First,
            window: FIRST_WINDOW as usize,
            waiting: VecDeque::new(),
            received: 0,
            max_streams: usize::MAX,
            preface: if role == Role::Server {
                PREFACE.len()
            } else {
                0
            },
        }
    }

    /// Streams that the peer lets us open.
    pub fn max_streams(&self) -> usize {
        self.max_streams
    }

    /// Sends the message on a stream, as soon as the peer's window has room for it.
    pub fn send(&mut self, stream: u32) {
        self.waiting.push_back(stream);
        self.send_waiting();
    }

    fn send_waiting(&mut self) {
        let length = self.message.data_length();
        while self.window >= length {
            let Some(stream) = self.waiting.pop_front() else {
                return;
            };
            self.window -= length;
            self.message.write(&mut self.out, stream, self.form);
            if self.form == Form::First {
                self.form = Form::Again;
            }
        }
    }

    /// Deals with what belongs to the connection. True: the frame is part of a message.
    fn receive(&mut self, frame: &Frame<'_>) -> Result<bool> {
        match frame.kind {
            HEADERS | CONTINUATION => return Ok(true),
            DATA => {
                ensure!(!frame.has(PADDED), "padded, which no subject does");
                self.received += frame.payload.len() as u32;
                if self.received > WINDOW / 2 {
                    window_update(&mut self.out, 0, self.received);
                    self.received = 0;
                }
                return Ok(true);
            }
            SETTINGS if !frame.has(ACK) => {
                for (name, value) in frame.settings() {
                    self.set(name, value)?;
                }
                answer(frame, &mut self.out, &[]);
            }
            PING if !frame.has(ACK) => answer(frame, &mut self.out, frame.payload),
            WINDOW_UPDATE if frame.stream == 0 => {
                self.window += frame.increment() as usize;
                self.send_waiting();
            }
            RST_STREAM => bail!("stream {} was reset: {:?}", frame.stream, frame.payload),
            GOAWAY => bail!("GOAWAY: {:?}", frame.payload),
            _ => {}
        }
        Ok(false)
    }

    fn set(&mut self, name: u16, value: u32) -> Result<()> {
        match name {
            HEADER_TABLE_SIZE if value < TABLE => self.form = Form::Plain,
            INITIAL_WINDOW_SIZE => {
                let enough = value as usize >= self.message.data_length();
                ensure!(enough, "streams with windows of {value} bytes");
            }
            MAX_CONCURRENT_STREAMS => self.max_streams = value as usize,
            _ => {}
        }
        Ok(())
    }
}

fn answer(frame: &Frame<'_>, out: &mut Vec<u8>, payload: &[u8]) {
    Frame {
        flags: ACK,
        payload,
        ..*frame
    }
    .write(out);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::h2::Exchange;

    fn books(exchange: Exchange) -> Books {
        Books::new(Vec::new(), Role::Server, exchange.response())
    }

    fn frame(kind: u8, payload: &[u8]) -> Frame<'_> {
        Frame {
            kind,
            flags: 0,
            stream: 0,
            payload,
        }
    }

    #[test]
    fn what_has_no_room_in_the_window_waits() {
        let mut books = books(Exchange::Get);
        let fit = FIRST_WINDOW / 1024;
        for stream in 0..=fit {
            books.send(2 * stream + 1);
        }
        assert_eq!(books.waiting.len(), 1);
        let before = books.out.len();
        let update = 1024_u32.to_be_bytes();
        assert!(!books.receive(&frame(WINDOW_UPDATE, &update)).unwrap());
        assert!(books.waiting.is_empty() && books.out.len() > before + 1024);
    }

    #[test]
    fn settings_and_pings_are_answered() {
        let mut books = books(Exchange::Grpc);
        books
            .receive(&frame(SETTINGS, b"\0\x03\0\0\0\x07"))
            .unwrap();
        books.receive(&frame(PING, b"12345678")).unwrap();
        assert_eq!(books.max_streams(), 7);
        let first = Frame::read(&books.out).unwrap();
        assert!(first.kind == SETTINGS && first.flags == ACK && first.payload.is_empty());
        let second = Frame::read(&books.out[first.size()..]).unwrap();
        assert!(second.kind == PING && second.flags == ACK && second.payload == b"12345678");
    }

    #[test]
    fn a_peer_without_a_table_is_told_every_line() {
        let mut books = books(Exchange::Grpc);
        books.receive(&frame(SETTINGS, b"\0\x01\0\0\0\0")).unwrap();
        for _ in 0..2 {
            books.out.clear();
            books.send(1);
            let name = memchr::memmem::find(&books.out, b"grpc-status");
            assert!(name.is_some());
        }
    }

    #[test]
    fn what_breaks_the_run_is_an_error() {
        let mut books = books(Exchange::Get);
        for bad in [
            frame(SETTINGS, b"\0\x04\0\0\0\x10"),
            frame(RST_STREAM, b"\0\0\0\x02"),
            frame(GOAWAY, b"\0\0\0\0\0\0\0\0"),
        ] {
            assert!(books.receive(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_window_is_given_back_in_large_pieces() {
        let mut books = books(Exchange::Get);
        books.received = WINDOW / 2;
        assert!(books.receive(&frame(DATA, b"x")).unwrap());
        let update = Frame::read(&books.out).unwrap();
        assert_eq!(update.increment(), WINDOW / 2 + 1);
        assert_eq!(books.received, 0);
    }
}
