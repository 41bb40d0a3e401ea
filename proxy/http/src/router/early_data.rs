//! Upgrades and CONNECT as the router sees them: what a client sends behind the head waits until the upstream has agreed.

use super::{Forwarding, attempt::AttemptEnd};
use crate::{
    codec::ClientExchange, local_reply::LocalReply, stream::ActiveStream, upgrade::Upgrade,
};
use bytes::Bytes;
use outrigger_core::{HeaderMap, Method};
use outrigger_upstream::CloseReason;

/// Bytes that wait where the cluster's buffers have no limit.
const LIMIT: usize = 1024 * 1024;

/// What waits.
#[derive(Debug, Default)]
pub(super) struct EarlyData {
    pieces: Vec<Bytes>,
    len: usize,
    /// The request is complete, with trailers or without.
    end: Option<bool>,
}

impl EarlyData {
    fn send(self, exchange: &mut ClientExchange, trailers: &HeaderMap) {
        for piece in self.pieces {
            exchange.send_data(piece);
        }
        if let Some(some) = self.end {
            exchange.send_end(some.then_some(trailers));
        }
    }
}

impl Forwarding {
    /// A new attempt begins with what is there of the request.
    pub(super) fn send_queue(
        &mut self,
        stream: &ActiveStream<'_>,
        exchange: &mut ClientExchange,
        queue: Vec<Bytes>,
    ) {
        let all = EarlyData {
            len: queue.iter().map(Bytes::len).sum(),
            pieces: queue,
            end: self.replay.end(),
        };
        match &mut self.early {
            Some(early) => *early = all,
            None => all.send(exchange, &stream.messages.request_trailers),
        }
    }

    /// A piece of the request has come.
    pub(super) fn send_piece(&mut self, exchange: &mut ClientExchange, piece: Bytes) {
        match &mut self.early {
            Some(early) => {
                early.len += piece.len();
                early.pieces.push(piece);
            }
            None => exchange.send_data(piece),
        }
    }

    /// The request has come to its end.
    pub(super) fn send_end(
        &mut self,
        stream: &ActiveStream<'_>,
        exchange: &mut ClientExchange,
        trailers: bool,
    ) {
        match &mut self.early {
            Some(early) => early.end = Some(trailers),
            None => exchange.send_end(trailers.then_some(&stream.messages.request_trailers)),
        }
    }

    /// So much waits that the client has to wait as well.
    pub(super) fn is_early_full(&self) -> bool {
        let limit = match self.cluster.config.per_connection_buffer_limit as usize {
            0 => LIMIT,
            limit => limit,
        };
        self.early.as_ref().is_some_and(|early| early.len >= limit)
    }

    /// `reject_connect_request_early_data`.
    pub(super) fn rejects_early_data(&self, stream: &ActiveStream<'_>) -> bool {
        stream.method == Method::Connect && self.config.reject_connect_request_early_data
    }

    /// The upstream has answered an upgrade or a CONNECT. False: it does not agree, and what the client still sends is of
    /// no use.
    pub(super) fn settle_early_data(
        &mut self,
        stream: &mut ActiveStream<'_>,
        exchange: &mut ClientExchange,
        status: u16,
    ) -> bool {
        let Some(early) = self.early.take() else {
            return true;
        };
        let agreed = status == 101 || stream.method == Method::Connect && status == 200;
        if agreed {
            early.send(exchange, &stream.messages.request_trailers);
            // The tunnel lasts as long as both want it to.
            stream.deadlines.route = None;
        }
        agreed
    }

    /// A handshake for a WebSocket has ended with neither agreement nor error.
    pub(super) fn is_failed_handshake(stream: &ActiveStream<'_>, status: u16) -> bool {
        stream.upgrade == Some(Upgrade::WebSocket) && status != 101 && status < 400
    }

    /// Its head goes to the client alone.
    pub(super) fn failed_handshake(
        &self,
        stream: &mut ActiveStream<'_>,
        exchange: Box<ClientExchange>,
        status: u16,
    ) -> AttemptEnd {
        self.account_bytes(stream, &exchange);
        exchange.close(CloseReason::Local);
        let mut reply = LocalReply::new(status, "", "websocket_handshake_unsuccessful");
        reply.copied = Some(Box::new(std::mem::take(&mut stream.messages.response)));
        AttemptEnd::HandshakeFailed(Box::new(reply))
    }
}
