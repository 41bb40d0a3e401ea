//! Copies bytes between two connections, both ways at once, until both ends have finished or one has failed.
//!
//! One task drives both directions. It must never read ahead of a writer that does not keep up: what could not be
//! written stops the reading of that direction, and is all that a connection ever buffers.

use crate::{
    scratch,
    splice::{self, Pipe},
};
use outrigger_core::stats::{Counter, Gauge};
use outrigger_transport::Stream;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Reads of one direction in a row, and bytes, before other connections of the worker get their turn.
const READS_PER_TURN: usize = 16;
const BYTES_PER_TURN: u64 = 1024 * 1024;

/// A read of at least this much looks like bulk.
const BULK_READ: usize = 16 * 1024;
/// Bulk in a row after which a direction turns from copying to splicing.
const BULK: usize = 256 * 1024;

/// One end of a relay.
pub trait Relayed: AsyncRead + AsyncWrite + Unpin {
    /// The socket of an end that is nothing else: the kernel moves its bytes by itself.
    fn socket(&self) -> Option<&TcpStream>;

    /// Says that nothing more is written. Fails only if that end is gone; reading from it says how.
    fn end_write(&mut self);

    /// Whether dropping this end, of which all has been read, says the same.
    fn ends_by_drop(&self) -> bool;
}

impl Relayed for Stream {
    fn socket(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(socket) => Some(socket),
            Self::Unix(_) => None,
        }
    }

    fn end_write(&mut self) {
        self.shutdown_write().ok();
    }

    fn ends_by_drop(&self) -> bool {
        true
    }
}

/// Which end of a proxied connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Downstream,
    Upstream,
}

/// How a copy came to its end.
#[derive(Debug)]
pub enum End {
    /// Both ends have sent FIN; the one named was the last.
    Finished(Side),
    /// This end failed, most often by RST.
    Failed(Side, io::Error),
}

/// What a relay has to tell.
#[derive(Debug)]
pub enum Event {
    End(End),
    /// Bytes, or the end, have come from downstream and are held: somebody wants to be asked first.
    Held,
}

/// Counters that one direction keeps up to date.
#[derive(Clone, Copy, Debug)]
pub struct Meters<'a> {
    pub read: &'a Counter,
    pub written: &'a Counter,
    /// The writer did not keep up, so reading stops.
    pub paused: &'a Counter,
    pub resumed: &'a Counter,
    /// Bytes that wait for the writer.
    pub waiting: &'a Gauge,
}

/// One direction.
#[derive(Debug)]
pub struct Direction<'a> {
    meters: Meters<'a>,
    /// Bytes per read.
    chunk: usize,
    /// Bytes that a pipe may hold; 0 if this direction must not splice.
    splice_limit: usize,
    pending: Option<Pending>,
    /// Held only while there are bytes in it.
    pipe: Option<Pipe>,
    /// Bytes in either of them, as the gauge shows it.
    waiting: usize,
    /// Bytes that came in large reads, without a small one between them.
    bulk: usize,
    state: State,
    /// The other direction is done, so that both ends are closed after this one.
    last: bool,
    gate: Gate,
    /// What has been read for somebody to be asked about.
    held: Option<(Box<[u8]>, usize)>,
    pub bytes_read: u64,
    pub bytes_written: u64,
}

/// Whether somebody is to be asked before bytes go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    Asks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The reader has seen FIN; the writer has not sent it yet.
    Ending,
    Done,
}

/// What has been read and not been written.
#[derive(Debug)]
struct Pending {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

/// Which of a direction's two ends failed.
enum Fault {
    Reader(io::Error),
    Writer(io::Error),
    /// None did: see [`Event::Held`].
    Held,
}

impl<'a> Direction<'a> {
    /// `limit` is `per_connection_buffer_limit_bytes`; 0 is no limit.
    pub fn new(meters: Meters<'a>, limit: u32) -> Self {
        let limit = match usize::try_from(limit) {
            Ok(0) | Err(_) => usize::MAX,
            Ok(limit) => limit,
        };
        Self {
            meters,
            chunk: limit.min(scratch::SIZE),
            // With less room than that it would only take more system calls.
            splice_limit: if limit < scratch::SIZE {
                0
            } else {
                limit.min(splice::CAPACITY)
            },
            pending: None,
            pipe: None,
            waiting: 0,
            bulk: 0,
            state: State::Open,
            last: false,
            gate: Gate::Open,
            held: None,
            bytes_read: 0,
            bytes_written: 0,
        }
    }

    /// Whether the next bytes are held until somebody has been asked. What is held already goes on.
    pub fn hold(&mut self, hold: bool) {
        self.gate = if hold { Gate::Asks } else { Gate::Open };
    }

