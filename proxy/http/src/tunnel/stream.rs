//! An open tunnel as a stream of bytes: what is written becomes the body of the request, what is read is that of the
//! response.

use super::kept::Kept;
use crate::codec::{BodyEvent, ClientExchange, h1::ExchangeError};
use bytes::{Buf, Bytes};
use outrigger_core::{HeaderMap, stream_info::FilterState};
use outrigger_upstream::{CloseReason, UpstreamConnectionInfo, tunnel::Tunnel};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The bytes of one tunnel.
#[derive(Debug)]
pub(super) struct TunnelStream {
    exchange: ClientExchange,
    info: Arc<UpstreamConnectionInfo>,
    /// A piece of the response that was not read whole.
    unread: Bytes,
    /// The response has ended; its trailers say nothing to a client without HTTP.
    ended: bool,
    /// The headers of the response, until the session takes them.
    headers: Option<FilterState>,
    kept: Kept,
    trailers: HeaderMap,
    write_ended: bool,
}

impl TunnelStream {
    pub(super) fn new(
        exchange: ClientExchange,
        info: Arc<UpstreamConnectionInfo>,
        headers: Option<FilterState>,
        kept: Kept,
    ) -> Self {
        Self {
            exchange,
            info,
            unread: Bytes::new(),
            ended: false,
            headers,
            kept,
            trailers: HeaderMap::new(),
            write_ended: false,
        }
    }
}

impl Tunnel for TunnelStream {
    fn info(&self) -> &Arc<UpstreamConnectionInfo> {
        &self.info
    }

    fn headers(&mut self) -> Option<FilterState> {
        self.headers.take()
    }

    fn trailers(&mut self) -> Option<FilterState> {
        self.kept.trailers(&self.trailers)
    }

    fn end_write(&mut self) {
        self.exchange.send_end(None);
        self.write_ended = true;
    }

    fn close(self: Box<Self>) {
        self.exchange.close(CloseReason::Local);
    }
}

impl AsyncRead for TunnelStream {
    /// What was written before goes out on the way: nobody else asks for it again.
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = this.exchange.poll_flush(cx).is_ready();
        // Over HTTP/1 a tunnel ends with what the client has to say, as in Envoy.
        if this.write_ended && flushed && !this.exchange.is_multiplexed() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        while this.unread.is_empty() && !this.ended {
            match ready!(this.exchange.poll_body(cx, &mut this.trailers)) {
                Ok(BodyEvent::Data(data)) => this.unread = data,
                Ok(BodyEvent::Trailers | BodyEvent::End) => this.ended = true,
                Err(ExchangeError::Reset | ExchangeError::Refused) => {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                // However a connection breaks off, the client's just ends.
                Err(_) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            }
        }
        let n = this.unread.len().min(buf.remaining());
        buf.put_slice(this.unread.get(..n).unwrap_or_default());
        this.unread.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TunnelStream {
    /// Takes bytes as long as not too many wait.
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let exchange = &mut self.get_mut().exchange;
        if exchange.is_backed_up()
            && exchange.poll_flush(cx).is_pending()
            && exchange.is_backed_up()
        {
            return Poll::Pending;
        }
        exchange.send_data(Bytes::copy_from_slice(buf));
        let _ = exchange.poll_flush(cx);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().exchange.poll_flush(cx).map(Ok)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.end_write();
        this.exchange.poll_flush(cx).map(Ok)
    }
}
