//! The upstreams of the soak: one that answers by the target of a request, one that gives back what it gets, and one that
//! answers like the first and goes away again and again.

use anyhow::Result;
use outrigger_tests::ports;
use std::net::TcpListener as StdListener;
use std::time::Duration;
use tokio::io::{
    AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Error, Result as IoResult, copy,
    repeat, sink,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long the one that goes away stays, and how long it is gone.
const STAYS: Duration = Duration::from_secs(5);
const GONE: Duration = Duration::from_millis(400);
/// Whoever asks for silence does not get it for ever: this side, too, is to forget those who are gone.
const SILENCE: Duration = Duration::from_secs(15);
/// Or the kernel would take megabytes for each connection of those who do not read.
const SOCKET_BUFFER: usize = 64 << 10;

/// The ports of the three, by the names of their clusters. They live as long as the process.
pub struct Origins {
    pub up: u16,
    pub echo: u16,
    pub fickle: u16,
}

impl Origins {
    pub fn start() -> Result<Self> {
        let (up, echo, fickle) = (ports::listen()?, ports::listen()?, ports::listen()?);
        let started = Self {
            up: up.1,
            echo: echo.1,
            fickle: fickle.1,
        };
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build()?;
        std::thread::spawn(move || {
            runtime.block_on(async {
                let ended = tokio::try_join!(
                    serve(up.0, Kind::Http),
                    serve(echo.0, Kind::Echo),
                    come_and_go(fickle.0, fickle.1),
                );
                if let Err(error) = ended {
                    eprintln!("soak: an upstream has ended: {error}");
                    std::process::exit(2);
                }
            });
        });
        Ok(started)
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Http,
    Echo,
}

async fn come_and_go(first: StdListener, port: u16) -> IoResult<()> {
    let mut listener = Some(first);
    loop {
        let listener = match listener.take() {
            Some(listener) => listener,
            None => StdListener::bind(("127.0.0.1", port))?,
        };
        match timeout(STAYS, serve(listener, Kind::Http)).await {
            Ok(ended) => ended?,
            // The listener is closed here, with all its connections.
            Err(_) => sleep(GONE).await,
        }
    }
}

async fn serve(listener: StdListener, kind: Kind) -> IoResult<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    // Hundreds of connections at once are a part of some attacks.
    socket2::SockRef::from(&listener).listen(4096)?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(async move {
                        // How a connection ends is its client's affair.
                        let _ = match kind {
                            Kind::Http => answer(stream).await,
                            Kind::Echo => echo(stream).await,
                        };
                    });
                }
                // Without descriptors the next try may find some.
                Err(_) => sleep(Duration::from_millis(10)).await,
            },
            _ = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

fn prepare(stream: &TcpStream) -> IoResult<()> {
    // A body behind its head does not wait for anybody's acknowledgement.
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER)
}

async fn echo(mut stream: TcpStream) -> IoResult<()> {
    prepare(&stream)?;
    let (mut read, mut write) = stream.split();
    copy(&mut read, &mut write).await?;
    write.shutdown().await
}

/// A head: its target and the length of what follows.
struct Head {
    target: String,
    length: u64,
}

async fn head(reader: &mut BufReader<TcpStream>) -> IoResult<Option<Head>> {
    let mut first = String::new();
    if reader.read_line(&mut first).await? == 0 {
        return Ok(None);
    }
    let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        if line == "\r\n" {
            return Ok(Some(Head { target, length }));
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().map_err(Error::other)?;
        }
    }
}

async fn answer(stream: TcpStream) -> IoResult<()> {
    prepare(&stream)?;
    let mut reader = BufReader::new(stream);
    while let Some(head) = head(&mut reader).await? {
        match head.target.as_str() {
            "/hang" => {
                let _ = timeout(SILENCE, copy(&mut reader, &mut sink())).await;
                return Ok(());
            }
            "/stall" => {
                sleep(SILENCE).await;
                return Ok(());
            }
            "/ws" => {
                let upgraded = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
                reader.write_all(upgraded.as_bytes()).await?;
                return echo(reader.into_inner()).await;
            }
            target => {
                copy(&mut (&mut reader).take(head.length), &mut sink()).await?;
                match target.strip_prefix("/bytes/").map(str::parse) {
                    Some(Ok(count)) => {
                        write(&mut reader, count).await?;
                        let mut body = repeat(b'x').take(count);
                        copy(&mut body, reader.get_mut()).await?;
                    }
                    _ => {
                        write(&mut reader, 2).await?;
                        reader.write_all(b"ok").await?;
                    }
                }
            }
        }
    }
    Ok(())
}

async fn write(stream: &mut BufReader<TcpStream>, length: u64) -> IoResult<()> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await
}
