//! The downstream side of HTTP/2: one stream, its request and its response.

use super::{
    Http2Settings, Signals, Violation,
    head::{HeadError, read_request, read_trailers, response},
    outgoing::{FRAME, Outgoing},
};
use crate::codec::{
    BodyEvent,
    h1::{EncodeError, RequestHead, server::RequestError},
};
use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use http::Request;
use outrigger_core::HeaderMap;
use std::{
    io,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// The details of a stream whose connection ends for what is not its own fault.
pub const CODEC_ERROR: &str = "codec_error:The_user_callback_function_failed";

/// How a stream ended other than by a whole response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    #[default]
    Open,
    /// The client reset it.
    Reset(Reason),
    /// The client broke the protocol within it, and the codec has reset it.
    Invalid(Reason),
    /// Its trailers were malformed, and the codec has reset it.
    Malformed,
    /// The client broke the protocol, and its connection is gone; the details say how.
    Violation(&'static str),
    /// We have closed its connection; the details say why.
    Local(&'static str),
    /// Its connection is gone.
    Closed,
}

/// A downstream stream.
#[derive(Debug)]
pub struct ServerStream {
    settings: Arc<Http2Settings>,
    signals: Arc<Signals>,
    recv: RecvStream,
    respond: SendResponse<Bytes>,
    send: Option<SendStream<Bytes>>,
    out: Outgoing,
    request_ended: bool,
    buffer_limit: usize,
    bytes_in: u64,
    bytes_out: u64,
    header_bytes_sent: u64,
    ending: Ending,
    /// What a reset by us says.
    reset_reason: Reason,
}

impl ServerStream {
    /// Takes over a stream and the head of its request, into `headers`, which is empty if the head is refused.
    pub fn accept(
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
        settings: Arc<Http2Settings>,
        signals: Arc<Signals>,
        buffer_limit: usize,
        headers: &mut HeaderMap,
    ) -> (Self, Result<RequestHead, HeadError>) {
        let (parts, recv) = request.into_parts();
        let head = read_request(&parts, &settings, headers);
        if head.is_err() {
            headers.clear();
        }
        let header_bytes = head.as_ref().map_or(0, |head| head.header_bytes as u64);
        signals.accept(recv.stream_id().as_u32());
        let stream = Self {
            settings,
            signals,
            request_ended: recv.is_end_stream(),
            recv,
            respond,
            send: None,
            out: Outgoing::default(),
            buffer_limit,
            bytes_in: FRAME + header_bytes,
            bytes_out: 0,
            header_bytes_sent: 0,
            ending: Ending::Open,
            reset_reason: Reason::INTERNAL_ERROR,
        };
        (stream, head)
    }

    /// What ended the stream, if it was not its response.
    pub fn ending(&self) -> Ending {
        self.ending
    }

    /// Bytes of the request: its frames, heads as they were before compression.
    pub fn bytes_consumed(&self) -> u64 {
        self.bytes_in
    }

    /// Bytes of the response, counted in the same way.
    pub fn bytes_encoded(&self) -> u64 {
        self.bytes_out
    }

    /// Header bytes of the last response.
    pub fn header_bytes_sent(&self) -> u64 {
        self.header_bytes_sent
    }

    /// Notes why the stream failed.
    fn fail(&mut self, error: &h2::Error) -> RequestError {
        if self.ending == Ending::Open {
            let id = self.recv.stream_id().as_u32();
            self.ending = match error.reason() {
                Some(reason) if error.is_reset() && error.is_remote() => Ending::Reset(reason),
                Some(_) if self.signals.violation() == Some(Violation::Trailers(id)) => {
                    self.signals.cause(id)
                }
                Some(_) if error.is_reset() && self.signals.has_malformed_trailers(id) => {
                    Ending::Malformed
                }
                Some(reason) if error.is_reset() => Ending::Invalid(reason),
                Some(_) if error.is_library() => Ending::Violation(CODEC_ERROR),
                _ => self.signals.cause(id),
            };
        }
        RequestError::Closed
    }

    /// Reads the next piece of the request body. What is handed out may be sent again by the client.
    pub fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        trailers: &mut HeaderMap,
    ) -> Poll<Result<BodyEvent, RequestError>> {
        while !self.request_ended {
            match ready!(self.recv.poll_data(cx)) {
                Some(Ok(data)) => {
                    self.bytes_in += FRAME + data.len() as u64;
                    // Fails only for more than was received.
                    let _ = self.recv.flow_control().release_capacity(data.len());
                    if !data.is_empty() {
                        return Poll::Ready(Ok(BodyEvent::Data(data)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Err(self.fail(&error))),
                None => match ready!(self.recv.poll_trailers(cx)) {
                    Ok(None) => self.request_ended = true,
                    Ok(Some(map)) => {
                        self.request_ended = true;
                        if read_trailers(&map, &self.settings, trailers).is_err() {
                            self.reset(Reason::PROTOCOL_ERROR);
                            self.ending = Ending::Invalid(Reason::PROTOCOL_ERROR);
                            return Poll::Ready(Err(RequestError::Closed));
                        }
                        return Poll::Ready(Ok(BodyEvent::Trailers));
                    }
                    Err(error) => return Poll::Ready(Err(self.fail(&error))),
                },
            }
        }
        Poll::Ready(Ok(BodyEvent::End))
    }

    /// The request has been read to its end.
    pub fn request_complete(&self) -> bool {
        self.request_ended
    }

    /// Ready when the client has reset the stream or is gone.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let reset = match &mut self.send {
            Some(send) => ready!(send.poll_reset(cx)),
            None => ready!(self.respond.poll_reset(cx)),
        };
        if self.ending == Ending::Open {
            match reset {
                Ok(reason) => self.ending = Ending::Reset(reason),
                Err(error) => {
                    self.fail(&error);
                }
            }
        }
        Poll::Ready(())
    }

    /// Sends an interim response.
    pub fn send_informational(&mut self, headers: &HeaderMap) {
        // One that cannot be sent is one that the client can do without.
        if let Ok(head) = response(headers) {
            let _ = self.respond.send_informational(head);
        }
    }

    /// Sends the response head. `end`: there is no body.
    pub fn send_head(&mut self, headers: &HeaderMap, end: bool) -> Result<(), EncodeError> {
        let head = response(headers)?;
        self.header_bytes_sent = headers.byte_size() as u64;
        self.bytes_out += FRAME + self.header_bytes_sent;
        if end {
            self.out.set_sent();
        }
        self.signals.hand();
        match self.respond.send_response(head, end) {
            Ok(send) => self.send = Some(send),
            // The client has reset the stream: whoever flushes next learns of it.
            Err(error) => {
                self.fail(&error);
            }
        }
        Ok(())
    }

    /// Queues a piece of the response body.
    pub fn send_data(&mut self, data: Bytes) {
        self.signals.hand();
        self.bytes_out += self.out.push(data);
    }

    /// Ends the response body.
    pub fn send_end(&mut self, trailers: Option<&HeaderMap>) {
        self.out.end(trailers);
    }

    /// Bytes that wait for the client's window.
    pub fn buffered(&self) -> usize {
        self.out.len()
    }

    /// More is waiting than the buffer limit allows: the source must pause.
    pub fn is_backed_up(&self) -> bool {
        self.is_limited() && self.out.len() >= self.buffer_limit
    }

    /// There is a buffer limit.
    pub fn is_limited(&self) -> bool {
        self.buffer_limit != 0
    }

    /// Hands what is queued to the connection as far as the client's windows allow.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ending != Ending::Open {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let Some(send) = &mut self.send else {
            return Poll::Ready(Ok(()));
        };
        match ready!(self.out.poll_send(send, cx)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(error) => {
                // Others know why the stream has ended: first the side that receives, unless it had ended before.
                if let Poll::Ready(Some(Err(error))) = self.recv.poll_data(cx) {
                    self.fail(&error);
                } else if self.poll_closed(cx).is_pending() {
                    self.fail(&error);
                }
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
        }
    }

    /// The server drains: the connection is to tell its client.
    pub fn ask_to_drain(&self) {
        self.signals.ask_to_drain();
    }

    /// The tunnel that the stream stands for has broken.
    pub fn fail_tunnel(&mut self) {
        self.reset_reason = Reason::CONNECT_ERROR;
    }

    /// Ends a stream whose response cannot become whole.
    pub fn abort(&mut self) {
        self.reset(self.reset_reason);
    }

    /// Ends the stream before its response is whole.
    pub fn reset(&mut self, reason: Reason) {
        match &mut self.send {
            Some(send) => send.send_reset(reason),
            None => self.respond.send_reset(reason),
        }
    }

    /// All of the response is queued, and some of it waits for the client's window.
    pub fn is_flushing(&self) -> bool {
        self.ending == Ending::Open && self.out.is_whole() && !self.out.is_sent()
    }

    /// The response has been handed over to its end.
    pub fn response_complete(&self) -> bool {
        self.out.is_sent()
    }
}
