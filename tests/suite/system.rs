//! What the operating system sees of the proxy: signals, the memory that it takes, options of its sockets.
//!
//! What Envoy does is not written down here but asked of it, wherever both run.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use outrigger_tests::admin;
use outrigger_tests::ports;
use outrigger_tests::process::Role;
use outrigger_tests::running::Running;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(20);
const BOTH: [Role; 2] = [Role::Oracle, Role::Subject];

/// A listener that answers `/here` itself and sends the rest to `up`.
const HTTP: &str = "
listeners:
  main:
    http: {}
    routes:
      - {match: {path: /here}, direct_response: {status: 200, body: {inline_string: here}}}
      - {match: {prefix: /}, route: {cluster: up, timeout: 0s}}
";

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    stream
}

fn ask(stream: &mut TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: a.test\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
}

/// Reads a head and gives its lines back.
fn head(stream: &mut impl BufRead) -> Vec<String> {
    let lines = stream.lines().map(Result::unwrap);
    lines.take_while(|line| !line.is_empty()).collect()
}

/// `/here` on a connection of its own.
fn here(port: u16) -> String {
    let mut stream = connect(port);
    stream
        .write_all(b"GET /here HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ends a proxy with `signal` while a request is in flight: what the client and the access log saw, and the exit code.
fn end(role: Role, signal: &str) -> (Vec<u8>, String, Option<i32>) {
    let (service, up) = ports::listen().unwrap();
    let mut proxy = Running::start(role, HTTP, &[("up", up)]).unwrap();
    let mut client = connect(proxy.port("main").unwrap());
    ask(&mut client, "/in-flight");
    let upstream = service.accept().unwrap().0;
    head(&mut BufReader::new(&upstream));
    proxy.signal(signal).unwrap();
    let status = proxy.process.wait_end(LIMIT).expect("it does not end");
    let mut got = Vec::new();
    // FIN or RST: how the kernel closes what a dead process has left.
    client.read_to_end(&mut got).ok();
    let log = std::fs::read_to_string(proxy.log()).unwrap_or_default();
    let log = log.replace(&format!(":{up}"), ":<up>");
    (got, log, status.code())
}

#[test]
fn term_and_int_end_the_process_at_once_and_well() {
    for signal in ["TERM", "INT"] {
        let [envoy, outrigger] = BOTH.map(|role| end(role, signal));
        assert_eq!(envoy, outrigger, "SIG{signal}");
        assert_eq!(outrigger.2, Some(0), "SIG{signal}");
    }
}

#[test]
fn hup_is_ignored_and_usr1_opens_the_logs_again() {
    for role in BOTH {
        let mut proxy = Running::start(role, HTTP, &[("up", ports::free().unwrap())]).unwrap();
        let port = proxy.port("main").unwrap();
        proxy.signal("HUP").unwrap();
        assert!(here(port).ends_with("here"), "{role:?}");
        let log = proxy.log();
        let lines = |path: &std::path::Path| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            text.lines().count()
        };
        until("the access log is not written", || lines(&log) == 1);
        let old = log.with_extension("old");
        std::fs::rename(&log, &old).unwrap();
        assert!(here(port).ends_with("here"), "{role:?}");
        until("a renamed log is not written on", || lines(&old) == 2);
        assert!(!log.exists(), "{role:?}: a log was opened without SIGUSR1");
        proxy.signal("USR1").unwrap();
        let mut sent = 0;
        until("the log is not opened again", || {
            assert!(here(port).ends_with("here"), "{role:?}");
            sent += 1;
            log.exists()
        });
        until("lines are lost", || lines(&old) + lines(&log) == 2 + sent);
        assert!(proxy.process.ended().is_none(), "{role:?}");
    }
}

/// What `/runtime` and the stats of the runtime say.
fn runtime(port: u16) -> (serde_json::Value, String) {
    let text = |path| admin::get(port, path).unwrap().text();
    let values = serde_json::from_str(&text("/runtime")).unwrap();
    (values, text("/stats?filter=^runtime"))
}

/// Starts with values in a directory, then puts another directory in its place.
fn values_on_the_disk(role: Role) -> [(serde_json::Value, String); 2] {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let publish = |version: &str| {
        std::os::unix::fs::symlink(version, root.join("new")).unwrap();
        std::fs::rename(root.join("new"), root.join("current")).unwrap();
    };
    write("v1/all/a/b", "12\n");
    write("v1/all/comment", "# a comment\n  7  \n");
    write("v1/all/lines", "one\n\ntwo\n# a comment\nthree \n\n");
    write("v1/all/last_comment", "1\n# a comment\n");
    write("v1/all/nothing", "");
    write("v1/all/bool", "true");
    write(
        "v1/all/fraction",
        "{numerator: 3, denominator: TEN_THOUSAND}",
    );
    write("v1/differential/a/b", "99");
    write("v2/all/a/b", "13");
    publish("v1");
    let link = root.join("current");
    let layer = |name: &str, rest: &str| {
        let link = link.display();
        format!("{{name: {name}, disk_layer: {{symlink_root: {link}, {rest}}}}}")
    };
    let layers = [
        "{name: static, static_layer: {a.b: 1, c: 5}}".to_owned(),
        layer("all", "subdirectory: all"),
        layer("cluster", "append_service_cluster: true"),
        layer("missing", "subdirectory: nowhere"),
        "{name: admin, admin_layer: {}}".to_owned(),
    ];
    let layers = layers.join(", ");
    let short = format!("{HTTP}\nbootstrap: {{layered_runtime: {{layers: [{layers}]}}}}\n");
    let proxy = Running::start(role, &short, &[("up", ports::free().unwrap())]).unwrap();
    let admin = proxy.port("admin").unwrap();
    let before = runtime(admin);
    publish("v2");
    // Each of the three layers sees the link being replaced.
    until("other values are not seen", || {
        let (values, stats) = runtime(admin);
        values["entries"]["a.b"]["final_value"] == "13" && stats.contains("load_success: 5")
    });
    [before, runtime(admin)]
}

#[test]
fn values_of_the_runtime_are_read_from_the_disk() {
    let [envoy, outrigger] = BOTH.map(values_on_the_disk);
    assert_eq!(envoy, outrigger);
}

const BIG: usize = 100 << 20;

/// Its length is odd, so that a piece that is lost, doubled or moved shifts all that follows.
fn pattern() -> Vec<u8> {
    (0..65_521u32)
        .map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1])
        .collect()
}

