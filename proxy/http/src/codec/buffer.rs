//! The read and write buffers of one connection: memory that exists only while bytes are in it.
//!
//! Read buffers come from a pool of the thread and go back when they are empty, so that an idle connection holds none.
//! Writes are coalesced: heads and small pieces are copied together, large pieces are queued as they are and written
//! with one vectored call.

use bytes::{Buf, Bytes, BytesMut};
use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

/// First read of a message: a head and a small body fit.
const SMALL: usize = 16 * 1024;
/// Reads while a body streams.
const LARGE: usize = 64 * 1024;
/// Pieces up to this size are copied behind the head; larger ones are queued untouched.
const COALESCE: usize = 8 * 1024;
/// Buffers kept by a thread.
const POOLED: usize = 64;
/// Slices handed to one vectored write.
const SLICES: usize = 16;

thread_local! {
    static POOL: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

fn take() -> BytesMut {
    POOL.with_borrow_mut(Vec::pop)
        .unwrap_or_else(|| BytesMut::with_capacity(SMALL))
}

fn give(mut buffer: BytesMut) {
    buffer.clear();
    // Memory that is still lent to a body, or that grew for one, is not worth keeping.
    if !buffer.try_reclaim(SMALL) || buffer.capacity() > 2 * SMALL {
        return;
    }
    POOL.with_borrow_mut(|pool| {
        if pool.len() < POOLED {
            pool.push(buffer);
        }
    });
}

/// Takes bytes off the front. A buffer that is empty then stands at its start again, so that it is used anew for nothing.
#[inline]
pub(super) fn consume(buffer: &mut BytesMut, length: usize) {
    match length < buffer.len() {
        true => buffer.advance(length),
        false => buffer.clear(),
    }
}

/// Bytes that have arrived and were not consumed.
#[derive(Debug, Default)]
pub struct ReadBuffer {
    bytes: BytesMut,
    /// The last read filled the buffer: the next one may be larger.
    filled: bool,
    /// Bytes read since the start of the connection.
    pub total: u64,
}

impl ReadBuffer {
    pub fn bytes(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Gives the memory back to the thread if nothing is in it.
    pub fn release(&mut self) {
        if self.bytes.is_empty() && self.bytes.capacity() > 0 {
            give(std::mem::take(&mut self.bytes));
            self.filled = false;
        }
    }

    /// Reads once; `Ready(0)` is the end of the stream. Pending leaves no memory behind an empty buffer.
    pub fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.bytes.capacity() == 0 {
            // A body that comes faster than it is read is worth fewer, larger reads.
            self.bytes = match self.filled {
                true => BytesMut::with_capacity(LARGE),
                false => take(),
            };
        }
        if self.bytes.capacity() - self.bytes.len() < SMALL / 4 {
            self.bytes.reserve(if self.filled { LARGE } else { SMALL });
        }
        let room = self.bytes.capacity() - self.bytes.len();
        let read = match pin!(io.read_buf(&mut self.bytes)).poll(cx) {
            Poll::Ready(read) => read?,
            Poll::Pending => {
                self.release();
                return Poll::Pending;
            }
        };
        self.filled = read == room;
        self.total += read as u64;
        Poll::Ready(Ok(read))
    }
}

/// Bytes that wait to be written.
#[derive(Debug, Default)]
pub struct WriteBuffer {
    queue: VecDeque<Bytes>,
    queued: usize,
    tail: BytesMut,
    /// Bytes written since the start of the connection.
    pub total: u64,
}

impl WriteBuffer {
    /// Where heads and chunk frames are encoded to.
    pub fn tail(&mut self) -> &mut BytesMut {
        if self.tail.capacity() == 0 {
            self.tail = take();
        }
        &mut self.tail
    }

    /// Adds a piece of body.
    pub fn push(&mut self, data: Bytes) {
        if data.len() <= COALESCE {
            self.tail().extend_from_slice(&data);
            return;
        }
        if !self.tail.is_empty() {
            let head = self.tail.split().freeze();
            self.queued += head.len();
            self.queue.push_back(head);
        }
        self.queued += data.len();
        self.queue.push_back(data);
    }

    /// Bytes not yet written.
    pub fn len(&self) -> usize {
        self.queued + self.tail.len()
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.tail.is_empty()
    }

    /// Forgets what was not written.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.queued = 0;
        self.tail.clear();
        self.release();
    }

    /// Writes until everything is written or the socket takes no more.
    pub fn poll_flush<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let written = if self.queue.is_empty() {
                ready!(Pin::new(&mut *io).poll_write(cx, &self.tail))?
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let pieces = self
                    .queue
                    .iter()
                    .map(|b| b.as_ref())
                    .chain([self.tail.as_ref()]);
                for (slice, piece) in slices.iter_mut().zip(pieces) {
                    *slice = IoSlice::new(piece);
                }
                ready!(Pin::new(&mut *io).poll_write_vectored(cx, &slices))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        self.release();
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        self.total += written as u64;
        while let Some(front) = self.queue.front_mut() {
            let step = written.min(front.len());
            front.advance(step);
            self.queued -= step;
            written -= step;
            if !front.is_empty() {
                return;
            }
            self.queue.pop_front();
        }
        consume(&mut self.tail, written);
    }

    fn release(&mut self) {
        if self.is_empty() && self.tail.capacity() > 0 {
            give(std::mem::take(&mut self.tail));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::future::poll_fn;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn pieces_of_any_size_arrive_in_order() {
        let (mut near, mut far) = tokio::io::duplex(1000);
        let mut expected = Vec::new();
        let mut out = WriteBuffer::default();
        for (i, size) in [10, 9000, 5, 20_000, 8192, 1].into_iter().enumerate() {
            let piece = vec![b'a' + i as u8; size];
            expected.extend_from_slice(&piece);
            out.push(piece.into());
        }
        assert_eq!(out.len(), expected.len());
        let writer = async {
            poll_fn(|cx| out.poll_flush(&mut near, cx)).await.unwrap();
            near.shutdown().await.unwrap();
        };
        let mut got = Vec::new();
        let (_, read) = tokio::join!(writer, far.read_to_end(&mut got));
        read.unwrap();
        assert_eq!(got, expected);
        assert!(out.is_empty());
    }

    #[tokio::test]
    async fn an_empty_read_buffer_holds_no_memory() {
        let (mut near, mut far) = tokio::io::duplex(64);
        let mut buffer = ReadBuffer::default();
        let pending = poll_fn(|cx| Poll::Ready(buffer.poll_fill(&mut near, cx).is_pending())).await;
        assert!(pending);
        assert_eq!(buffer.bytes().capacity(), 0);
        far.write_all(b"abc").await.unwrap();
        assert_eq!(
            poll_fn(|cx| buffer.poll_fill(&mut near, cx)).await.unwrap(),
            3
        );
        assert_eq!(&buffer.bytes()[..], b"abc");
    }
}
