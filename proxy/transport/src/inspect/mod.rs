//! Envoy's listener filters: what is learnt of a connection before its filter chain is chosen. They look at what the kernel
//! holds, and the network filters read it again; they must never take off the socket what is not theirs, which only a PROXY
//! header is.

pub mod client_hello;
mod config;
mod digest;
pub mod fields;
mod fingerprint;
mod http_inspector;
mod local_ratelimit;
pub mod mistake;
mod original_dst;
mod peek;
mod predicate;
pub mod proxy_header;
mod proxy_protocol;
#[cfg(test)]
mod tests;
mod tls_inspector;

pub use http_inspector::HttpInspectorStats;
pub use proxy_protocol::{PassThrough, tlv_type};

use crate::Stream;
use local_ratelimit::LocalRateLimit;
use outrigger_core::{Address, stream_info::ConnectionState, tls_info::ClientHelloFingerprints};
use predicate::Predicate;
use proxy_protocol::ProxyProtocol;
use smallvec::SmallVec;
use std::{borrow::Cow, net::SocketAddr, sync::Arc};
use tls_inspector::TlsInspector;

/// What listener filters have found out.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// Where the client wanted to go, before iptables or the proxy in front of us sent it here.
    pub original_dst: Option<SocketAddr>,
    /// The client, as a PROXY header names it.
    pub remote: Option<SocketAddr>,
    /// SNI, in lower case; a byte beyond ASCII is the character of its number.
    pub server_name: Option<Arc<str>>,
    pub transport_protocol: &'static str,
    /// ALPN of the client, or what an inspector has recognised.
    pub application_protocols: SmallVec<[Cow<'static, str>; 1]>,
    pub client_hello: ClientHelloFingerprints,
    /// What stays with the connection.
    pub state: Option<Arc<ConnectionState>>,
}

impl Inspected {
    fn state_mut(&mut self) -> &mut ConnectionState {
        Arc::make_mut(self.state.get_or_insert_default())
    }
}

impl Default for Inspected {
    fn default() -> Self {
        Self {
            original_dst: None,
            remote: None,
            server_name: None,
            transport_protocol: "raw_buffer",
            application_protocols: SmallVec::new(),
            client_hello: ClientHelloFingerprints::default(),
            state: None,
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
    /// Done, and this many bytes were for it alone.
    Consume(usize),
    /// The connection ends here.
    Close,
}

/// Why a connection ended among its listener filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InspectError {
    /// The client left (`downstream_listener_filter_remote_close`).
    RemoteClose,
    /// A filter could not do its work (`downstream_listener_filter_error`).
    Filter,
    /// A filter has closed the connection, and has counted that itself.
    Closed,
}

#[derive(Debug)]
enum Kind {
    OriginalDst,
    HttpInspector(Arc<HttpInspectorStats>),
    TlsInspector(Box<TlsInspector>),
    ProxyProtocol(Box<ProxyProtocol>),
    LocalRateLimit(Box<LocalRateLimit>),
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
            Kind::HttpInspector(_) | Kind::TlsInspector(_) | Kind::ProxyProtocol(_) => {
                Verdict::NeedMore
            }
            Kind::LocalRateLimit(limit) => limit.on_accept(),
        }
    }

    fn on_data(&self, bytes: &[u8], local: &Address, found: &mut Inspected) -> Verdict {
        match &self.kind {
            Kind::OriginalDst | Kind::LocalRateLimit(_) => Verdict::Continue,
            Kind::HttpInspector(stats) => http_inspector::inspect(bytes, stats, found),
            Kind::TlsInspector(inspector) => inspector.on_data(bytes, found),
            Kind::ProxyProtocol(filter) => filter.on_data(bytes, local, found),
        }
    }

    /// How many bytes it wants to see at first; `None`: few.
    fn first_read(&self) -> Option<usize> {
        match &self.kind {
            Kind::TlsInspector(inspector) => inspector.first_read(),
            _ => None,
        }
    }
}

/// Runs the filters of a listener one after the other; `local` is where the client connected to.
///
/// Dropping the future is harmless: a listener does so when `listener_filters_timeout` has passed, and may go on with
/// what `found` holds by then.
pub async fn run(
    filters: &[ListenerFilter],
    stream: &Stream,
    local: &Address,
    found: &mut Inspected,
) -> Result<(), InspectError> {
    // Only allocates for filters that want bytes; shared by them, so that each sees all from the first byte.
    let mut peeked = peek::Peeked::default();
    for filter in filters {
        let destination = found.original_dst.or(local.ip());
        let port = destination.map(|address| address.port());
        if filter.disabled.as_ref().is_some_and(|d| d.matches(port)) {
            continue;
        }
        let mut verdict = filter.on_accept(stream, found);
        if verdict == Verdict::NeedMore && !peeked.bytes().is_empty() {
            verdict = filter.on_data(peeked.bytes(), local, found);
        }
        while verdict == Verdict::NeedMore {
            peeked.more(stream, filter.first_read()).await?;
            verdict = filter.on_data(peeked.bytes(), local, found);
        }
        match verdict {
            Verdict::Continue | Verdict::NeedMore => {}
            Verdict::Consume(length) => peeked.consume(stream, length)?,
            Verdict::Close => return Err(InspectError::Closed),
        }
    }
    Ok(())
}
