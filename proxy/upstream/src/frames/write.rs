//! Writes a message as frames that stand for themselves: nothing in them depends on what was said before on the
//! connection, nor changes what may be said after.

use super::{DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM};

/// A literal header field that the peer is not to remember (RFC 7541, 6.2.2), with its name spelt out.
const LITERAL: u8 = 0;

/// Adds a whole response to a stream, which then is closed for its peer as well. Head and body must each fit a frame.
pub fn write_message<'h>(
    out: &mut Vec<u8>,
    stream: u32,
    head: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    body: &[u8],
) {
    let mut block = Vec::new();
    for (name, value) in head {
        block.push(LITERAL);
        for text in [name, value] {
            write_length(&mut block, text.len());
            block.extend_from_slice(text);
        }
    }
    write_frame(out, HEADERS, END_HEADERS, stream, &block);
    write_frame(out, DATA, END_STREAM, stream, body);
    write_frame(out, RST_STREAM, 0, stream, &[0; 4]);
}

/// Says that streams after `last` are not looked at. It is no error.
pub fn write_go_away(out: &mut Vec<u8>, last: u32) {
    let payload = u64::from(last) << u32::BITS;
    write_frame(out, GOAWAY, 0, 0, &payload.to_be_bytes());
}

fn write_frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    out.extend_from_slice(length.get(1..).unwrap_or_default());
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// The length of a string that is not compressed: 7 bits, then groups of 7 (RFC 7541, 5.1).
fn write_length(out: &mut Vec<u8>, length: usize) {
    const FULL: usize = 0x7f;
    let mut rest = match length.checked_sub(FULL) {
        None => return out.push(low_bits(length)),
        Some(rest) => rest,
    };
    out.push(low_bits(FULL));
    while rest > FULL {
        out.push(low_bits(rest) | 0x80);
        rest >>= 7;
    }
    out.push(low_bits(rest));
}

fn low_bits(value: usize) -> u8 {
    u8::try_from(value & 0x7f).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goaway_names_the_last_stream() {
        let mut out = Vec::new();
        write_go_away(&mut out, 3);
        assert_eq!(out[..9], [0, 0, 8, GOAWAY, 0, 0, 0, 0, 0]);
        assert_eq!(out[9..], [0, 0, 0, 3, 0, 0, 0, 0]);
    }

    #[test]
    fn a_message_is_three_frames() {
        let mut out = Vec::new();
        let long = [b'v'; 300];
        let head = [(&b"a"[..], &b"1"[..]), (b"b", &long)];
        write_message(&mut out, 5, head.into_iter(), b"body");
        assert_eq!(out[..9], [0, 1, 55, HEADERS, END_HEADERS, 0, 0, 0, 5]);
        assert_eq!(out[9..14], [0, 1, b'a', 1, b'1']);
        // 300 is 127 and 173, which is 45 and one group.
        assert_eq!(out[14..20], [0, 1, b'b', 0x7f, 0xad, 1]);
        let rest = &out[9 + 311..];
        assert_eq!(rest[..9], [0, 0, 4, DATA, END_STREAM, 0, 0, 0, 5]);
        assert_eq!(rest[13..22], [0, 0, 4, RST_STREAM, 0, 0, 0, 0, 5]);
        assert_eq!(rest.len(), 26);
    }
}
