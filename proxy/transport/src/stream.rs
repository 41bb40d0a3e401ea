//! Envoy's `Network::Connection` at the byte level: one established stream, whatever carries it.
//!
//! Beside tokio's async traits it offers the readiness calls on `&self` that codecs, copy loops and the idle
//! connections of a pool need. Must never buffer: what was not read stays in the kernel.

use bytes::BufMut;
use outrigger_core::Address;
use socket2::SockRef;
use std::{
    io::{self, IoSlice},
    net::Shutdown,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{TcpStream, UnixStream},
    task::coop,
};

/// An established connection. TLS becomes a further variant.
#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Does the same to each variant.
macro_rules! each {
    ($self:expr, $stream:ident => $do:expr) => {
        match $self {
            Stream::Tcp($stream) => $do,
            Stream::Unix($stream) => $do,
        }
    };
}

impl Stream {
    /// Ready when a read may succeed, or when the peer closed or reset. Registers the waker of `cx` for reading.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, s => s.poll_read_ready(cx))
    }

    /// Nothing has come since the last read found nothing more: no byte, no end, no error. Takes no system call and no
    /// lock, and leaves no waker behind.
    #[inline]
    pub fn is_quiet(&self) -> bool {
        each!(self, s => s.try_io(Interest::READABLE, || Ok(())).is_err())
    }

    /// Ready when a write may succeed. Registers the waker of `cx` for writing.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, s => s.poll_write_ready(cx))
    }

    /// Reads what is there; `WouldBlock` if nothing is, `Ok(0)` at the end of the stream.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        each!(self, s => s.try_read(buf))
    }

    /// As [`try_read`](Self::try_read), into the spare capacity of a buffer.
    pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        each!(self, s => s.try_read_buf(buf))
    }

    /// Writes what fits; `WouldBlock` if nothing does.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        each!(self, s => s.try_write(buf))
    }

    /// As [`try_write`](Self::try_write), gathered.
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        each!(self, s => s.try_write_vectored(bufs))
    }

    /// The address of our end. A system call: callers keep the answer.
    pub fn local_address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(s) => s.local_addr().map(Address::Ip),
            Self::Unix(s) => s.local_addr().map(|a| pipe(&a)),
        }
    }

    /// The address of the peer. A system call: callers keep the answer.
    pub fn peer_address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(s) => s.peer_addr().map(Address::Ip),
            Self::Unix(s) => s.peer_addr().map(|a| pipe(&a)),
        }
    }

    /// Sends FIN: the peer reads the end of the stream, and we may still read.
    pub fn shutdown_write(&self) -> io::Result<()> {
        each!(self, s => SockRef::from(s).shutdown(Shutdown::Write))
    }

    /// Makes the following drop send RST in place of FIN and discard what is still unsent. A Unix socket has no RST:
    /// it is closed as usual.
    pub fn reset(&self) {
        if let Self::Tcp(s) = self {
            // A socket that is already dead cannot be reset; that is all this can fail for.
            SockRef::from(s).set_linger(Some(Duration::ZERO)).ok();
        }
    }
}

/// Who reads a socket remembers here that it has asked to be woken: asking again takes a lock and changes nothing.
///
/// It holds for one reader, who reads in no other way.
#[derive(Debug, Default)]
pub struct ReadWatch {
    /// Whom the socket wakes once something comes.
    waker: Option<Waker>,
    asked: bool,
}

impl ReadWatch {
    /// The task of `cx` is going to be woken when something comes to read, and nothing has.
    #[inline]
    pub fn is_asleep(&mut self, stream: &Stream, cx: &Context<'_>) -> bool {
        // What comes takes the waker along.
        self.asked = self.asked && stream.is_quiet();
        self.asked && self.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker()))
    }

    /// A read has just been pending: the socket holds the waker of `cx` now, unless tokio wanted the task to yield
    /// before it came to that.
    #[inline]
    pub fn asked(&mut self, cx: &Context<'_>) {
        if !coop::has_budget_remaining() {
            return;
        }
        self.asked = true;
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }

    /// Somebody else reads from here on.
    pub fn forget(&mut self) {
        self.asked = false;
    }
}

