//! A listening socket of one worker and what comes out of it. It must never register what it accepts with a reactor:
//! the connection may belong to another worker.

use crate::Stream;
use outrigger_core::Address;
use rustix::{
    io::Errno,
    net::{SocketAddrAny, SocketFlags, acceptfrom_with},
};
use socket2::{SockFilter, Socket};
use std::{
    ffi::OsStr,
    io,
    net::{SocketAddr, TcpStream},
    os::{fd::OwnedFd, unix::ffi::OsStrExt, unix::net::UnixStream},
    sync::Arc,
};
use tokio::io::{Interest, unix::AsyncFd};

/// A socket that listens, known to this worker's reactor.
#[derive(Debug)]
pub struct Listening {
    socket: AsyncFd<Socket>,
}

/// A connection that no reactor knows yet.
#[derive(Debug)]
pub struct Accepted {
    fd: OwnedFd,
    pub remote: Address,
}

/// Why nothing was accepted.
#[derive(Debug)]
pub enum AcceptError {
    /// The queue is empty.
    WouldBlock,
    /// This connection has gone away; there may be others.
    Connection(io::Error),
    /// The process or the machine has no more of something: to try again at once would only burn CPU.
    Resources(io::Error),
}

/// A classic BPF program over the TCP header: drops what has the flag SYN, keeps all else.
const NO_SYN: [SockFilter; 4] = [
    // Load the byte of the flags.
    SockFilter::new(0x30, 0, 0, 13),
    // Is SYN among them?
    SockFilter::new(0x45, 0, 1, 0x02),
    SockFilter::new(0x06, 0, 0, 0),
    SockFilter::new(0x06, 0, 0, u32::MAX),
];

impl Listening {
    /// Called on the worker that will accept.
    // Its successor is unsafe only because some type might lend a file descriptor that it does not own; a socket does.
    #[allow(deprecated)]
    pub fn new(socket: Socket) -> io::Result<Self> {
        Ok(Self {
            socket: AsyncFd::with_interest(socket, Interest::READABLE)?,
        })
    }

    /// Lets nobody begin to connect any more; those who have begun still get through. A socket that is closed resets whoever
    /// came in the last moment and has sent a request perhaps, so a queue can be emptied only behind this.
    pub fn refuse_handshakes(&self) {
        let socket = self.socket.get_ref();
        let is_tcp = socket.local_addr().is_ok_and(|a| a.as_socket().is_some());
        if is_tcp && let Err(error) = socket.attach_filter(&NO_SYN) {
            tracing::debug!(%error, "handshakes go on until the listening socket is closed");
        }
    }

    /// Waits until there may be something to accept.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket
            .readable()
            .await
            .map(|mut ready| ready.retain_ready())
    }

    /// Takes one connection off the queue.
    pub fn accept(&self) -> Result<Accepted, AcceptError> {
        let result = self.socket.try_io(Interest::READABLE, |socket| {
            acceptfrom_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
                .map_err(io::Error::from)
        });
        match result {
            Ok((fd, peer)) => Ok(Accepted {
                fd,
                remote: address(peer),
            }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(AcceptError::WouldBlock),
            Err(error) => Err(match Errno::from_io_error(&error) {
                Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) | None => {
                    AcceptError::Resources(error)
                }
                Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP) => {
                    AcceptError::Resources(error)
                }
                // accept(2): errors of the new connection's network are reported here; they mean this one only.
                Some(_) => AcceptError::Connection(error),
            }),
        }
    }
}

impl Accepted {
    /// Registers the connection with this worker's reactor.
    pub fn into_stream(self) -> io::Result<Stream> {
        match self.remote {
            Address::Ip(_) => {
                tokio::net::TcpStream::from_std(TcpStream::from(self.fd)).map(Stream::Tcp)
            }
            Address::Pipe(_) => {
                tokio::net::UnixStream::from_std(UnixStream::from(self.fd)).map(Stream::Unix)
            }
        }
    }

