//! Frames of HTTP/2 as bytes, whatever they say. Numbers and layout are written down here once more than in the proxy: a mistake
//! there must not be one here as well.

use crate::bytes::raw;

/// What a client sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;

/// Bytes of a frame header.
pub const HEADER: usize = 9;
/// The largest payload that a peer takes without having said so.
pub const MAX_PAYLOAD: usize = 16_384;
/// The largest window, and the one that a connection begins with, in either direction.
pub const WIDEST_WINDOW: u32 = 0x7fff_ffff;
pub const FIRST_WINDOW: u32 = 65_535;

pub const HEADER_TABLE_SIZE: u16 = 1;
pub const MAX_CONCURRENT_STREAMS: u16 = 3;
pub const INITIAL_WINDOW_SIZE: u16 = 4;

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The first frame of `bytes`, if it is complete.
    #[inline]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (&[a, b, c, kind, flags, s, t, u, v], rest) = bytes.split_first_chunk::<HEADER>()?;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        Some(Self {
            kind,
            flags,
            stream: u32::from_be_bytes([s & 0x7f, t, u, v]),
            payload: rest.get(..length)?,
        })
    }

    #[inline]
    pub fn write(&self, out: &mut Vec<u8>) {
        let [_, a, b, c] = u32::try_from(self.payload.len()).unwrap_or(0).to_be_bytes();
        out.extend_from_slice(&[a, b, c, self.kind, self.flags]);
        out.extend_from_slice(&self.stream.to_be_bytes());
        out.extend_from_slice(self.payload);
    }

    /// Bytes on the wire.
    pub fn size(&self) -> usize {
        HEADER + self.payload.len()
    }

    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The number of a WINDOW_UPDATE.
    pub fn increment(&self) -> u32 {
        let number = self.payload.first_chunk().copied().unwrap_or_default();
        u32::from_be_bytes(number) & WIDEST_WINDOW
    }

    /// What a SETTINGS frame says.
    pub fn settings(&self) -> impl Iterator<Item = (u16, u32)> + 'a {
        let (settings, _) = self.payload.as_chunks::<6>();
        settings.iter().map(|&[a, b, c, d, e, f]| {
            (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f]))
        })
    }
}

/// One frame.
pub fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let frame = Frame {
        kind,
        flags,
        stream,
        payload,
    };
    frame.write(out);
}

pub fn window_update(out: &mut Vec<u8>, stream: u32, increment: u32) {
    frame(out, WINDOW_UPDATE, 0, stream, &increment.to_be_bytes());
}

pub fn settings(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    let payload: Vec<u8> = settings
        .iter()
        .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    frame(out, SETTINGS, 0, 0, &payload);
}

/// The settings and the window of the connection of a side that takes so much on each stream, and as much as may be in all.
pub fn windows(out: &mut Vec<u8>, stream: u32) {
    settings(out, &[(INITIAL_WINDOW_SIZE, stream)]);
    window_update(out, 0, WIDEST_WINDOW - FIRST_WINDOW);
}

/// A head of literals, in as many frames as it takes. Characters of `fields` are bytes, as in [`raw`].
pub fn head<T: AsRef<str>>(out: &mut Vec<u8>, stream: u32, fields: &[(T, T)], end: bool) {
    let mut block = Vec::new();
    for (name, value) in fields {
        // A literal that neither side remembers.
        block.push(0);
        for text in [name, value] {
            let bytes = raw(text.as_ref());
            length(&mut block, bytes.len());
            block.extend(bytes);
        }
    }
    let mut pieces = block.chunks(MAX_PAYLOAD);
    let mut kind = HEADERS;
    let mut flags = if end { END_STREAM } else { 0 };
    let mut piece = pieces.next().unwrap_or_default();
    loop {
        let next = pieces.next();
        if next.is_none() {
            flags |= END_HEADERS;
        }
        frame(out, kind, flags, stream, piece);
        let Some(next) = next else { return };
        (kind, flags, piece) = (CONTINUATION, 0, next);
    }
}

/// A body, in as many frames as it takes.
pub fn data(out: &mut Vec<u8>, stream: u32, body: &[u8], end: bool) {
    let mut pieces = body.chunks(MAX_PAYLOAD).peekable();
    if pieces.peek().is_none() {
        frame(out, DATA, u8::from(end), stream, &[]);
    }
    while let Some(piece) = pieces.next() {
        let last = end && pieces.peek().is_none();
        frame(out, DATA, u8::from(last), stream, piece);
    }
}

/// The length of a string of HPACK: 7 bits, then groups of 7.
pub fn length(out: &mut Vec<u8>, value: usize) {
    if value < 127 {
        return out.push(value as u8);
    }
    out.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        out.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_frame_is_read_when_it_is_complete() {
        let frame = Frame {
            kind: DATA,
            flags: END_STREAM,
            stream: 7,
            payload: b"abc",
        };
        let mut bytes = Vec::new();
        frame.write(&mut bytes);
        bytes.extend_from_slice(b"next");
        assert_eq!(Frame::read(&bytes), Some(frame));
        assert_eq!(frame.size(), 12);
        assert_eq!(Frame::read(&bytes[..11]), None);
        assert_eq!(Frame::read(&bytes[..8]), None);
    }

    #[test]
    fn settings_and_windows_come_back() {
        let mut bytes = Vec::new();
        let said = [(INITIAL_WINDOW_SIZE, 1 << 20), (HEADER_TABLE_SIZE, 0)];
        settings(&mut bytes, &said);
        let frame = Frame::read(&bytes).unwrap();
        assert_eq!(frame.settings().collect::<Vec<_>>(), said);
        let mut bytes = Vec::new();
        window_update(&mut bytes, 3, 70_000);
        let frame = Frame::read(&bytes).unwrap();
        assert_eq!((frame.stream, frame.increment()), (3, 70_000));
    }
}
