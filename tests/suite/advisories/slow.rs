//! Slow clients, slow readers, storms and churn (line 79, section 3 and 4.2), on HTTP/1 and on plain TCP.

use super::bystander::withstands;
use super::{process, service};
use outrigger_tests::process::Role;
use outrigger_tests::running::Running;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(20);

fn connect(proxy: &Running, listener: &str) -> TcpStream {
    TcpStream::connect(("127.0.0.1", proxy.port(listener).unwrap())).unwrap()
}

/// Opens `count` connections that have said `first`, then lets each say `more` again and again.
fn trickle(proxy: &Running, listener: &str, until: Instant, count: usize, first: &str, more: &str) {
    let mut clients: Vec<TcpStream> = (0..count)
        .map(|_| {
            let mut stream = connect(proxy, listener);
            stream.write_all(first.as_bytes()).unwrap();
            stream
        })
        .collect();
    while Instant::now() < until {
        for client in &mut clients {
            let _ = client.write_all(more.as_bytes());
        }
        std::thread::sleep(PAUSE);
    }
}

/// Line 79: heads that never end.
#[test]
fn slow_heads() {
    withstands("slow heads", "main", |proxy, until| {
        trickle(
            proxy,
            "main",
            until,
            200,
            "GET / HTTP/1.1\r\nhost: a.test\r\nx: ",
            "y",
        );
    });
}

/// Line 79: bodies that come byte by byte.
#[test]
fn slow_bodies() {
    let head = "POST /hang HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n";
    withstands("slow bodies", "main", |proxy, until| {
        trickle(proxy, "main", until, 100, head, "1\r\nx\r\n");
    });
}

/// Section 3: connections that say nothing.
#[test]
fn idle_connections() {
    for listener in ["main", "tcp"] {
        withstands("idle connections", listener, |proxy, until| {
            trickle(proxy, listener, until, 200, "", "");
        });
    }
}

/// Section 4.2: clients that ask for much and read nothing, on HTTP/1 and on plain TCP.
#[test]
fn slow_readers() {
    for listener in ["main", "tcp"] {
        withstands("slow readers", listener, |proxy, until| {
            let ask = "GET /big HTTP/1.1\r\nhost: a.test\r\n\r\n";
            trickle(proxy, listener, until, 20, ask, "");
        });
    }
}

/// Section 4.2: long pipelines.
#[test]
fn pipelines() {
    let many = "GET /here HTTP/1.1\r\nhost: a.test\r\n\r\n".repeat(200);
    withstands("pipelines", "main", |proxy, until| {
        let mut buffer = vec![0; 256 << 10];
        while Instant::now() < until {
            let mut stream = connect(proxy, "main");
            stream.write_all(many.as_bytes()).unwrap();
            let _ = stream.read(&mut buffer).unwrap();
            std::thread::sleep(PAUSE);
        }
    });
}

