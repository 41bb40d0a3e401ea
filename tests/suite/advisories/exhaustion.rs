//! What runs out: descriptors, and somebody who takes the lines of the log (lines 80 and 81, section 3).

use super::bystander::{Bystander, alone};
use super::{process, service};
use outrigger_tests::admin;
use outrigger_tests::process::Role;
use outrigger_tests::running::Running;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

const CONFIG: &str = "
listeners:
  main: {http: {}, routes: [{match: {prefix: /}, route: {cluster: up, timeout: 0s}}]}
clusters: {up: {}}
";

/// Line 80, CVE-2020-8663: without descriptors those who are there are served, the proxy waits instead of spinning, says so
/// without flooding its log, and takes new clients as soon as it can.
#[test]
fn no_descriptors_left() {
    let _alone = alone();
    let proxy = Running::start(Role::Subject, CONFIG, &[("up", service::start())]).unwrap();
    let (id, port) = (proxy.process.id(), proxy.port("main").unwrap());
    let bystander = Bystander::start(port, Duration::from_millis(50));
    std::thread::sleep(Duration::from_millis(200));
    process::limit_descriptors(id, process::descriptors(id) + 20);
    let crowd: Vec<TcpStream> = (0..60)
        .map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap())
        .collect();
    let full = process::comes(|| proxy.process.output().contains("accept failed"));
    assert!(full, "the descriptors do not run out");
    const WINDOW: Duration = Duration::from_secs(3);
    let (start, cpu, lines) = (
        Instant::now(),
        process::cpu(id),
        proxy.process.output().lines().count(),
    );
    std::thread::sleep(WINDOW);
    let (elapsed, cpu) = (start.elapsed(), process::cpu(id) - cpu);
    let lines = proxy.process.output().lines().count() - lines;
    let report = bystander.stop();
    eprintln!(
        "out of descriptors: {cpu:?} of CPU and {lines} lines in {elapsed:?}, p99 {:?}",
        report.p99()
    );
    assert_eq!(report.lost, 0, "the bystander lost requests");
    assert!(cpu <= elapsed / 10, "{cpu:?} of CPU in {elapsed:?}");
    assert!(lines <= 20, "{lines} lines in {elapsed:?}");
    drop(crowd);
    let mut late = TcpStream::connect(("127.0.0.1", port)).unwrap();
    late.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    late.write_all(b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    late.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
}

/// Section 3, "stdout pipe not read": traffic never waits for the log, memory is bounded, and what is dropped is counted.
#[test]
fn nobody_reads_the_log() {
    const REQUESTS: usize = 600;
    const LONG: usize = 40 << 10;
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let config = logging_to(&pipe.display().to_string());
    let proxy = Running::start(Role::Subject, &config, &[("up", service::start())]).unwrap();
    let (id, port) = (proxy.process.id(), proxy.port("main").unwrap());
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let request = format!(
        "GET / HTTP/1.1\r\nhost: a.test\r\nx-long: {}\r\n\r\n",
        "x".repeat(LONG)
    );
    let mut memory = 0;
    for number in 0..REQUESTS {
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 4096];
        let mut length = 0;
        while !answer[..length].ends_with(b"\r\n\r\nok") {
            let read = client.read(&mut answer[length..]).unwrap();
            assert!(read > 0, "request {number} is lost");
            length += read;
        }
        if number == 0 {
            memory = process::resident(id);
        }
    }
    let growth = proxy.peak_memory().unwrap().saturating_sub(memory);
    let dropped = write_failed(&proxy);
    eprintln!("a blocked log: {growth} KiB more, {dropped} lines dropped of {REQUESTS}");
    // 24 MB were to be written; 8 MiB may wait.
    assert!(growth < 12 << 10, "{growth} KiB more are resident");
    assert!((1..REQUESTS).contains(&dropped), "{dropped} lines dropped");
}

/// Section 3, "full disk": a log that cannot be written costs nobody a request, and is counted.
#[test]
fn a_disk_that_is_full() {
    let _alone = alone();
    let config = logging_to("/dev/full");
    let proxy = Running::start(Role::Subject, &config, &[("up", service::start())]).unwrap();
    let (id, port) = (proxy.process.id(), proxy.port("main").unwrap());
    let bystander = Bystander::start(port, Duration::from_millis(5));
    let failed = process::comes(|| write_failed(&proxy) > 3);
    let memory = process::resident(id);
    std::thread::sleep(Duration::from_millis(500));
    let report = bystander.stop();
    assert_eq!(report.lost, 0, "the bystander lost requests");
    assert!(failed, "nothing is counted");
    let growth = proxy.peak_memory().unwrap().saturating_sub(memory);
    assert!(growth < 4 << 10, "{growth} KiB more are resident");
}

/// A proxy with an access log at this path.
fn logging_to(path: &str) -> String {
    format!(
        "
listeners:
  main:
    http:
      access_log:
        - name: envoy.access_loggers.file
          typed_config:
            \"@type\": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
            path: {path}
            log_format: {{text_format_source: {{inline_string: \"%REQ(x-long)%\\n\"}}}}
clusters: {{up: {{}}}}
"
    )
}

fn write_failed(proxy: &Running) -> usize {
    let stats = admin::get(proxy.port("admin").unwrap(), "/stats?filter=filesystem");
    let stats = stats.unwrap().text();
    let failed = stats
        .lines()
        .find_map(|line| line.strip_prefix("filesystem.write_failed: "));
    failed.unwrap_or("0").parse().unwrap()
}
