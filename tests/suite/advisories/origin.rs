//! An origin that keeps every byte it receives, and answers by the target of a request.

use super::strict::{self, Message};
use outrigger_tests::http1::{self, Kind};
use outrigger_tests::ports;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[derive(Default)]
struct State {
    connections: Vec<Connection>,
    /// The answer to targets that begin with `/attack`.
    hostile: Vec<u8>,
}

#[derive(Default)]
struct Connection {
    received: Vec<u8>,
    /// How much of it [`Origin::fresh`] has given away.
    taken: usize,
    /// How much of it has been answered.
    answered: usize,
    closed: bool,
}

/// Its threads end with the proxy.
#[derive(Clone)]
pub struct Origin {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

impl Origin {
    pub fn start() -> Self {
        let (listener, port) = ports::listen().unwrap();
        let origin = Self {
            port,
            state: Arc::default(),
        };
        let accepting = origin.clone();
        std::thread::spawn(move || accepting.accept(&listener));
        origin
    }

    pub fn set_hostile(&self, answer: Vec<u8>) {
        self.state.lock().unwrap().hostile = answer;
    }

    /// The requests that have come since the last time, where the connections hold nothing that is ambiguous. What has
    /// begun is waited for: it is answered, or its connection ends.
    pub fn fresh(&self) -> Result<Vec<Message>, String> {
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut state = self.state.lock().unwrap();
        while let Some(waits) = state.connections.iter().find(|c| !c.is_settled()) {
            if Instant::now() > deadline {
                let text = String::from_utf8_lossy(&waits.received[waits.taken..]);
                return Err(format!("half a request stays at the origin: {text:?}"));
            }
            drop(state);
            std::thread::sleep(Duration::from_millis(1));
            state = self.state.lock().unwrap();
        }
        let mut out = Vec::new();
        for connection in &mut state.connections {
            let found = strict::requests(&connection.received[connection.taken..]);
            connection.taken = connection.received.len();
            out.extend(found?);
        }
        Ok(out)
    }

    fn accept(&self, listener: &TcpListener) {
        for (index, stream) in listener.incoming().enumerate() {
            let connection = Connection::default();
            self.state.lock().unwrap().connections.push(connection);
            let origin = self.clone();
            std::thread::spawn(move || {
                origin.serve(stream.unwrap(), index);
                origin.state.lock().unwrap().connections[index].closed = true;
            });
        }
    }

    fn serve(&self, mut stream: TcpStream, index: usize) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            let (answers, ends) = self.answers(index, &buffer[..count]);
            if stream.write_all(&answers).is_err() || ends {
                return;
            }
        }
    }

    /// What to say to `bytes`, and whether the connection ends with it. Lenient on purpose: whoever can be misled is.
    fn answers(&self, index: usize, bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut state = self.state.lock().unwrap();
        let state = &mut *state;
        let connection = &mut state.connections[index];
        connection.received.extend(bytes);
        let mut answers = Vec::new();
        loop {
            let rest = &connection.received[connection.answered..];
            let Some(request) = http1::message(rest, Kind::Request, false) else {
                return (answers, false);
            };
            if !request.complete {
                return (answers, false);
            }
            let target = request.start.split(' ').nth(1).unwrap_or_default();
            connection.answered += request.length;
            if target.starts_with("/attack") {
                answers.extend(&state.hostile);
                if target.starts_with("/attack/close") {
                    return (answers, true);
                }
            } else {
                answers.extend(OK);
            }
        }
    }
}

impl Connection {
    fn is_settled(&self) -> bool {
        self.closed || self.answered == self.received.len()
    }
}