/// Section 3: connections that are opened and reset at once, as fast as it goes.
#[test]
fn accept_storms() {
    for listener in ["main", "tcp"] {
        withstands("an accept storm", listener, |proxy, until| {
            while Instant::now() < until {
                let storm: Vec<TcpStream> = (0..50).map(|_| connect(proxy, listener)).collect();
                for stream in storm {
                    socket2::SockRef::from(&stream)
                        .set_linger(Some(Duration::ZERO))
                        .unwrap();
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
    }
}

/// Section 3: a connection for each request. None of them is lost either.
#[test]
fn connection_churn() {
    let ask = b"GET /x HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";
    withstands("connection churn", "main", |proxy, until| {
        while Instant::now() < until {
            let mut stream = connect(proxy, "main");
            stream.write_all(ask).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.ends_with("ok"), "{answer:?}");
        }
    });
}

/// Section 5: an idle connection takes at most 8 KiB. Twice the promise, for a build with debug assertions and for what the
/// allocator keeps; so it is with half a head.
#[test]
fn memory_of_idle_connections() {
    memory_of_each("an idle connection", "", 8);
}

/// Section 5: a request of which half was sent takes at most 16 KiB.
#[test]
fn memory_of_half_sent_requests() {
    memory_of_each("half a head", "GET / HTTP/1.1\r\nhost: a.test\r\nx: ", 16);
}

/// What each connection costs that has said no more than this.
fn memory_of_each(name: &str, said: &str, most: u64) {
    const CONNECTIONS: usize = 300;
    let _alone = super::bystander::alone();
    let up = [("up", service::start())];
    let proxy = Running::start(Role::Subject, super::bystander::CONFIG, &up).unwrap();
    let id = proxy.process.id();
    // Some of them may be about to go.
    let others = process::descriptors(id);
    let open = |number: usize, in_all: usize| {
        let clients: Vec<TcpStream> = (0..number)
            .map(|_| {
                let mut stream = connect(&proxy, "main");
                stream.write_all(said.as_bytes()).unwrap();
                stream
            })
            .collect();
        assert!(
            process::comes(|| process::descriptors(id) + 5 >= others + in_all),
            "{name}: not accepted"
        );
        // Accepted is not read yet: what it has read it is asked for behind them.
        let mut last = connect(&proxy, "main");
        last.write_all(b"GET /here HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n")
            .unwrap();
        last.read_to_end(&mut Vec::new()).unwrap();
        clients
    };
    // The first ones pay for what is made once.
    const FIRST: usize = CONNECTIONS / 4;
    let first = open(FIRST, FIRST);
    let before = process::resident(id);
    let clients = open(CONNECTIONS, FIRST + CONNECTIONS);
    let each = (process::resident(id).saturating_sub(before)) / CONNECTIONS as u64;
    eprintln!("{name}: {each} KiB");
    assert!(each <= most, "{name}: {each} KiB");
    drop((first, clients));
}

/// Section 3, the last line: uploads to an origin that does not read, and downloads by clients that do not. Memory follows
/// the configured buffers and not the bodies.
#[test]
fn buffers_are_bounded() {
    const STREAMS: usize = 20;
    const CONFIG: &str = "
listeners:
  main:
    per_connection_buffer_limit_bytes: 32768
    http: {}
    routes: [{match: {prefix: /}, route: {cluster: up, timeout: 0s}}]
  tcp: {per_connection_buffer_limit_bytes: 32768, tcp: {}}
clusters: {up: {per_connection_buffer_limit_bytes: 32768}}
";
    let _alone = super::bystander::alone();
    let body = vec![b'x'; service::BIG];
    let upload = format!(
        "POST /stall HTTP/1.1\r\nhost: a.test\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let download = "GET /big HTTP/1.1\r\nhost: a.test\r\n\r\n";
    for (name, listener, head, body) in [
        ("uploads", "main", upload.as_str(), &body[..]),
        ("uploads over TCP", "tcp", upload.as_str(), &body[..]),
        ("downloads", "main", download, &[]),
        ("downloads over TCP", "tcp", download, &[]),
    ] {
        let proxy = Running::start(Role::Subject, CONFIG, &[("up", service::start())]).unwrap();
        let id = proxy.process.id();
        let before = process::resident(id);
        let streams: Vec<TcpStream> = (0..STREAMS)
            .map(|_| {
                let mut stream = connect(&proxy, listener);
                stream
                    .set_write_timeout(Some(Duration::from_millis(50)))
                    .unwrap();
                stream.write_all(head.as_bytes()).unwrap();
                let stalled = body.is_empty() || stream.write_all(body).is_err();
                assert!(stalled, "{name}: somebody has taken everything");
                stream
            })
            .collect();
        std::thread::sleep(Duration::from_millis(200));
        let each = (proxy.peak_memory().unwrap().saturating_sub(before)) / STREAMS as u64;
        eprintln!("{name}: {each} KiB for each stream");
        assert!(each <= 256, "{name}: {each} KiB for each stream");
        drop(streams);
    }
}
