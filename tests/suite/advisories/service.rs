//! A cheap upstream for tests under load. `/hang` is never answered, `/stall` is not even read, `/big` is answered with much;
//! everything else with `ok`.

use outrigger_tests::ports;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Far beyond what the buffers of a proxy and of the kernel hold together.
pub const BIG: usize = 64 << 20;

/// Starts it for as long as the process lives, and gives its port.
pub fn start() -> u16 {
    let (listener, port) = ports::listen().unwrap();
    // Hundreds of connections at once are a part of some attacks.
    let socket = socket2::SockRef::from(&listener);
    socket.listen(4096).unwrap();
    // Of its own accord the kernel takes tens of megabytes for whoever does not read.
    socket.set_recv_buffer_size(64 << 10).unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                // Without descriptors the next try may find some.
                match listener.accept().await {
                    Ok((stream, _)) => {
                        // Or the kernel would take megabytes of each `/big`, and this thread would be busy with that.
                        let socket = socket2::SockRef::from(&stream);
                        socket.set_send_buffer_size(64 << 10).unwrap();
                        tokio::spawn(serve(stream));
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        });
    });
    port
}

/// Reads heads alone: what has a body goes to `/hang` or `/stall`.
async fn serve(mut stream: TcpStream) {
    let mut received = Vec::new();
    loop {
        let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
            if !matches!(stream.read_buf(&mut received).await, Ok(1..)) {
                return;
            }
            continue;
        };
        let head: Vec<u8> = received.drain(..end + 4).collect();
        let target = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        let sent = match target {
            b"/hang" => loop {
                received.clear();
                if !matches!(stream.read_buf(&mut received).await, Ok(1..)) {
                    return;
                }
            },
            b"/stall" => std::future::pending().await,
            b"/big" => big(&mut stream).await,
            _ => {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                stream.write_all(answer).await
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn big(stream: &mut TcpStream) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {BIG}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let piece = vec![b'x'; 64 << 10];
    for _ in 0..BIG / piece.len() {
        stream.write_all(&piece).await?;
    }
    Ok(())
}
