//! `envoy.filters.listener.original_dst`: restores the destination that iptables `REDIRECT` or `TPROXY` has changed.

use super::Inspected;
use crate::{Stream, socket};

/// A connection that nobody redirected keeps its address, as in Envoy.
pub fn restore(stream: &Stream, found: &mut Inspected) {
    if let Stream::Tcp(tcp) = stream
        && let Ok(address) = socket::original_dst(tcp)
    {
        found.original_dst = Some(address);
    }
}