    /// Ready once FIN has been passed on.
    fn poll<F: Relayed, T: Relayed>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut F,
        to: &mut T,
    ) -> Poll<Result<(), Fault>> {
        let end_of_turn = self.bytes_read.saturating_add(BYTES_PER_TURN);
        for _ in 0..READS_PER_TURN {
            if self.bytes_read >= end_of_turn {
                break;
            }
            ready!(self.poll_pending(cx, to))?;
            if let Some((buffer, n)) = self.held.take() {
                self.forward(cx, to, buffer, n)?;
                continue;
            }
            match self.state {
                State::Open
                    if self.bulk >= BULK && self.splice_limit != 0 && self.gate == Gate::Open =>
                {
                    ready!(self.poll_splice(cx, from, to))?;
                }
                State::Open => ready!(self.poll_chunk(cx, from, to))?,
                State::Ending => {
                    self.state = State::Done;
                    if !(self.last && to.ends_by_drop()) {
                        to.end_write();
                    }
                }
                State::Done => return Poll::Ready(Ok(())),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_pending<T: Relayed>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut T,
    ) -> Poll<Result<(), Fault>> {
        let Some(pending) = &mut self.pending else {
            return Poll::Ready(Ok(()));
        };
        while pending.start < pending.end {
            let bytes = pending
                .buffer
                .get(pending.start..pending.end)
                .unwrap_or_default();
            let n = ready!(poll_write(cx, to, bytes)).map_err(Fault::Writer)?;
            pending.start += n;
            self.bytes_written += n as u64;
            self.meters.written.add(n as u64);
            self.meters.waiting.sub(n as u64);
            self.waiting = self.waiting.saturating_sub(n);
        }
        if let Some(pending) = self.pending.take() {
            scratch::give(pending.buffer);
        }
        self.resume();
        Poll::Ready(Ok(()))
    }

    /// Reads into the worker's buffer and writes from it.
    fn poll_chunk<F: Relayed, T: Relayed>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut F,
        to: &mut T,
    ) -> Poll<Result<(), Fault>> {
        let mut buffer = scratch::take();
        let read = poll_read(cx, from, buffer.get_mut(..self.chunk).unwrap_or_default());
        let n = match read {
            Poll::Ready(Ok(n)) => n,
            Poll::Ready(Err(error)) => {
                scratch::give(buffer);
                return Poll::Ready(Err(Fault::Reader(error)));
            }
            Poll::Pending => {
                scratch::give(buffer);
                return Poll::Pending;
            }
        };
        if n == 0 {
            scratch::give(buffer);
            self.state = State::Ending;
            return Poll::Ready(match self.gate {
                Gate::Open => Ok(()),
                Gate::Asks => Err(Fault::Held),
            });
        }
        self.count_read(n);
        if self.gate == Gate::Asks {
            self.held = Some((buffer, n));
            return Poll::Ready(Err(Fault::Held));
        }
        Poll::Ready(self.forward(cx, to, buffer, n))
    }

    /// Writes what has been read; takes the buffer along only if the writer refuses.
    fn forward<T: Relayed>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut T,
        buffer: Box<[u8]>,
        n: usize,
    ) -> Result<(), Fault> {
        let written = match poll_write(cx, to, buffer.get(..n).unwrap_or_default()) {
            Poll::Ready(Ok(written)) => written,
            Poll::Ready(Err(error)) => {
                scratch::give(buffer);
                return Err(Fault::Writer(error));
            }
            Poll::Pending => 0,
        };
        self.count_written(written);
        if written == n {
            scratch::give(buffer);
        } else {
            self.pause(n - written);
            self.pending = Some(Pending::new(buffer, written, n));
        }
        Ok(())
    }
}

