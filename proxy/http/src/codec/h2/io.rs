//! The socket under the downstream codec: first the bytes that were read to find out the protocol, then the rest; all
//! of it counted, and its frames watched.
//!
//! After a violation nothing passes any more: the connection manager, which polls the codec, finds it in the signals.

use super::{signals::Signals, watch::Watch};
use crate::codec::h1::ServerConnection;
use crate::stats::HcmStats;
use outrigger_upstream::config::FrameLimits;
use parking_lot::Mutex;
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much is read of a client that does not read itself: enough to see that it floods us.
const READ_AHEAD: usize = 64 * 1024;
/// How much the codec may write before the socket is asked to take it.
const GATHERED: usize = 16 * 1024;
/// A larger piece is not worth copying.
const COPIED: usize = 8 * 1024;

/// The connection under a codec. What the codec writes while it is driven once is gathered: it flushes after each piece
/// of a body, which would be a system call for each.
#[derive(Debug)]
pub struct Wire<'a> {
    connection: &'a mut ServerConnection,
    stats: Arc<HcmStats>,
    /// How much of what was read and written the stats know.
    reported: &'a mut (u64, u64),
    signals: Arc<Signals>,
    watch: Watch,
    /// What was read while the client did not read.
    ahead: Vec<u8>,
    /// The client reads more slowly than the codec writes.
    blocked: bool,
    /// Somebody flushes behind the codec.
    gathers: bool,
    /// The client sends no more.
    ended: bool,
}

/// The connection as the HTTP/2 codec reads and writes it.
#[derive(Clone, Copy, Debug)]
pub struct ServerIo<'a>(&'a Mutex<Wire<'a>>);

impl<'a> ServerIo<'a> {
    pub fn new(wire: &'a Mutex<Wire<'a>>) -> Self {
        Self(wire)
    }

    /// From now on nothing that the codec writes leaves before [`poll_send`](Self::poll_send), but for what is large.
    pub fn gather(self) {
        self.0.lock().gathers = true;
    }

    /// Whether the client sends no more.
    pub fn has_ended(self) -> bool {
        self.0.lock().ended
    }

    /// Writes what the codec has written since it was last asked. Ready when nothing waits.
    pub fn poll_send(self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().poll_send(cx)
    }
}

impl<'a> Wire<'a> {
    /// `reported`: how much of what was read and written the stats know. `lenient`: malformed messages are no violation.
    pub fn new(
        connection: &'a mut ServerConnection,
        stats: Arc<HcmStats>,
        reported: &'a mut (u64, u64),
        signals: Arc<Signals>,
        limits: FrameLimits,
        lenient: bool,
    ) -> Self {
        Self {
            watch: Watch::new(signals.clone(), limits, lenient),
            connection,
            stats,
            reported,
            signals,
            ahead: Vec::new(),
            blocked: false,
            gathers: false,
            ended: false,
        }
    }

    fn report(&mut self) {
        let now = (
            self.connection.bytes_read(),
            self.connection.bytes_written(),
        );
        let (read, written) = *self.reported;
        self.stats.downstream_cx_rx_bytes_total.add(now.0 - read);
        self.stats.downstream_cx_tx_bytes_total.add(now.1 - written);
        *self.reported = now;
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let length = self.ahead.len().min(buf.remaining());
            buf.put_slice(self.ahead.get(..length).unwrap_or_default());
            self.ahead.drain(..length);
            if self.ahead.is_empty() {
                // An idle connection holds no memory for it.
                self.ahead = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        if self.signals.violation().is_some() {
            return Poll::Pending;
        }
        self.poll_socket(cx, buf)
    }

    /// Reads, and holds back what must not reach the codec.
    fn poll_socket(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match self.connection.poll_read_raw(cx, buf) {
            Poll::Pending => {
                if !self.blocked {
                    self.watch.idle();
                }
                return Poll::Pending;
            }
            Poll::Ready(result) => result?,
        }
        self.report();
        let received = buf.filled().get(before..).unwrap_or_default();
        if received.is_empty() {
            self.ended = true;
            return Poll::Ready(Ok(()));
        }
        let allowed = self.watch.received(received);
        if allowed == 0 {
            buf.set_filled(before);
            return Poll::Pending;
        }
        buf.set_filled(before + allowed);
        Poll::Ready(Ok(()))
    }

    /// Reads on although nothing can be written.
    fn read_ahead(&mut self, cx: &mut Context<'_>) {
        while self.ahead.len() < READ_AHEAD && self.signals.violation().is_none() {
            let mut space = [0; 4096];
            let mut buf = ReadBuf::new(&mut space);
            match self.poll_socket(cx, &mut buf) {
                // The end of the connection shows to whoever writes.
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    self.ahead.extend_from_slice(buf.filled());
                }
                _ => return,
            }
        }
    }

