//! The socket under the downstream codec: first the bytes that were read to find out the protocol, then the rest; all
//! of it counted, and its frames watched.
//!
//! After a violation nothing passes any more: the connection manager, which polls the codec, finds it in the signals.

use super::{signals::Signals, watch::Watch};
use crate::codec::h1::ServerConnection;
use crate::stats::HcmStats;
use bytes::{Buf, Bytes};
use outrigger_upstream::config::FrameLimits;
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much is read of a client that does not read itself: enough to see that it floods us.
const READ_AHEAD: usize = 64 * 1024;

/// The connection as the HTTP/2 codec reads and writes it.
#[derive(Debug)]
pub struct ServerIo<'a> {
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
    /// Frames of our own that have to be written before the codec's next.
    extra: Bytes,
}

impl<'a> ServerIo<'a> {
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
            extra: Bytes::new(),
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

    /// Writes frames of our own, if there are some and the codec is between two of its own.
    fn poll_extra(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.extra.is_empty() {
            if !self.signals.has_extra() || !self.watch.is_between_frames() {
                return Poll::Ready(Ok(()));
            }
            self.extra = self.signals.take_extra().into();
        }
        while !self.extra.is_empty() {
            let bufs = [IoSlice::new(&self.extra)];
            let written = ready!(self.connection.poll_write_raw(cx, &bufs))?;
            self.extra.advance(written);
        }
        self.report();
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for ServerIo<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.ahead.is_empty() {
            let length = this.ahead.len().min(buf.remaining());
            buf.put_slice(this.ahead.get(..length).unwrap_or_default());
            this.ahead.drain(..length);
            if this.ahead.is_empty() {
                // An idle connection holds no memory for it.
                this.ahead = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        if this.signals.violation().is_some() {
            return Poll::Pending;
        }
        // A write that has to wait is tried again by the next one.
        if let Poll::Ready(Err(error)) = this.poll_extra(cx) {
            return Poll::Ready(Err(error));
        }
        this.poll_socket(cx, buf)
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
        let this = self.get_mut();
        if this.signals.violation().is_some() {
            return Poll::Pending;
        }
        ready!(this.poll_extra(cx))?;
        let allowed = this.watch.may_write(bufs);
        let all: usize = bufs.iter().map(|buf| buf.len()).sum();
        // Nothing after a violation: what the codec still has to say is of no use.
        if allowed < all {
            return Poll::Pending;
        }
        match this.connection.poll_write_raw(cx, bufs) {
            Poll::Ready(written) => {
                let written = written?;
                this.blocked = written < all;
                this.watch.wrote(bufs, written);
                this.report();
                Poll::Ready(Ok(written))
            }
            Poll::Pending => {
                this.blocked = true;
                this.watch.blocked();
                this.read_ahead(cx);
                Poll::Pending
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing is kept above the kernel.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // How a connection ends is the connection manager's decision.
        Poll::Ready(Ok(()))
    }
}
