//! The bare TCP copy: what moving the bytes costs on one tokio thread when nothing looks at them.
//!
//! It must never parse, pool, log or count: it is the floor that proxies are compared with.

use anyhow::{Context as _, Result};
use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

/// Bytes moved by one read. One buffer serves all connections, so an idle connection holds none.
const SCRATCH: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

pub fn run(listen: SocketAddr, upstream: SocketAddr) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen}"))?;
        loop {
            let (client, _) = listener.accept().await?;
            tokio::spawn(async move {
                // A connection that fails ends alone; its peer sees the close.
                drop(both_ways(client, upstream).await);
            });
        }
    })
}

async fn both_ways(mut client: TcpStream, upstream: SocketAddr) -> io::Result<()> {
    let mut server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut up, mut down) = (Direction::default(), Direction::default());
    poll_fn(|cx| {
        let up = up.poll(cx, &mut client, &mut server)?;
        let down = down.poll(cx, &mut server, &mut client)?;
        match (up, down) {
            (Poll::Ready(()), Poll::Ready(())) => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        }
    })
    .await
}

/// One half of a connection.
#[derive(Default)]
struct Direction {
    /// What the writer did not take.
    rest: Vec<u8>,
    read_closed: bool,
    done: bool,
}

impl Direction {
    /// Moves what can be moved; ready when the reader has ended and the writer has been told.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut TcpStream,
        to: &mut TcpStream,
    ) -> Poll<io::Result<()>> {
        while !self.done {
            while !self.rest.is_empty() {
                let written = ready!(Pin::new(&mut *to).poll_write(cx, &self.rest))?;
                self.rest.drain(..written);
            }
            if self.read_closed {
                ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                self.done = true;
            } else {
                ready!(BUFFER.with_borrow_mut(|buffer| self.relay(cx, from, to, buffer)))?;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// One read, and one write of what it brought.
    fn relay(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut TcpStream,
        to: &mut TcpStream,
        buffer: &mut [u8],
    ) -> Poll<io::Result<()>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(from).poll_read(cx, &mut buffer))?;
        let bytes = buffer.filled();
        self.read_closed = bytes.is_empty();
        if !bytes.is_empty() {
            let written = match Pin::new(to).poll_write(cx, bytes) {
                Poll::Ready(written) => written?,
                Poll::Pending => 0,
            };
            self.rest
                .extend_from_slice(bytes.get(written..).unwrap_or_default());
        }
        Poll::Ready(Ok(()))
    }
}
