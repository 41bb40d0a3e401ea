//! The server behind every subject: HTTP and plain TCP, with as little work per byte as can be.

use crate::{
    h2::{self, Exchange},
    traffic::{ECHO, HEAD_END, body_length},
};
use anyhow::Result;
use memchr::memmem;
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Bytes read or written at once.
const CHUNK: usize = 64 * 1024;
/// Content length of the answer to a plain GET.
pub const SMALL: usize = 1024;

static ZEROS: [u8; CHUNK] = [0; CHUNK];
static SMALL_RESPONSE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut response = head(SMALL).into_bytes();
    response.resize(response.len() + SMALL, b'x');
    response
});

fn head(length: usize) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// Where it listens, and what it has received.
#[derive(Clone, Debug)]
pub struct Backend {
    /// `GET /` gives 1 KiB, `GET /N` gives N bytes, `POST` takes a body and gives nothing.
    pub http: SocketAddr,
    /// Sends back what a connection that begins with [`ECHO`] sends; swallows what any other sends.
    pub tcp: SocketAddr,
    /// HTTP/2 by prior knowledge: 1 KiB for every request.
    pub http2: SocketAddr,
    /// The same protocol: a unary gRPC answer.
    pub grpc: SocketAddr,
    /// Bytes of request bodies and of swallowed connections.
    pub received: Arc<AtomicU64>,
}

impl Backend {
    pub async fn start() -> Result<Self> {
        let received = Arc::new(AtomicU64::new(0));
        let http = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let backend = Self {
            http: http.local_addr()?,
            tcp: tcp.local_addr()?,
            http2: serve_http2(Exchange::Get).await?,
            grpc: serve_http2(Exchange::Grpc).await?,
            received: received.clone(),
        };
        let counter = received.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = http.accept().await {
                let received = counter.clone();
                tokio::spawn(async move { drop(serve_http(stream, &received).await) });
            }
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = tcp.accept().await {
                let received = received.clone();
                tokio::spawn(async move { drop(serve_tcp(stream, &received).await) });
            }
        });
        Ok(backend)
    }
}

/// Answers every request in the same way.
async fn serve_http2(exchange: Exchange) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move { drop(h2::serve(stream, exchange).await) });
        }
    });
    Ok(address)
}

async fn serve_tcp(mut stream: TcpStream, received: &AtomicU64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; CHUNK];
    let mut length = stream.read(&mut buffer).await?;
    let echo = buffer.first() == Some(&ECHO);
    while length != 0 {
        if echo {
            stream.write_all(&buffer[..length]).await?;
        } else {
            received.fetch_add(length as u64, Relaxed);
        }
        length = stream.read(&mut buffer).await?;
    }
    Ok(())
}

async fn serve_http(mut stream: TcpStream, received: &AtomicU64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; CHUNK];
    let mut filled = 0;
    loop {
        let Some(end) = memmem::find(&buffer[..filled], HEAD_END) else {
            match stream.read(&mut buffer[filled..]).await? {
                0 => return Ok(()),
                length => filled += length,
            }
            continue;
        };
        let request = &buffer[..end];
        let body_start = end + HEAD_END.len();
        if request.starts_with(b"POST ") {
            let length = body_length(request).ok_or(io::ErrorKind::InvalidData)?;
            let mut rest = length.saturating_sub(filled - body_start);
            received.fetch_add((filled - body_start) as u64, Relaxed);
            while rest != 0 {
                let length = stream.read(&mut buffer).await?;
                if length == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                received.fetch_add(length as u64, Relaxed);
                rest = rest.saturating_sub(length);
            }
            filled = 0;
            stream.write_all(head(0).as_bytes()).await?;
        } else {
            let length = path_length(request);
            // The generators never pipeline; a proxy might.
            buffer.copy_within(body_start..filled, 0);
            filled -= body_start;
            match length {
                None => stream.write_all(&SMALL_RESPONSE).await?,
                Some(length) => send_zeros(&mut stream, length).await?,
            }
        }
    }
}

/// The N of `GET /N`.
fn path_length(request: &[u8]) -> Option<usize> {
    let path = request.strip_prefix(b"GET /")?;
    let end = memchr::memchr(b' ', path)?;
    std::str::from_utf8(&path[..end]).ok()?.parse().ok()
}

async fn send_zeros(stream: &mut TcpStream, length: usize) -> io::Result<()> {
    stream.write_all(head(length).as_bytes()).await?;
    let mut rest = length;
    while rest != 0 {
        let chunk = rest.min(CHUNK);
        stream.write_all(&ZEROS[..chunk]).await?;
        rest -= chunk;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_asks_for_a_length() {
        assert_eq!(
            path_length(b"GET /1048576 HTTP/1.1\r\nhost: a"),
            Some(1_048_576)
        );
        assert_eq!(path_length(b"GET / HTTP/1.1\r\nhost: a"), None);
    }
}
