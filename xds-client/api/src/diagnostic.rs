//! What is wrong with a configuration, and where.

use std::fmt;

/// One finding about one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The field, from the root message: `static_resources.listeners[0].filter_chains[0].name`. Map entries are
    /// `field["key"]`; what an Any holds continues the path of the Any. Empty for the root itself.
    pub path: String,
    /// The reason, in Envoy's words where Envoy has some.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

impl std::error::Error for Diagnostic {}

/// Everything found while a message was read or resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What makes the message unusable.
    pub errors: Vec<Diagnostic>,
    /// Fields and enum values that the descriptors do not have; they were left out. Envoy rejects them unless told to
    /// tolerate them (`--allow-unknown-static-fields`; dynamic resources tolerate them by default).
    pub unknown: Vec<Diagnostic>,
}

impl Findings {
    /// Adds `other` behind what is here.
    pub fn append(&mut self, mut other: Self) {
        self.errors.append(&mut other.errors);
        self.unknown.append(&mut other.unknown);
    }
}

/// Where a walk over a message is. Going down returns a mark to come back to.
#[derive(Debug, Default)]
pub(crate) struct Path(String);

/// A place on a [`Path`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(usize);

impl Path {
    pub(crate) fn field(&mut self, name: &str) -> Mark {
        let mark = Mark(self.0.len());
        if !self.0.is_empty() {
            self.0.push('.');
        }
        self.0.push_str(name);
        mark
    }

    pub(crate) fn index(&mut self, index: usize) -> Mark {
        let mark = Mark(self.0.len());
        self.0.push_str(&format!("[{index}]"));
        mark
    }

    pub(crate) fn key(&mut self, key: &str) -> Mark {
        let mark = Mark(self.0.len());
        self.0.push_str(&format!("[{key:?}]"));
        mark
    }

    pub(crate) fn back(&mut self, mark: Mark) {
        self.0.truncate(mark.0);
    }

    pub(crate) fn diagnose(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            path: self.0.clone(),
            message: message.into(),
        }
    }
}
