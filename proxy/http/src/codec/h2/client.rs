//! The upstream side of HTTP/2: one request and its response on a stream of a pooled connection.

use super::{
    Http2Settings,
    head::{HeadError, read_response, read_trailers, request},
    outgoing::{FRAME, Outgoing},
};
use crate::{
    codec::{
        BodyEvent, CodecError,
        h1::{EncodeError, ExchangeError, ResponseHead},
    },
    hop_by_hop,
};
use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, client::ResponseFuture};
use http::StatusCode;
use outrigger_core::{HeaderId, HeaderMap};
use outrigger_upstream::{Http2Stream, UpstreamConnectionInfo, is_flood};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// One request and its response.
#[derive(Debug)]
pub struct ClientStream {
    // In this order: the stream of the codec ends before the pool hears of it.
    send: Option<SendStream<Bytes>>,
    response: Option<ResponseFuture>,
    recv: Option<RecvStream>,
    lease: Http2Stream,
    settings: Http2Settings,
    /// What the request asks for with extended CONNECT.
    upgrade: Option<Box<[u8]>>,
    out: Outgoing,
    response_ended: bool,
    failed: bool,
    buffer_limit: usize,
    bytes_in: u64,
    bytes_out: u64,
    header_bytes_sent: u64,
    header_bytes_received: u64,
}

impl ClientStream {
    pub fn new(lease: Http2Stream, settings: Http2Settings, buffer_limit: usize) -> Self {
        Self {
            send: None,
            response: None,
            recv: None,
            lease,
            settings,
            upgrade: None,
            out: Outgoing::default(),
            response_ended: false,
            failed: false,
            buffer_limit,
            bytes_in: 0,
            bytes_out: 0,
            header_bytes_sent: 0,
            header_bytes_received: 0,
        }
    }

    pub fn info(&self) -> &Arc<UpstreamConnectionInfo> {
        &self.lease.info
    }

