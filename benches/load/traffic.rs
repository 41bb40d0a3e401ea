//! Closed-loop generators: each task sends, waits for the whole answer and sends again, for as long as its runtime lives.

use crate::{
    backend::SMALL,
    client::Client,
    h2::{self, Exchange},
};
use anyhow::{Context, Result};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Handle,
};

pub const HEAD_END: &[u8] = b"\r\n\r\n";
/// First byte of a connection that wants its bytes back.
pub const ECHO: u8 = b'e';
/// First byte of a connection whose bytes are to be swallowed.
pub const SWALLOW: u8 = b's';
/// Bytes of one echo.
pub const ECHO_LENGTH: usize = 64;
/// Connections of the scenarios that move bytes rather than requests.
const BULK_CONNECTIONS: usize = 4;
const BULK_CHUNK: usize = 64 * 1024;

/// `content-length` of a head, in any case.
pub fn body_length(head: &[u8]) -> Option<usize> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if !name.eq_ignore_ascii_case(b"content-length") {
            return None;
        }
        std::str::from_utf8(value).ok()?.trim().parse().ok()
    })
}

/// What the tasks of one run have achieved so far.
#[derive(Debug, Default)]
pub struct Tally {
    pub operations: AtomicU64,
    /// Body bytes that have come back.
    pub bytes: AtomicU64,
    failure: Mutex<Option<String>>,
}

impl Tally {
    /// The first error of any task, which spoils the run.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().ok()?.clone()
    }

    fn fail(&self, error: &anyhow::Error) {
        if let Ok(mut failure) = self.failure.lock() {
            failure.get_or_insert_with(|| format!("{error:#}"));
        }
    }
}

/// What one task does over and over.
#[derive(Clone, Copy, Debug)]
pub enum Traffic {
    /// GETs on `connections` keep-alive connections, answered with `length` bytes.
    Get { connections: usize, length: usize },
    /// The same with what a request within a mesh says, answered with 1 KiB.
    Mesh { connections: usize },
    /// Requests over HTTP/2, `streams` at once on each connection.
    Http2 {
        connections: usize,
        streams: usize,
        exchange: Exchange,
    },
    /// POSTs of `length` bytes.
    Post { length: usize },
    /// Echoes on connections that stay.
    Echo { connections: usize },
    /// A new connection for each echo.
    Connect { tasks: usize },
    /// One endless stream of bytes per connection; the backend counts them.
    Bulk,
}

impl Traffic {
    pub fn start(self, runtime: &Handle, target: SocketAddr) -> Arc<Tally> {
        let tally = Arc::new(Tally::default());
        let tasks = match self {
            Self::Get { connections, .. }
            | Self::Mesh { connections }
            | Self::Http2 { connections, .. }
            | Self::Echo { connections } => connections,
            Self::Connect { tasks } => tasks,
            Self::Post { .. } | Self::Bulk => BULK_CONNECTIONS,
        };
        for _ in 0..tasks {
            let tally = tally.clone();
            runtime.spawn(async move {
                let result = match self {
                    Self::Get { length, .. } => {
                        get(target, &get_request(length), length, &tally).await
                    }
                    Self::Mesh { .. } => get(target, MESH_REQUEST, SMALL, &tally).await,
                    Self::Http2 {
                        streams, exchange, ..
                    } => h2::generate(target, exchange, streams, &tally).await,
                    Self::Post { length } => post(target, length, &tally).await,
                    Self::Echo { .. } => echo(target, &tally).await,
                    Self::Connect { .. } => connect(target, &tally).await,
                    Self::Bulk => bulk(target).await,
                };
                if let Err(error) = result {
                    tally.fail(&error);
                }
            });
        }
        tally
    }

    pub fn bodies(direction_is_up: bool, length: usize) -> Self {
        if direction_is_up {
            Self::Post { length }
        } else {
            Self::Get {
                connections: BULK_CONNECTIONS,
                length,
            }
        }
    }
}

/// What a browser's request looks like when it reaches a service. The rules of the mesh allow it, by the last of them.
pub const MESH_REQUEST: &str = "GET /api/v1/orders/1042 HTTP/1.1\r\n\
    host: orders.shop.test\r\n\
    user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    accept: application/json\r\n\
    accept-language: en\r\n\
    origin: https://www.shop.test\r\n\
    x-request-id: 7a1f0c9e-2b1d-4f5e-9c3a-0d9b8e7f6a51\r\n\
    x-team: web\r\n\r\n";

/// The request for `length` bytes: the plain one if that is what the backend gives anyway.
pub fn get_request(length: usize) -> String {
    let path = if length == SMALL {
        String::new()
    } else {
        length.to_string()
    };
    format!("GET /{path} HTTP/1.1\r\nhost: bench.test\r\nuser-agent: load/1\r\naccept: */*\r\n\r\n")
}

async fn get(target: SocketAddr, request: &str, length: usize, tally: &Tally) -> Result<()> {
    let mut client = Client::connect(target).await?;
    loop {
        client.send(request.as_bytes()).await?;
        client
            .receive(length, |bytes| {
                tally.bytes.fetch_add(bytes as u64, Relaxed);
            })
            .await?;
        tally.operations.fetch_add(1, Relaxed);
    }
}

async fn post(target: SocketAddr, length: usize, tally: &Tally) -> Result<()> {
    let head = format!(
        "POST /up HTTP/1.1\r\nhost: bench.test\r\nuser-agent: load/1\r\ncontent-length: {length}\r\n\r\n"
    );
    let body = vec![0; BULK_CHUNK];
    let mut client = Client::connect(target).await?;
    loop {
        client.send(head.as_bytes()).await?;
        let mut rest = length;
        while rest != 0 {
            let chunk = rest.min(body.len());
            client.send(&body[..chunk]).await?;
            rest -= chunk;
        }
        client.receive(0, |_| ()).await?;
        tally.operations.fetch_add(1, Relaxed);
    }
}

async fn echo(target: SocketAddr, tally: &Tally) -> Result<()> {
    let mut stream = TcpStream::connect(target).await.context("connect")?;
    stream.set_nodelay(true)?;
    loop {
        one_echo(&mut stream).await?;
        tally.operations.fetch_add(1, Relaxed);
    }
}

async fn connect(target: SocketAddr, tally: &Tally) -> Result<()> {
    loop {
        let mut stream = TcpStream::connect(target).await.context("connect")?;
        stream.set_nodelay(true)?;
        one_echo(&mut stream).await?;
        stream.shutdown().await.context("close")?;
        // The subject's own close belongs to the price of a connection.
        stream.read(&mut [0]).await.context("close")?;
        tally.operations.fetch_add(1, Relaxed);
    }
}

async fn one_echo(stream: &mut TcpStream) -> Result<()> {
    let mut buffer = [ECHO; ECHO_LENGTH];
    stream.write_all(&buffer).await.context("echo")?;
    stream.read_exact(&mut buffer).await.context("echo")?;
    Ok(())
}

async fn bulk(target: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect(target).await.context("connect")?;
    let chunk = vec![SWALLOW; BULK_CHUNK];
    loop {
        stream.write_all(&chunk).await.context("bulk")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_length_in_any_case() {
        assert_eq!(
            body_length(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\na: b"),
            Some(12)
        );
        assert_eq!(
            body_length(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked"),
            None
        );
    }
}
