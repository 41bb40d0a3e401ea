//! A TCP connection of the harness: everything received is kept, and the way it ended is told apart (FIN or RST).

use crate::bytes::message;
use crate::case::{Mark, Until};
use crate::http1::{self, Kind};
use crate::http2::{Session, Stream, frame::PREFACE};
use anyhow::Result;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How the peer left the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Open,
    Fin,
    Rst,
}

impl End {
    pub fn text(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Fin => "FIN",
            Self::Rst => "RST",
        }
    }
}

pub struct Connection {
    /// `None` after this side has closed.
    stream: Option<TcpStream>,
    pub received: Vec<u8>,
    /// How much of `received` earlier reads have consumed as messages.
    pub consumed: usize,
    pub end: End,
    /// The connection speaks HTTP/2.
    pub http2: Option<Session>,
    /// It may turn out to speak HTTP/2 by its first bytes.
    listens: bool,
}

impl Connection {
    pub fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: Some(stream),
            received: Vec::new(),
            consumed: 0,
            end: End::Open,
            http2: None,
            listens: false,
        })
    }

    /// The end of an upstream: speaks what the proxy speaks.
    pub fn accepted(stream: TcpStream) -> Result<Self> {
        let mut connection = Self::new(stream)?;
        connection.listens = true;
        Ok(connection)
    }

    /// Speaks HTTP/2 from here on. `window` is how much the peer may send on one stream.
    pub fn start_http2(&mut self, server: bool, window: Option<u32>) {
        let session = Session::new(server);
        self.send(&session.opening(window));
        self.http2 = Some(session);
    }

    /// A message in block form.
    pub fn send_message(&mut self, text: &str) -> Vec<u8> {
        let bytes = match &mut self.http2 {
            Some(session) => session.message(text),
            None => message(text),
        };
        self.send(&bytes);
        bytes
    }

    /// Frames spelt out; see [`Session::frames`].
    pub fn send_frames(&mut self, text: &str) {
        if let Some(session) = &mut self.http2 {
            let bytes = session.frames(text);
            self.send(&bytes);
        }
    }

    /// Does what HTTP/2 asks for without being asked by the script.
    fn answer(&mut self) {
        if self.listens && self.received.len() >= PREFACE.len() {
            self.listens = false;
            if self.received.starts_with(PREFACE) {
                self.start_http2(true, None);
            }
        }
        if let Some(session) = &mut self.http2 {
            let bytes = session.answers(&self.received);
            self.send(&bytes);
        }
    }

    /// Connects from `from`, if given.
    pub fn connect(to: SocketAddr, from: Option<SocketAddr>) -> Result<Self> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        if let Some(from) = from {
            socket.set_reuse_address(true)?;
            socket.bind(&SockAddr::from(from))?;
        }
        socket.connect_timeout(&SockAddr::from(to), Duration::from_secs(5))?;
        Self::new(socket.into())
    }

    pub fn local(&self) -> Option<SocketAddr> {
        self.stream.as_ref()?.local_addr().ok()
    }

    pub fn peer(&self) -> Option<SocketAddr> {
        self.stream.as_ref()?.peer_addr().ok()
    }

    /// A failed write is no error of the harness: the peer has gone, which the next read reports.
    pub fn send(&mut self, bytes: &[u8]) {
        if let Some(stream) = &mut self.stream {
            let _ = stream.set_write_timeout(Some(Duration::from_secs(5)));
            let _ = stream.write_all(bytes);
        }
    }

    pub fn half_close(&mut self) {
        if let Some(stream) = &self.stream {
            let _ = stream.shutdown(Shutdown::Write);
        }
    }

    pub fn close(&mut self) {
        self.stream = None;
    }

    /// Closes with a RST.
    pub fn reset(&mut self) {
        if let Some(stream) = self.stream.take() {
            let socket = Socket::from(stream);
            let _ = socket.set_linger(Some(Duration::ZERO));
        }
    }

    /// Waits at most `wait` for one more piece of data or the end; false when neither came.
    pub fn receive(&mut self, wait: Duration) -> bool {
        let Some(stream) = &mut self.stream else {
            return false;
        };
        if self.end != End::Open {
            return false;
        }
        let mut buffer = [0; 16 * 1024];
        let _ = stream.set_read_timeout(Some(wait.max(Duration::from_millis(1))));
        match stream.read(&mut buffer) {
            Ok(0) => self.end = End::Fin,
            Ok(count) => {
                let fresh = buffer.get(..count).unwrap_or_default();
                self.received.extend_from_slice(fresh);
                self.answer();
            }
            Err(e)
                if matches!(
                    e.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                return false;
            }
            Err(_) => self.end = End::Rst,
        }
        true
    }

    /// Receives until `until` holds (then true), the connection ends, `limit` passes or `stop` says so. `kind` frames
    /// messages.
    pub fn read_until(
        &mut self,
        until: &Until,
        kind: Kind,
        limit: Duration,
        stop: &dyn Fn() -> bool,
    ) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            if self.reached(until, kind) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.end != End::Open || self.stream.is_none() || stop() {
                return false;
            }
            self.receive(left.min(Duration::from_millis(20)));
        }
    }

    /// Whether `until` holds now; a message that it names is consumed.
    fn reached(&mut self, until: &Until, kind: Kind) -> bool {
        let mark = match until {
            Until::Bytes(count) => return self.received.len() >= *count,
            Until::Text { contains } => {
                if let Some(session) = &self.http2 {
                    let lines = session.transcript(&self.received);
                    return lines.iter().any(|line| line.contains(contains.as_str()));
                }
                let wanted = contains.as_bytes();
                return self
                    .received
                    .windows(wanted.len())
                    .any(|piece| piece == wanted);
            }
            Until::Named(mark) => *mark,
        };
        if let Some(session) = &mut self.http2 {
            return match mark {
                Mark::Close => self.end != End::Open,
                Mark::Head => session.take(&self.received, |stream| stream.headed || stream.done()),
                Mark::Request | Mark::Response => session.take(&self.received, Stream::done),
            };
        }
        loop {
            let rest = self.received.get(self.consumed..).unwrap_or_default();
            let found = match mark {
                Mark::Close => return self.end != End::Open,
                Mark::Head => http1::head(rest),
                Mark::Request | Mark::Response => {
                    http1::message(rest, kind, self.end != End::Open).filter(|m| m.complete)
                }
            };
            let Some(message) = found else { return false };
            self.consumed += message.length;
            let interim = mark == Mark::Response && matches!(message.status(), 100 | 102..=199);
            if !interim {
                return true;
            }
        }
    }

    /// Watches the connection for `grace`; what still comes is kept.
    pub fn watch(&mut self, grace: Duration) {
        let deadline = Instant::now() + grace;
        while self.end == End::Open && self.stream.is_some() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            self.receive(left);
        }
    }
}
