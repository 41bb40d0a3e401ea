//! `--drain-on-sigterm`: load runs over the end of the process, and every request that was sent is answered.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use bytes::Bytes;
use outrigger_tests::process::Role;
use outrigger_tests::running::Running;
use outrigger_tests::{admin, ports};
use std::future::poll_fn;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(20);
/// Clients at once, each with a connection or a stream.
const CLIENTS: usize = 8;
/// Requests that have been answered before the process is told to end.
const BEFORE: usize = 200;

/// A proxy that has `seconds` for its end.
fn bootstrap(seconds: u32) -> String {
    format!(
        "arguments: [--drain-on-sigterm, --drain-time-s, \"{seconds}\", --concurrency, \"2\"]
listeners:
  main:
    http: {{}}
    routes: [{{match: {{prefix: /}}, route: {{cluster: up, timeout: 0s}}}}]
"
    )
}

/// Answers every request a little later than at once, so that there is always something in flight. `/slow` is answered
/// when `released` says so.
fn serve(service: TcpListener, released: Arc<AtomicUsize>) {
    std::thread::spawn(move || {
        for stream in service.incoming() {
            let released = released.clone();
            std::thread::spawn(move || answer_all(stream.unwrap(), &released));
        }
    });
}

fn answer_all(mut stream: TcpStream, released: &AtomicUsize) {
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    loop {
        let head = head(&mut lines);
        let Some(first) = head.first() else { return };
        while first.contains("/slow") && released.load(Relaxed) == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(2));
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        if stream.write_all(answer).is_err() {
            return;
        }
    }
}

/// Reads a head and gives its lines back; none where the connection ends.
fn head(stream: &mut impl BufRead) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match stream.read_line(&mut line) {
            Ok(0) | Err(_) => return Vec::new(),
            Ok(_) if line == "\r\n" => return lines,
            Ok(_) => lines.push(line.trim_end().to_ascii_lowercase()),
        }
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What became of the requests of all clients.
#[derive(Default)]
struct Count {
    answered: AtomicUsize,
    lost: AtomicUsize,
}

/// Sends requests over HTTP/1.1 until nobody takes its connections. Each second client takes a new connection for each
/// request.
fn load(port: u16, keeps: bool, count: &Count) {
    while let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut writer = stream;
        loop {
            let more = if keeps { "" } else { "connection: close\r\n" };
            let request = format!("GET / HTTP/1.1\r\nhost: a.test\r\n{more}\r\n");
            let sent = writer.write_all(request.as_bytes());
            let head = head(&mut reader);
            let mut body = [0; 2];
            let whole = sent.is_ok()
                && head.first().is_some_and(|line| line == "http/1.1 200 ok")
                && reader.read_exact(&mut body).is_ok();
            if !whole {
                count.lost.fetch_add(1, Relaxed);
                return;
            }
            count.answered.fetch_add(1, Relaxed);
            if head.iter().any(|line| line == "connection: close") {
                break;
            }
        }
    }
}

/// Starts `/slow` and waits until the upstream has it.
fn slow(proxy: &Running) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", proxy.port("main").unwrap())).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    (&stream)
        .write_all(b"GET /slow HTTP/1.1\r\nhost: a.test\r\n\r\n")
        .unwrap();
    let stats = proxy.port("admin").unwrap();
    until("the slow request is not in flight", || {
        let text = admin::get(stats, "/stats").unwrap().text();
        text.contains("cluster.up.upstream_rq_active: 1\n")
    });
    BufReader::new(stream)
}

#[test]
fn no_request_of_http1_is_lost() {
    let (service, up) = ports::listen().unwrap();
    let released = Arc::new(AtomicUsize::new(0));
    serve(service, released.clone());
    let mut proxy = Running::start(Role::Subject, &bootstrap(20), &[("up", up)]).unwrap();
    let port = proxy.port("main").unwrap();
    let mut slow = slow(&proxy);
    let count = Arc::new(Count::default());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let count = count.clone();
            std::thread::spawn(move || load(port, number % 2 == 0, &count))
        })
        .collect();
    until("the load does not run", || {
        count.answered.load(Relaxed) >= BEFORE
    });
    proxy.signal("TERM").unwrap();
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(count.lost.load(Relaxed), 0, "requests were lost");
    // One request is still in flight: the process waits for it, and says that it wants no others.
    let ready = admin::get(proxy.port("admin").unwrap(), "/ready").unwrap();
    assert_eq!((ready.status, ready.text()), (503, "DRAINING\n".to_owned()));
    assert!(proxy.process.ended().is_none());
    released.store(1, Relaxed);
    let answer = head(&mut slow);
    assert_eq!(answer[0], "http/1.1 200 ok");
    assert!(answer.contains(&"connection: close".to_owned()));
    slow.read_exact(&mut [0; 2]).unwrap();
    drop(slow);
    let status = proxy.process.wait_end(LIMIT).expect("it does not end");
    assert_eq!(status.code(), Some(0));
    let log = std::fs::read_to_string(proxy.log()).unwrap();
    let lines = count.answered.load(Relaxed) + 1;
    assert_eq!(log.lines().count(), lines, "one line for each request");
}

