//! Load that behaves: HTTP/1 on connections that stay and on new ones, HTTP/2, large bodies in both directions, WebSocket
//! tunnels and plain TCP. What goes to the upstream that stays may not fail; what goes to the one that goes away has to end.

use crate::{Ports, Stage, http2};
use std::future::Future;
use std::io::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, sink};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// A large body.
pub const LARGE: u64 = 1 << 20;
/// No round takes longer, unless something hangs.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two requests of one client, and between two rounds.
const PACE: Duration = Duration::from_millis(10);
const BETWEEN: Duration = Duration::from_millis(100);

/// What one kind of load has achieved.
#[derive(Default)]
pub struct Tally {
    pub done: AtomicU64,
    pub lost: AtomicU64,
}

/// The kinds of load, each with the number of clients that make it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Load {
    KeepAlive,
    NewConnections,
    Http2,
    Downloads,
    Uploads,
    WebSockets,
    Tcp,
    Fickle,
    FickleTcp,
}

impl Load {
    pub const ALL: [Self; 9] = [
        Self::KeepAlive,
        Self::NewConnections,
        Self::Http2,
        Self::Downloads,
        Self::Uploads,
        Self::WebSockets,
        Self::Tcp,
        Self::Fickle,
        Self::FickleTcp,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::KeepAlive => "HTTP/1.1, connections that stay",
            Self::NewConnections => "HTTP/1.1, a connection each",
            Self::Http2 => "HTTP/2",
            Self::Downloads => "1 MiB down, HTTP/1.1 and HTTP/2",
            Self::Uploads => "1 MiB up, HTTP/1.1 and HTTP/2",
            Self::WebSockets => "WebSocket tunnels",
            Self::Tcp => "TCP",
            Self::Fickle => "HTTP/1.1 to an upstream that restarts",
            Self::FickleTcp => "TCP to an upstream that restarts",
        }
    }

    fn clients(self) -> usize {
        match self {
            Self::KeepAlive => 3,
            Self::NewConnections | Self::Http2 | Self::WebSockets | Self::Tcp => 2,
            Self::Downloads | Self::Uploads | Self::Fickle | Self::FickleTcp => 1,
        }
    }

    /// One connection from its beginning to its end.
    async fn round(self, ports: Ports, done: &AtomicU64) -> Result<()> {
        match self {
            Self::KeepAlive => keep_alive(ports.main, "/x", 100, done).await,
            Self::NewConnections => keep_alive(ports.main, "/x", 1, done).await,
            Self::Http2 => http2::requests(ports.main, done).await,
            Self::Downloads => {
                let target = format!("/bytes/{LARGE}");
                keep_alive(ports.main, &target, 3, done).await?;
                http2::download(ports.main, done).await
            }
            Self::Uploads => {
                upload(ports.main, done).await?;
                http2::upload(ports.main, done).await
            }
            Self::WebSockets => web_socket(ports.main, done).await,
            Self::Tcp => tcp(ports.tcp, done).await,
            Self::Fickle => whatever(ports.main, "/fickle", done).await,
            Self::FickleTcp => whatever(ports.fickle, "/fickle", done).await,
        }
    }
}

/// Runs every load until the stage is empty.
pub async fn run(ports: Ports, stage: Arc<Stage>) {
    let mut clients = JoinSet::new();
    for (load, tally) in Load::ALL.into_iter().zip(&stage.tallies) {
        for _ in 0..load.clients() {
            let (stage, tally) = (stage.clone(), tally.clone());
            clients.spawn(async move {
                while stage.goes_on() {
                    let (ours, name) = (tally.clone(), load.name());
                    let round = tokio::spawn(async move {
                        let round = load.round(ports, &ours.done);
                        if let Err(error) = within(PATIENCE, round).await {
                            eprintln!("soak: {name}: lost: {error}");
                            ours.lost.fetch_add(1, Relaxed);
                        }
                    });
                    if round.await.is_err() {
                        eprintln!("soak: {name}: lost: a client has panicked");
                        tally.lost.fetch_add(1, Relaxed);
                    }
                    sleep(BETWEEN).await;
                }
            });
        }
    }
    while clients.join_next().await.is_some() {}
}

