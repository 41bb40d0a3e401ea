//! One keep-alive HTTP/1.1 connection of the generator. It knows the length of what it asks for and parses no more than it must.

use crate::traffic::{HEAD_END, body_length};
use anyhow::{Context, Result, bail, ensure};
use memchr::memmem;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const BUFFER: usize = 64 * 1024;

pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The first answer has been looked at closely: it has the length that was asked for.
    checked: bool,
}

impl Client {
    pub async fn connect(target: SocketAddr) -> Result<Self> {
        Self::with_buffer(target, BUFFER).await
    }

    pub async fn with_buffer(target: SocketAddr, buffer: usize) -> Result<Self> {
        let stream = TcpStream::connect(target).await.context("connect")?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: vec![0; buffer],
            checked: false,
        })
    }

    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await.context("send")
    }

    /// Waits for a whole answer with a body of `length` bytes and tells of body bytes as they come.
    pub async fn receive(&mut self, length: usize, mut progress: impl FnMut(usize)) -> Result<()> {
        let mut filled = 0;
        let end = loop {
            filled += self.read(filled).await?;
            if let Some(end) = memmem::find(&self.buffer[..filled], HEAD_END) {
                break end;
            }
        };
        let head = &self.buffer[..end];
        if !head.starts_with(b"HTTP/1.1 200") {
            bail!("answered {:?}", String::from_utf8_lossy(head));
        }
        if !self.checked {
            let said = body_length(head);
            ensure!(
                said == Some(length),
                "content-length is {said:?}, not {length}"
            );
            self.checked = true;
        }
        let mut received = filled - end - HEAD_END.len();
        progress(received);
        while received < length {
            let bytes = self.read(0).await?;
            progress(bytes);
            received += bytes;
        }
        ensure!(
            received == length,
            "{received} body bytes instead of {length}"
        );
        Ok(())
    }

    async fn read(&mut self, at: usize) -> Result<usize> {
        match self
            .stream
            .read(&mut self.buffer[at..])
            .await
            .context("receive")?
        {
            0 => bail!("connection closed before the whole answer"),
            length => Ok(length),
        }
    }
}
