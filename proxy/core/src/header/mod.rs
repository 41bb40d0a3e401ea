//! Envoy's header map: lower-case names, arrival order kept, pseudo headers in front, one arena for all bytes.
//!
//! A head is read into one `Vec<u8>`; entries are offsets into it, so a request costs no allocation per header and the
//! arena is reused from request to request. Values are bytes: Envoy passes bytes above 0x7f and tabs through unchanged.

mod adopt;
mod id;
mod line;
mod name;
mod original;
mod set;

pub use id::HeaderId;
pub use line::Line;
pub use name::HeaderName;
pub use original::OriginalNames;
pub use set::HeaderSet;

use std::ops::Range;

/// One header line: where its name and value stand in the arena. A well-known name stands there only if it came so.
#[derive(Clone, Copy, Debug)]
struct Entry {
    id: HeaderId,
    /// `name: value` and CRLF stand in the arena as they are to be written.
    verbatim: bool,
    name: Span,
    value: Span,
}

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    len: u32,
}

impl Span {
    fn new(start: usize, len: usize) -> Self {
        Self {
            start: start as u32,
            len: len as u32,
        }
    }

    fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }

    fn of(self, arena: &[u8]) -> &[u8] {
        arena.get(self.range()).unwrap_or_default()
    }
}

/// Headers or trailers of one message, pseudo headers (`:method`, `:status`, …) included.
#[derive(Clone, Debug, Default)]
pub struct HeaderMap {
    arena: Vec<u8>,
    entries: Vec<Entry>,
    /// Every well-known name that was ever added: a look-up for one that never was ends here.
    seen: HeaderSet,
    /// How the names were spelt, where a codec keeps that.
    original: Option<Box<OriginalNames>>,
}

impl HeaderMap {
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty map with room for `headers` lines of `bytes` bytes in all.
    pub fn with_capacity(headers: usize, bytes: usize) -> Self {
        Self {
            arena: Vec::with_capacity(bytes),
            entries: Vec::with_capacity(headers),
            seen: HeaderSet::EMPTY,
            original: None,
        }
    }

    /// From here on the spelling of names is kept, until the map is cleared.
    pub fn keep_original_names(&mut self, proper_case_others: bool) {
        self.original = Some(Box::new(OriginalNames::new(proper_case_others)));
    }

    /// Keeps the spelling of a name if this map does that.
    #[inline]
    pub fn remember(&mut self, name: &[u8]) {
        if let Some(original) = &mut self.original {
            original.remember(name);
        }
    }

    /// How the names were spelt, if that was kept.
    pub fn original_names(&self) -> Option<&OriginalNames> {
        self.original.as_deref()
    }

    /// Keeps the reason phrase of a response for whoever writes it again.
    pub fn set_reason(&mut self, reason: &[u8]) {
        if let Some(original) = &mut self.original {
            original.reason = reason.to_vec();
        }
    }

