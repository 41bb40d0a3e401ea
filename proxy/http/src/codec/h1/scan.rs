//! Finds the end of a head or of trailers in bytes that may come one by one; each byte is looked at once.

use crate::codec::CodecError;
use memchr::memchr_iter;
use std::cell::RefCell;

/// Where the lines of a block end. Lines end with LF, a CR before it is part of the line end; an empty line ends all.
#[derive(Debug, Default)]
pub(super) struct LineScanner {
    /// Bytes of the buffer already looked at.
    scanned: usize,
    /// For each line the offset after its LF.
    ends: Vec<u32>,
}

/// Line tables longer than this are given back to the allocator after the message.
const KEEP_LINES: usize = 128;
/// Line tables kept by a thread.
const POOLED: usize = 64;

thread_local! {
    /// Tables for the next message: a connection holds one only while it reads a head.
    static POOL: RefCell<Vec<Vec<u32>>> = const { RefCell::new(Vec::new()) };
}

impl LineScanner {
    /// Looks at what is new in `buf`. The length of the whole block once its empty line is there; `lead` lines (the
    /// request or status line) come before the empty line counts.
    pub(super) fn scan(
        &mut self,
        buf: &[u8],
        lead: usize,
        limit: usize,
    ) -> Result<Option<usize>, CodecError> {
        if self.ends.capacity() == 0 {
            self.ends = POOL.with_borrow_mut(Vec::pop).unwrap_or_default();
        }
        let base = self.scanned;
        let window = buf.len().min(limit);
        for at in memchr_iter(b'\n', buf.get(base..window).unwrap_or_default()) {
            let start = self.start_of_next();
            let end = base + at + 1;
            self.ends.push(end as u32);
            self.scanned = end;
            let empty = end - start == 1 || (end - start == 2 && buf.get(start) == Some(&b'\r'));
            if empty && self.ends.len() > lead {
                return Ok(Some(end));
            }
        }
        self.scanned = window.max(base);
        if buf.len() > limit {
            return Err(CodecError::HEADERS_TOO_LARGE);
        }
        Ok(None)
    }

    fn start_of_next(&self) -> usize {
        self.ends.last().map_or(0, |&e| e as usize)
    }

    /// Nothing was looked at yet.
    pub(super) fn is_new(&self) -> bool {
        self.scanned == 0
    }

    /// The first line without its line end, once it is whole.
    pub(super) fn first<'a>(&self, buf: &'a [u8]) -> Option<&'a [u8]> {
        self.ends
            .first()
            .and_then(|&end| line(buf, 0, end as usize))
    }

    /// Offsets after each line.
    pub(super) fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// Ready for the next block.
    pub(super) fn reset(&mut self) {
        self.scanned = 0;
        let mut ends = std::mem::take(&mut self.ends);
        ends.clear();
        ends.shrink_to(KEEP_LINES);
        POOL.with_borrow_mut(|pool| {
            if pool.len() < POOLED {
                pool.push(ends);
            }
        });
    }
}

/// `buf[start..end]` without its LF and the CR before it.
pub(super) fn line(buf: &[u8], start: usize, end: usize) -> Option<&[u8]> {
    let line = buf.get(start..end.checked_sub(1)?)?;
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn whole(bytes: &[u8]) -> Option<usize> {
        LineScanner::default().scan(bytes, 1, 1000).unwrap()
    }

    #[test]
    fn an_empty_line_ends_the_block() {
        assert_eq!(whole(b"a\r\nb\r\n\r\nc"), Some(8));
        assert_eq!(whole(b"a\n\nc"), Some(3));
        assert_eq!(whole(b"a\r\nb\n\r\n"), Some(7));
        assert_eq!(whole(b"a\r\n\r\r\n"), None);
        assert_eq!(whole(b"\r\n\r\n"), Some(4));
        assert_eq!(
            LineScanner::default().scan(b"\r\nx", 0, 10).unwrap(),
            Some(2)
        );
    }

    #[test]
    fn the_limit_counts_the_empty_line() {
        let block = b"abc\r\n\r\n";
        assert_eq!(LineScanner::default().scan(block, 1, 7).unwrap(), Some(7));
        assert_eq!(
            LineScanner::default().scan(block, 1, 6),
            Err(CodecError::HEADERS_TOO_LARGE)
        );
        assert_eq!(
            LineScanner::default().scan(&block[..6], 1, 6).unwrap(),
            None
        );
    }

    #[test]
    fn bytes_one_by_one_give_the_same_lines() {
        let block = b"GET / HTTP/1.1\r\na: b\nc: d\r\n\r\nrest";
        let mut slow = LineScanner::default();
        let mut end = None;
        for n in 0..block.len() {
            end = slow.scan(&block[..n], 1, 1000).unwrap();
            if end.is_some() {
                break;
            }
        }
        let mut fast = LineScanner::default();
        assert_eq!(fast.scan(block, 1, 1000).unwrap(), end);
        assert_eq!(fast.ends(), slow.ends());
    }
}
