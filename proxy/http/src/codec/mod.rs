//! The wire formats and the buffers of a connection. Nothing here knows a route, a cluster or a filter.

pub mod buffer;
pub mod error;
pub mod h1;

use bytes::Bytes;
pub use error::CodecError;

/// One step of a message body as it comes from either side.
#[derive(Debug)]
pub enum BodyEvent {
    Data(Bytes),
    /// The body is done and its trailers stand in the map.
    Trailers,
    End,
}
