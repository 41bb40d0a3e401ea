//! A TCP connection in the place of an exchange: the request's body goes to the upstream as it is, and its bytes come
//! back as the body of a response whose head the upstream never wrote.

use super::{
    BodyEvent,
    buffer::{ReadBuffer, WriteBuffer},
    h1::{ExchangeError, Framing, ResponseHead},
};
use bytes::Bytes;
use outrigger_core::{HeaderId, HeaderMap, Protocol};
use outrigger_upstream::{CloseReason, TcpConnection};
use std::task::{Context, Poll, ready};

/// One CONNECT request that ends here.
#[derive(Debug)]
pub struct TcpExchange {
    connection: TcpConnection,
    read: ReadBuffer,
    write: WriteBuffer,
    buffer_limit: usize,
    /// The request has been given to its end.
    request_ended: bool,
    /// The upstream has been told.
    finished: bool,
    /// The upstream has sent FIN.
    ended: bool,
    /// Whoever reads has been told.
    response_ended: bool,
}

impl TcpExchange {
    /// `buffer_limit`: the cluster's `per_connection_buffer_limit_bytes`.
    pub fn new(connection: TcpConnection, buffer_limit: usize) -> Self {
        Self {
            connection,
            read: ReadBuffer::default(),
            write: WriteBuffer::default(),
            buffer_limit,
            request_ended: false,
            finished: false,
            ended: false,
            response_ended: false,
        }
    }

    pub fn bytes_read(&self) -> u64 {
        self.read.total
    }

    pub fn bytes_written(&self) -> u64 {
        self.write.total
    }

    pub fn send_data(&mut self, data: Bytes) {
        self.write.push(data);
    }

    /// Ends the upstream's half. There is nowhere to put trailers.
    pub fn send_end(&mut self) {
        self.request_ended = true;
    }

    pub fn is_backed_up(&self) -> bool {
        self.buffer_limit != 0 && self.write.len() >= self.buffer_limit
    }

    pub fn buffered(&self) -> usize {
        self.write.len()
    }

    pub fn unread(&self) -> usize {
        self.read.len()
    }

    /// That the upstream takes no more is seen by whoever reads from it.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let before = self.write.total;
        let flushed = self.write.poll_flush(&mut self.connection.stream, cx);
        self.connection.count(0, self.write.total - before);
        if ready!(flushed).is_err() {
            self.write.clear();
        }
        if self.request_ended && !self.finished {
            self.finished = true;
            // Fails only if that end is gone; reading from it says how.
            self.connection.stream.shutdown_write().ok();
        }
        Poll::Ready(())
    }

    /// The connection is there: that is the answer.
    pub fn head(&mut self, headers: &mut HeaderMap) -> ResponseHead {
        headers.clear();
        headers.append(HeaderId::Status, b"200");
        ResponseHead {
            status: 200,
            protocol: Protocol::Http11,
            keep_alive: true,
            framing: Framing::UntilClose,
            header_bytes: 0,
        }
    }

    /// Reads what the upstream says.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyEvent, ExchangeError>> {
        if !self.ended {
            match ready!(self.read.poll_fill(&mut self.connection.stream, cx)) {
                Ok(0) => self.ended = true,
                Ok(read) => {
                    self.connection.count(read as u64, 0);
                    let data = self.read.bytes().split().freeze();
                    return Poll::Ready(Ok(BodyEvent::Data(data)));
                }
                Err(_) => return Poll::Ready(Err(ExchangeError::Terminated)),
            }
        }
        self.response_ended = true;
        self.read.release();
        Poll::Ready(Ok(BodyEvent::End))
    }

    pub fn response_complete(&self) -> bool {
        self.response_ended
    }

    /// Ends it after the upstream's last byte: as a whole, if the request has ended as well.
    pub fn finish(self) {
        if self.finished {
            self.connection.finish(CloseReason::Remote);
        } else {
            self.connection.close(CloseReason::Local);
        }
    }

    pub fn close(self, reason: CloseReason) {
        self.connection.close(reason);
    }

    /// Ends it for a client that has gone.
    pub fn finish_or_close(self) {
        if self.response_ended {
            self.finish();
        } else {
            self.close(CloseReason::Local);
        }
    }
}
