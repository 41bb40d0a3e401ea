//! Free TCP ports for the proxies: always five digits, so that lengths of messages agree on both sides, and below the
//! ephemeral range, so that no outgoing connection of another process can take one between the choice and the bind.
//! And ports that swallow connections.

use anyhow::{Result, bail};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Mutex;

/// Ports are named where they occur in what is compared. One that a message may contain as a number is no port of ours:
/// round ones (a timeout of 15000 ms), and these.
const NUMBERS: [u16; 4] = [12_345, 16_383, 16_384, 16_385];

static TAKEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// A listening socket of the harness itself, on a port that this process has not handed out before.
pub fn listen() -> Result<(TcpListener, u16)> {
    let mut guard = TAKEN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let taken = guard.get_or_insert_with(HashSet::new);
    for _ in 0..1000 {
        let random = RandomState::new().build_hasher().finish();
        let port = 10_000 + u16::try_from(random % 22_000)?;
        if taken.contains(&port) || port % 100 == 0 || NUMBERS.contains(&port) {
            continue;
        }
        // Without SO_REUSEPORT this bind fails when anybody listens there or on every address.
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            taken.insert(port);
            return Ok((listener, port));
        }
    }
    bail!("no free port between 10000 and 32000")
}

/// A port for a proxy to listen on, or for nobody.
pub fn free() -> Result<u16> {
    Ok(listen()?.1)
}

/// A port on which connections neither succeed nor fail: nobody accepts, and the queue is full.
pub struct Deaf {
    pub port: u16,
    _listener: TcpListener,
    _queue: Vec<Socket>,
}

impl Deaf {
    pub fn start() -> Result<Self> {
        let (listener, port) = listen()?;
        SockRef::from(&listener).listen(0)?;
        let target = SockAddr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let mut queue = Vec::new();
        // Even a queue of length 0 takes one; the others make sure that it has.
        for _ in 0..4 {
            let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None)?;
            // Most of them stay in progress for ever.
            drop(socket.connect(&target));
            queue.push(socket);
        }
        Ok(Self {
            port,
            _listener: listener,
            _queue: queue,
        })
    }
}
