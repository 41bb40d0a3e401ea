//! A header line as the HTTP/1 codec reads it from the map.

use super::{Entry, HeaderId, HeaderMap};
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

    /// Where [`HeaderMap::wire`] has `name: value` and CRLF, name in lower case and free of other line ends: nobody has
    /// changed the value since it was adopted, and the sender put one space before it and CRLF after it.
    #[inline]
    pub fn wire(&self) -> Option<Range<usize>> {
        let (name, value) = (self.entry.name, self.entry.value);
        let colon = name.start + name.len;
        if name.len == 0 || colon + 2 != value.start {
            return None;
        }
        let (colon, end) = (colon as usize, (value.start + value.len) as usize);
        let separator = self.map.arena.get(colon..colon + 2)? == b": ";
        let line_end = self.map.arena.get(end..end + 2)? == b"\r\n";
        (separator & line_end).then_some(name.start as usize..end + 2)
    }
}
