//! Tunnels through hosts that speak HTTP, for proxies that know nothing of HTTP.

use crate::{Cluster, Host, PoolFailure, UpstreamConnectionInfo};
use outrigger_core::{StreamInfo, stream_info::FilterState};
use std::{fmt, pin::Pin, sync::Arc};
use tokio::io::{AsyncRead, AsyncWrite};

/// Opens tunnels (`TunnelingConfig`).
pub trait Tunneling: fmt::Debug + Send + Sync {
    /// Asks a host for a tunnel; the id of the request may become metadata. Dropping the future gives up.
    fn open(&self, cluster: &Arc<Cluster>, host: &Arc<Host>, info: &mut StreamInfo) -> Opening;
}

/// The wait for a tunnel.
pub type Opening = Pin<Box<dyn Future<Output = Result<Box<dyn Tunnel>, TunnelFailure>> + Send>>;

/// An open tunnel: the bytes of both directions, without what carries them.
pub trait Tunnel: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin {
    /// The connection that carries it.
    fn info(&self) -> &Arc<UpstreamConnectionInfo>;

    /// The headers of the answer, if they are kept.
    fn headers(&mut self) -> Option<FilterState>;

    /// Its trailers, if they are kept and have come.
    fn trailers(&mut self) -> Option<FilterState>;

    /// Nothing more is written; there may be more to read.
    fn end_write(&mut self);

    /// The session is over. Whoever ended it, it is we who end what carries it.
    fn close(self: Box<Self>);
}

/// Why there is no tunnel.
#[derive(Debug)]
pub enum TunnelFailure {
    /// There is no connection.
    Pool(PoolFailure),
    /// The host has another answer.
    Refused(Refusal),
}

/// An answer that opens no tunnel.
#[derive(Debug)]
pub struct Refusal {
    pub connection: Arc<UpstreamConnectionInfo>,
    /// None: it was no response at all.
    pub status: Option<u16>,
    /// Its headers, if they are kept.
    pub headers: Option<FilterState>,
}

/// Where the headers of the answer stand in the filter state of the session.
pub const RESPONSE_HEADERS: &str = "envoy.tcp_proxy.propagate_response_headers";
/// And its trailers.
pub const RESPONSE_TRAILERS: &str = "envoy.tcp_proxy.propagate_response_trailers";