impl Direction<'_> {
    /// One pipe full, from socket to socket.
    fn poll_splice<F: Relayed, T: Relayed>(
        &mut self,
        cx: &mut Context<'_>,
        from: &F,
        to: &T,
    ) -> Poll<Result<(), Fault>> {
        let (Some(from), Some(to)) = (from.socket(), to.socket()) else {
            self.splice_limit = 0;
            return Poll::Ready(Ok(()));
        };
        let resuming = self.pipe.is_some();
        let Some(mut pipe) = self.pipe.take().or_else(Pipe::take) else {
            // No file descriptors: copy as much again, then ask again.
            self.bulk = 0;
            return Poll::Ready(Ok(()));
        };
        if pipe.is_empty() {
            match pipe.poll_fill(cx, from, self.splice_limit) {
                Poll::Ready(Ok(0)) => self.state = State::Ending,
                Poll::Ready(Ok(n)) => self.count_read(n),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Fault::Reader(error))),
                Poll::Pending => {
                    pipe.give();
                    return Poll::Pending;
                }
            }
        }
        while !pipe.is_empty() {
            match pipe.poll_drain(cx, to) {
                Poll::Ready(Ok(n)) => self.count_written(n),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Fault::Writer(error))),
                Poll::Pending => {
                    if !resuming {
                        self.pause(pipe.len());
                    }
                    self.pipe = Some(pipe);
                    return Poll::Pending;
                }
            }
        }
        pipe.give();
        if resuming {
            self.resume();
        }
        Poll::Ready(Ok(()))
    }

    /// The writer does not take so many bytes.
    fn pause(&mut self, bytes: usize) {
        self.meters.paused.inc();
        self.meters.waiting.add(bytes as u64);
        self.waiting = bytes;
    }

    /// The writer has taken everything.
    fn resume(&mut self) {
        self.meters.resumed.inc();
        self.forget_waiting();
    }

    fn forget_waiting(&mut self) {
        self.meters.waiting.sub(self.waiting as u64);
        self.waiting = 0;
    }

    fn count_read(&mut self, n: usize) {
        self.bytes_read += n as u64;
        self.meters.read.add(n as u64);
        self.bulk = if n < BULK_READ {
            0
        } else {
            self.bulk.saturating_add(n)
        };
    }

    fn count_written(&mut self, n: usize) {
        self.bytes_written += n as u64;
        self.meters.written.add(n as u64);
    }
}

impl Drop for Direction<'_> {
    /// What waits for the writer goes with the connection.
    fn drop(&mut self) {
        if self.waiting != 0 {
            self.forget_waiting();
        }
    }
}

impl Pending {
    /// A small rest is copied out, so that it does not hold a large buffer for as long as the peer sleeps.
    fn new(buffer: Box<[u8]>, start: usize, end: usize) -> Self {
        let rest = buffer.get(start..end).unwrap_or_default();
        if rest.len() * 4 > buffer.len() {
            return Self { buffer, start, end };
        }
        let small: Box<[u8]> = rest.into();
        scratch::give(buffer);
        Self {
            start: 0,
            end: small.len(),
            buffer: small,
        }
    }
}

fn poll_read<F: Relayed>(
    cx: &mut Context<'_>,
    from: &mut F,
    buf: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut buf = ReadBuf::new(buf);
    ready!(Pin::new(from).poll_read(cx, &mut buf))?;
    Poll::Ready(Ok(buf.filled().len()))
}

fn poll_write<T: Relayed>(
    cx: &mut Context<'_>,
    to: &mut T,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    match ready!(Pin::new(to).poll_write(cx, bytes)) {
        Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        other => Poll::Ready(other),
    }
}

/// Both directions of one proxied connection.
#[derive(Debug)]
pub struct Relay<'a> {
    /// From downstream to upstream.
    pub up: Direction<'a>,
    /// From upstream to downstream.
    pub down: Direction<'a>,
}

impl Relay<'_> {
    /// Bytes moved so far: what an idle timeout watches.
    pub fn moved(&self) -> u64 {
        let Self { up, down } = self;
        [
            up.bytes_read,
            up.bytes_written,
            down.bytes_read,
            down.bytes_written,
        ]
        .iter()
        .fold(0, |sum, n| sum.wrapping_add(*n))
    }

    /// Moves what can be moved. Ready at the end of the connection, or where somebody is to be asked.
    pub fn poll<U: Relayed>(
        &mut self,
        cx: &mut Context<'_>,
        downstream: &mut Stream,
        upstream: &mut U,
    ) -> Poll<Event> {
        let failed = |side, error| Poll::Ready(Event::End(End::Failed(side, error)));
        use Side::{Downstream, Upstream};
        let mut last = Upstream;
        if self.up.state != State::Done {
            self.up.last = self.down.state == State::Done;
            match self.up.poll(cx, downstream, upstream) {
                Poll::Ready(Err(Fault::Held)) => return Poll::Ready(Event::Held),
                Poll::Ready(Err(Fault::Reader(e))) => return failed(Downstream, e),
                Poll::Ready(Err(Fault::Writer(e))) => return failed(Upstream, e),
                Poll::Ready(Ok(())) => last = Downstream,
                Poll::Pending => {}
            }
        }
        if self.down.state != State::Done {
            self.down.last = self.up.state == State::Done;
            match self.down.poll(cx, upstream, downstream) {
                Poll::Ready(Err(Fault::Held)) => return Poll::Ready(Event::Held),
                Poll::Ready(Err(Fault::Reader(e))) => return failed(Upstream, e),
                Poll::Ready(Err(Fault::Writer(e))) => return failed(Downstream, e),
                Poll::Ready(Ok(())) => last = Upstream,
                Poll::Pending => {}
            }
        }
        if self.up.state == State::Done && self.down.state == State::Done {
            Poll::Ready(Event::End(End::Finished(last)))
        } else {
            Poll::Pending
        }
    }
}