    /// Adds frames of our own, if there are some and the codec is between two of its own.
    fn add_extra(&mut self) {
        if self.signals.has_extra() && self.watch.is_between_frames() {
            self.connection.gather_raw(&self.signals.take_extra());
        }
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.signals.violation().is_some() {
            return Poll::Pending;
        }
        self.add_extra();
        let all: usize = bufs.iter().map(|buf| buf.len()).sum();
        // Nothing after a violation: what the codec still has to say is of no use.
        if self.watch.may_write(bufs) < all {
            return Poll::Pending;
        }
        if all > COPIED || self.connection.buffered() + all > GATHERED {
            ready!(self.poll_gathered(cx))?;
        }
        let mut written = all;
        if all > COPIED {
            written = match self.connection.poll_write_raw(cx, bufs) {
                Poll::Ready(written) => written?,
                Poll::Pending => return self.wait_to_write(cx),
            };
            self.blocked = written < all;
            self.report();
        } else {
            for buf in bufs {
                self.connection.gather_raw(buf);
            }
        }
        self.watch.wrote(bufs, written);
        Poll::Ready(Ok(written))
    }

    /// What the codec, or we, have added since something was sent.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.add_extra();
        self.poll_gathered(cx)
    }

    fn poll_gathered(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.connection.buffered() == 0 {
            return Poll::Ready(Ok(()));
        }
        let flushed = self.connection.poll_flush(cx);
        self.report();
        match flushed {
            Poll::Ready(result) => {
                self.blocked = false;
                Poll::Ready(result)
            }
            Poll::Pending => self.wait_to_write(cx),
        }
    }

    /// The client does not read: looks whether it floods us meanwhile.
    fn wait_to_write<T>(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        self.blocked = true;
        self.watch.blocked();
        self.read_ahead(cx);
        Poll::Pending
    }
}

impl AsyncRead for ServerIo<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.lock().poll_read(cx, buf)
    }
}

impl AsyncWrite for ServerIo<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().poll_write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.0.lock();
        if wire.gathers {
            return Poll::Ready(Ok(()));
        }
        wire.poll_send(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // How a connection ends is the connection manager's decision.
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::codec::h1::{Http1Settings, server::CodecType};
    use outrigger_transport::Stream;
    use std::future::poll_fn;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixStream,
    };

    /// Calls `test` with what the codec writes to, and with its client.
    async fn with_io(test: impl AsyncFnOnce(ServerIo<'_>, UnixStream)) {
        let (near, far) = UnixStream::pair().unwrap();
        let settings = Arc::new(Http1Settings::default());
        let stream = Stream::Unix(near);
        let mut connection = ServerConnection::new(stream, settings, CodecType::Http2, 0);
        let mut reported = (0, 0);
        let wire = Mutex::new(Wire::new(
            &mut connection,
            Arc::default(),
            &mut reported,
            Arc::default(),
            FrameLimits::default(),
            false,
        ));
        test(ServerIo::new(&wire), far).await;
    }

    /// A frame of DATA.
    fn data(length: usize) -> Vec<u8> {
        let [_, a, b, c] = u32::try_from(length).unwrap().to_be_bytes();
        let mut frame = vec![a, b, c, 0, 0, 0, 0, 0, 1];
        frame.resize(9 + length, b'x');
        frame
    }

    #[tokio::test]
    async fn what_is_written_is_gathered_until_it_is_sent() {
        with_io(async |mut io, mut client| {
            io.gather();
            for _ in 0..3 {
                io.write_all(&data(1000)).await.unwrap();
                io.flush().await.unwrap();
            }
            let mut buffer = [0; 4096];
            assert!(client.try_read(&mut buffer).is_err());
            poll_fn(|cx| io.poll_send(cx)).await.unwrap();
            assert_eq!(client.read(&mut buffer).await.unwrap(), 3 * 1009);
        })
        .await;
    }

    #[tokio::test]
    async fn what_is_large_goes_at_once_and_in_order() {
        with_io(async |mut io, mut client| {
            io.gather();
            let (small, large) = (data(10), data(10_000));
            let both = [small.clone(), large.clone()].concat();
            io.write_all(&small).await.unwrap();
            io.write_all(&large).await.unwrap();
            let mut got = vec![0; both.len()];
            client.read_exact(&mut got).await.unwrap();
            assert_eq!(got, both);
        })
        .await;
    }

    #[tokio::test]
    async fn nothing_is_gathered_beyond_a_limit() {
        with_io(async |mut io, mut client| {
            io.gather();
            let frame = data(8000);
            for _ in 0..3 {
                io.write_all(&frame).await.unwrap();
            }
            let mut got = vec![0; 2 * frame.len()];
            client.read_exact(&mut got).await.unwrap();
        })
        .await;
    }

    #[tokio::test]
    async fn before_somebody_sends_each_flush_does() {
        with_io(async |mut io, mut client| {
            io.write_all(&data(10)).await.unwrap();
            io.flush().await.unwrap();
            assert_eq!(client.read(&mut [0; 64]).await.unwrap(), 19);
        })
        .await;
    }
}
