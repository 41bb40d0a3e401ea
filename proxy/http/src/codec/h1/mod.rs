//! Envoy's HTTP/1 codec: its strictness, its error details and the bytes it writes. Pure functions over buffers, no I/O.
//!
//! Every rule was measured on Envoy 1.40 (balsa parser). The few answers that are stricter on purpose, where no sane
//! peer can tell and a smuggler could:
//! * bytes between the data of a chunk and its CRLF, a bare LF among them, are refused (Envoy drops them);
//! * a `content-length` above 2^63-1 is refused (Envoy accepts up to 2^64-1);
//! * a chunk-size line holds at most 272 bytes (16 digits and 256 bytes of extension) and no NUL (Envoy has no limit);
//! * a bare CR inside the value of `transfer-encoding` is refused (Envoy reads the message as one without a body, and
//!   then drops the CR from the header);
//! * a response's status code is digits up to 65535 (Envoy takes a `+` sign and counts modulo 65536).

mod body;
mod chars;
pub mod client;
mod encode;
mod fields;
mod framing;
mod ignored_upgrade;
mod lanes;
mod reason;
mod request;
mod response;
mod scan;
pub mod server;
mod settings;
mod target;
#[cfg(test)]
mod tests;
mod writer;

pub use body::{BodyDecoder, Decoded};
pub use client::{ClientExchange, ExchangeError};
pub use encode::{
    ConnectionHeader, EncodeError, RequestEncoding, ResponseEncoding, encode_chunk,
    encode_chunk_end, encode_chunk_start, encode_last_chunk, encode_request, encode_response,
};
pub use framing::Framing;
pub use ignored_upgrade::IgnoredUpgrades;
pub use reason::reason_phrase;
pub use request::{RequestHead, RequestParser};
pub use response::{ResponseHead, ResponseParser};
pub use server::ServerConnection;
pub use settings::{HeaderKeyFormat, Http1Settings, UnderscoreAction};
pub use target::{Url, authority_is_valid, parse_url};
