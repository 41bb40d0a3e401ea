//! Envoy's listener filters: what is learnt of a connection before its filter chain is chosen. They must never take
//! bytes off the socket: they look at what the kernel holds, and the network filters read it again.

mod config;
pub mod fields;
mod http_inspector;
mod original_dst;
mod peek;
mod predicate;
#[cfg(test)]
mod tests;

pub use http_inspector::HttpInspectorStats;

use crate::Stream;
use predicate::Predicate;
use smallvec::SmallVec;
use std::{borrow::Cow, net::SocketAddr, sync::Arc};

/// What listener filters have found out.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// Where the client wanted to go before iptables sent it here.
    pub original_dst: Option<SocketAddr>,
    /// SNI, in lower case.
    pub server_name: Option<Arc<str>>,
    pub transport_protocol: &'static str,
    /// ALPN of the client, or what an inspector has recognised.
    pub application_protocols: SmallVec<[Cow<'static, str>; 1]>,
}

impl Default for Inspected {
    fn default() -> Self {
        Self {
            original_dst: None,
            server_name: None,
            transport_protocol: "raw_buffer",
            application_protocols: SmallVec::new(),
        }
    }
}

/// What a filter says of the bytes that it was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Done: the next filter, please.
    Continue,
    /// It cannot say before it sees more.
    NeedMore,
}

/// Why a connection ended among its listener filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InspectError {
    /// The client left (`downstream_listener_filter_remote_close`).
    RemoteClose,
    /// A filter refused the connection (`downstream_listener_filter_error`).
    Filter,
}

#[derive(Debug)]
enum Kind {
    OriginalDst,
    HttpInspector(Arc<HttpInspectorStats>),
}

/// One compiled listener filter.
#[derive(Debug)]
pub struct ListenerFilter {
    kind: Kind,
    /// `filter_disabled`: where it matches the filter is skipped.
    disabled: Option<Predicate>,
}

impl ListenerFilter {
    fn on_accept(&self, stream: &Stream, found: &mut Inspected) -> Verdict {
        match &self.kind {
            Kind::OriginalDst => {
                original_dst::restore(stream, found);
                Verdict::Continue
            }
            // There is no HTTP to see inside of TLS.
            Kind::HttpInspector(_) if found.transport_protocol != "raw_buffer" => Verdict::Continue,
            Kind::HttpInspector(_) => Verdict::NeedMore,
        }
    }

    fn on_data(&self, bytes: &[u8], found: &mut Inspected) -> Verdict {
        match &self.kind {
            Kind::OriginalDst => Verdict::Continue,
            Kind::HttpInspector(stats) => http_inspector::inspect(bytes, stats, found),
        }
    }
}

/// Runs the filters of a listener one after the other; `port` is where the client connected to.
///
/// Dropping the future is harmless: a listener does so when `listener_filters_timeout` has passed, and may go on with
/// what `found` holds by then.
pub async fn run(
    filters: &[ListenerFilter],
    stream: &Stream,
    port: Option<u16>,
    found: &mut Inspected,
) -> Result<(), InspectError> {
    // Only allocates for filters that want bytes; shared by them, so that each sees all from the first byte.
    let mut peeked = peek::Peeked::default();
    for filter in filters {
        let port = found.original_dst.map(|a| a.port()).or(port);
        if filter.disabled.as_ref().is_some_and(|d| d.matches(port)) {
            continue;
        }
        let mut verdict = filter.on_accept(stream, found);
        if verdict == Verdict::NeedMore && !peeked.bytes().is_empty() {
            verdict = filter.on_data(peeked.bytes(), found);
        }
        while verdict == Verdict::NeedMore {
            peeked.more(stream).await?;
            verdict = filter.on_data(peeked.bytes(), found);
        }
    }
    Ok(())
}