fn send_big(stream: &mut impl Write) {
    let pattern = pattern();
    let mut left = BIG;
    while left > 0 {
        let piece = &pattern[..left.min(pattern.len())];
        stream.write_all(piece).unwrap();
        left -= piece.len();
    }
}

fn receive_big(stream: &mut impl Read) {
    let pattern = pattern();
    let mut piece = vec![0; pattern.len()];
    let mut left = BIG;
    while left > 0 {
        let length = left.min(piece.len());
        stream.read_exact(&mut piece[..length]).unwrap();
        assert!(
            piece[..length] == pattern[..length],
            "{left} bytes before the end"
        );
        left -= length;
    }
}

/// Sends a big body, then takes one, each on a connection of its own.
fn serve_big(service: &TcpListener) {
    let mut down = service.accept().unwrap().0;
    head(&mut BufReader::new(&down));
    let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {BIG}\r\n\r\n");
    down.write_all(answer.as_bytes()).unwrap();
    send_big(&mut down);
    drop(down);
    let mut up = BufReader::new(service.accept().unwrap().0);
    head(&mut up);
    receive_big(&mut up);
    up.get_mut()
        .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        .unwrap();
}

#[test]
fn big_bodies_pass_in_little_memory() {
    let (service, up) = ports::listen().unwrap();
    let proxy = Running::start(Role::Subject, HTTP, &[("up", up)]).unwrap();
    let upstream = std::thread::spawn(move || serve_big(&service));

    let mut client = BufReader::new(connect(proxy.port("main").unwrap()));
    ask(client.get_mut(), "/down");
    assert_eq!(head(&mut client)[0], "HTTP/1.1 200 OK");
    receive_big(&mut client);
    let request = format!("PUT /up HTTP/1.1\r\nhost: a.test\r\ncontent-length: {BIG}\r\n\r\n");
    client.get_mut().write_all(request.as_bytes()).unwrap();
    send_big(client.get_mut());
    assert_eq!(head(&mut client)[0], "HTTP/1.1 204 No Content");
    upstream.join().unwrap();

    let peak = proxy.peak_memory().unwrap();
    assert!(peak < 40 << 10, "{peak} KiB were resident");
}

const KEEPALIVE: &str = "
listeners:
  main: {tcp: {}, tcp_keepalive: {keepalive_time: 77, keepalive_interval: 7, keepalive_probes: 3}}
clusters:
  up: {upstream_connection_options: {tcp_keepalive: {keepalive_time: 55, keepalive_interval: 7, keepalive_probes: 3}}}
";

/// The timer of the established connection with these two ports in `/proc/net/tcp`: its kind and hundredths of a second.
/// The kind 2 is the keepalive timer.
fn timer(local: u16, remote: u16) -> (u8, u64) {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let wanted = (format!(":{local:04X}"), format!(":{remote:04X}"));
    let line = table.lines().find(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let mut next = |port: &str| fields.next().is_some_and(|field| field.ends_with(port));
        next(&wanted.0) && next(&wanted.1) && fields.next() == Some("01")
    });
    let line = line.unwrap_or_else(|| panic!("no connection from {local} to {remote} in\n{table}"));
    let (kind, when) = line
        .split_whitespace()
        .nth(5)
        .unwrap()
        .split_once(':')
        .unwrap();
    let number = |text| u64::from_str_radix(text, 16).unwrap();
    (number(kind).try_into().unwrap(), number(when))
}

#[test]
fn keepalive_is_set_on_both_sides() {
    for role in BOTH {
        let (service, up) = ports::listen().unwrap();
        let proxy = Running::start(role, KEEPALIVE, &[("up", up)]).unwrap();
        let main = proxy.port("main").unwrap();
        let client = connect(main);
        let (_upstream, from) = service.accept().unwrap();
        for (local, remote, seconds) in [
            (main, client.local_addr().unwrap().port(), 77),
            (from.port(), up, 55),
        ] {
            let (kind, left) = timer(local, remote);
            // A loaded machine may look late: what is left tells the options apart from the kernel's 7200 s and the other's.
            let range = (seconds - 20) * 100..=seconds * 100 + 100;
            assert!(
                kind == 2 && range.contains(&left),
                "{role:?}, {seconds} s: timer {kind}, {left}"
            );
        }
    }
}
