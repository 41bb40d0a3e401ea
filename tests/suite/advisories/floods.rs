//! Resource abuse over HTTP/2 (section 2.1): who makes the proxy work for nothing hurts nobody else. That and where each flood
//! ends is compared with Envoy in `tests/differential/http2`.

use super::bystander::withstands;
use outrigger_tests::http2::burst::{
    IDLE, endless_head, opening, requests, resets, resets_of_ours, that_say_nothing, unfolding_head,
};
use outrigger_tests::http2::frame::FIRST_WINDOW;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Between two bursts: the attack is on the proxy and not on the machine that both run on.
const PAUSE: Duration = Duration::from_millis(2);

/// Sends what `burst` makes of the number of the burst, on one connection after the other.
fn flood(port: u16, until: Instant, reads: bool, burst: impl Fn(u32) -> Vec<u8>) {
    while Instant::now() < until {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream
            .set_write_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        stream
            .set_read_timeout(Some(Duration::from_micros(100)))
            .unwrap();
        let mut round = 0;
        let mut bytes = opening(FIRST_WINDOW);
        let mut buffer = [0; 64 << 10];
        while Instant::now() < until && stream.write_all(&bytes).is_ok() {
            std::thread::sleep(PAUSE);
            match stream.read(&mut buffer) {
                _ if !reads => {}
                Ok(0) => break,
                Err(e) if ![ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&e.kind()) => {
                    break;
                }
                _ => {}
            }
            bytes = burst(round);
            round += 1;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Line 1: CVE-2023-44487, RUSTSEC-2024-0003, RUSTSEC-2023-0034.
#[test]
fn rapid_resets() {
    for reads in [true, false] {
        withstands("rapid resets", "main", |proxy, until| {
            flood(proxy.port("main").unwrap(), until, reads, resets);
        });
    }
}

/// Line 2: CVE-2025-8671, where the server is made to reset.
#[test]
fn made_you_reset() {
    withstands("resets of our own", "main", |proxy, until| {
        flood(proxy.port("main").unwrap(), until, true, resets_of_ours);
    });
}

/// Line 3: CVE-2024-27919, CVE-2024-30255, RUSTSEC-2024-0332.
#[test]
fn a_head_without_end() {
    withstands("continuations", "main", |proxy, until| {
        flood(proxy.port("main").unwrap(), until, true, endless_head);
    });
}

/// Line 4: CVE-2019-9511 to -9518, RUSTSEC-2026-0258.
#[test]
fn frames_that_say_nothing() {
    for (name, one) in IDLE {
        withstands(name, "main", |proxy, until| {
            flood(proxy.port("main").unwrap(), until, true, |round| {
                that_say_nothing(round, one, 500)
            });
        });
    }
}

/// Line 5: CVE-2026-47774, CVE-2026-73550, CVE-2023-35945: a little HPACK that stands for much.
#[test]
fn heads_that_unfold() {
    for (name, header, size, references) in [
        ("one entry again and again", &b"a"[..], 3900, 4000),
        ("crumbs of a cookie", b"cookie", 3900, 4000),
        ("crumbs that are short", b"cookie", 127, 8000),
        ("hosts again and again", b"host", 1000, 4000),
    ] {
        withstands(name, "main", |proxy, until| {
            flood(proxy.port("main").unwrap(), until, true, |round| {
                unfolding_head(round, header, size, references)
            });
        });
    }
}

/// So many connections that send this, read nothing and stay till the end.
fn held(port: u16, until: Instant, count: usize, bytes: &[u8]) {
    let clients: Vec<TcpStream> = (0..count)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.write_all(bytes).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(until.saturating_duration_since(Instant::now()));
    drop(clients);
}

/// Line 7: CVE-2020-12603, CVE-2020-12604, CVE-2021-32778: responses that nobody lets go.
#[test]
fn windows_that_stay_closed() {
    withstands("closed windows", "main", |proxy, until| {
        held(
            proxy.port("main").unwrap(),
            until,
            10,
            &requests(0, 10, "/big"),
        );
    });
}

/// Line 8, and the circuit breaker: streams that stay open.
#[test]
fn streams_that_stay_open() {
    withstands("open streams", "main", |proxy, until| {
        let bytes = requests(FIRST_WINDOW, 90, "/hang");
        held(proxy.port("main").unwrap(), until, 4, &bytes);
    });
}