/// Sends requests over HTTP/2, one after the other on each connection, until nobody takes its connections.
async fn load_http2(port: u16, count: Arc<Count>) {
    while let Ok(stream) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
        let Ok((mut client, connection)) = h2::client::handshake(stream).await else {
            continue; // Nothing was sent yet.
        };
        let connection = tokio::spawn(connection);
        loop {
            // An error: the server has said GOAWAY.
            if poll_fn(|cx| client.poll_ready(cx)).await.is_err() {
                break;
            }
            let request = http::Request::get("http://a.test/").body(()).unwrap();
            let Ok((response, _)) = client.send_request(request, true) else {
                break;
            };
            match whole(response).await {
                Ok(()) => count.answered.fetch_add(1, Relaxed),
                // The server says that it has not looked at it: to be sent elsewhere.
                Err(error) if error.reason() == Some(h2::Reason::REFUSED_STREAM) => break,
                Err(_) => count.lost.fetch_add(1, Relaxed),
            };
        }
        drop(client);
        let _ = connection.await;
    }
}

async fn whole(response: h2::client::ResponseFuture) -> Result<(), h2::Error> {
    let response = response.await?;
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    let mut text = Vec::new();
    while let Some(data) = body.data().await {
        let data: Bytes = data?;
        body.flow_control().release_capacity(data.len())?;
        text.extend_from_slice(&data);
    }
    assert_eq!(text, b"ok");
    Ok(())
}

#[tokio::test]
async fn no_request_of_http2_is_lost() {
    let (service, up) = ports::listen().unwrap();
    let released = Arc::new(AtomicUsize::new(1));
    serve(service, released);
    let mut proxy = Running::start(Role::Subject, &bootstrap(20), &[("up", up)]).unwrap();
    let port = proxy.port("main").unwrap();
    let count = Arc::new(Count::default());
    // It has said nothing when the end comes, and is asked to go all the same.
    let idle = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .unwrap();
    let (_idle_client, idle) = h2::client::handshake(idle).await.unwrap();
    let idle = tokio::spawn(idle);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| tokio::spawn(load_http2(port, count.clone())))
        .collect();
    let running = async {
        while count.answered.load(Relaxed) < BEFORE {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, running).await.unwrap();
    proxy.signal("TERM").unwrap();
    for client in clients {
        tokio::time::timeout(LIMIT, client).await.unwrap().unwrap();
    }
    let idle = tokio::time::timeout(LIMIT, idle).await.unwrap();
    assert!(idle.unwrap().is_ok(), "the idle connection ends well");
    assert_eq!(count.lost.load(Relaxed), 0, "requests were lost");
    let status = proxy.process.wait_end(LIMIT).expect("it does not end");
    assert_eq!(status.code(), Some(0));
    let log = std::fs::read_to_string(proxy.log()).unwrap();
    assert_eq!(log.lines().count(), count.answered.load(Relaxed));
}

#[test]
fn the_end_comes_with_the_drain_time_or_a_second_signal() {
    for (seconds, again) in [(1, false), (600, true)] {
        let (service, up) = ports::listen().unwrap();
        serve(service, Arc::default());
        let mut proxy = Running::start(Role::Subject, &bootstrap(seconds), &[("up", up)]).unwrap();
        let mut slow = slow(&proxy);
        proxy.signal("TERM").unwrap();
        let stats = proxy.port("admin").unwrap();
        until("it does not drain", || {
            admin::get(stats, "/ready").map_or(true, |ready| ready.status == 503)
        });
        if again {
            proxy.signal("TERM").unwrap();
        }
        let status = proxy.process.wait_end(LIMIT).expect("it does not end");
        assert_eq!(status.code(), Some(0), "{seconds} s");
        assert!(head(&mut slow).is_empty(), "{seconds} s: it was answered");
    }
}
