//! Finds the end of a head or of trailers in bytes that may come one by one; each byte is looked at once.

use super::lanes::{LANES, Marks};
use crate::codec::CodecError;
use std::cell::RefCell;

/// Where the lines of a block end. Lines end with LF, a CR before it is part of the line end; an empty line ends all.
#[derive(Debug, Default)]
pub(super) struct LineScanner {
    /// Bytes of the buffer already looked at.
    scanned: usize,
    /// For each line the offset after its LF.
    ends: Vec<u32>,
    survey: Survey,
    /// The byte before `scanned` is a CR.
    after_return: bool,
}

/// What one look over a whole block of lines tells, so that the lines themselves need no second one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Survey {
    /// There is a control character that Envoy refuses anywhere in a head.
    pub(super) forbidden: bool,
    /// A CR that no LF follows.
    pub(super) bare_cr: bool,
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
        let window = buf.len().min(limit);
        let mut at = self.scanned;
        while let Some(new) = buf.get(at..window).filter(|new| !new.is_empty()) {
            let (marks, looked) = (Marks::of(new), new.len().min(LANES));
            if let Some(end) = self.take(buf, at, marks, lead) {
                self.survey(marks.first(end - at), end - at);
                self.scanned = end;
                return Ok(Some(end));
            }
            self.survey(marks, looked);
            at += looked;
        }
        self.scanned = at;
        if buf.len() > limit {
            return Err(CodecError::HEADERS_TOO_LARGE);
        }
        Ok(None)
    }

    /// Notes the lines that end among the bytes at `at`; the end of the block if it is there.
    #[inline]
    fn take(&mut self, buf: &[u8], at: usize, marks: Marks, lead: usize) -> Option<usize> {
        let mut line_feeds = marks.line_feeds;
        while line_feeds != 0 {
            let start = self.start_of_next();
            let end = at + line_feeds.trailing_zeros() as usize + 1;
            line_feeds &= line_feeds - 1;
            self.ends.push(end as u32);
            let empty = end - start == 1 || (end - start == 2 && buf.get(start) == Some(&b'\r'));
            if empty && self.ends.len() > lead {
                return Some(end);
            }
        }
        None
    }

    /// A CR that is the last of the bytes looked at is judged by those that follow.
    #[inline]
    fn survey(&mut self, marks: Marks, looked: usize) {
        let last = 1 << (looked - 1);
        let bare = marks.returns & !(marks.line_feeds >> 1 | last) != 0;
        let bare_before = self.after_return & (marks.line_feeds & 1 == 0);
        self.after_return = marks.returns & last != 0;
        self.survey.bare_cr |= bare | bare_before;
        self.survey.forbidden |= marks.forbidden != 0;
    }

    /// What was seen in the block that [`scan`](Self::scan) found the end of.
    pub(super) fn found(&self) -> Survey {
        self.survey
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
        self.survey = Survey::default();
        self.after_return = false;
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

    #[test]
    fn controls_and_bare_returns_are_found_wherever_they_stand() {
        for byte in 0..=255u8 {
            for at in 0..40 {
                let mut block = vec![b'a'; 40];
                block[at] = byte;
                block.extend_from_slice(b"\r\n\r\n\0\r");
                if byte == b'\n' && (at == 0 || at == 39) {
                    continue;
                }
                for step in [1, 3, 16, 46] {
                    let mut lines = LineScanner::default();
                    let arrived = (1..=block.len()).filter(|n| n % step == 0 || *n == block.len());
                    let end = arrived.map(|n| &block[..n]);
                    let end = end.map(|part| lines.scan(part, 1, 1000).unwrap());
                    assert_eq!(end.flatten().next(), Some(44), "{byte} at {at}");
                    let forbidden = byte.is_ascii_control() && !b"\t\r\n".contains(&byte);
                    let bare_cr = byte == b'\r';
                    let found = Survey { forbidden, bare_cr };
                    assert_eq!(lines.found(), found, "{byte} at {at} by {step}");
                }
            }
        }
    }
}
