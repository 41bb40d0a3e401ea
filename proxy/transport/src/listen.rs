//! Binds the sockets of a listener: one per worker with `SO_REUSEPORT`, bound now and listening later.
//!
//! Envoy binds when a listener is added and listens when the workers start; until then a connect is refused.

use crate::{
    connect::socket_path,
    socket::{Keepalive, set_freebind, set_transparent},
    socket_option::{self, SocketOption, State},
};
use outrigger_core::Address;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
};

/// What the sockets of one listener have in common.
#[derive(Clone, Debug, Default)]
pub struct ListenOptions {
    /// One socket per worker on the same port.
    pub reuse_port: bool,
    pub freebind: bool,
    pub transparent: bool,
    /// `ipv4_compat`: an IPv6 socket takes IPv4 as well.
    pub ipv4_compat: bool,
    /// Permissions of a Unix domain socket's path; 0 leaves those of the umask.
    pub mode: u32,
    pub keepalive: Option<Keepalive>,
    pub socket_options: Vec<SocketOption>,
}

/// A socket that owns its address and does not listen yet.
#[derive(Debug)]
pub struct BoundSocket {
    socket: Socket,
    socket_options: Vec<SocketOption>,
}

/// Binds `count` sockets to one address.
///
/// With `SO_REUSEPORT` the kernel lets two processes of a user share a port in silence. So the port is first bound
/// without it, which fails if anybody listens there. Not so with `shared`, when the port is known to be ours already
/// (an old version of the same listener still listens). Port 0 becomes the same free port for all sockets.
pub fn bind(
    address: &Address,
    options: &ListenOptions,
    count: usize,
    shared: bool,
) -> io::Result<Vec<BoundSocket>> {
    if options.reuse_port && !shared && address.ip().is_some_and(|a| a.port() != 0) {
        let probe = ListenOptions {
            reuse_port: false,
            ..options.clone()
        };
        drop(bind_one(address, &probe)?);
    }
    let mut address = address.clone();
    let mut sockets = Vec::with_capacity(count);
    for _ in 0..count {
        let socket = bind_one(&address, options)?;
        if let (Address::Ip(_), Some(bound)) = (&address, socket.local_addr()?.as_socket()) {
            address = Address::Ip(bound);
        }
        sockets.push(BoundSocket {
            socket,
            socket_options: options.socket_options.clone(),
        });
    }
    Ok(sockets)
}

fn bind_one(address: &Address, options: &ListenOptions) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let (socket, bind_to) = match address {
        Address::Ip(ip) => {
            let socket = Socket::new(Domain::for_address(*ip), kind, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            socket.set_reuse_port(options.reuse_port)?;
            // Inherited by the accepted sockets, which saves a system call for each.
            socket.set_tcp_nodelay(true)?;
            if let SocketAddr::V6(_) = ip {
                socket.set_only_v6(!options.ipv4_compat)?;
            }
            (socket, SockAddr::from(*ip))
        }
        Address::Pipe(path) => (
            Socket::new(Domain::UNIX, kind, None)?,
            SockAddr::unix(socket_path(path))?,
        ),
    };
    if options.freebind {
        set_freebind(&socket, address)?;
    }
    if options.transparent {
        set_transparent(&socket, address)?;
    }
    if let (Address::Ip(_), Some(keepalive)) = (address, &options.keepalive) {
        keepalive.apply(&socket)?;
    }
    socket_option::apply_all(&options.socket_options, State::Prebind, &socket)?;
    if let Address::Pipe(path) = address {
        remove_stale(path)?;
    }
    socket.bind(&bind_to)?;
    if let Address::Pipe(path) = address
        && options.mode != 0
    {
        fs::set_permissions(path.as_path(), fs::Permissions::from_mode(options.mode))?;
    }
    socket_option::apply_all(&options.socket_options, State::Bound, &socket)?;
    Ok(socket)
}

/// A path that a former process has left behind. Unlike Envoy, never anything but a socket.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => fs::remove_file(path),
        _ => Ok(()),
    }
}

impl BoundSocket {
    /// The address with the port that was bound.
    pub fn local_address(&self) -> io::Result<SockAddr> {
        self.socket.local_addr()
    }

    /// Starts to take connections; `backlog` as `tcp_backlog_size`.
    pub fn listen(self, backlog: i32) -> io::Result<Socket> {
        self.socket.listen(backlog)?;
        socket_option::apply_all(&self.socket_options, State::Listening, &self.socket)?;
        Ok(self.socket)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::TcpStream;

    fn reuse() -> ListenOptions {
        ListenOptions {
            reuse_port: true,
            ..Default::default()
        }
    }

    fn local(socket: &BoundSocket) -> Address {
        Address::Ip(socket.local_address().unwrap().as_socket().unwrap())
    }

    #[test]
    fn all_sockets_share_a_port_and_listen_later() {
        let any = Address::Ip("127.0.0.1:0".parse().unwrap());
        let mut sockets = bind(&any, &reuse(), 2, false).unwrap();
        let address = local(sockets.first().unwrap());
        assert_eq!(address, local(sockets.last().unwrap()));
        let ip = address.ip().unwrap();
        assert_eq!(
            TcpStream::connect(ip).unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
        let _listening = sockets.pop().unwrap().listen(16).unwrap();
        TcpStream::connect(ip).unwrap();
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_in_use_unless_it_is_ours() {
        let any = Address::Ip("127.0.0.1:0".parse().unwrap());
        let mut first = bind(&any, &reuse(), 1, false).unwrap();
        let address = local(first.first().unwrap());
        let _listening = first.pop().unwrap().listen(16).unwrap();
        assert_eq!(
            bind(&address, &reuse(), 1, false).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
        bind(&address, &reuse(), 1, true).unwrap();
    }

    #[test]
    fn a_stale_socket_makes_room_and_a_file_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let pipe = Address::Pipe(std::sync::Arc::new(path.clone()));
        let options = ListenOptions {
            mode: 0o600,
            ..Default::default()
        };
        drop(bind(&pipe, &options, 1, false).unwrap());
        bind(&pipe, &options, 1, false).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        assert_eq!(
            bind(&pipe, &options, 1, false).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
    }
}
