//! What the head of a response says of its connection.

use super::ActiveStream;
use crate::{
    codec::h1::{ConnectionHeader, server::ResponseContext},
    hcm::DrainState,
};
use outrigger_core::{HeaderId, Protocol, log_debug};

impl ActiveStream<'_> {
    /// A client of HTTP/1.0 takes no chunks: only the end of the connection tells it where a body of unknown length
    /// ends. Envoy asks for nothing but the length, even where there is no body.
    fn ends_by_close(&self) -> bool {
        self.info.protocol == Some(Protocol::Http10)
            && !self.messages.response.contains(HeaderId::ContentLength)
    }

    /// Whether an HTTP/1 connection ends with this response, which has to say so.
    pub(super) fn decide_close(&mut self) {
        self.saw_connection_close |= self.connection.soft_drain;
        let asked = self.connection.drain == DrainState::NotDraining && self.saw_connection_close;
        if asked || self.ends_by_close() || !self.received {
            self.connection.drain = DrainState::Closing;
        }
        // What follows the head of a tunnel is no HTTP any more.
        if self.connection.drain != DrainState::NotDraining && !self.is_tunnel() {
            log_debug!("http", &self.info => "closing connection due to connection close header");
            self.messages.response.set(HeaderId::Connection, b"close");
        }
    }

    /// What the codec must know to write a response.
    pub fn response_context(&self) -> ResponseContext {
        ResponseContext {
            protocol: self.info.protocol.unwrap_or(Protocol::Http11),
            method: self.method,
            connection: match self.info.protocol {
                // HTTP/1.0 must be told that the connection stays.
                Some(Protocol::Http10) if self.connection.drain == DrainState::NotDraining => {
                    ConnectionHeader::KeepAlive
                }
                _ => ConnectionHeader::FromMap,
            },
        }
    }
}
