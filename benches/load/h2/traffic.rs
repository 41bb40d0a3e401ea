//! The two ends of a comparison over HTTP/2: the generator's connections and the backend's.

use super::{Connection, Exchange, Role, connection::Books};
use crate::traffic::Tally;
use anyhow::{Context, Result, bail, ensure};
use outrigger_tests::http2::frame::{CONTINUATION, DATA, END_STREAM, Frame, HEADERS};
use std::{net::SocketAddr, sync::atomic::Ordering::Relaxed};
use tokio::net::TcpStream;

/// `:status: 200`, which no encoder says otherwise.
const OK: u8 = 0x88;

/// One answer that is being received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    stream: u32,
    head: bool,
    received: usize,
}

impl Answer {
    fn new(stream: u32) -> Self {
        Self {
            stream,
            head: false,
            received: 0,
        }
    }

    /// Takes note of a frame. True: the answer is whole and right.
    fn receive(&mut self, frame: &Frame<'_>, exchange: Exchange) -> Result<bool> {
        let end = frame.has(END_STREAM);
        let expected = exchange.response().data_length();
        match frame.kind {
            HEADERS if !self.head => {
                ensure!(is_success(frame.payload), "answered {:?}", frame.payload);
                ensure!(!end, "an answer without a body");
                self.head = true;
                return Ok(false);
            }
            HEADERS => ensure!(end && exchange.has_trailers(), "trailers"),
            DATA => {
                self.received += frame.payload.len();
                ensure!(!(end && exchange.has_trailers()), "no trailers");
            }
            CONTINUATION => bail!("a head in pieces"),
            _ => {}
        }
        ensure!(
            self.received == expected || (!end && self.received < expected),
            "{} body bytes instead of {expected}",
            self.received
        );
        Ok(end)
    }
}

/// Whether a block begins with a status of 200, maybe behind new sizes of the table.
fn is_success(block: &[u8]) -> bool {
    let mut rest = block.iter().copied();
    while let Some(first) = rest.next() {
        if first & 0xe0 != 0x20 {
            return first == OK;
        }
        if first & 0x1f == 0x1f {
            // The size goes on until a byte without the highest bit.
            while rest.next().is_some_and(|more| more & 0x80 != 0) {}
        }
    }
    false
}

/// Keeps `streams` requests under way on one connection.
pub async fn generate(
    target: SocketAddr,
    exchange: Exchange,
    streams: usize,
    tally: &Tally,
) -> Result<()> {
    let socket = TcpStream::connect(target).await.context("connect")?;
    let mut connection = Connection::new(socket, Role::Client, exchange.request())?;
    let mut next = 1;
    let mut open: Vec<Answer> = Vec::with_capacity(streams);
    for _ in 0..streams {
        begin(connection.books(), &mut open, &mut next);
    }
    loop {
        let more = connection.step(|books, frame| {
            let found = open.iter().position(|a| a.stream == frame.stream);
            let index = found.with_context(|| format!("stream {} is not open", frame.stream))?;
            if open[index].receive(frame, exchange)? {
                open.swap_remove(index);
                tally.operations.fetch_add(1, Relaxed);
                ensure!(books.max_streams() >= streams, "too few streams allowed");
                begin(books, &mut open, &mut next);
            }
            Ok(())
        });
        ensure!(more.await?, "connection closed");
    }
}

fn begin(books: &mut Books, open: &mut Vec<Answer>, next: &mut u32) {
    books.send(*next);
    open.push(Answer::new(*next));
    *next += 2;
}

/// Answers each request as soon as it is whole.
pub async fn serve(socket: TcpStream, exchange: Exchange) -> Result<()> {
    let mut connection = Connection::new(socket, Role::Server, exchange.response())?;
    let each = |books: &mut Books, frame: &Frame<'_>| {
        if frame.has(END_STREAM) && frame.kind != CONTINUATION {
            books.send(frame.stream);
        }
        Ok(())
    };
    while connection.step(each).await? {}
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::h2::GRPC_MESSAGE;
    use outrigger_tests::http2::frame::END_HEADERS;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Frame<'_> {
        Frame {
            kind,
            flags,
            stream: 1,
            payload,
        }
    }

    #[test]
    fn an_answer_is_whole_with_its_body() {
        let mut answer = Answer::new(1);
        let mut take = |kind, flags, payload: &[u8]| {
            answer.receive(&frame(kind, flags, payload), Exchange::Get)
        };
        assert!(!take(HEADERS, END_HEADERS, &[OK]).unwrap());
        assert!(!take(DATA, 0, &[0; 1000]).unwrap());
        assert!(take(DATA, END_STREAM, &[0; 24]).unwrap());
    }

    #[test]
    fn a_wrong_answer_is_an_error() {
        let head = frame(HEADERS, 0, &[OK]);
        let message = frame(DATA, END_STREAM, &GRPC_MESSAGE);
        for (exchange, frames) in [
            (Exchange::Get, vec![frame(HEADERS, 0, &[0x8d])]),
            (Exchange::Get, vec![frame(HEADERS, END_STREAM, &[OK])]),
            (Exchange::Get, vec![head, frame(DATA, END_STREAM, b"short")]),
            (Exchange::Get, vec![head, frame(DATA, 0, &[0; 1025])]),
            (Exchange::Grpc, vec![head, message]),
            (
                Exchange::Grpc,
                vec![head, frame(HEADERS, END_STREAM, &[0x80])],
            ),
        ] {
            let mut answer = Answer::new(1);
            let refused = frames
                .iter()
                .any(|frame| answer.receive(frame, exchange).is_err());
            assert!(refused, "{frames:?}");
        }
    }

    #[test]
    fn sizes_of_the_table_may_come_before_the_status() {
        assert!(is_success(&[0x20, 0x3f, 0xe1, 0x1f, OK, 0]));
        assert!(is_success(&[OK]));
        assert!(!is_success(&[0x3f, 0x80]));
        assert!(!is_success(&[0x8d]));
    }

    #[tokio::test]
    async fn the_two_ends_understand_each_other() {
        for exchange in [Exchange::Get, Exchange::Grpc] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let target = listener.local_addr().unwrap();
            let server = tokio::spawn(async move {
                let (socket, _) = listener.accept().await.unwrap();
                drop(serve(socket, exchange).await);
            });
            let tally = Tally::default();
            tokio::select! {
                ended = generate(target, exchange, 10, &tally) => ended.unwrap(),
                () = async {
                    while tally.operations.load(Relaxed) < 1000 {
                        tokio::task::yield_now().await;
                    }
                } => {}
            }
            server.await.unwrap();
        }
    }
}
