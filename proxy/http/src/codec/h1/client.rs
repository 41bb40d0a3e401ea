//! The upstream side of HTTP/1: one request and its response on a connection lent by the pool.

use super::{
    BodyDecoder, Decoded, EncodeError, Framing, Http1Settings, RequestEncoding, ResponseHead,
    ResponseParser, encode::header_bytes, encode_request, framing::is_upgrade, writer::BodyWriter,
};
use crate::codec::{
    BodyEvent, CodecError,
    buffer::{ReadBuffer, WriteBuffer},
};
use bytes::Bytes;
use outrigger_core::{HeaderMap, Method};
use outrigger_upstream::{CloseReason, Http1Connection};
use std::{
    io,
    task::{Context, Poll, ready},
};
use tokio::time::Instant;

/// Why an exchange with the upstream failed.
#[derive(Debug)]
pub enum ExchangeError {
    /// The upstream does not speak HTTP/1 as Envoy accepts it.
    Protocol(CodecError),
    /// The connection ended before the response head, by FIN or reset.
    Terminated,
    /// The connection ended within the response body.
    Truncated,
    /// The upstream reset the stream.
    Reset,
    /// The upstream has not looked at the request, and never will.
    Refused,
}

impl From<io::Error> for ExchangeError {
    fn from(_: io::Error) -> Self {
        Self::Terminated
    }
}

/// What a request makes of its connection if the upstream agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tunnel {
    /// Nothing: it is a request like most.
    No,
    Asked,
    /// The upstream has agreed: what follows its head is no HTTP any more.
    Open,
}

/// One request and its response.
#[derive(Debug)]
pub struct ClientExchange {
    connection: Http1Connection,
    settings: Http1Settings,
    method: Method,
    tunnel: Tunnel,
    read: ReadBuffer,
    write: WriteBuffer,
    parser: ResponseParser,
    body: BodyDecoder,
    body_out: BodyWriter,
    buffer_limit: usize,
    request_ended: bool,
    keep_alive: bool,
    ended: bool,
    header_bytes_sent: u64,
    header_bytes_received: u64,
}

impl ClientExchange {
    pub fn new(
        connection: Http1Connection,
        settings: Http1Settings,
        method: Method,
        buffer_limit: usize,
    ) -> Self {
        let body = BodyDecoder::new(Framing::None, &settings);
        Self {
            connection,
            settings,
            method,
            tunnel: Tunnel::No,
            read: ReadBuffer::default(),
            write: WriteBuffer::default(),
            parser: ResponseParser::default(),
            body,
            body_out: BodyWriter::default(),
            buffer_limit,
            request_ended: false,
            keep_alive: true,
            ended: false,
            header_bytes_sent: 0,
            header_bytes_received: 0,
        }
    }

    pub fn connection(&self) -> &Http1Connection {
        &self.connection
    }

    /// Bytes read in this exchange.
    pub fn bytes_read(&self) -> u64 {
        self.read.total
    }

    /// Bytes written in this exchange.
    pub fn bytes_written(&self) -> u64 {
        self.write.total
    }

    /// Writes the request head. `end`: there is no body.
    pub fn send_head(&mut self, headers: &HeaderMap, end: bool) -> Result<(), EncodeError> {
        let how = RequestEncoding {
            end_stream: end,
            header_key_format: self.settings.header_key_format,
            fully_qualified_url: self.settings.send_fully_qualified_url,
        };
        let out = self.write.tail();
        let start = out.len();
        let framing = encode_request(out, headers, how)?;
        self.header_bytes_sent = header_bytes(out.get(start..).unwrap_or_default());
        self.body_out = BodyWriter::new(framing, self.settings.enable_trailers);
        if framing == Framing::UntilClose {
            self.tunnel = Tunnel::Asked;
        }
        self.request_ended = end;
        Ok(())
    }

    pub fn send_data(&mut self, data: Bytes) {
        self.body_out.data(&mut self.write, data);
    }

    pub fn send_end(&mut self, trailers: Option<&HeaderMap>) {
        self.body_out.end(&mut self.write, trailers);
        self.keep_alive &= !self.body_out.ends_by_close();
        self.request_ended = true;
    }

    pub fn is_backed_up(&self) -> bool {
        self.buffer_limit != 0 && self.write.len() >= self.buffer_limit
    }

    /// Bytes that wait to be written.
    pub fn buffered(&self) -> usize {
        self.write.len()
    }

    /// Bytes that were read, and not looked at.
    pub fn unread(&self) -> usize {
        self.read.len()
    }

    pub fn is_flushed(&self) -> bool {
        self.write.is_empty()
    }

