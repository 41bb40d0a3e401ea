//! HTTP: the connection manager, its codecs, routes and filters, and the router that forwards a request upstream.
//!
//! Read [`stream`] first: one request from head to log line. This floor knows nothing of listeners.

pub mod codec;
pub mod config;
pub mod fields;
pub mod filter;
mod grpc_timeout;
pub mod hcm;
mod hop_by_hop;
mod http2;
pub mod local_reply;
pub mod normalize;
mod original_ip;
mod path;
mod proxy_status;
mod referer;
mod request_headers;
mod request_id;
mod response_headers;
pub mod route;
pub mod router;
pub mod stats;
mod stream;
mod summary;
#[cfg(test)]
mod tests;
mod timeout;
mod tunnel;
mod upgrade;

pub use config::ListenerContext;
pub use hcm::HttpConnectionManager;
pub use tunnel::Tunneling;
