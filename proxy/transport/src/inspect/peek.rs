//! `MSG_PEEK`: looks at the first bytes of a connection and leaves them in the kernel, until they are taken off on purpose.

use super::{InspectError, proxy_header};
use crate::Stream;
use rustix::net::{RecvFlags, recv};
use std::{io, os::fd::AsFd};
use tokio::io::{Interest, Ready};

/// Most clients say what they are in one small packet.
const FIRST: usize = 1024;
/// As much as Envoy's http_inspector looks at.
pub const MOST: usize = 64 * 1024;
/// As much as is ever looked at.
const CAPACITY: usize = if MOST > proxy_header::LONGEST {
    MOST
} else {
    proxy_header::LONGEST
};

/// The bytes at the start of a connection, as far as they have arrived.
#[derive(Debug, Default)]
pub struct Peeked {
    buffer: Vec<u8>,
    len: usize,
}

impl Peeked {
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }

    /// Waits until there are more bytes than before. Errors when there will be none: the client has left, or it has
    /// sent all that an inspector may look at. `first` is how much room there is to begin with.
    pub async fn more(
        &mut self,
        stream: &Stream,
        first: Option<usize>,
    ) -> Result<(), InspectError> {
        if self.len == self.buffer.len() {
            if self.len == CAPACITY {
                return Err(InspectError::Filter);
            }
            let size = (self.len * 2).max(first.unwrap_or(FIRST));
            self.buffer.resize(size.min(CAPACITY), 0);
        }
        loop {
            let ready = ready(stream).await.map_err(|_| InspectError::RemoteClose)?;
            let seen = self.len;
            let buffer = &mut self.buffer;
            match try_io(stream, || peek(stream, buffer, seen)) {
                Ok(0) => return Err(InspectError::RemoteClose),
                Ok(len) => {
                    self.len = len;
                    return Ok(());
                }
                // The end of a stream that has begun does not show in its bytes.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if ready.is_read_closed() {
                        return Err(InspectError::RemoteClose);
                    }
                }
                Err(_) => return Err(InspectError::RemoteClose),
            }
        }
    }

    /// Takes bytes that have been looked at off the socket.
    pub fn consume(&mut self, stream: &Stream, length: usize) -> Result<(), InspectError> {
        let bytes = self.buffer.get_mut(..length).unwrap_or_default();
        // They are there: less would mean that somebody else reads, or that the client has reset.
        match stream.try_read(bytes) {
            Ok(read) if read == length && length <= self.len => {
                self.buffer.copy_within(length..self.len, 0);
                self.len -= length;
                Ok(())
            }
            _ => Err(InspectError::RemoteClose),
        }
    }
}

/// What was seen before is as good as nothing: to say so makes tokio wait for the next packet, since the socket itself
/// stays readable all the time.
fn peek(stream: &Stream, buffer: &mut [u8], seen: usize) -> io::Result<usize> {
    let (_, len) = match stream {
        Stream::Tcp(s) => recv(s.as_fd(), buffer, RecvFlags::PEEK)?,
        Stream::Unix(s) => recv(s.as_fd(), buffer, RecvFlags::PEEK)?,
    };
    if len > 0 && len <= seen {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    Ok(len)
}

async fn ready(stream: &Stream) -> io::Result<Ready> {
    match stream {
        Stream::Tcp(s) => s.ready(Interest::READABLE).await,
        Stream::Unix(s) => s.ready(Interest::READABLE).await,
    }
}

fn try_io<R>(stream: &Stream, f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
    match stream {
        Stream::Tcp(s) => s.try_io(Interest::READABLE, f),
        Stream::Unix(s) => s.try_io(Interest::READABLE, f),
    }
}
