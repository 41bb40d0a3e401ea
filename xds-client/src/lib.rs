//! The control-plane side of configuration, without a proxy type: how long to wait before asking a server again.

pub mod backoff;

pub use backoff::BackOff;
