//! The downstream side of HTTP/1: one connection, its requests one after the other.

use super::{
    BodyDecoder, ConnectionHeader, Decoded, EncodeError, Framing, Http1Settings, RequestHead,
    RequestParser, ResponseEncoding, encode::header_bytes, encode_response, writer::BodyWriter,
};
use crate::codec::{
    BodyEvent, CodecError,
    buffer::{ReadBuffer, WriteBuffer},
    h2::PREFACE_START,
};
use bytes::Bytes;
use outrigger_core::{HeaderMap, Method, Protocol};
use outrigger_transport::{ReadWatch, Stream};
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Why no further request can be read.
#[derive(Debug)]
pub enum RequestError {
    /// The bytes are no HTTP/1 that Envoy accepts; the error says what to answer.
    Codec(CodecError),
    /// The client closed or reset the connection.
    Closed,
    /// A filter cannot read the body; the stream has its answer.
    Refused,
}

impl From<io::Error> for RequestError {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// Which protocols a connection may speak, before its first bytes say so: `codec_type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CodecType {
    /// HTTP/2 if the client begins with its preface.
    #[default]
    Auto,
    Http1,
    Http2,
}

/// What the first bytes of a connection say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detected {
    Http1,
    Http2,
    /// There were none.
    Closed,
}

/// What of the response head depends on the request and the connection.
#[derive(Clone, Copy, Debug)]
pub struct ResponseContext {
    pub protocol: Protocol,
    pub method: Method,
    pub connection: ConnectionHeader,
}

/// A downstream HTTP/1 connection.
#[derive(Debug)]
pub struct ServerConnection {
    stream: Stream,
    settings: Arc<Http1Settings>,
    watch: ReadWatch,
    read: ReadBuffer,
    write: WriteBuffer,
    parser: RequestParser,
    body: BodyDecoder,
    body_out: BodyWriter,
    buffer_limit: usize,
    /// The client has sent FIN.
    ended: bool,
    /// The client has reset the connection.
    reset: bool,
    /// What the connection may turn out to be; `Http1` once it is known.
    undecided: CodecType,
    header_bytes_sent: u64,
}

impl ServerConnection {
    /// `buffer_limit`: the listener's `per_connection_buffer_limit_bytes`.
    pub fn new(
        stream: Stream,
        settings: Arc<Http1Settings>,
        codec_type: CodecType,
        buffer_limit: usize,
    ) -> Self {
        let body = BodyDecoder::new(Framing::None, &settings);
        Self {
            stream,
            settings,
            watch: ReadWatch::default(),
            read: ReadBuffer::default(),
            write: WriteBuffer::default(),
            parser: RequestParser::default(),
            body,
            body_out: BodyWriter::default(),
            buffer_limit,
            ended: false,
            reset: false,
            undecided: codec_type,
            header_bytes_sent: 0,
        }
    }

    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The client has reset the connection.
    pub fn was_reset(&self) -> bool {
        self.reset
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.watch.is_asleep(&self.stream, cx) {
            return Poll::Pending;
        }
        let Poll::Ready(read) = self.read.poll_fill(&mut self.stream, cx) else {
            self.watch.asked(cx);
            return Poll::Pending;
        };
        if let Err(error) = &read {
            self.reset |= error.kind() == io::ErrorKind::ConnectionReset;
        }
        Poll::Ready(read)
    }

    /// Bytes read from the socket since it was accepted.
    pub fn bytes_read(&self) -> u64 {
        self.read.total
    }

    /// Bytes of messages since the connection was accepted: what was read and does not wait to be parsed.
    pub fn bytes_consumed(&self) -> u64 {
        self.read.total.saturating_sub(self.read.len() as u64)
    }

    /// Bytes of messages since the connection was accepted: what was written and what waits to be.
    pub fn bytes_encoded(&self) -> u64 {
        self.write.total + self.write.len() as u64
    }

    /// Header bytes of the last response, as Envoy counts them.
    pub fn header_bytes_sent(&self) -> u64 {
        self.header_bytes_sent
    }

    /// Bytes written to the socket since it was accepted.
    pub fn bytes_written(&self) -> u64 {
        self.write.total
    }

    /// Some bytes of a request head have arrived.
    pub fn head_started(&self) -> bool {
        !self.read.is_empty() && self.undecided == CodecType::Http1
    }

    /// Reads until the bytes tell HTTP/1 from HTTP/2. They stay where they are, for the codec that wants them.
    pub fn poll_protocol(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Detected>> {
        loop {
            let seen = &self.read.bytes()[..];
            match self.undecided {
                CodecType::Http1 => return Poll::Ready(Ok(Detected::Http1)),
                // An end without any byte is HTTP/1's to see.
                _ if seen.is_empty() && self.ended => return Poll::Ready(Ok(Detected::Closed)),
                _ if seen.is_empty() => {}
                CodecType::Http2 => return Poll::Ready(Ok(Detected::Http2)),
                CodecType::Auto if seen.starts_with(PREFACE_START) => {
                    return Poll::Ready(Ok(Detected::Http2));
                }
                CodecType::Auto if PREFACE_START.starts_with(seen) && !self.ended => {}
                CodecType::Auto => {
                    self.undecided = CodecType::Http1;
                    continue;
                }
            }
            self.ended = ready!(self.poll_fill(cx))? == 0;
        }
    }

    /// Reads for another codec: first what was read already, then from the socket.
    pub fn poll_read_raw(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.read.is_empty() {
            let length = self.read.len().min(buf.remaining());
            buf.put_slice(&self.read.bytes().split_to(length));
            self.read.release();
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        self.watch.forget();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.read.total += (buf.filled().len() - before) as u64;
        Poll::Ready(Ok(()))
    }

    /// Writes for another codec.
    pub fn poll_write_raw(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs))?;
        self.write.total += written as u64;
        Poll::Ready(Ok(written))
    }

