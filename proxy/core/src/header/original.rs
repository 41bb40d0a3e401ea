//! How the header names of one message were spelt (Envoy's `preserve_case` formatter). Kept only where a codec is told
//! to: every other map has none and pays nothing.

use super::Span;

/// The spellings of one message's header names, each as it was first seen.
#[derive(Clone, Debug, Default)]
pub struct OriginalNames {
    bytes: Vec<u8>,
    /// Sorted without regard to case.
    names: Vec<Span>,
    /// Names that the message did not have are written in proper case.
    pub proper_case_others: bool,
    /// The reason phrase of a response, where it is to be forwarded; empty if there is none.
    pub reason: Vec<u8>,
}

impl OriginalNames {
    pub(super) fn new(proper_case_others: bool) -> Self {
        Self {
            proper_case_others,
            ..Self::default()
        }
    }

    /// Keeps a name as it was spelt, unless it was seen before.
    pub(super) fn remember(&mut self, name: &[u8]) {
        if let Err(at) = self.find(name) {
            let span = Span::new(self.bytes.len(), name.len());
            self.bytes.extend_from_slice(name);
            self.names.insert(at, span);
        }
    }

    /// The spelling of a name in any case.
    pub fn spelling(&self, name: &[u8]) -> Option<&[u8]> {
        let at = self.find(name).ok()?;
        self.names.get(at).map(|span| span.of(&self.bytes))
    }

    fn find(&self, name: &[u8]) -> Result<usize, usize> {
        self.names.binary_search_by(|span| {
            let known = span.of(&self.bytes).iter().map(u8::to_ascii_lowercase);
            known.cmp(name.iter().map(u8::to_ascii_lowercase))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_spelling_stays() {
        let mut names = OriginalNames::new(false);
        for name in ["X-FooBar", "Accept", "x-foobar", "zULU", "Content-Length"] {
            names.remember(name.as_bytes());
        }
        for (name, spelling) in [
            ("x-foobar", Some("X-FooBar")),
            ("accept", Some("Accept")),
            ("zulu", Some("zULU")),
            ("content-length", Some("Content-Length")),
            ("content", None),
        ] {
            assert_eq!(
                names.spelling(name.as_bytes()),
                spelling.map(str::as_bytes),
                "{name}"
            );
        }
    }
}
