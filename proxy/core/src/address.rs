//! Envoy's `core.v3.Address` at run time: an IP endpoint or a Unix domain socket, printed as Envoy prints it.

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc};

/// Where a socket is bound or connected.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    Ip(SocketAddr),
    /// A Unix domain socket; an abstract name starts with `@`.
    Pipe(Arc<PathBuf>),
}

impl Address {
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(addr) => Some(*addr),
            Self::Pipe(_) => None,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(addr: SocketAddr) -> Self {
        Self::Ip(addr)
    }
}

impl fmt::Display for Address {
    /// `1.2.3.4:80`, `[::1]:80` or the path of the socket.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(addr) => addr.fmt(f),
            Self::Pipe(path) => path.display().fmt(f),
        }
    }
}
