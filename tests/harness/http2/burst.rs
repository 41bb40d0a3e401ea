//! Frames of HTTP/2 as no library sends them.

use outrigger_tests::http2::{PREFACE, frame, head_frames};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_BOTH: u8 = 5;

/// The block of a good `GET` in HPACK, to put more behind.
const GET: &[u8] = b"\x82\x86\x84\x41\x06a.test";

/// The preface, and settings with this window for each stream; the window of the connection grows as far as it may.
pub fn opening(window: u32) -> Vec<u8> {
    let mut out = PREFACE.to_vec();
    let value = [&[0, 4], &window.to_be_bytes()[..]].concat();
    frame(&mut out, SETTINGS, 0, 0, &value);
    let most = 0x7fff_ffff_u32 - 65_535;
    frame(&mut out, WINDOW_UPDATE, 0, 0, &most.to_be_bytes());
    out
}

fn request(out: &mut Vec<u8>, stream: u32, method: &str, path: &str, end: bool) {
    let fields = [
        (":method", method),
        (":scheme", "http"),
        (":authority", "a.test"),
        (":path", path),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    head_frames(out, stream, &fields, end);
}

/// A connection that asks for so many bodies and reads none.
pub fn downloads(window: u32, streams: u32, path: &str) -> Vec<u8> {
    let mut out = opening(window);
    (0..streams).for_each(|number| request(&mut out, number * 2 + 1, "GET", path, true));
    out
}

pub fn resets(round: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for stream in streams(round) {
        request(&mut out, stream, "GET", "/x", true);
        frame(&mut out, RST_STREAM, 0, stream, &[0, 0, 0, 8]);
    }
    out
}

pub fn resets_of_ours(round: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for stream in streams(round) {
        request(&mut out, stream, "POST", "/hang", false);
        frame(&mut out, WINDOW_UPDATE, 0, stream, &[0; 4]);
    }
    out
}

fn streams(round: u32) -> impl Iterator<Item = u32> {
    (0..20).map(move |number| (round * 20 + number) * 2 + 1)
}

pub fn endless_head(round: u32) -> Vec<u8> {
    let mut out = Vec::new();
    if round == 0 {
        frame(&mut out, HEADERS, 0, 1, GET);
    }
    frame(
        &mut out,
        CONTINUATION,
        0,
        1,
        &b"\x00\x01a\x01b".repeat(2000),
    );
    out
}

/// An entry of the table, and references to it without end.
pub fn unfolding_head(round: u32) -> Vec<u8> {
    let mut block = GET.to_vec();
    block.extend(b"\x40\x01a");
    // 3900 bytes: 127, and the rest in groups of 7 bits.
    block.extend([127, (3773 % 128) as u8 | 128, (3773 / 128) as u8]);
    block.extend([b'x'; 3900]);
    block.extend([0xbe; 4000]);
    let mut out = Vec::new();
    frame(&mut out, HEADERS, END_BOTH, round * 2 + 1, &block);
    out
}

pub fn that_say_nothing(round: u32) -> Vec<u8> {
    let mut out = Vec::new();
    if round == 0 {
        request(&mut out, 1, "POST", "/hang", false);
    }
    for _ in 0..100 {
        match round % 4 {
            0 => frame(&mut out, PING, 0, 0, b"01234567"),
            1 => frame(&mut out, SETTINGS, 0, 0, &[]),
            2 => frame(&mut out, DATA, 0, 1, &[]),
            _ => frame(&mut out, WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
        }
    }
    out
}
