//! HTTP/2 over the `h2` crate: its streams in the shape that the connection manager and the router know from HTTP/1.
//!
//! Frames, HPACK and flow control are the crate's; what Envoy's users see of them (limits, details, header rules) is
//! decided here.

pub mod client;
mod head;
mod io;
mod outgoing;
pub mod server;
mod settings;
mod signals;
mod watch;

pub use client::ClientStream;
pub use head::HeadError;
pub use io::{ServerIo, Wire};
pub use server::ServerStream;
pub use settings::Http2Settings;
pub use signals::{MESSAGING_RULE, Signals, Unseen, Violation};

/// What tells a client of HTTP/2 from others: the start of its preface.
pub const PREFACE_START: &[u8] = b"PRI * HTTP/2";