    /// Bytes of the response: its frames, heads as they were before compression.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_in
    }

    /// Bytes of the request, counted in the same way.
    pub fn bytes_written(&self) -> u64 {
        self.bytes_out
    }

    pub fn header_bytes_sent(&self) -> u64 {
        self.header_bytes_sent
    }

    pub fn header_bytes_received(&self) -> u64 {
        self.header_bytes_received
    }

    /// Notes a failure, and says what it means.
    fn fail(&mut self, error: &h2::Error) -> ExchangeError {
        self.failed = true;
        let stats = self.lease.stats();
        match error.reason() {
            Some(Reason::REFUSED_STREAM) if error.is_remote() => {
                if error.is_reset() {
                    self.lease.codec_stats().rx_reset.inc();
                }
                ExchangeError::Refused
            }
            // A stream that the peer will not look at any more.
            Some(_) if error.is_go_away() && error.is_remote() => ExchangeError::Refused,
            Some(_) if error.is_reset() && error.is_remote() => {
                stats.upstream_rq_rx_reset.inc();
                self.lease.codec_stats().rx_reset.inc();
                ExchangeError::Reset
            }
            Some(_) if error.is_library() => self.violate(),
            None if is_flood(error) => {
                stats.upstream_rq_tx_reset.inc();
                ExchangeError::Protocol(CodecError::malformed("HTTP/2 flood"))
            }
            _ => ExchangeError::Terminated,
        }
    }

    /// The upstream has broken the protocol.
    fn violate(&mut self) -> ExchangeError {
        self.failed = true;
        self.lease.stats().upstream_rq_tx_reset.inc();
        if !self.settings.stream_errors {
            self.lease.retire();
        }
        ExchangeError::Protocol(CodecError::malformed("HTTP/2 protocol error"))
    }

    /// The head of the response is more than the limits allow. As in Envoy it counts as if the upstream had reset the stream.
    fn refuse_head(&mut self, error: HeadError) -> ExchangeError {
        self.failed = true;
        let stats = self.lease.codec_stats();
        let exceeded = match error {
            HeadError::TooLarge => Some(&stats.header_list_size_too_large),
            HeadError::TooManyHeaders => Some(&stats.header_overflow),
            _ => None,
        };
        if let Some(exceeded) = exceeded {
            exceeded.inc();
            stats.tx_reset.inc();
            self.lease.stats().upstream_rq_rx_reset.inc();
        }
        self.reset(Reason::INTERNAL_ERROR);
        ExchangeError::Reset
    }

    /// Notes a failure within the body: one that the codec has found there costs the stream alone.
    fn fail_body(&mut self, error: &h2::Error) -> ExchangeError {
        if !(error.is_reset() && error.is_library()) {
            return self.fail(error);
        }
        self.failed = true;
        self.lease.stats().upstream_rq_tx_reset.inc();
        self.lease.codec_stats().tx_reset.inc();
        ExchangeError::Truncated
    }

    /// Sends the request head. `end`: there is no body.
    pub fn send_head(&mut self, headers: &HeaderMap, end: bool) -> Result<(), EncodeError> {
        let head = request(headers)?;
        if hop_by_hop::is_upgrade(headers) {
            self.upgrade = headers.get(HeaderId::Upgrade).map(Box::from);
        }
        self.header_bytes_sent = headers.byte_size() as u64;
        self.bytes_out += FRAME + self.header_bytes_sent;
        if end {
            self.out.set_sent();
        }
        // Refused if the connection has failed in the meantime: whoever reads the response learns of it.
        if let Ok((response, send)) = self.lease.send.send_request(head, end) {
            self.response = Some(response);
            self.send = Some(send);
        }
        Ok(())
    }

    /// Queues a piece of the request body.
    pub fn send_data(&mut self, data: Bytes) {
        self.bytes_out += self.out.push(data);
    }

    /// Ends the request body.
    pub fn send_end(&mut self, trailers: Option<&HeaderMap>) {
        self.out.end(trailers);
    }

    /// More is waiting than the buffer limit allows: the source must pause.
    pub fn is_backed_up(&self) -> bool {
        self.buffer_limit != 0 && self.out.len() >= self.buffer_limit
    }

    /// Bytes that wait for the upstream's windows.
    pub fn buffered(&self) -> usize {
        self.out.len()
    }

    /// Hands what is queued to the connection as far as the upstream's windows allow.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(send) = &mut self.send else {
            return Poll::Ready(());
        };
        // What goes wrong here shows when the response is read.
        self.out.poll_send(send, cx).map(|_| ())
    }

    /// Reads the next response head, informational ones included.
    pub fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        headers: &mut HeaderMap,
    ) -> Poll<Result<ResponseHead, ExchangeError>> {
        let Some(response) = &mut self.response else {
            return Poll::Ready(Err(ExchangeError::Refused));
        };
        if let Poll::Ready(Some(Ok(interim))) = response.poll_informational(cx) {
            let (parts, ()) = interim.into_parts();
            return Poll::Ready(self.read(&parts, headers));
        }
        match ready!(Pin::new(response).poll(cx)) {
            Ok(response) => {
                let (parts, recv) = response.into_parts();
                self.response_ended = recv.is_end_stream();
                self.recv = Some(recv);
                Poll::Ready(self.read(&parts, headers))
            }
            Err(error) => Poll::Ready(Err(self.fail(&error))),
        }
    }

    fn read(
        &mut self,
        parts: &http::response::Parts,
        headers: &mut HeaderMap,
    ) -> Result<ResponseHead, ExchangeError> {
        headers.clear();
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            // HTTP/2 knows no such answer (RFC 9113, 8.6), and to a client of HTTP/1 it would be the end of its requests.
            self.reset(Reason::PROTOCOL_ERROR);
            return Err(self.violate());
        }
        let head = match read_response(parts, &self.settings, self.upgrade.as_deref(), headers) {
            Ok(head) => head,
            Err(error) => return Err(self.refuse_head(error)),
        };
        self.header_bytes_received = head.header_bytes as u64;
        self.bytes_in += FRAME + self.header_bytes_received;
        Ok(head)
    }

    /// Reads the next piece of the response body. What is handed out may be sent again by the upstream.
    pub fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        trailers: &mut HeaderMap,
    ) -> Poll<Result<BodyEvent, ExchangeError>> {
        while !self.response_ended {
            let Some(recv) = &mut self.recv else { break };
            match ready!(recv.poll_data(cx)) {
                Some(Ok(data)) => {
                    self.bytes_in += FRAME + data.len() as u64;
                    // Fails only for more than was received.
                    let _ = recv.flow_control().release_capacity(data.len());
                    if !data.is_empty() {
                        return Poll::Ready(Ok(BodyEvent::Data(data)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Err(self.fail_body(&error))),
                None => match ready!(recv.poll_trailers(cx)) {
                    Ok(None) => self.response_ended = true,
                    Ok(Some(map)) => {
                        self.response_ended = true;
                        if read_trailers(&map, &self.settings, trailers).is_err() {
                            self.failed = true;
                            self.reset(Reason::INTERNAL_ERROR);
                            return Poll::Ready(Err(ExchangeError::Reset));
                        }
                        return Poll::Ready(Ok(BodyEvent::Trailers));
                    }
                    Err(error) => return Poll::Ready(Err(self.fail_body(&error))),
                },
            }
        }
        Poll::Ready(Ok(BodyEvent::End))
    }

    /// The response has been read to its end.
    pub fn response_complete(&self) -> bool {
        self.response_ended
    }

    fn reset(&mut self, reason: Reason) {
        if let Some(send) = &mut self.send {
            send.send_reset(reason);
        }
    }

    /// Gives up on the stream if it is not over; the connection goes on.
    pub fn close(mut self) {
        if self.failed || self.send.is_none() {
            return;
        }
        if !(self.response_ended && self.out.is_sent()) {
            self.lease.stats().upstream_rq_tx_reset.inc();
            self.lease.codec_stats().tx_reset.inc();
            self.reset(Reason::INTERNAL_ERROR);
        }
    }
}
