//! The downstream codec as one stream sees it: HTTP/1 has one stream at a time on its connection, HTTP/2 many.

use super::{
    BodyEvent,
    h1::{
        EncodeError, RequestHead, ServerConnection,
        server::{Detected, RequestError, ResponseContext},
    },
    h2::{ServerStream, server::Ending},
};
use bytes::Bytes;
use outrigger_core::HeaderMap;
use std::{
    io,
    task::{Context, Poll},
};

/// Where a request comes from and its response goes to. A stream of HTTP/2 is in its own box: a connection of HTTP/1
/// pays nothing for it.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the common one, and its box would cost every connection of HTTP/1"
)]
pub enum Codec {
    Http1(ServerConnection),
    Http2(Box<ServerStream>),
}

/// Does the same with each version.
macro_rules! each {
    ($self:expr, $codec:ident => $do:expr) => {
        match $self {
            Codec::Http1($codec) => $do,
            Codec::Http2($codec) => $do,
        }
    };
}

impl Codec {
    /// Other streams share the connection: its end is not this stream's business.
    pub fn is_multiplexed(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    /// All of the response is queued, and some of it waits for the client's window: HTTP/2 alone has one.
    pub fn is_flushing(&self) -> bool {
        matches!(self, Self::Http2(stream) if stream.is_flushing())
    }

    /// The server drains: the connection that a stream shares with others is to tell its client.
    pub fn ask_to_drain(&self) {
        if let Self::Http2(stream) = self {
            stream.ask_to_drain();
        }
    }

    /// The tunnel that the stream stands for has broken: a stream says so with a code of its own.
    pub fn fail_tunnel(&mut self) {
        if let Self::Http2(stream) = self {
            stream.fail_tunnel();
        }
    }

    /// What ended the stream, as far as the codec knows it by itself.
    pub fn ending(&self) -> Ending {
        match self {
            Self::Http1(_) => Ending::Closed,
            Self::Http2(stream) => stream.ending(),
        }
    }

    /// The client has reset the connection, as far as this codec reads from it by itself.
    pub fn was_reset(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.was_reset(),
            Self::Http2(_) => false,
        }
    }

    /// Which version the client speaks, by its first bytes. A stream has found out already.
    pub fn poll_protocol(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Detected>> {
        match self {
            Self::Http1(connection) => connection.poll_protocol(cx),
            Self::Http2(_) => Poll::Ready(Ok(Detected::Closed)),
        }
    }

    /// Reads the next request head of a connection. A stream has had its own.
    pub fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        headers: &mut HeaderMap,
    ) -> Poll<Result<Option<RequestHead>, RequestError>> {
        match self {
            Self::Http1(connection) => connection.poll_head(cx, headers),
            Self::Http2(_) => Poll::Ready(Ok(None)),
        }
    }

    /// Some bytes of a further request head have arrived.
    pub fn head_started(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.head_started(),
            Self::Http2(_) => false,
        }
    }

    /// Reads the next piece of the request body.
    pub fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        trailers: &mut HeaderMap,
    ) -> Poll<Result<BodyEvent, RequestError>> {
        each!(self, codec => codec.poll_body(cx, trailers))
    }

    /// The request has been read to its end.
    pub fn request_complete(&self) -> bool {
        each!(self, codec => codec.request_complete())
    }

    /// Between the end of a request and its response: ready only when the client does not wait for it any more.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        each!(self, codec => codec.poll_closed(cx))
    }

    /// Writes an interim response such as `100 Continue`.
    pub fn send_informational(&mut self, headers: &HeaderMap, to: ResponseContext) {
        match self {
            Self::Http1(connection) => connection.send_informational(headers, to),
            Self::Http2(stream) => stream.send_informational(headers),
        }
    }

    /// Writes the response head. `end`: there is no body.
    pub fn send_head(
        &mut self,
        headers: &HeaderMap,
        to: ResponseContext,
        end: bool,
    ) -> Result<(), EncodeError> {
        match self {
            Self::Http1(connection) => connection.send_head(headers, to, end),
            Self::Http2(stream) => stream.send_head(headers, end),
        }
    }

    /// Writes a piece of the response body.
    pub fn send_data(&mut self, data: Bytes) {
        each!(self, codec => codec.send_data(data));
    }

    /// Ends the response body.
    pub fn send_end(&mut self, trailers: Option<&HeaderMap>) {
        each!(self, codec => codec.send_end(trailers));
    }

    /// Only the end of the connection ends the response, or tells that it is not whole.
    pub fn response_ends_by_close(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.response_ends_by_close(),
            Self::Http2(_) => false,
        }
    }

    /// Bytes that wait to be written.
    pub fn buffered(&self) -> usize {
        each!(self, codec => codec.buffered())
    }

    /// Bytes that were read, and not looked at.
    pub fn unread(&self) -> usize {
        match self {
            Self::Http1(connection) => connection.unread(),
            // The connection is read by its own codec.
            Self::Http2(_) => 0,
        }
    }

    /// More is waiting to be written than the buffer limit allows: the source must pause.
    pub fn is_backed_up(&self) -> bool {
        each!(self, codec => codec.is_backed_up())
    }

    /// There is a buffer limit.
    pub fn is_limited(&self) -> bool {
        each!(self, codec => codec.is_limited())
    }

    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, codec => codec.poll_flush(cx))
    }

    /// Reads and forgets what the client still sends; ready when it has closed.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Http1(connection) => connection.poll_drain(cx),
            Self::Http2(_) => Poll::Ready(()),
        }
    }

    /// Header bytes of the last response, as Envoy counts them.
    pub fn header_bytes_sent(&self) -> u64 {
        each!(self, codec => codec.header_bytes_sent())
    }

    /// Bytes of requests so far.
    pub fn bytes_consumed(&self) -> u64 {
        each!(self, codec => codec.bytes_consumed())
    }

    /// Bytes of responses so far, written or not.
    pub fn bytes_encoded(&self) -> u64 {
        each!(self, codec => codec.bytes_encoded())
    }

    /// Bytes read from the socket since it was accepted.
    pub fn bytes_read(&self) -> u64 {
        match self {
            Self::Http1(connection) => connection.bytes_read(),
            Self::Http2(stream) => stream.bytes_consumed(),
        }
    }

    /// Bytes written to the socket since it was accepted.
    pub fn bytes_written(&self) -> u64 {
        match self {
            Self::Http1(connection) => connection.bytes_written(),
            Self::Http2(stream) => stream.bytes_encoded(),
        }
    }
}
