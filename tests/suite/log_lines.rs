//! The debug log: for each of some requests, both proxies say the same about it, but for what is listed here.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use outrigger_tests::ports;
use outrigger_tests::process::{Role, self_test};
use outrigger_tests::running::Running;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(20);

const CONFIG: &str = "
arguments:
  - --log-format
  - '~[%n] %v'
  - --component-log-level
  - main:info,config:info,admin:debug,upstream:info,http:debug,router:debug,connection:debug,pool:debug,client:debug,conn_handler:debug,filter:debug
listeners:
  main:
    http: {}
    routes:
      - {match: {prefix: /dead}, route: {cluster: dead}}
      - {match: {prefix: /direct}, direct_response: {status: 200, body: {inline_string: hi}}}
      - {match: {prefix: /unknown}, route: {cluster_header: x-cluster}}
      - {match: {prefix: /slow}, route: {cluster: up, timeout: 0.2s}}
      - {match: {prefix: /retry}, route: {cluster: up, retry_policy: {retry_on: 5xx, num_retries: 1}}}
      - {match: {prefix: /full}, route: {cluster: full}}
      - {match: {prefix: /empty}, route: {cluster: empty}}
      - {match: {prefix: /up}, route: {cluster: up}}
  tcp: {tcp: {cluster: up}}
clusters:
  up: {}
  dead: {to: [no_one]}
  full: {to: [up], circuit_breakers: {thresholds: [{max_pending_requests: 0, max_connections: 0}]}}
  empty: {to: []}
";

/// What only Envoy says, by the beginning of the line, and why nobody misses it.
const ENVOY_ONLY: &[(&str, &str)] = &[
    ("[connection] current connecting state:", ABOUT_ITSELF),
    ("[connection] connection in progress", ABOUT_ITSELF),
    (
        "[connection] Not closing conn, socket is not open",
        ABOUT_ITSELF,
    ),
    ("[router] Executing cleanup():", ABOUT_ITSELF),
    ("[pool] invoking ", ABOUT_ITSELF),
    ("[pool] destroying stream:", ABOUT_ITSELF),
    ("[client] disconnect. resetting ", ABOUT_ITSELF),
    ("[client] Request reset. Reason ", ABOUT_ITSELF),
    ("[http] Executing sending local reply.", ABOUT_ITSELF),
    (
        "[router] upstream request aborted during connection pool newStream",
        ABOUT_ITSELF,
    ),
    (
        "[router] route was resolved but final route list did not match",
        ABOUT_ITSELF,
    ),
    ("[main] statically linked extensions", ABOUT_ITSELF),
    ("[main]   ", ABOUT_ITSELF),
    ("[main] HTTP header map info", ABOUT_ITSELF),
    ("[filter] establishUpstreamConnection", ABOUT_ITSELF),
    ("[filter] onData: ", ABOUT_ITSELF),
    (
        "[connection] closing data_to_write= type=1",
        "an upstream connection; `closing socket` follows",
    ),
    (
        "[connection] closing data_to_write= type=0",
        "the TCP proxy flushes both ways before it ends",
    ),
];

const ABOUT_ITSELF: &str = "says how Envoy works, not what happened";

/// The lines of `text` without what differs from run to run.
fn shapes(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix('~'));
    lines.map(shape).collect()
}

fn shape(line: &str) -> String {
    let mut line = match line.split_once("[Tags: ") {
        Some((logger, rest)) => {
            let message = rest.split_once("] ").map_or("", |(_, message)| message);
            format!("{logger}{message}")
        }
        None => line.to_owned(),
    };
    for before in ["127.0.0.1:", "[C", "data_to_write=", "connection [C"] {
        let mut shape = String::new();
        for (index, part) in line.split(before).enumerate() {
            if index == 0 {
                shape.push_str(part);
            } else {
                shape.push_str(before);
                shape.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
            }
        }
        line = shape;
    }
    // The parsers have words of their own for what is wrong.
    if let Some((start, _)) = line.split_once("protocol error: ") {
        line = start.to_owned();
    }
    // Envoy has two words, for whether the reply was made within a filter or behind it.
    line.replace("Preparing local reply", "Sending local reply")
}

/// An upstream that answers by the path of the request; what is no request it sends back.
fn serve(listener: TcpListener) {
    let retries = Arc::new(AtomicUsize::new(0));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let retries = retries.clone();
            std::thread::spawn(move || answer(stream.unwrap(), &retries));
        }
    });
}

fn answer(mut stream: TcpStream, retries: &AtomicUsize) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        if !first.contains("HTTP/1.1") {
            stream.write_all(first.as_bytes()).unwrap();
            continue;
        }
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        reader.read_exact(&mut vec![0; length]).unwrap();
        let path = first.split(' ').nth(1).unwrap_or_default();
        let response = match path {
            "/up/close" => return,
            "/slow" => continue,
            "/retry" if retries.fetch_add(1, SeqCst) == 0 => {
                "HTTP/1.1 503 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            }
            _ => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        };
        stream.write_all(response.as_bytes()).unwrap();
    }
}

