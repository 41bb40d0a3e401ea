//! The binary from outside: the bootstrap of the demo on free ports, one request of each kind, and a clean end.
//!
//! `OUTRIGGER_BIN` names the binary, else it is `target/release/outrigger`, else `target/debug/outrigger`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use outrigger_tests::process::{Process, Role, binary, workspace};
use outrigger_tests::{admin, ports};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

/// The demo's bootstrap with other ports.
fn bootstrap(dir: &Path, admin: u16, proxy: u16, service: u16) -> std::path::PathBuf {
    let text = std::fs::read_to_string(workspace().join("deploy/standalone/envoy.yaml")).unwrap();
    let mut replaced = text;
    for (from, to) in [(15000, admin), (10000, proxy), (8080, service)] {
        let from = format!("port_value: {from}");
        assert!(
            replaced.contains(&from),
            "the demo's bootstrap has no {from}"
        );
        replaced = replaced.replace(&from, &format!("port_value: {to}"));
    }
    let path = dir.join("envoy.yaml");
    std::fs::write(&path, replaced).unwrap();
    path
}

/// Answers requests without a body, one per connection, for ever.
fn serve(listener: TcpListener) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut first = String::new();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            lines.read_line(&mut first).unwrap();
            let mut line = first.clone();
            while line != "\r\n" && !line.is_empty() {
                line.clear();
                lines.read_line(&mut line).unwrap();
            }
            let body = format!("asked: {first}");
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).unwrap();
        }
    });
}

fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: smoke\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn run(arguments: &[&str]) -> Output {
    Command::new(binary(Role::Subject).unwrap())
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn serves_the_demos_bootstrap() {
    let dir = tempfile::tempdir().unwrap();
    let (service, service_port) = ports::listen().unwrap();
    let (admin_port, proxy_port) = (ports::free().unwrap(), ports::free().unwrap());
    serve(service);
    let path = bootstrap(dir.path(), admin_port, proxy_port, service_port);
    let mut process = Process::spawn(Role::Subject, &path, dir.path(), &[]).unwrap();
    process.wait_ready(admin_port).unwrap();

    let answer = get(proxy_port, "/a?b=c");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.ends_with("asked: GET /a?b=c HTTP/1.1\r\n"),
        "{answer}"
    );
    let answer = get(proxy_port, "/hello");
    assert!(answer.ends_with("Hello from Outrigger.\n"), "{answer}");

    let stats = admin::get(admin_port, "/stats").unwrap().text();
    for line in [
        "cluster.service.upstream_rq_200: 1",
        "http.inbound.downstream_rq_2xx: 2",
        "server.live: 1",
        "server.state: 0",
    ] {
        assert!(stats.lines().any(|l| l == line), "no {line} in\n{stats}");
    }
    assert_eq!(
        admin::ask(admin_port, "POST", "/quitquitquit")
            .unwrap()
            .status,
        200
    );
    let status = process.wait_end(LIMIT).expect("it does not end");
    assert!(status.success(), "{status}: {}", process.last_words());
    let log = process.output();
    assert!(
        log.contains("\"GET /a?b=c HTTP/1.1\" 200"),
        "the access log is not flushed:\n{log}"
    );
}

#[test]
fn listeners_stop_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (admin_port, proxy_port) = (ports::free().unwrap(), ports::free().unwrap());
    let path = bootstrap(dir.path(), admin_port, proxy_port, ports::free().unwrap());
    let mut process = Process::spawn(Role::Subject, &path, dir.path(), &[]).unwrap();
    process.wait_ready(admin_port).unwrap();
    let ready = || admin::get(admin_port, "/ready").unwrap().text();
    admin::ask(admin_port, "POST", "/healthcheck/fail").unwrap();
    assert_eq!(ready(), "DRAINING\n");
    admin::ask(admin_port, "POST", "/healthcheck/ok").unwrap();
    assert_eq!(ready(), "LIVE\n");
    admin::ask(admin_port, "POST", "/drain_listeners?inboundonly").unwrap();
    let deadline = std::time::Instant::now() + LIMIT;
    while TcpStream::connect(("127.0.0.1", proxy_port)).is_ok() {
        assert!(
            std::time::Instant::now() < deadline,
            "the listener still accepts"
        );
    }
    assert_eq!(ready(), "LIVE\n");
}

#[test]
fn says_what_is_wrong_with_a_bootstrap_and_where() {
    let dir = tempfile::tempdir().unwrap();
    let path = bootstrap(dir.path(), 1, 2, 3);
    let path = path.to_str().unwrap();
    let good = run(&["--mode", "validate", "-c", path]);
    assert_eq!(
        String::from_utf8_lossy(&good.stdout),
        format!("configuration '{path}' OK\n")
    );
    let more = "static_resources: {listeners: [{name: second, enable_mptcp: true, bogus: 1}]}";
    let bad = run(&["--mode", "validate", "-c", path, "--config-yaml", more]);
    assert_eq!(bad.status.code(), Some(1));
    let said = String::from_utf8_lossy(&bad.stderr).into_owned();
    let expected = format!("error initializing configuration '{path}': ");
    assert!(
        said.contains(&expected) && said.contains("static_resources.listeners[0].bogus"),
        "{said}"
    );
    let allowed = [
        "--mode",
        "validate",
        "-c",
        path,
        "--config-yaml",
        more,
        "--allow-unknown-static-fields",
    ];
    let said = String::from_utf8_lossy(&run(&allowed).stderr).into_owned();
    assert!(
        said.contains("static_resources.listeners[1].enable_mptcp: field is not supported"),
        "{said}"
    );
}

#[test]
fn reads_envoys_command_line() {
    let version = run(&["--version"]);
    assert!(String::from_utf8_lossy(&version.stdout).contains("  version: "));
    let wrong = run(&["--bogus"]);
    assert_eq!(wrong.status.code(), Some(1));
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert!(said.starts_with("PARSE ERROR: Argument: --bogus\n"));
    assert!(said.contains("\n\nBrief USAGE: \n   "));
    let version = run(&["--hot-restart-version"]);
    assert_eq!(version.status.code(), Some(0));
    assert_eq!(version.stdout, b"");
    assert_eq!(version.stderr, b"disabled");
}

#[test]
fn init_only_ends_well_before_it_serves() {
    let dir = tempfile::tempdir().unwrap();
    let (_service, service_port) = ports::listen().unwrap();
    let free = || ports::free().unwrap();
    let path = bootstrap(dir.path(), free(), free(), service_port);
    let path = path.to_str().unwrap();
    let good = run(&["--mode", "init_only", "-c", path]);
    assert_eq!(good.status.code(), Some(0));
    assert_eq!(good.stdout, b"");
    assert!(!String::from_utf8_lossy(&good.stderr).contains("starting workers"));
    let taken = bootstrap(dir.path(), free(), service_port, 1);
    let bad = run(&["--mode", "init_only", "-c", taken.to_str().unwrap()]);
    assert_eq!(bad.status.code(), Some(1));
}
