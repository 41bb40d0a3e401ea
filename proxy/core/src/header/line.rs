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
        let end = self.entry.value.start + self.entry.value.len;
        let whole = self.entry.name.start as usize..end as usize + b"\r\n".len();
        self.entry.verbatim.then_some(whole)
    }
}
