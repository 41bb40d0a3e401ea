//! Tunnels through hosts that speak HTTP, for proxies that know nothing of HTTP.

use crate::{Cluster, Host, PoolFailure, UpstreamConnectionInfo};
use outrigger_core::StreamInfo;
use std::{fmt, pin::Pin, sync::Arc};
use tokio::io::{AsyncRead, AsyncWrite};

/// Opens tunnels (`TunnelingConfig`).
pub trait Tunneling: fmt::Debug + Send + Sync {
    /// Asks a host for a tunnel. Dropping the future gives up.
    fn open(&self, cluster: &Arc<Cluster>, host: &Arc<Host>, info: &StreamInfo) -> Opening;
}

/// The wait for a tunnel.
pub type Opening = Pin<Box<dyn Future<Output = Result<Box<dyn Tunnel>, TunnelFailure>> + Send>>;

/// An open tunnel: the bytes of both directions, without what carries them.
pub trait Tunnel: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin {
    /// The connection that carries it.
    fn info(&self) -> &Arc<UpstreamConnectionInfo>;

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
    /// The host has another answer; its status, if it was a response at all.
    Refused(Arc<UpstreamConnectionInfo>, Option<u16>),
}