    /// A failed write is not an error of its own: the upstream may have answered before it closed, so reading decides.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let before = self.write.total;
        let flushed = self.write.poll_flush(&mut self.connection.stream, cx);
        self.connection.count_written(self.write.total - before);
        match ready!(flushed) {
            Ok(()) => {}
            Err(_) => {
                self.write.clear();
                self.keep_alive = false;
            }
        }
        Poll::Ready(())
    }

    /// The upstream has closed its side.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Reads the next response head, informational ones included.
    pub fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        headers: &mut HeaderMap,
    ) -> Poll<Result<ResponseHead, ExchangeError>> {
        if self.connect_has_ended() {
            return Poll::Ready(Err(ExchangeError::Terminated));
        }
        loop {
            if !self.read.is_empty()
                && let Some(mut head) = self
                    .parser
                    .parse(self.read.bytes(), &self.settings, self.method, headers)
                    .map_err(ExchangeError::Protocol)?
            {
                if self.tunnel == Tunnel::Asked && self.agrees(&head, headers) {
                    self.tunnel = Tunnel::Open;
                    head.framing = Framing::UntilClose;
                }
                self.body = BodyDecoder::new(head.framing, &self.settings);
                self.keep_alive &= head.keep_alive && head.framing != Framing::UntilClose;
                self.header_bytes_received = head.header_bytes as u64;
                return Poll::Ready(Ok(head));
            }
            if self.ended {
                return Poll::Ready(Err(match self.read.is_empty() {
                    true => ExchangeError::Terminated,
                    false => ExchangeError::Protocol(CodecError::malformed("half a head")),
                }));
            }
            self.ended = ready!(self.poll_fill(cx))? == 0;
        }
    }

    /// The response switches the connection over.
    fn agrees(&self, head: &ResponseHead, headers: &HeaderMap) -> bool {
        match self.method {
            Method::Connect => (200..300).contains(&head.status),
            _ => !head.is_informational() && is_upgrade(headers),
        }
    }

    /// The request of a CONNECT has been written to its end, and with it the connection ends, as Envoy has it.
    fn connect_has_ended(&self) -> bool {
        self.method == Method::Connect && self.request_ended && self.write.is_empty()
    }

    /// The end of a CONNECT is ours to make, even where the upstream was first to end its half.
    pub fn ends_connect(&self) -> bool {
        self.method == Method::Connect && (self.ended || self.connect_has_ended())
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let read = ready!(self.read.poll_fill(&mut self.connection.stream, cx))?;
        self.connection.count_read(read as u64);
        Poll::Ready(Ok(read))
    }

    /// Reads the next piece of the response body. A connection that ends within it breaks the protocol.
    pub fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        trailers: &mut HeaderMap,
    ) -> Poll<Result<BodyEvent, ExchangeError>> {
        if self.connect_has_ended() {
            return Poll::Ready(Err(ExchangeError::Terminated));
        }
        loop {
            match self
                .body
                .decode(self.read.bytes(), trailers)
                .map_err(ExchangeError::Protocol)?
            {
                Decoded::Data(data) => return Poll::Ready(Ok(BodyEvent::Data(data))),
                Decoded::Trailers => return Poll::Ready(Ok(BodyEvent::Trailers)),
                Decoded::End => return Poll::Ready(Ok(BodyEvent::End)),
                // A tunnel has no end that both sides know of.
                Decoded::NeedMore if self.ended && self.tunnel == Tunnel::Open => {
                    return Poll::Ready(Err(ExchangeError::Terminated));
                }
                Decoded::NeedMore if self.ended => {
                    return Poll::Ready(match self.body.on_eof() {
                        true => Ok(BodyEvent::End),
                        false => Err(ExchangeError::Truncated),
                    });
                }
                Decoded::NeedMore => match ready!(self.poll_fill(cx)) {
                    Ok(read) => self.ended = read == 0,
                    Err(_) if self.tunnel == Tunnel::Open => {
                        return Poll::Ready(Err(ExchangeError::Terminated));
                    }
                    Err(_) => return Poll::Ready(Err(ExchangeError::Truncated)),
                },
            }
        }
    }

    /// The response has been read to its end.
    pub fn response_complete(&self) -> bool {
        self.body.is_done()
    }

    /// Header bytes of the request, as Envoy counts them.
    pub fn header_bytes_sent(&self) -> u64 {
        self.header_bytes_sent
    }

    /// Header bytes of the response, as Envoy counts them.
    pub fn header_bytes_received(&self) -> u64 {
        self.header_bytes_received
    }

    /// The upstream sent more than its response on a connection that would otherwise serve again.
    pub fn has_surplus(&self) -> bool {
        let answered = self.request_ended || self.tunnel == Tunnel::Asked;
        self.keep_alive && answered && !self.read.is_empty()
    }

    /// Ends the exchange after a complete response: the connection goes back to its pool if it can serve again, that
    /// is if the request was written whole, nothing follows the response and both sides keep it alive.
    pub fn finish(mut self, now: Instant) {
        let reusable = self.keep_alive
            && !self.ended
            && self.request_ended
            && self.write.is_empty()
            && self.read.is_empty();
        self.read.release();
        if reusable {
            return self.connection.release(now);
        }
        let reason = if self.ended {
            CloseReason::Remote
        } else {
            CloseReason::Local
        };
        if self.request_ended {
            self.connection.finish();
        }
        self.connection.close(reason);
    }

    /// Gives up on the exchange: the connection cannot serve again.
    pub fn close(self, reason: CloseReason) {
        self.connection.close(reason);
    }

    /// Ends an exchange whose response nobody wants: the connection survives if nothing of it is left to read.
    pub fn finish_or_close(self) {
        if self.body.is_done() {
            self.finish(Instant::now());
        } else {
            self.close(CloseReason::Local);
        }
    }
}