/// How Envoy prints the address of a Unix socket: the path, `@name` if abstract, empty if it has none.
fn pipe(address: &tokio::net::unix::SocketAddr) -> Address {
    let path = match (address.as_pathname(), address.as_abstract_name()) {
        (Some(path), _) => path.to_owned(),
        (None, Some(name)) => format!("@{}", String::from_utf8_lossy(name)).into(),
        (None, None) => Default::default(),
    };
    Address::Pipe(Arc::new(path))
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self.get_mut(), s => Pin::new(s).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), s => Pin::new(s).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), s => Pin::new(s).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), s => Pin::new(s).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), s => Pin::new(s).poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::future::poll_fn;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    async fn pair() -> (Stream, Stream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, server) = tokio::join!(client, listener.accept());
        (Stream::Tcp(client.unwrap()), Stream::Tcp(server.unwrap().0))
    }

    #[tokio::test]
    async fn reads_and_writes_by_readiness() {
        let (mut a, b) = pair().await;
        assert_eq!(a.local_address().unwrap(), b.peer_address().unwrap());
        a.write_all(b"hello").await.unwrap();
        poll_fn(|cx| b.poll_read_ready(cx)).await.unwrap();
        let mut buf = [0; 8];
        assert_eq!(b.try_read(&mut buf).unwrap(), 5);
        assert_eq!(
            b.try_read(&mut buf).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
    }

    #[tokio::test]
    async fn quiet_until_something_comes() {
        let (mut a, b) = pair().await;
        let mut watch = ReadWatch::default();
        let asleep = poll_fn(|cx| Poll::Ready(watch.is_asleep(&b, cx))).await;
        assert!(!asleep, "nobody has asked to be woken");
        // What was not tried yet may be ready.
        b.try_read(&mut [0; 8]).unwrap_err();
        poll_fn(|cx| {
            assert!(b.poll_read_ready(cx).is_pending());
            watch.asked(cx);
            assert!(b.is_quiet() && watch.is_asleep(&b, cx));
            let other = Context::from_waker(Waker::noop());
            assert!(!watch.is_asleep(&b, &other), "another would be woken");
            Poll::Ready(())
        })
        .await;
        a.write_all(b"x").await.unwrap();
        poll_fn(|cx| b.poll_read_ready(cx)).await.unwrap();
        assert!(!b.is_quiet());
        poll_fn(|cx| {
            assert!(!watch.is_asleep(&b, cx));
            Poll::Ready(())
        })
        .await;
        assert_eq!(b.try_read(&mut [0; 8]).unwrap(), 1);
        drop(a);
        poll_fn(|cx| b.poll_read_ready(cx)).await.unwrap();
        assert!(!b.is_quiet());
    }

    #[tokio::test]
    async fn a_task_that_has_to_yield_has_not_asked() {
        let (mut a, b) = pair().await;
        let mut watch = ReadWatch::default();
        poll_fn(|cx| {
            while coop::has_budget_remaining() {
                assert!(
                    coop::poll_proceed(cx)
                        .map(|spent| spent.made_progress())
                        .is_ready()
                );
            }
            assert!(b.poll_read_ready(cx).is_pending());
            watch.asked(cx);
            assert!(!watch.is_asleep(&b, cx));
            Poll::Ready(())
        })
        .await;
        a.write_all(b"x").await.unwrap();
        poll_fn(|cx| b.poll_read_ready(cx)).await.unwrap();
    }

    #[tokio::test]
    async fn half_close_leaves_the_other_direction_open() {
        let (a, mut b) = pair().await;
        a.shutdown_write().unwrap();
        let mut rest = Vec::new();
        assert_eq!(b.read_to_end(&mut rest).await.unwrap(), 0);
        b.write_all(b"late").await.unwrap();
        poll_fn(|cx| a.poll_read_ready(cx)).await.unwrap();
        assert_eq!(a.try_read(&mut [0; 8]).unwrap(), 4);
    }

    #[tokio::test]
    async fn reset_sends_rst() {
        let (a, mut b) = pair().await;
        a.reset();
        drop(a);
        let error = b.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
