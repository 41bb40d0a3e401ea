//! The socket under the downstream codec: first the bytes that were read to find out the protocol, then the rest; all
//! of it counted.

use crate::codec::h1::ServerConnection;
use crate::stats::HcmStats;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The connection as the HTTP/2 codec reads and writes it.
#[derive(Debug)]
pub struct ServerIo<'a> {
    pub connection: &'a mut ServerConnection,
    pub stats: Arc<HcmStats>,
    /// How much of what was read and written the stats know.
    pub reported: &'a mut (u64, u64),
}

impl ServerIo<'_> {
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
}

impl AsyncRead for ServerIo<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.connection.poll_read_raw(cx, buf))?;
        this.report();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ServerIo<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(this.connection.poll_write_raw(cx, bufs))?;
        this.report();
        Poll::Ready(Ok(written))
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
