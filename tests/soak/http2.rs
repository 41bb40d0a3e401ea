//! The load's client of HTTP/2. Nothing counts as lost that the server has not looked at and says so.

use crate::load::{LARGE, connect};
use bytes::Bytes;
use futures_util::future::join_all;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::Request;
use std::future::poll_fn;
use std::io::{Error, Result};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::task::JoinHandle;

/// Batches of a connection, and streams side by side in each.
const BATCHES: usize = 20;
const STREAMS: usize = 10;

/// One connection; its task ends with the last handle.
struct Client {
    send: SendRequest<Bytes>,
    task: JoinHandle<()>,
}

impl Client {
    async fn connect(port: u16) -> Result<Self> {
        let stream = connect(port).await?;
        let (send, connection) = h2::client::handshake(stream).await.map_err(Error::other)?;
        let task = tokio::spawn(async move {
            // Its streams tell what there is to tell.
            let _ = connection.await;
        });
        Ok(Self { send, task })
    }

    /// `None`: the server has said that it takes no further streams.
    async fn start(&mut self, request: Request<()>, end: bool) -> Option<Started> {
        poll_fn(|cx| self.send.poll_ready(cx)).await.ok()?;
        self.send.send_request(request, end).ok()
    }

    /// In a task of its own: whoever holds the last handle of a connection may find that the codec, which asserts its books
    /// here, panics over a stream that a GOAWAY has left in them. What became of the requests is known by then.
    async fn close(self) {
        let closing = tokio::spawn(async move {
            drop(self.send);
            let _ = self.task.await;
        });
        let _ = closing.await;
    }
}

type Started = (ResponseFuture, SendStream<Bytes>);

/// The bytes of the answer; `None` where the server says that somebody else is to be asked.
async fn whole(response: ResponseFuture) -> Result<Option<u64>> {
    let refused = |error: h2::Error| match error.reason() {
        Some(Reason::REFUSED_STREAM) => Ok(None),
        _ => Err(Error::other(error)),
    };
    let response = match response.await {
        Ok(response) => response,
        Err(error) => return refused(error),
    };
    if response.status() != 200 {
        return Err(Error::other(format!("status {}", response.status())));
    }
    let mut body = response.into_body();
    let mut length = 0;
    while let Some(data) = body.data().await {
        let data = data.map_err(Error::other)?;
        let taken = body.flow_control().release_capacity(data.len());
        taken.map_err(Error::other)?;
        length += data.len() as u64;
    }
    Ok(Some(length))
}

fn get(target: &str) -> Result<Request<()>> {
    let uri = format!("http://a.test{target}");
    Request::get(uri).body(()).map_err(Error::other)
}

fn check(length: u64, wanted: u64) -> Result<()> {
    match length == wanted {
        true => Ok(()),
        false => Err(Error::other(format!("{length} bytes of {wanted}"))),
    }
}

pub async fn requests(port: u16, done: &AtomicU64) -> Result<()> {
    let mut client = Client::connect(port).await?;
    let result = batches(&mut client, done).await;
    client.close().await;
    result
}

async fn batches(client: &mut Client, done: &AtomicU64) -> Result<()> {
    for _ in 0..BATCHES {
        let mut batch = Vec::new();
        for _ in 0..STREAMS {
            let Some((response, _)) = client.start(get("/x")?, true).await else {
                break;
            };
            batch.push(whole(response));
        }
        let started = batch.len();
        for length in join_all(batch).await {
            if let Some(length) = length? {
                check(length, 2)?;
                done.fetch_add(1, Relaxed);
            }
        }
        if started < STREAMS {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    Ok(())
}

pub async fn download(port: u16, done: &AtomicU64) -> Result<()> {
    let mut client = Client::connect(port).await?;
    let result = one_download(&mut client, done).await;
    client.close().await;
    result
}

async fn one_download(client: &mut Client, done: &AtomicU64) -> Result<()> {
    let request = get(&format!("/bytes/{LARGE}"))?;
    if let Some((response, _)) = client.start(request, true).await
        && let Some(length) = whole(response).await?
    {
        check(length, LARGE)?;
        done.fetch_add(1, Relaxed);
    }
    Ok(())
}

pub async fn upload(port: u16, done: &AtomicU64) -> Result<()> {
    let mut client = Client::connect(port).await?;
    let result = one_upload(&mut client, done).await;
    client.close().await;
    result
}

async fn one_upload(client: &mut Client, done: &AtomicU64) -> Result<()> {
    let request = Request::post("http://a.test/up")
        .header("content-length", LARGE)
        .body(())
        .map_err(Error::other)?;
    if let Some((response, mut stream)) = client.start(request, false).await {
        let sent = send(&mut stream).await;
        if let Some(length) = whole(response).await? {
            sent?;
            check(length, 2)?;
            done.fetch_add(1, Relaxed);
        }
    }
    Ok(())
}

/// As much as the windows take, until all is sent.
async fn send(stream: &mut SendStream<Bytes>) -> Result<()> {
    let piece = Bytes::from(vec![b'x'; 16 << 10]);
    let mut rest = usize::try_from(LARGE).map_err(Error::other)?;
    while rest > 0 {
        stream.reserve_capacity(rest.min(piece.len()));
        let room = poll_fn(|cx| stream.poll_capacity(cx)).await;
        let room = room.ok_or_else(|| Error::other("the stream is over"))?;
        let room = room.map_err(Error::other)?.min(rest).min(piece.len());
        rest -= room;
        let sent = stream.send_data(piece.slice(..room), rest == 0);
        sent.map_err(Error::other)?;
    }
    Ok(())
}