/// What a client does: bytes, and whether it waits for an answer.
const STEPS: &[(&str, &str, &str, bool)] = &[
    (
        "the start",
        "main",
        "GET /direct HTTP/1.1\r\nhost: a\r\n\r\n",
        true,
    ),
    (
        "a first GET",
        "main",
        "GET /up HTTP/1.1\r\nhost: a\r\n\r\n",
        true,
    ),
    (
        "a GET on a warm pool",
        "main",
        "GET /up HTTP/1.1\r\nhost: a\r\n\r\n",
        true,
    ),
    (
        "a POST",
        "main",
        "POST /up HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi",
        true,
    ),
    (
        "a connection that ends with its response",
        "main",
        "GET /up HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        true,
    ),
    (
        "a refused connection",
        "main",
        "GET /dead HTTP/1.1\r\nhost: a\r\n\r\n",
        true,
    ),
    (
        "a retry",
        "main",
        "GET /retry HTTP/1.1\r\nhost: a\r\n\r\n",
        true,
    ),
    (
        "an upstream that closes",
        "main",
        "POST /up/close HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
        true,
    ),
    (
        "a timeout",
        "main",
        "GET /slow HTTP/1.1\r\nhost: a\r\n\r\n",
        true,
    ),
    (
        "a client that leaves",
        "main",
        "GET /slow HTTP/1.1\r\nhost: a\r\n\r\n",
        false,
    ),
    (
        "a full pool",
        "main",
        "GET /full HTTP/1.1\r\nhost: a\r\n\r\n",
        true,
    ),
    (
        "no host",
        "main",
        "GET /empty HTTP/1.1\r\nhost: a\r\n\r\n",
        true,
    ),
    (
        "no route",
        "main",
        "GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n",
        true,
    ),
    (
        "an unknown cluster",
        "main",
        "GET /unknown HTTP/1.1\r\nhost: a\r\nx-cluster: nobody\r\n\r\n",
        true,
    ),
    (
        "a direct response",
        "main",
        "GET /direct HTTP/1.1\r\nhost: a\r\n\r\n",
        true,
    ),
    ("no request", "main", "BAD\r\n\r\n", true),
    ("a TCP session", "tcp", "hello\n", true),
];

/// The lines of the start, then those of each step.
fn play(role: Role) -> Vec<BTreeSet<String>> {
    let (listener, up) = ports::listen().unwrap();
    serve(listener);
    let proxy = Running::start(role, CONFIG, &[("up", up)]).unwrap();
    let said = |from: usize, what: &str| proxy.process.output()[from..].contains(what);
    let mut start = 0;
    until("the start", &|| said(0, "starting main dispatch loop"));
    let mut steps = Vec::new();
    for (name, port, bytes, waits) in STEPS {
        let mut client = TcpStream::connect(("127.0.0.1", proxy.port(port).unwrap())).unwrap();
        client.set_read_timeout(Some(LIMIT)).unwrap();
        client.write_all(bytes.as_bytes()).unwrap();
        if *waits {
            assert!(client.read(&mut [0; 4096]).unwrap() > 0, "{name}");
        } else {
            until(name, &|| said(start, "encode complete"));
        }
        drop(client);
        until(name, &|| said(start, "adding to cleanup list"));
        let end = proxy.process.output().len();
        let mut lines = shapes(&proxy.process.output()[start..end]);
        if start == 0 {
            // The harness has asked whether it is ready, as often as it took.
            lines.retain(|line| line.starts_with("[main]") || line.starts_with("[config]"));
        }
        steps.push(lines);
        start = end;
    }
    steps
}

#[test]
fn requests_are_told_as_envoy_tells_them() {
    let (envoy, ours) = (play(Role::Oracle), play(Role::Subject));
    let mut wrong = Vec::new();
    let mut unused: BTreeSet<&str> = ENVOY_ONLY.iter().map(|(start, _)| *start).collect();
    for ((name, ..), (envoy, ours)) in STEPS.iter().zip(envoy.iter().zip(&ours)) {
        for line in ours.difference(envoy) {
            wrong.push(format!("{name}: only ours: {line}"));
        }
        for line in envoy.difference(ours) {
            match ENVOY_ONLY.iter().find(|(start, _)| line.starts_with(start)) {
                Some((start, _)) => drop(unused.remove(start)),
                None => wrong.push(format!("{name}: only Envoy's: {line}")),
            }
        }
    }
    if !self_test() {
        wrong.extend(
            unused
                .iter()
                .map(|start| format!("not Envoy's alone: {start}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn until(what: &str, holds: &dyn Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
