//! Resource abuse over HTTP/2 (section 2.1): who makes the proxy work for nothing hurts nobody else. That and where each flood
//! ends is compared with Envoy in `tests/differential/http2`.

use super::bystander::withstands;
use outrigger_tests::http2::{PREFACE, frame, head_frames};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Between two bursts: the attack is on the proxy and not on the machine that both run on.
const PAUSE: Duration = Duration::from_millis(2);

/// The preface and settings with this window for each stream.
pub fn opening(window: u32) -> Vec<u8> {
    let mut out = PREFACE.to_vec();
    let value = [&[0, 4], &window.to_be_bytes()[..]].concat();
    frame(&mut out, SETTINGS, 0, 0, &value);
    out
}

/// A request on `stream`, with or without its end.
pub fn request(out: &mut Vec<u8>, stream: u32, method: &str, path: &str, end: bool) {
    let fields = [
        (":method", method),
        (":scheme", "http"),
        (":authority", "a.test"),
        (":path", path),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    head_frames(out, stream, &fields, end);
}

/// The block of a good `GET` in HPACK, to put more behind.
const GET: &[u8] = b"\x82\x86\x84\x41\x06a.test";

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
        let mut bytes = opening(65_535);
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
    let resets = |round| {
        let mut out = Vec::new();
        for number in 0..20 {
            let stream = (round * 20 + number) * 2 + 1;
            request(&mut out, stream, "GET", "/x", true);
            frame(&mut out, RST_STREAM, 0, stream, &[0, 0, 0, 8]);
        }
        out
    };
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
        flood(proxy.port("main").unwrap(), until, true, |round| {
            let mut out = Vec::new();
            for number in 0..20 {
                let stream = (round * 20 + number) * 2 + 1;
                request(&mut out, stream, "POST", "/hang", false);
                frame(&mut out, WINDOW_UPDATE, 0, stream, &[0; 4]);
            }
            out
        });
    });
}

/// Line 3: CVE-2024-27919, CVE-2024-30255, RUSTSEC-2024-0332.
#[test]
fn a_head_without_end() {
    withstands("continuations", "main", |proxy, until| {
        flood(proxy.port("main").unwrap(), until, true, |round| {
            let mut out = Vec::new();
            if round == 0 {
                frame(&mut out, HEADERS, 0, 1, GET);
            }
            for _ in 0..10 {
                frame(
                    &mut out,
                    CONTINUATION,
                    0,
                    1,
                    &b"\x00\x01a\x01b".repeat(2000),
                );
            }
            out
        });
    });
}

/// Line 4: CVE-2019-9511 to -9518, RUSTSEC-2026-0258.
#[test]
fn frames_that_say_nothing() {
    type Burst = fn(&mut Vec<u8>);
    let floods: [(&str, Burst); 6] = [
        ("pings", |out| frame(out, PING, 0, 0, b"01234567")),
        ("settings", |out| frame(out, SETTINGS, 0, 0, &[])),
        ("empty data", |out| frame(out, DATA, 0, 1, &[])),
        ("padding", |out| frame(out, DATA, 8, 1, &[3, 0, 0, 0])),
        ("priorities", |out| {
            frame(out, PRIORITY, 0, 3, &[0, 0, 0, 0, 1])
        }),
        ("windows", |out| {
            frame(out, WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])
        }),
    ];
    for (name, one) in floods {
        withstands(name, "main", |proxy, until| {
            flood(proxy.port("main").unwrap(), until, true, |round| {
                let mut out = Vec::new();
                if round == 0 {
                    request(&mut out, 1, "POST", "/hang", false);
                }
                (0..500).for_each(|_| one(&mut out));
                out
            });
        });
    }
}

/// Line 5: CVE-2026-47774, CVE-2026-73550, CVE-2023-35945: a little HPACK that stands for much.
#[test]
fn heads_that_unfold() {
    // A literal that goes into the table, then references to it.
    let entry = |name: &[u8], value: usize| {
        let mut block = GET.to_vec();
        block.push(0x40);
        block.push(name.len() as u8);
        block.extend(name);
        // 7 bits of length, then groups of 7.
        let rest = value - 127;
        block.extend([127, (rest % 128) as u8 | 128, (rest / 128) as u8]);
        block.extend(vec![b'x'; value]);
        block
    };
    for (name, header, size, references) in [
        ("one entry again and again", &b"a"[..], 3900, 4000),
        ("crumbs of a cookie", b"cookie", 3900, 4000),
        ("crumbs that are short", b"cookie", 127, 8000),
        ("hosts again and again", b"host", 1000, 4000),
    ] {
        withstands(name, "main", |proxy, until| {
            flood(proxy.port("main").unwrap(), until, true, |round| {
                let mut block = entry(header, size);
                block.extend(vec![0xbe; references]);
                let mut out = Vec::new();
                let flags = END_STREAM | END_HEADERS;
                frame(&mut out, HEADERS, flags, round * 2 + 1, &block);
                out
            });
        });
    }
}

/// Line 7: CVE-2020-12603, CVE-2020-12604, CVE-2021-32778: responses that nobody lets go.
#[test]
fn windows_that_stay_closed() {
    withstands("closed windows", "main", |proxy, until| {
        let clients: Vec<TcpStream> = (0..10)
            .map(|_| {
                let mut stream =
                    TcpStream::connect(("127.0.0.1", proxy.port("main").unwrap())).unwrap();
                let mut bytes = opening(0);
                (0..10).for_each(|number| request(&mut bytes, number * 2 + 1, "GET", "/big", true));
                stream.write_all(&bytes).unwrap();
                stream
            })
            .collect();
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        drop(clients);
    });
}

/// Line 8, and the circuit breaker: streams that stay open.
#[test]
fn streams_that_stay_open() {
    withstands("open streams", "main", |proxy, until| {
        let clients: Vec<TcpStream> = (0..4)
            .map(|_| {
                let mut stream =
                    TcpStream::connect(("127.0.0.1", proxy.port("main").unwrap())).unwrap();
                let mut bytes = opening(65_535);
                (0..90)
                    .for_each(|number| request(&mut bytes, number * 2 + 1, "GET", "/hang", true));
                stream.write_all(&bytes).unwrap();
                stream
            })
            .collect();
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        drop(clients);
    });
}
