//! Header and trailer lines from the wire into the header map, with balsa's leniencies: folded lines, bare CR, bare LF.

use super::UnderscoreAction;
use super::chars::{Survey, is_blank, token_length, trim};
use crate::codec::CodecError;
use outrigger_core::{HeaderId, HeaderMap};
use std::ops::Range;

const INVALID_LINE: CodecError = CodecError::malformed("invalid header line");

/// What the configuration allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldRules {
    /// Lines in the map; lines merged into one count once, as in Envoy.
    pub(super) max_count: usize,
    pub(super) underscores: UnderscoreAction,
}

/// What a block of header lines was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    /// Lines left out for the underscore in their name.
    pub(super) dropped: u32,
    /// What Envoy counts as header bytes of a received message: names, values, colons and line ends, without blanks.
    pub(super) bytes: usize,
}

/// Appends the lines of `block` that end at `ends`, from offset `start` on, up to the empty line.
///
/// Of several things wrong Envoy names control
/// characters first, then syntax, then what the configuration forbids.
pub(super) fn read_fields(
    block: &[u8],
    mut start: usize,
    ends: &[u32],
    rules: FieldRules,
    headers: &mut HeaderMap,
) -> Result<Fields, CodecError> {
    let before = headers.len();
    let Survey { forbidden, bare_cr } = Survey::of(block);
    if forbidden {
        return Err(CodecError::INVALID_CHARACTERS);
    }
    let mut found = Fields::default();
    // The map merges repeats, and an empty one would vanish in that.
    let mut content_lengths = 0;
    let mut refused = None;
    // The bytes are copied once, and most lines stay where they are among them.
    let fields = block.get(start..).unwrap_or_default();
    let base = headers.adopt(fields);
    let in_map = |at: usize| base + at;
    let first = start;
    start = 0;
    let mut ends = ends.iter().map(|&e| e as usize - first);
    while let Some(mut end) = ends.next() {
        let content = content_end(fields, start, end);
        if content == start {
            break;
        }
        let colon = start + token_length(fields.get(start..content).unwrap_or_default());
        if colon == start || colon == content || fields.get(colon) != Some(&b':') {
            return Err(INVALID_LINE);
        }
        let mut folded = false;
        while fields.get(end).copied().is_some_and(is_blank) {
            match ends.next() {
                Some(next) => (end, folded) = (next, true),
                None => return Err(INVALID_LINE),
            }
        }
        let name = start..colon;
        let value = colon + 1..content_end(fields, colon + 1, end);
        start = end;
        headers.remember(part(fields, &name));
        found.bytes += name.len() + trimmed(fields, value.clone()).len() + b":\r\n".len();
        if rules.underscores != UnderscoreAction::Allow && part(fields, &name).contains(&b'_') {
            if rules.underscores == UnderscoreAction::DropHeader {
                found.dropped += 1;
                continue;
            }
            refused = refused.or(Some(CodecError::UNDERSCORE));
        }
        let id = if folded || bare_cr {
            let name = part(fields, &name);
            headers.append_raw(name, trim(&unfold(name, part(fields, &value))?))
        } else {
            let value = trimmed(fields, value);
            headers.append_adopted(
                in_map(name.start)..in_map(name.end),
                in_map(value.start)..in_map(value.end),
            )
        };
        if id == HeaderId::ContentLength {
            content_lengths += 1;
        }
        if headers.len() - before > rules.max_count {
            refused = refused.or(Some(CodecError::TOO_MANY_HEADERS));
        }
    }
    if content_lengths > 1 {
        return Err(CodecError::malformed("multiple content-length lines"));
    }
    refused.map_or(Ok(found), Err)
}

fn part<'a>(fields: &'a [u8], range: &Range<usize>) -> &'a [u8] {
    fields.get(range.clone()).unwrap_or_default()
}

/// Where a line that ends at `end` has its line end: an LF, and a CR before it.
#[inline]
fn content_end(fields: &[u8], start: usize, end: usize) -> usize {
    let lf = end.saturating_sub(1).max(start);
    if lf > start && fields.get(lf - 1) == Some(&b'\r') {
        lf - 1
    } else {
        lf
    }
}

/// A range without the blanks at both its ends.
#[inline]
fn trimmed(fields: &[u8], mut range: Range<usize>) -> Range<usize> {
    let blank = |at: usize| fields.get(at).copied().is_some_and(is_blank);
    while !range.is_empty() && blank(range.start) {
        range.start += 1;
    }
    while !range.is_empty() && blank(range.end - 1) {
        range.end -= 1;
    }
    range
}

/// Envoy drops every CR and LF inside a value; the blanks of a folded line stay. A bare CR inside a header that says
/// where the body ends is refused: balsa itself reads such a header one way and forwards it in another.
fn unfold(name: &[u8], value: &[u8]) -> Result<Vec<u8>, CodecError> {
    if name.eq_ignore_ascii_case(b"transfer-encoding")
        || name.eq_ignore_ascii_case(b"content-length")
    {
        let inner = value.trim_ascii();
        let bare = |(at, &b): (usize, &u8)| b == b'\r' && inner.get(at + 1) != Some(&b'\n');
        if inner.iter().enumerate().any(bare) {
            return Err(INVALID_LINE);
        }
    }
    Ok(value
        .iter()
        .copied()
        .filter(|b| !matches!(b, b'\r' | b'\n'))
        .collect())
}
