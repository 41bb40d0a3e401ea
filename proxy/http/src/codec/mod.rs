//! The wire formats and the buffers of a connection. Nothing here knows a route, a cluster or a filter.

pub mod buffer;
mod client;
pub mod error;
pub mod h1;
pub mod h2;
mod server;
mod tcp;

use bytes::Bytes;
pub use client::ClientExchange;
pub use error::CodecError;
pub use server::Codec;
pub use tcp::TcpExchange;

/// One step of a message body as it comes from either side.
#[derive(Debug)]
pub enum BodyEvent {
    Data(Bytes),
    /// The body is done and its trailers stand in the map.
    Trailers,
    End,
}