    /// Takes a connection off this worker's reactor, to move it to another.
    pub fn from_stream(stream: Stream, remote: Address) -> io::Result<Self> {
        let fd = match stream {
            Stream::Tcp(s) => s.into_std()?.into(),
            Stream::Unix(s) => s.into_std()?.into(),
        };
        Ok(Self { fd, remote })
    }
}

/// A client of IPv4 is one of IPv4 to Envoy, even on an IPv6 socket.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn address(peer: Option<SocketAddrAny>) -> Address {
    let Some(peer) = peer else {
        return Address::Pipe(Arc::default());
    };
    if let Ok(ip) = SocketAddr::try_from(peer.clone()) {
        return Address::Ip(canonical(ip));
    }
    let unix = rustix::net::SocketAddrUnix::try_from(peer).ok();
    let path = unix
        .as_ref()
        .and_then(|unix| unix.path())
        .map(|path| OsStr::from_bytes(path.to_bytes()).into())
        .unwrap_or_default();
    Address::Pipe(Arc::new(path))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use socket2::{Domain, SockAddr, Type};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn listening(domain: Domain, address: &SockAddr) -> Listening {
        let socket = Socket::new(domain, Type::STREAM.nonblocking(), None).unwrap();
        socket.bind(address).unwrap();
        socket.listen(8).unwrap();
        Listening::new(socket).unwrap()
    }

    #[tokio::test]
    async fn accepts_what_is_there_and_no_more() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listening = listening(Domain::IPV4, &any.into());
        assert!(matches!(listening.accept(), Err(AcceptError::WouldBlock)));
        let address = listening.socket.get_ref().local_addr().unwrap();
        let mut client = tokio::net::TcpStream::connect(address.as_socket().unwrap())
            .await
            .unwrap();
        listening.readable().await.unwrap();
        let accepted = listening.accept().unwrap();
        assert_eq!(accepted.remote, Address::Ip(client.local_addr().unwrap()));
        // There and back again, as between workers.
        let remote = accepted.remote.clone();
        let stream = accepted.into_stream().unwrap();
        let mut stream = Accepted::from_stream(stream, remote)
            .unwrap()
            .into_stream()
            .unwrap();
        client.write_all(b"x").await.unwrap();
        assert_eq!(stream.read(&mut [0; 4]).await.unwrap(), 1);
        assert!(matches!(listening.accept(), Err(AcceptError::WouldBlock)));
    }

    #[tokio::test]
    async fn who_has_connected_gets_in_and_nobody_else() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listening = listening(Domain::IPV4, &any.into());
        let address = listening.socket.get_ref().local_addr().unwrap();
        let address = address.as_socket().unwrap();
        let _before = TcpStream::connect(address).unwrap();
        listening.refuse_handshakes();
        let after = TcpStream::connect_timeout(&address, std::time::Duration::from_millis(50));
        assert_eq!(after.unwrap_err().kind(), io::ErrorKind::TimedOut);
        listening.readable().await.unwrap();
        assert!(listening.accept().is_ok());
        assert!(matches!(listening.accept(), Err(AcceptError::WouldBlock)));
    }

    #[tokio::test]
    async fn a_client_on_a_unix_socket_has_no_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listening = listening(Domain::UNIX, &SockAddr::unix(&path).unwrap());
        let _client = tokio::net::UnixStream::connect(&path).await.unwrap();
        listening.readable().await.unwrap();
        let accepted = listening.accept().unwrap();
        assert_eq!(accepted.remote, Address::Pipe(Arc::default()));
        assert!(matches!(accepted.into_stream().unwrap(), Stream::Unix(_)));
    }

    #[test]
    fn mapped_addresses_are_of_ipv4() {
        let mapped: SocketAddr = "[::ffff:10.0.0.1]:80".parse().unwrap();
        assert_eq!(canonical(mapped), "10.0.0.1:80".parse().unwrap());
    }
}