async fn within(limit: Duration, round: impl Future<Output = Result<()>>) -> Result<()> {
    match timeout(limit, round).await {
        Ok(ended) => ended,
        Err(_) => Err(Error::other("it hangs")),
    }
}

pub async fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What a response's head says.
struct Head {
    status: String,
    length: u64,
    closes: bool,
}

async fn head(reader: &mut BufReader<TcpStream>) -> Result<Head> {
    let mut first = String::new();
    reader.read_line(&mut first).await?;
    let status = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut length, mut closes) = (0, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).await? == 0 {
            return Err(Error::other(format!("half a head: {first:?} {line:?}")));
        }
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().map_err(Error::other)?;
        }
        closes |= line == "connection: close\r\n";
    }
    Ok(Head {
        status,
        length,
        closes,
    })
}

/// Reads the body that the head has announced.
async fn body(reader: &mut BufReader<TcpStream>, length: u64) -> Result<()> {
    let read = tokio::io::copy(&mut reader.take(length), &mut sink()).await?;
    match read == length {
        true => Ok(()),
        false => Err(Error::other(format!("{read} bytes of {length}"))),
    }
}

fn good(head: &Head) -> Result<()> {
    match head.status == "200" {
        true => Ok(()),
        false => Err(Error::other(format!("status {:?}", head.status))),
    }
}

async fn keep_alive(port: u16, target: &str, most: usize, done: &AtomicU64) -> Result<()> {
    let mut reader = BufReader::new(connect(port).await?);
    let request = format!("GET {target} HTTP/1.1\r\nhost: a.test\r\n\r\n");
    for _ in 0..most {
        reader.write_all(request.as_bytes()).await?;
        let head = head(&mut reader).await?;
        good(&head)?;
        body(&mut reader, head.length).await?;
        done.fetch_add(1, Relaxed);
        if head.closes {
            break;
        }
        sleep(PACE).await;
    }
    Ok(())
}

async fn upload(port: u16, done: &AtomicU64) -> Result<()> {
    let mut reader = BufReader::new(connect(port).await?);
    let request = format!("POST /up HTTP/1.1\r\nhost: a.test\r\ncontent-length: {LARGE}\r\n\r\n");
    reader.write_all(request.as_bytes()).await?;
    tokio::io::copy(&mut tokio::io::repeat(b'x').take(LARGE), reader.get_mut()).await?;
    let head = head(&mut reader).await?;
    good(&head)?;
    body(&mut reader, head.length).await?;
    done.fetch_add(1, Relaxed);
    Ok(())
}

/// Bytes there and back, half of the connection closed, the rest read.
async fn tunnel(stream: &mut BufReader<TcpStream>, done: &AtomicU64) -> Result<()> {
    let (sent, mut back) = ([b'x'; 2000], [0; 2000]);
    for _ in 0..20 {
        stream.write_all(&sent).await?;
        stream.read_exact(&mut back).await?;
        if sent != back {
            return Err(Error::other("other bytes"));
        }
        done.fetch_add(1, Relaxed);
        sleep(PACE).await;
    }
    stream.shutdown().await?;
    match stream.read_to_end(&mut Vec::new()).await? {
        0 => Ok(()),
        more => Err(Error::other(format!("{more} bytes that nobody sent"))),
    }
}

async fn tcp(port: u16, done: &AtomicU64) -> Result<()> {
    tunnel(&mut BufReader::new(connect(port).await?), done).await
}

async fn web_socket(port: u16, done: &AtomicU64) -> Result<()> {
    let mut stream = BufReader::new(connect(port).await?);
    let request =
        "GET /ws HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let head = head(&mut stream).await?;
    if head.status != "101" {
        return Err(Error::other(format!("status {:?}", head.status)));
    }
    tunnel(&mut stream, done).await
}

/// Whatever comes is right, if it comes to an end.
async fn whatever(port: u16, target: &str, done: &AtomicU64) -> Result<()> {
    if keep_alive(port, target, 50, done).await.is_err() {
        sleep(PACE).await;
    }
    Ok(())
}
