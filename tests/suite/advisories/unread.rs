//! Clients that ask and never read, over HTTP/2 and HTTP/1: Envoy's timeouts end them, its buffer limits bound what they hold,
//! and nobody else notices.

use super::bystander::{Bystander, alone, withstands};
use super::{process, service};
use outrigger_tests::admin;
use outrigger_tests::http2::burst::requests;
use outrigger_tests::http2::frame::{PING, WIDEST_WINDOW, frame};
use outrigger_tests::process::Role;
use outrigger_tests::running::Running;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

const CONFIG: &str = "
listeners:
  main:
    per_connection_buffer_limit_bytes: 32768
    http:
      stream_idle_timeout: 0.5s
      drain_timeout: 0.1s
      delayed_close_timeout: 0.2s
      common_http_protocol_options: {idle_timeout: 0.5s}
    routes: [{match: {prefix: /}, route: {cluster: up, timeout: 0s}}]
clusters: {up: {per_connection_buffer_limit_bytes: 32768}}
";

/// Asks for `streams` endless bodies, with windows that do not hold back anything.
fn greedy(port: u16, streams: u32) -> TcpStream {
    let bytes = requests(WIDEST_WINDOW, streams, "/big");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(&bytes).unwrap();
    stream
}

/// The value of a counter or gauge; none before anything has touched it.
fn stat(proxy: &Running, name: &str) -> Option<u64> {
    let text = admin::get(proxy.port("admin").unwrap(), "/stats").unwrap();
    let text = text.text();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    value.map(|value| value.parse().unwrap())
}

#[test]
fn clients_of_http2_that_never_read() {
    withstands(
        "clients of HTTP/2 that never read",
        "main",
        |proxy, until| {
            let port = proxy.port("main").unwrap();
            let clients: Vec<TcpStream> = (0..10).map(|_| greedy(port, 10)).collect();
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
            drop(clients);
        },
    );
}

/// What is left of a stream that its client does not take is idle, whatever more the upstream has; then so is the connection.
#[test]
fn who_never_reads_is_ended_by_the_timeouts() {
    const STREAMS: u32 = 10;
    let _alone = alone();
    let proxy = Running::start(Role::Subject, CONFIG, &[("up", service::start())]).unwrap();
    let port = proxy.port("main").unwrap();
    let bystander = Bystander::start(port, Duration::from_millis(20));
    let over_http2 = [greedy(port, STREAMS), greedy(port, STREAMS)];
    let mut over_http1 = TcpStream::connect(("127.0.0.1", port)).unwrap();
    over_http1
        .write_all(b"GET /big HTTP/1.1\r\nhost: a.test\r\n\r\n")
        .unwrap();
    let streams = u64::from(STREAMS) * 2 + 1;
    let idle = || stat(&proxy, "http.main.downstream_rq_idle_timeout");
    let ended = process::comes(|| idle() == Some(streams));
    assert!(ended, "{:?} are idle", idle());
    let report = bystander.stop();
    assert_eq!(report.lost, 0, "the bystander lost requests");
    for gauge in [
        "http.main.downstream_rq_active",
        "http.main.downstream_cx_active",
        "cluster.up.upstream_rq_active",
        "http2.streams_active",
    ] {
        assert!(process::comes(|| stat(&proxy, gauge) == Some(0)), "{gauge}");
    }
    drop((over_http2, over_http1));
}

/// Section 3, the last line: a stream may hold what the buffer limits say, and no more for being one of many.
#[test]
fn what_nobody_reads_is_bounded() {
    const CONNECTIONS: u32 = 5;
    const STREAMS: u32 = 40;
    let _alone = alone();
    let config = CONFIG.replace("0.5s", "60s");
    let proxy = Running::start(Role::Subject, &config, &[("up", service::start())]).unwrap();
    let port = proxy.port("main").unwrap();
    let before = process::resident(proxy.process.id());
    let clients: Vec<TcpStream> = (0..CONNECTIONS).map(|_| greedy(port, STREAMS)).collect();
    let streams = u64::from(CONNECTIONS * STREAMS);
    const PAUSED: &str = "cluster.up.upstream_flow_control_paused_reading_total";
    let paused = || stat(&proxy, PAUSED).unwrap_or(0);
    let all = process::comes(|| paused() >= streams);
    assert!(all, "{} of {streams} wait", paused());
    let each = proxy.peak_memory().unwrap().saturating_sub(before) / streams;
    eprintln!("streams that nobody reads: {each} KiB each");
    assert!(each <= 128, "{each} KiB for each stream");
    drop(clients);
}

/// CVE-2019-9512: answers that nobody reads are not kept without end.
#[test]
fn answers_to_pings_that_nobody_reads() {
    let _alone = alone();
    let proxy = Running::start(Role::Subject, CONFIG, &[("up", service::start())]).unwrap();
    let mut client = greedy(proxy.port("main").unwrap(), 1);
    client
        .set_write_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut pings = Vec::new();
    (0..100).for_each(|_| frame(&mut pings, PING, 0, 0, b"01234567"));
    let ended = process::comes(|| {
        let gone = client.write_all(&pings).is_err();
        gone || stat(&proxy, "http2.outbound_control_flood").unwrap_or(0) == 1
    });
    assert!(ended, "it takes pings for ever");
    let floods = || stat(&proxy, "http2.outbound_control_flood").unwrap_or(0);
    assert!(process::comes(|| floods() == 1), "{} floods", floods());
}
