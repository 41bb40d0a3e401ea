//! Opens upstream sockets: options, source address, connect. Must never wait longer than the kernel does; the caller
//! holds the timeout.

use crate::{
    Stream,
    socket::{Keepalive, set_freebind},
    socket_option::{self, SocketOption, State},
};
use outrigger_core::Address;
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};
use tokio::net::{TcpStream, UnixStream};

/// What every connection of a cluster has in common.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// `upstream_bind_config.source_address` and at most one of the other family.
    pub sources: Vec<Source>,
    pub freebind: bool,
    pub keepalive: Option<Keepalive>,
    /// Of connections without a source of their own options.
    pub socket_options: Vec<SocketOption>,
}

/// A local address that connections are made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub address: SocketAddr,
    /// In place of the options of the cluster.
    pub socket_options: Option<Vec<SocketOption>>,
}

impl ConnectOptions {
    /// Envoy's default address selector: the source of the same family or, failing that, the first, which cannot be
    /// bound.
    fn source(&self, target: SocketAddr) -> Option<&Source> {
        self.sources
            .iter()
            .find(|source| source.address.is_ipv4() == target.is_ipv4())
            .or(self.sources.first())
    }
}

/// Why there is no connection. Prints as Envoy's transport failure reason.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A socket could not be made, or an option not be set.
    #[error("failed to create socket: {}", text(.0))]
    Socket(io::Error),
    /// The source address could not be bound.
    #[error("failed to bind to {address}: {}", text(.error))]
    Bind {
        address: SocketAddr,
        error: io::Error,
    },
    /// The kernel refused at once.
    #[error("immediate connect error: {}", text(.0))]
    Immediate(io::Error),
    /// The peer or the network refused later.
    #[error("delayed connect error: {}", text(.0))]
    Delayed(io::Error),
}

/// The text of the error alone, as `strerror` gives it.
fn text(error: &io::Error) -> String {
    let mut text = error.to_string();
    if let Some(at) = text.find(" (os error") {
        text.truncate(at);
    }
    text
}

/// Connects. Dropping the future closes the socket.
pub async fn connect(address: &Address, options: &ConnectOptions) -> Result<Stream, ConnectError> {
    match address {
        Address::Ip(address) => {
            let socket = prepare(*address, options)?;
            let pending = start(&socket, &SockAddr::from(*address))?;
            let stream = TcpStream::from_std(socket.into()).map_err(ConnectError::Socket)?;
            if pending {
                stream.writable().await.map_err(ConnectError::Delayed)?;
                let error = stream.take_error().map_err(ConnectError::Delayed)?;
                error.map_or(Ok(()), |error| Err(ConnectError::Delayed(error)))?;
            }
            Ok(Stream::Tcp(stream))
        }
        Address::Pipe(path) => {
            let kind = Type::STREAM.nonblocking().cloexec();
            let socket = Socket::new(Domain::UNIX, kind, None).map_err(ConnectError::Socket)?;
            let address = SockAddr::unix(socket_path(path)).map_err(ConnectError::Immediate)?;
            start(&socket, &address)?;
            UnixStream::from_std(socket.into())
                .map(Stream::Unix)
                .map_err(ConnectError::Socket)
        }
    }
}

/// Starts to connect; true if the answer is still to come.
fn start(socket: &Socket, address: &SockAddr) -> Result<bool, ConnectError> {
    match socket.connect(address) {
        Ok(()) => Ok(false),
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => Ok(true),
        Err(error) => Err(ConnectError::Immediate(error)),
    }
}

/// A socket with its options set and its source bound.
fn prepare(address: SocketAddr, options: &ConnectOptions) -> Result<Socket, ConnectError> {
    let source = options.source(address);
    let socket_options = source
        .and_then(|source| source.socket_options.as_ref())
        .unwrap_or(&options.socket_options);
    let socket = unbound(address, options, socket_options).map_err(ConnectError::Socket)?;
    if let Some(Source { address, .. }) = source {
        bind(&socket, *address, options.freebind, socket_options).map_err(|error| {
            ConnectError::Bind {
                address: *address,
                error,
            }
        })?;
    }
    Ok(socket)
}

fn unbound(
    address: SocketAddr,
    options: &ConnectOptions,
    socket_options: &[SocketOption],
) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    socket.set_tcp_nodelay(true)?;
    if let Some(keepalive) = &options.keepalive {
        keepalive.apply(&socket)?;
    }
    socket_option::apply_all(socket_options, State::Prebind, &socket)?;
    Ok(socket)
}

fn bind(
    socket: &Socket,
    source: SocketAddr,
    freebind: bool,
    socket_options: &[SocketOption],
) -> io::Result<()> {
    if freebind {
        set_freebind(socket, &Address::Ip(source))?;
    }
    socket.bind(&source.into())?;
    socket_option::apply_all(socket_options, State::Bound, socket)
}

/// Envoy writes an abstract name as `@name`, the kernel as a leading NUL.
pub(crate) fn socket_path(path: &Path) -> PathBuf {
    match path.to_str().and_then(|p| p.strip_prefix('@')) {
        Some(name) => PathBuf::from(format!("\0{name}")),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Arc;
    use tokio::net::{TcpListener, UnixListener};

    fn source(address: &str) -> Source {
        Source {
            address: address.parse().unwrap(),
            socket_options: None,
        }
    }

    #[tokio::test]
    async fn a_source_of_the_other_family_cannot_be_bound() {
        let options = ConnectOptions {
            sources: vec![source("[::1]:0")],
            ..Default::default()
        };
        let target = Address::Ip("127.0.0.1:1".parse().unwrap());
        let error = connect(&target, &options).await.unwrap_err();
        assert!(matches!(error, ConnectError::Bind { .. }), "{error}");
    }

    #[tokio::test]
    async fn connects_from_the_given_source_without_delay() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = ConnectOptions {
            sources: ["[::1]:0", "127.0.0.2:0"].map(source).into(),
            ..Default::default()
        };
        let address = Address::Ip(listener.local_addr().unwrap());
        let (stream, accepted) = tokio::join!(connect(&address, &options), listener.accept());
        assert_eq!(accepted.unwrap().1.ip().to_string(), "127.0.0.2");
        let Stream::Tcp(stream) = stream.unwrap() else {
            panic!("an IP address makes a TCP stream")
        };
        assert!(stream.nodelay().unwrap());
    }

    #[tokio::test]
    async fn connects_to_an_abstract_pipe() {
        let name = format!("outrigger-connect-{}", std::process::id());
        let listener = UnixListener::bind(format!("\0{name}")).unwrap();
        let address = Address::Pipe(Arc::new(format!("@{name}").into()));
        let options = ConnectOptions::default();
        let (stream, accepted) = tokio::join!(connect(&address, &options), listener.accept());
        accepted.unwrap();
        assert_eq!(
            stream.unwrap().peer_address().unwrap().to_string(),
            format!("@{name}")
        );
    }

    #[tokio::test]
    async fn a_closed_port_refuses() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::Ip(closed.local_addr().unwrap());
        drop(closed);
        let error = connect(&address, &ConnectOptions::default())
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with(" connect error: Connection refused")
        );
    }
}
