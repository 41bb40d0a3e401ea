//! HTTP/2 as far as the load side needs it: messages that are encoded beforehand, and connections that send them.
//!
//! Cheap, so that the load side is never the limit, but no more lenient than a real peer: windows are kept, names go
//! through the HPACK table, and every frame that is received is looked at.

mod connection;
mod message;
mod probe;
mod traffic;

pub use connection::{Connection, Role};
pub use message::Message;
pub use probe::answers;
pub use traffic::{generate, serve};

use std::sync::LazyLock;

/// What is asked for, and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// GET of 1 KiB.
    Get,
    /// A unary call: a small message both ways, trailers behind the answer's.
    Grpc,
}

/// Bytes of a message of gRPC: the prefix, then 32 of the call's own.
pub const GRPC_MESSAGE: [u8; 37] = {
    let mut message = [b'g'; 37];
    let prefix = [0, 0, 0, 0, 32];
    let mut at = 0;
    while at < prefix.len() {
        message[at] = prefix[at];
        at += 1;
    }
    message
};

/// The path of the call.
pub const GRPC_PATH: &str = "/bench.Echo/Unary";

static GET_REQUEST: LazyLock<Message> = LazyLock::new(|| {
    Message::new()
        .head(&[
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "bench.test"),
            (":path", "/"),
            ("user-agent", "load/1"),
            ("accept", "*/*"),
        ])
        .end()
});
static GET_RESPONSE: LazyLock<Message> = LazyLock::new(|| {
    let length = crate::backend::SMALL;
    Message::new()
        .head(&[
            (":status", "200"),
            ("content-type", "application/octet-stream"),
            ("content-length", &length.to_string()),
        ])
        .data(&vec![b'x'; length])
        .end()
});
static GRPC_REQUEST: LazyLock<Message> = LazyLock::new(|| {
    Message::new()
        .head(&[
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "bench.test"),
            (":path", GRPC_PATH),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("user-agent", "load/1"),
        ])
        .data(&GRPC_MESSAGE)
        .end()
});
static GRPC_RESPONSE: LazyLock<Message> = LazyLock::new(|| {
    Message::new()
        .head(&[(":status", "200"), ("content-type", "application/grpc")])
        .data(&GRPC_MESSAGE)
        .head(&[("grpc-status", "0")])
        .end()
});

impl Exchange {
    pub fn request(self) -> &'static Message {
        match self {
            Self::Get => &GET_REQUEST,
            Self::Grpc => &GRPC_REQUEST,
        }
    }

    pub fn response(self) -> &'static Message {
        match self {
            Self::Get => &GET_RESPONSE,
            Self::Grpc => &GRPC_RESPONSE,
        }
    }

    /// The body of an answer ends with trailers.
    pub fn has_trailers(self) -> bool {
        self == Self::Grpc
    }
}
