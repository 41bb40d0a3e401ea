//! HTTP: the connection manager, routes and filters, and beneath them the codecs.

pub mod codec;
pub mod route;
