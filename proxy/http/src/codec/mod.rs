//! The wire formats: bytes in, heads and body parts out. Nothing here does I/O or knows a route, a cluster or a filter.

pub mod error;
pub mod h1;

pub use error::CodecError;
