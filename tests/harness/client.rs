//! The scripted client: plays the steps of a case on a raw connection.

use crate::bytes::{Names, expand, raw};
use crate::case::{ClientStep, Mark, Until};
use crate::http1::{self, Kind};
use crate::socket::{Connection, End};
use std::net::SocketAddr;
use std::time::Duration;

/// No proxy may need longer than this for one step.
const PATIENCE: Duration = Duration::from_secs(5);

pub struct Client {
    /// `None` when the connect failed.
    connection: Option<Connection>,
    sent: Vec<u8>,
    /// How many final responses have been read.
    answered: usize,
    /// `127.0.0.1:port` of this end.
    pub local: Option<SocketAddr>,
    closed_here: bool,
}

/// What fails here shows as a difference, or as a case that does not do what it says.
fn replace(file: &str, text: &str) {
    let next = format!("{file}.next");
    if std::fs::write(&next, text).is_ok() {
        let _ = std::fs::rename(&next, file);
    }
}

impl Client {
    /// `http2`: the client speaks HTTP/2, with this window for each stream if it says one.
    pub fn connect(to: SocketAddr, from: Option<SocketAddr>, http2: Option<Option<u32>>) -> Self {
        let mut connection = Connection::connect(to, from).ok();
        if let (Some(connection), Some(window)) = (&mut connection, http2) {
            connection.start_http2(false, window);
        }
        let local = connection.as_ref().and_then(Connection::local);
        Self {
            connection,
            sent: Vec::new(),
            answered: 0,
            local,
            closed_here: false,
        }
    }

    pub fn run(&mut self, steps: &[ClientStep], names: &Names) {
        for step in steps {
            self.step(step, names);
        }
    }

    fn step(&mut self, step: &ClientStep, names: &Names) {
        if let ClientStep::Replace { file, text } = step {
            return replace(&expand(file, names), text);
        }
        let Some(connection) = &mut self.connection else {
            return;
        };
        match step {
            ClientStep::Replace { .. } => {}
            ClientStep::Send(text) => {
                let bytes = raw(&expand(text, names));
                connection.send(&bytes);
                self.sent.extend(bytes);
            }
            ClientStep::Request(text) => {
                let bytes = connection.send_message(&expand(text, names));
                self.sent.extend(bytes);
            }
            ClientStep::Frames(text) => connection.send_frames(&expand(text, names)),
            ClientStep::Read(until) => {
                let kinds = http1::response_kinds(&self.sent);
                let kind = kinds
                    .get(self.answered)
                    .copied()
                    .unwrap_or(Kind::Response { to_head: false });
                let done = connection.read_until(until, kind, PATIENCE, &|| false);
                if done && matches!(until, Until::Named(Mark::Response)) {
                    self.answered += 1;
                }
            }
            ClientStep::Sleep(ms) => std::thread::sleep(Duration::from_millis(*ms)),
            ClientStep::HalfClose => connection.half_close(),
            ClientStep::Close => {
                connection.close();
                self.closed_here = true;
            }
            ClientStep::Reset => {
                connection.reset();
                self.closed_here = true;
            }
        }
    }

    /// Watches what the proxy does with the connection once the script is over.
    pub fn watch(&mut self, grace: Duration) {
        if let Some(connection) = &mut self.connection {
            connection.watch(grace);
        }
    }

    /// All that came back, line by line.
    pub fn transcript(&self) -> Vec<String> {
        match &self.connection {
            None => vec!["connect failed".to_owned()],
            Some(Connection {
                http2: Some(session),
                received,
                ..
            }) => session.transcript(received),
            Some(c) => http1::transcript(
                &c.received,
                &http1::response_kinds(&self.sent),
                c.end != End::Open,
            ),
        }
    }

    pub fn fate(&self) -> &'static str {
        match &self.connection {
            None => "never open",
            Some(_) if self.closed_here => "closed by the client",
            Some(connection) => connection.end.text(),
        }
    }
}
