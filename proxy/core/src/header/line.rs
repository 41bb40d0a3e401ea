//! A header line as HTTP/1 writes it: what is added to the map is stored as `name: value` and CRLF, so that lines which
//! follow each other are written in one copy.

use super::{Entry, HeaderId, HeaderMap, Span};
use std::ops::Range;

/// A header line as the HTTP/1 codec writes it; each part is looked up when it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    pub(super) map: &'a HeaderMap,
    pub(super) entry: &'a Entry,
}

impl<'a> Line<'a> {
    #[inline]
    pub fn id(&self) -> HeaderId {
        self.entry.id
    }

    #[inline]
    pub fn name(&self) -> &'a [u8] {
        self.map.name_of(self.entry)
    }

    #[inline]
    pub fn value(&self) -> &'a [u8] {
        self.entry.value.of(&self.map.arena)
    }

    /// Where [`HeaderMap::wire`] has `name: value` and CRLF, name in lower case and free of other line ends. A line that
    /// was adopted stands so if its sender put one space before the value and CRLF after it.
    #[inline]
    pub fn wire(&self) -> Option<Range<usize>> {
        let end = self.entry.value.start + self.entry.value.len;
        let whole = self.entry.name.start as usize..end as usize + b"\r\n".len();
        self.entry.verbatim.then_some(whole)
    }
}

impl HeaderMap {
    /// Stores a line with a name in lower case.
    #[inline]
    pub(super) fn store_line(&mut self, id: HeaderId, name: &[u8], value: &[u8]) -> Entry {
        let start = self.arena.len();
        self.arena
            .reserve(name.len() + value.len() + b": \r\n".len());
        self.arena.extend_from_slice(name);
        self.end_line(id, start, value)
    }

    /// Stores the rest of a line whose name stands at the end of the arena, from `start` on.
    #[inline]
    pub(super) fn end_line(&mut self, id: HeaderId, start: usize, value: &[u8]) -> Entry {
        let name = self.arena.get(start..).unwrap_or_default();
        // Names in the table of names are plain, and no others are looked at by those who write lines.
        let plain_name = id != HeaderId::Custom
            || (is_plain(name) && name.first().is_some_and(|&first| first != b':'));
        let name = Span::new(start, name.len());
        self.arena.extend_from_slice(b": ");
        let at = self.arena.len();
        self.arena.extend_from_slice(value);
        self.arena.extend_from_slice(b"\r\n");
        Entry {
            id,
            verbatim: plain_name && is_plain(value),
            name,
            value: Span::new(at, value.len()),
        }
    }
}

/// Without the controls that could end a line, and a few more that are as rare: whoever writes the line looks closer.
#[inline]
fn is_plain(bytes: &[u8]) -> bool {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    /// All eight bytes are at least 0x10.
    const fn plain(word: [u8; 8]) -> bool {
        let word = u64::from_le_bytes(word);
        word.wrapping_sub(ONES * 0x10) & !word & HIGH == 0
    }
    let (words, rest) = bytes.as_chunks();
    words.iter().all(|word| plain(*word))
        && match bytes.last_chunk() {
            Some(last) => plain(*last),
            None => rest.iter().all(|&byte| byte >= 0x10),
        }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::HeaderName;

    #[test]
    fn controls_are_found_wherever_they_stand() {
        for byte in 0..=255u8 {
            for length in 1..20 {
                for at in 0..length {
                    let mut text = vec![0x90; length];
                    text[at] = byte;
                    assert_eq!(is_plain(&text), byte >= 0x10, "{byte} at {at} of {length}");
                }
            }
        }
        assert!(is_plain(b""));
    }

    #[test]
    fn what_is_added_stands_as_it_is_written() {
        let mut map = HeaderMap::new();
        map.append(HeaderId::Path, b"/");
        map.append(HeaderId::Server, b"envoy");
        map.append_name(&HeaderName::from("x-a"), b"1");
        map.append_raw(b"X-B", b"2");
        map.set(HeaderId::Date, b"now");
        map.append(HeaderId::Te, b"a\rb");
        map.append_name(&HeaderName::from("x-c"), b"\0");
        let wires: Vec<_> = map.lines().map(|line| line.wire()).collect();
        let lines: Vec<_> = wires.iter().flatten().cloned().collect();
        let text = |range| std::str::from_utf8(map.wire(range)).unwrap();
        assert_eq!(wires.iter().filter(|wire| wire.is_none()).count(), 3);
        let whole = lines[0].start..lines[3].end;
        assert_eq!(
            text(whole),
            "server: envoy\r\nx-a: 1\r\nx-b: 2\r\ndate: now\r\n"
        );
        map.set(HeaderId::Server, b"other");
        let wire = map.lines().nth(1).unwrap().wire().unwrap();
        assert_eq!(map.wire(wire), b"server: other\r\n");
    }
}
