//! Header and trailer lines from the wire into the header map, with balsa's leniencies: folded lines, bare CR, bare LF.

use super::UnderscoreAction;
use super::chars::{is_blank, token_length, trim, trim_end, trim_start};
use super::scan::LineScanner;
use crate::codec::CodecError;
use outrigger_core::{HeaderId, HeaderMap};

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
    /// Lines called `host`, which the map merges.
    pub(super) hosts: u32,
    /// What Envoy counts as header bytes of a received message: names, values, colons and line ends, without blanks.
    pub(super) bytes: usize,
}

impl Fields {
    /// The header bytes of the message. A block without any line is an empty line to Envoy's count.
    pub(super) fn counted_bytes(&self) -> usize {
        self.bytes.max(b":\r\n".len())
    }
}

/// Appends the lines that the scanner found in `block` from its line `first` on, up to the empty line.
///
/// Of several things wrong Envoy names control
/// characters first, then syntax, then what the configuration forbids.
pub(super) fn read_fields(
    block: &[u8],
    lines: &LineScanner,
    first: usize,
    rules: FieldRules,
    headers: &mut HeaderMap,
) -> Result<Fields, CodecError> {
    let before = headers.len();
    if lines.found().forbidden {
        return Err(CodecError::INVALID_CHARACTERS);
    }
    let (skipped, ends) = lines.ends().split_at_checked(first).unwrap_or_default();
    let first = skipped.last().map_or(0, |&end| end as usize);
    let mut found = Fields::default();
    // The map merges repeats, and an empty one would vanish in that.
    let mut content_lengths = 0;
    let mut refused = None;
    // The bytes are copied once, and most lines stay where they are among them.
    let fields = block.get(first..).unwrap_or_default();
    let base = headers.adopt(fields);
    let mut start = 0;
    let mut ends = ends.iter().map(|&end| end as usize - first);
    while let Some(mut end) = ends.next() {
        let mut line = without_line_end(part(fields, start, end));
        if line.is_empty() {
            break;
        }
        // Most names are plain and most lines end where they end: what follows decides what must be looked at again.
        let mut length = headers.lower_plain_name(base + start);
        let plain = line.get(length) == Some(&b':');
        if !plain {
            length = token_length(line);
        }
        if length == 0 || line.get(length) != Some(&b':') {
            return Err(INVALID_LINE);
        }
        let mut folded = false;
        while fields.get(end).copied().is_some_and(is_blank) {
            match ends.next() {
                Some(next) => (end, folded) = (next, true),
                None => return Err(INVALID_LINE),
            }
        }
        if folded {
            line = without_line_end(part(fields, start, end));
        }
        let (name, after_colon) = line.split_at_checked(length).unwrap_or_default();
        let after_colon = after_colon.get(1..).unwrap_or_default();
        let value_and_rest = trim_start(after_colon);
        let value = trim_end(value_and_rest);
        let (name_start, value_start) = (start, start + line.len() - value_and_rest.len());
        start = end;
        headers.remember(name);
        found.bytes += length + value.len() + b":\r\n".len();
        if !plain && rules.underscores != UnderscoreAction::Allow && name.contains(&b'_') {
            if rules.underscores == UnderscoreAction::DropHeader {
                found.dropped += 1;
                continue;
            }
            refused = refused.or(Some(CodecError::UNDERSCORE));
        }
        let id = if folded || !plain || lines.found().bare_cr {
            headers.append_raw(name, trim(&unfold(name, after_colon)?))
        } else {
            headers.append_adopted(base + name_start, length, base + value_start, value.len())
        };
        match id {
            HeaderId::ContentLength => content_lengths += 1,
            HeaderId::Authority => found.hosts += 1,
            _ => {}
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

#[inline]
fn part(fields: &[u8], start: usize, end: usize) -> &[u8] {
    fields.get(start..end).unwrap_or_default()
}

/// A line without its LF and the CR before it.
#[inline]
fn without_line_end(line: &[u8]) -> &[u8] {
    match line {
        [content @ .., b'\r', b'\n'] | [content @ .., b'\n'] => content,
        other => other,
    }
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