    /// Takes bytes of another codec, which go out with the next flush.
    pub fn gather_raw(&mut self, bytes: &[u8]) {
        self.write.tail().extend_from_slice(bytes);
    }

    /// Reads the next request head. `None`: the client has closed between two requests.
    pub fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        headers: &mut HeaderMap,
    ) -> Poll<Result<Option<RequestHead>, RequestError>> {
        loop {
            if !self.read.is_empty()
                && let Some(head) = self
                    .parser
                    .parse(self.read.bytes(), &self.settings, headers)
                    .map_err(RequestError::Codec)?
            {
                self.body = BodyDecoder::new(head.framing, &self.settings);
                return Poll::Ready(Ok(Some(head)));
            }
            if self.ended {
                let clean = self.read.is_empty();
                return Poll::Ready(if clean {
                    Ok(None)
                } else {
                    Err(RequestError::Closed)
                });
            }
            self.ended = ready!(self.poll_fill(cx))? == 0;
        }
    }

    /// Reads the next piece of the request body.
    pub fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        trailers: &mut HeaderMap,
    ) -> Poll<Result<BodyEvent, RequestError>> {
        loop {
            match self
                .body
                .decode(self.read.bytes(), trailers)
                .map_err(RequestError::Codec)?
            {
                Decoded::Data(data) => return Poll::Ready(Ok(BodyEvent::Data(data))),
                Decoded::Trailers => return Poll::Ready(Ok(BodyEvent::Trailers)),
                Decoded::End => return Poll::Ready(Ok(BodyEvent::End)),
                Decoded::NeedMore if self.ended => return Poll::Ready(Err(RequestError::Closed)),
                Decoded::NeedMore => {
                    self.ended = ready!(self.poll_fill(cx))? == 0;
                }
            }
        }
    }

    /// The request has been read to its end.
    pub fn request_complete(&self) -> bool {
        self.body.is_done()
    }

    /// Between the end of a request and its response: ready only when the client is gone. What arrives meanwhile is
    /// the next request and waits, up to one buffer.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        const READ_AHEAD: usize = 16 * 1024;
        while !self.ended && self.read.len() < READ_AHEAD {
            match ready!(self.poll_fill(cx)) {
                Ok(0) | Err(_) => self.ended = true,
                Ok(_) => {}
            }
        }
        if self.ended {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Writes an interim response such as `HTTP/1.1 100 Continue`, which says nothing of the connection.
    pub fn send_informational(&mut self, headers: &HeaderMap, mut to: ResponseContext) {
        to.connection = ConnectionHeader::FromMap;
        // An interim response that cannot be written is one that the client can do without.
        let _ = self.encode(headers, to, true);
    }

    /// Writes the response head. `end`: there is no body.
    pub fn send_head(
        &mut self,
        headers: &HeaderMap,
        to: ResponseContext,
        end: bool,
    ) -> Result<(), EncodeError> {
        let framing = self.encode(headers, to, end)?;
        self.body_out = BodyWriter::new(framing, self.settings.enable_trailers);
        Ok(())
    }

    fn encode(
        &mut self,
        headers: &HeaderMap,
        to: ResponseContext,
        end: bool,
    ) -> Result<Framing, EncodeError> {
        let how = ResponseEncoding {
            protocol: to.protocol,
            method: to.method,
            end_stream: end,
            connection: to.connection,
            header_key_format: self.settings.header_key_format,
        };
        let out = self.write.tail();
        let start = out.len();
        let framing = encode_response(out, headers, how)?;
        self.header_bytes_sent = header_bytes(out.get(start..).unwrap_or_default());
        Ok(framing)
    }

    /// Writes a piece of the response body.
    pub fn send_data(&mut self, data: Bytes) {
        self.body_out.data(&mut self.write, data);
    }

    /// Ends the response body.
    pub fn send_end(&mut self, trailers: Option<&HeaderMap>) {
        self.body_out.end(&mut self.write, trailers);
    }

    /// The response that was written ends when the connection closes, or is less than its length.
    pub fn response_ends_by_close(&self) -> bool {
        self.body_out.ends_by_close()
    }

    /// Bytes that were read, and not looked at.
    pub fn unread(&self) -> usize {
        self.read.len()
    }

    /// Bytes that wait to be written.
    pub fn buffered(&self) -> usize {
        self.write.len()
    }

    /// More is waiting to be written than the buffer limit allows: the source must pause.
    pub fn is_backed_up(&self) -> bool {
        self.is_limited() && self.write.len() >= self.buffer_limit
    }

    /// There is a buffer limit.
    pub fn is_limited(&self) -> bool {
        self.buffer_limit != 0
    }

    /// Everything has been handed to the socket.
    pub fn is_flushed(&self) -> bool {
        self.write.is_empty()
    }

    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write.poll_flush(&mut self.stream, cx)
    }

    /// Reads and forgets what the client still sends; ready when it has closed. Delayed close waits on this.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.ended {
            match ready!(self.poll_fill(cx)) {
                Ok(0) | Err(_) => self.ended = true,
                Ok(_) => self.read.bytes().clear(),
            }
        }
        Poll::Ready(())
    }
}