    /// Forgets every header and keeps the memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.entries.clear();
        self.seen = HeaderSet::EMPTY;
        self.original = None;
    }

    /// Number of lines, pseudo headers included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all names and values, as Envoy's `HeaderMap::byteSize` counts them.
    pub fn byte_size(&self) -> usize {
        self.entries
            .iter()
            .map(|e| self.name_of(e).len() + e.value.len as usize)
            .sum()
    }

    /// The first value under a well-known name.
    #[inline]
    pub fn get(&self, id: HeaderId) -> Option<&[u8]> {
        if !self.seen.has(id) {
            return None;
        }
        self.entries
            .iter()
            .find(|e| e.id == id)
            .map(|e| e.value.of(&self.arena))
    }

    /// The first value under a well-known name if it is UTF-8.
    pub fn get_str(&self, id: HeaderId) -> Option<&str> {
        self.get(id).and_then(|v| std::str::from_utf8(v).ok())
    }

    #[inline]
    pub fn contains(&self, id: HeaderId) -> bool {
        self.seen.has(id) && self.entries.iter().any(|e| e.id == id)
    }

    /// The first value under any name.
    pub fn get_name(&self, name: &HeaderName) -> Option<&[u8]> {
        if name.id() != HeaderId::Custom {
            return self.get(name.id());
        }
        self.entries
            .iter()
            .find(|e| self.is(e, name))
            .map(|e| e.value.of(&self.arena))
    }

    pub fn contains_name(&self, name: &HeaderName) -> bool {
        self.seen.has(name.id()) && self.entries.iter().any(|e| self.is(e, name))
    }

    /// All values under a name, in order of arrival.
    pub fn get_all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.entries
            .iter()
            .filter(move |e| self.is(e, name))
            .map(|e| e.value.of(&self.arena))
    }

    /// All lines in order: (name, value). Pseudo headers come first.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries
            .iter()
            .map(|e| (self.name_of(e), e.value.of(&self.arena)))
    }

    /// All lines in order with the identity of well-known names, for codecs.
    pub fn iter_ids(&self) -> impl Iterator<Item = (HeaderId, &[u8], &[u8])> {
        self.entries
            .iter()
            .map(|e| (e.id, self.name_of(e), e.value.of(&self.arena)))
    }

    /// All lines in order, with where they stand as an HTTP/1 line, for that codec.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.entries.iter().map(|entry| Line { map: self, entry })
    }

    /// Adopted bytes: lines whose ranges touch are written as one.
    #[inline]
    pub fn wire(&self, range: Range<usize>) -> &[u8] {
        self.arena.get(range).unwrap_or_default()
    }

    /// Adds a line under a well-known name; a name that Envoy holds inline is merged into one line with `,`.
    pub fn append(&mut self, id: HeaderId, value: &[u8]) {
        if id.is_inline() && self.contains(id) {
            let value = self.store(value);
            self.merge(id, value.range());
        } else {
            let entry = self.store_entry(id, value);
            self.place(entry);
        }
    }

    /// Adds a line under any name, with the same rule as [`append`](Self::append).
    pub fn append_name(&mut self, name: &HeaderName, value: &[u8]) {
        match name.id() {
            HeaderId::Custom => {
                let entry = self.store_line(HeaderId::Custom, name.as_bytes(), value);
                self.place(entry);
            }
            id => self.append(id, value),
        }
    }

    /// Adds a line as it came from the wire: the name is lower-cased while it is copied. Tells which name it was.
    pub fn append_raw(&mut self, name: &[u8], value: &[u8]) -> HeaderId {
        let start = self.arena.len();
        self.arena.extend_from_slice(name);
        let lower = self.arena.get_mut(start..).unwrap_or_default();
        lower.make_ascii_lowercase();
        let id = HeaderId::lookup(lower);
        if id == HeaderId::Custom {
            let entry = self.end_line(id, start, value);
            self.place(entry);
        } else {
            self.arena.truncate(start);
            self.append(id, value);
        }
        id
    }

    /// Overwrites in place, or appends: Envoy's `setReferenceKey`. Further lines of that name are dropped.
    pub fn set(&mut self, id: HeaderId, value: &[u8]) {
        let entry = self.store_entry(id, value);
        let known = self.seen.has(id);
        let place = |entries: &[Entry]| entries.iter().position(|e| e.id == id);
        match known.then(|| place(&self.entries)).flatten() {
            Some(at) => {
                if let Some(e) = self.entries.get_mut(at) {
                    *e = entry;
                }
                // What is inline is there once.
                if id.is_inline() {
                    return;
                }
                let mut index = 0;
                self.entries.retain(|e| {
                    index += 1;
                    index - 1 <= at || e.id != id
                });
            }
            None => self.place(entry),
        }
    }

    /// [`set`](Self::set) under any name.
    pub fn set_name(&mut self, name: &HeaderName, value: &[u8]) {
        if name.id() != HeaderId::Custom {
            return self.set(name.id(), value);
        }
        let Some(at) = self.entries.iter().position(|e| self.is(e, name)) else {
            return self.append_name(name, value);
        };
        let entry = self.store_line(HeaderId::Custom, name.as_bytes(), value);
        let arena = &self.arena;
        let mut index = 0;
        self.entries.retain_mut(|e| {
            if index == at {
                *e = entry;
            }
            index += 1;
            index - 1 <= at || e.id != HeaderId::Custom || e.name.of(arena) != name.as_bytes()
        });
    }

    /// Removes every line of a well-known name; true if there was one.
    #[inline]
    pub fn remove(&mut self, id: HeaderId) -> bool {
        let found = self.contains(id);
        if found {
            self.entries.retain(|e| e.id != id);
        }
        found
    }

    /// Removes every line of any name; true if there was one.
    pub fn remove_name(&mut self, name: &HeaderName) -> bool {
        if name.id() != HeaderId::Custom {
            return self.remove(name.id());
        }
        let before = self.entries.len();
        let arena = &self.arena;
        self.entries
            .retain(|e| e.id != HeaderId::Custom || e.name.of(arena) != name.as_bytes());
        self.entries.len() != before
    }

    /// One of these names is there.
    #[inline]
    pub fn contains_any(&self, names: HeaderSet) -> bool {
        self.seen.intersects(names) && self.entries.iter().any(|e| names.has(e.id))
    }

    /// Removes every line of these names.
    #[inline]
    pub fn remove_all(&mut self, names: HeaderSet) {
        if self.seen.intersects(names) {
            self.entries.retain(|e| !names.has(e.id));
            self.seen.subtract(names);
        }
    }

    /// Keeps the lines for which `keep(id, name, value)` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(HeaderId, &[u8], &[u8]) -> bool) {
        let arena = &self.arena;
        self.entries.retain(|e| {
            let name = if e.id == HeaderId::Custom {
                e.name.of(arena)
            } else {
                e.id.name().as_bytes()
            };
            keep(e.id, name, e.value.of(arena))
        });
    }

    fn is(&self, e: &Entry, name: &HeaderName) -> bool {
        e.id == name.id() && (e.id != HeaderId::Custom || e.name.of(&self.arena) == name.as_bytes())
    }

    #[inline]
    fn name_of(&self, e: &Entry) -> &[u8] {
        match e.id {
            HeaderId::Custom => e.name.of(&self.arena),
            id => id.name().as_bytes(),
        }
    }

    /// An entry under a well-known name, whose bytes are in the arena.
    #[inline]
    fn store_entry(&mut self, id: HeaderId, value: &[u8]) -> Entry {
        if id.is_pseudo() {
            return Entry {
                id,
                verbatim: false,
                name: Span::default(),
                value: self.store(value),
            };
        }
        self.store_line(id, id.name().as_bytes(), value)
    }

    /// Pseudo headers stand in front of all others, `host` (which is `:authority`) among them: so Envoy writes it first.
    #[inline]
    fn place(&mut self, entry: Entry) {
        self.seen.add(entry.id);
        if entry.id.is_pseudo() {
            let at = self.entries.iter().take_while(|e| e.id.is_pseudo()).count();
            self.entries.insert(at, entry);
        } else {
            self.entries.push(entry);
        }
    }

    #[inline]
    fn store(&mut self, bytes: &[u8]) -> Span {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        Span::new(start, bytes.len())
    }

    /// Envoy joins a repeated inline header with a comma and no space. `value` stands in the arena.
    fn merge(&mut self, id: HeaderId, value: Range<usize>) {
        let Some(entry) = self.entries.iter_mut().find(|e| e.id == id) else {
            return;
        };
        let start = self.arena.len();
        self.arena.extend_from_within(entry.value.range());
        if entry.value.len > 0 {
            self.arena.push(b',');
        }
        self.arena.extend_from_within(value);
        entry.value = Span::new(start, self.arena.len() - start);
        entry.verbatim = false;
    }
}

impl PartialEq for HeaderMap {
    /// Equal when the same lines stand in the same order.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests;
