//! The upstream codec as one request sees it: HTTP/1 has a connection for each, HTTP/2 a stream.

use super::{
    BodyEvent,
    h1::{self, EncodeError, ExchangeError, ResponseHead},
    h2::ClientStream,
};
use bytes::Bytes;
use outrigger_core::{HeaderMap, Protocol};
use outrigger_upstream::CloseReason;
use std::task::{Context, Poll};

/// One request and its response. A stream of HTTP/2 is in its own box: an exchange of HTTP/1 pays nothing for it.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the common one, and is in a box itself once its head is there"
)]
pub enum ClientExchange {
    Http1(h1::ClientExchange),
    Http2(Box<ClientStream>),
}

/// Does the same with each version.
macro_rules! each {
    ($self:expr, $codec:ident => $do:expr) => {
        match $self {
            ClientExchange::Http1($codec) => $do,
            ClientExchange::Http2($codec) => $do,
        }
    };
}

impl ClientExchange {
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Http1(_) => Protocol::Http11,
            Self::Http2(_) => Protocol::Http2,
        }
    }

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
        each!(self, codec => codec.header_bytes_sent())
    }

    /// Header bytes of the response, as Envoy counts them.
    pub fn header_bytes_received(&self) -> u64 {
        each!(self, codec => codec.header_bytes_received())
    }

    /// Writes the request head. `end`: there is no body.
    pub fn send_head(&mut self, headers: &HeaderMap, end: bool) -> Result<(), EncodeError> {
        each!(self, codec => codec.send_head(headers, end))
    }

    /// Writes a piece of the request body.
    pub fn send_data(&mut self, data: Bytes) {
        each!(self, codec => codec.send_data(data));
    }

    /// Ends the request body.
    pub fn send_end(&mut self, trailers: Option<&HeaderMap>) {
        each!(self, codec => codec.send_end(trailers));
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
        each!(self, codec => codec.poll_head(cx, headers))
    }

    /// Reads the next piece of the response body.
    pub fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        trailers: &mut HeaderMap,
    ) -> Poll<Result<BodyEvent, ExchangeError>> {
        each!(self, codec => codec.poll_body(cx, trailers))
    }

    /// The response has been read to its end.
    pub fn response_complete(&self) -> bool {
        each!(self, codec => codec.response_complete())
    }

    /// The upstream has closed its side of the connection.
    pub fn ended(&self) -> bool {
        match self {
            Self::Http1(exchange) => exchange.ended(),
            Self::Http2(_) => false,
        }
    }

    /// The upstream sent more than its response on a connection that would otherwise serve again.
    pub fn has_surplus(&self) -> bool {
        match self {
            Self::Http1(exchange) => exchange.has_surplus(),
            Self::Http2(_) => false,
        }
    }

    /// Ends the exchange after a complete response.
    pub fn finish(self) {
        match self {
            Self::Http1(exchange) => exchange.finish(),
            Self::Http2(stream) => stream.close(),
        }
    }

    /// Gives up on the exchange.
    pub fn close(self, reason: CloseReason) {
        match self {
            Self::Http1(exchange) => exchange.close(reason),
            Self::Http2(stream) => stream.close(),
        }
    }

    /// Ends an exchange whose response nobody wants.
    pub fn finish_or_close(self) {
        match self {
            Self::Http1(exchange) => exchange.finish_or_close(),
            Self::Http2(stream) => stream.close(),
        }
    }
}
