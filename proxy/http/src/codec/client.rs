//! The upstream codec as one request sees it: HTTP/1 has a connection for each, HTTP/2 a stream.

use super::{
    BodyEvent, TcpExchange,
    h1::{self, EncodeError, ExchangeError, ResponseHead},
    h2::ClientStream,
};
use bytes::Bytes;
use outrigger_core::HeaderMap;
use outrigger_upstream::CloseReason;
use std::task::{Context, Poll};
use tokio::time::Instant;

/// One request and its response. A stream of HTTP/2 is in its own box: an exchange of HTTP/1 pays nothing for it.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the common one, and is in a box itself once its head is there"
)]
pub enum ClientExchange {
    Http1(h1::ClientExchange),
    Http2(Box<ClientStream>),
    Tcp(Box<TcpExchange>),
}

/// Does the same with each version.
macro_rules! each {
    ($self:expr, $codec:ident => $do:expr) => {
        match $self {
            ClientExchange::Http1($codec) => $do,
            ClientExchange::Http2($codec) => $do,
            ClientExchange::Tcp($codec) => $do,
        }
    };
}

impl ClientExchange {
    /// Other requests share the connection, which counts its bytes itself.
    pub fn is_multiplexed(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    /// Bytes read in this exchange.
    pub fn bytes_read(&self) -> u64 {
        each!(self, codec => codec.bytes_read())
    }

    /// Bytes written in this exchange.
    pub fn bytes_written(&self) -> u64 {
        each!(self, codec => codec.bytes_written())
    }

    /// Header bytes of the request, as Envoy counts them.
    pub fn header_bytes_sent(&self) -> u64 {
        match self {
            Self::Http1(exchange) => exchange.header_bytes_sent(),
            Self::Http2(stream) => stream.header_bytes_sent(),
            Self::Tcp(_) => 0,
        }
    }

    /// Header bytes of the response, as Envoy counts them.
    pub fn header_bytes_received(&self) -> u64 {
        match self {
            Self::Http1(exchange) => exchange.header_bytes_received(),
            Self::Http2(stream) => stream.header_bytes_received(),
            Self::Tcp(_) => 0,
        }
    }

    /// Writes the request head. `end`: there is no body.
    pub fn send_head(&mut self, headers: &HeaderMap, end: bool) -> Result<(), EncodeError> {
        match self {
            Self::Http1(exchange) => exchange.send_head(headers, end),
            Self::Http2(stream) => stream.send_head(headers, end),
            Self::Tcp(exchange) => {
                if end {
                    exchange.send_end();
                }
                Ok(())
            }
        }
    }

    /// Writes a piece of the request body.
    pub fn send_data(&mut self, data: Bytes) {
        each!(self, codec => codec.send_data(data));
    }

    /// Ends the request body.
    pub fn send_end(&mut self, trailers: Option<&HeaderMap>) {
        match self {
            Self::Http1(exchange) => exchange.send_end(trailers),
            Self::Http2(stream) => stream.send_end(trailers),
            Self::Tcp(exchange) => exchange.send_end(),
        }
    }

    /// More is waiting to be written than the buffer limit allows: the source must pause.
    pub fn is_backed_up(&self) -> bool {
        each!(self, codec => codec.is_backed_up())
    }

    /// Bytes that wait to be written.
    pub fn buffered(&self) -> usize {
        each!(self, codec => codec.buffered())
    }

    /// Bytes that were read, and not looked at.
    pub fn unread(&self) -> usize {
        match self {
            Self::Http1(exchange) => exchange.unread(),
            // The connection is read by its own codec.
            Self::Http2(_) => 0,
            Self::Tcp(exchange) => exchange.unread(),
        }
    }

    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        each!(self, codec => codec.poll_flush(cx))
    }

    /// Reads the next response head, informational ones included.
    pub fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        headers: &mut HeaderMap,
    ) -> Poll<Result<ResponseHead, ExchangeError>> {
        match self {
            Self::Http1(exchange) => exchange.poll_head(cx, headers),
            Self::Http2(stream) => stream.poll_head(cx, headers),
            Self::Tcp(exchange) => Poll::Ready(Ok(exchange.head(headers))),
        }
    }

    /// Reads the next piece of the response body.
    pub fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        trailers: &mut HeaderMap,
    ) -> Poll<Result<BodyEvent, ExchangeError>> {
        match self {
            Self::Http1(exchange) => exchange.poll_body(cx, trailers),
            Self::Http2(stream) => stream.poll_body(cx, trailers),
            Self::Tcp(exchange) => exchange.poll_body(cx),
        }
    }

    /// The response has been read to its end.
    pub fn response_complete(&self) -> bool {
        each!(self, codec => codec.response_complete())
    }

    /// The upstream has closed its side of the connection.
    pub fn ended(&self) -> bool {
        match self {
            Self::Http1(exchange) => exchange.ended(),
            Self::Http2(_) | Self::Tcp(_) => false,
        }
    }

    /// It is we who end the connection, although the upstream may have been the first to.
    pub fn ends_connect(&self) -> bool {
        matches!(self, Self::Http1(exchange) if exchange.ends_connect())
    }

    /// The upstream sent more than its response on a connection that would otherwise serve again.
    pub fn has_surplus(&self) -> bool {
        match self {
            Self::Http1(exchange) => exchange.has_surplus(),
            Self::Http2(_) | Self::Tcp(_) => false,
        }
    }

    /// Ends the exchange after a complete response, which came to its end at `now`.
    pub fn finish(self, now: Instant) {
        match self {
            Self::Http1(exchange) => exchange.finish(now),
            Self::Http2(stream) => stream.close(),
            Self::Tcp(exchange) => exchange.finish(),
        }
    }

    /// Gives up on the exchange.
    pub fn close(self, reason: CloseReason) {
        match self {
            Self::Http1(exchange) => exchange.close(reason),
            Self::Http2(stream) => stream.close(),
            Self::Tcp(exchange) => exchange.close(reason),
        }
    }

    /// Ends an exchange whose response nobody wants.
    pub fn finish_or_close(self) {
        match self {
            Self::Http1(exchange) => exchange.finish_or_close(),
            Self::Http2(stream) => stream.close(),
            Self::Tcp(exchange) => exchange.finish_or_close(),
        }
    }
}
