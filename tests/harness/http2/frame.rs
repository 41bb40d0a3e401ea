//! Frames of HTTP/2 as bytes.

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
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

    pub fn write(&self, out: &mut Vec<u8>) {
        let length = (self.payload.len() as u32).to_be_bytes();
        out.extend_from_slice(&length[1..]);
        out.extend_from_slice(&[self.kind, self.flags]);
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
    pub fn increment(&self) -> usize {
        let number = self.payload.first_chunk().copied().unwrap_or_default();
        (u32::from_be_bytes(number) & 0x7fff_ffff) as usize
    }

    /// What a SETTINGS frame says.
    pub fn settings(&self) -> impl Iterator<Item = (u16, u32)> + 'a {
        let (settings, _) = self.payload.as_chunks::<6>();
        settings.iter().map(|&[a, b, c, d, e, f]| {
            (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f]))
        })
    }
}

pub fn write_window_update(out: &mut Vec<u8>, increment: usize) {
    Frame {
        kind: WINDOW_UPDATE,
        flags: 0,
        stream: 0,
        payload: &(increment as u32).to_be_bytes(),
    }
    .write(out);
}

pub fn write_settings(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    let payload: Vec<u8> = settings
        .iter()
        .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    Frame {
        kind: SETTINGS,
        flags: 0,
        stream: 0,
        payload: &payload,
    }
    .write(out);
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
        write_settings(&mut bytes, &said);
        let frame = Frame::read(&bytes).unwrap();
        assert_eq!(frame.settings().collect::<Vec<_>>(), said);
        let mut bytes = Vec::new();
        write_window_update(&mut bytes, 70_000);
        assert_eq!(Frame::read(&bytes).unwrap().increment(), 70_000);
    }
}
