//! Moves bytes between two sockets inside the kernel: `splice(2)` through a pipe.
//!
//! Pays only for bulk. It must never be what a connection depends on: whoever gets no pipe copies.

use rustix::{
    io::Errno,
    pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice},
};
use std::{
    cell::RefCell,
    io,
    os::fd::{AsFd, OwnedFd},
    task::{Context, Poll, ready},
};
use tokio::{io::Interest, net::TcpStream};

/// What a pipe is asked to hold; the kernel may grant less.
pub const CAPACITY: usize = 1024 * 1024;
/// Pipes that a worker keeps for the next one. Each is two file descriptors.
const SPARE: usize = 8;

thread_local! {
    static PIPES: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

/// A pipe and the bytes in it.
#[derive(Debug)]
pub struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    len: usize,
}

impl Pipe {
    /// An empty pipe, if there are file descriptors for it.
    pub fn take() -> Option<Self> {
        if let Some(pipe) = PIPES.with_borrow_mut(Vec::pop) {
            return Some(pipe);
        }
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        // Beyond the user's share of pipe memory it stays as small as it was made.
        fcntl_setpipe_size(&write, CAPACITY).ok();
        Some(Self {
            read,
            write,
            len: 0,
        })
    }

    /// For the next one. A pipe with bytes in it is closed: they are nobody else's.
    pub fn give(self) {
        PIPES.with_borrow_mut(|pipes| {
            if self.len == 0 && pipes.len() < SPARE {
                pipes.push(self);
            }
        });
    }

    /// Bytes in it.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes up to `limit` bytes out of a socket; 0 is its end. The pipe must be empty: a full one could not be told
    /// from an empty socket.
    pub fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        from: &TcpStream,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(from.poll_read_ready(cx))?;
            match from.try_io(Interest::READABLE, || transfer(from, &self.write, limit)) {
                Ok(n) => {
                    self.len += n;
                    return Poll::Ready(Ok(n));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Puts bytes into a socket.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>, to: &TcpStream) -> Poll<io::Result<usize>> {
        loop {
            ready!(to.poll_write_ready(cx))?;
            match to.try_io(Interest::WRITABLE, || transfer(&self.read, to, self.len)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    self.len = self.len.saturating_sub(n);
                    return Poll::Ready(Ok(n));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// Pipes that this worker has to spare.
#[cfg(test)]
pub fn spare() -> usize {
    PIPES.with_borrow(Vec::len)
}

fn transfer(from: &impl AsFd, to: &impl AsFd, len: usize) -> io::Result<usize> {
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    loop {
        match splice(from, None, to, None, len, flags) {
            Err(Errno::INTR) => {}
            result => return result.map_err(io::Error::from),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_pipe_with_bytes_is_not_lent_again() {
        let mut pipe = Pipe::take().unwrap();
        pipe.len = 1;
        pipe.give();
        assert_eq!(spare(), 0);
        Pipe::take().unwrap().give();
        assert_eq!(spare(), 1);
        let pipe = Pipe::take().unwrap();
        assert!(pipe.is_empty());
        assert_eq!(spare(), 0);
    }
}
