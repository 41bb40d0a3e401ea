//! The fate of every config field: used, ignored and reported, or rejected with its path.
//!
//! Each crate declares a table of the messages that it compiles; a message or field in no table is rejected, so nothing
//! that we do not honour is ever accepted in silence. `docs/fields.md` is made from the same tables.

pub mod common;
mod tables;

pub use tables::{Report, Tables, Verdict};

/// What becomes of one field when a user sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The proxy does what Envoy does.
    Used,
    /// Accepted without effect, reported once and counted; the text says why that is safe.
    Ignored(&'static str),
    /// The resource is refused; the text says what to do instead.
    Rejected(&'static str),
}

/// The fields of one protobuf message.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Full name, such as `envoy.config.listener.v3.Listener`.
    pub name: &'static str,
    /// Field names (snake case) with their fate; a field that is missing here is rejected.
    pub fields: &'static [(&'static str, Fate)],
}

impl Message {
    /// The fate of a field of this message; one that the table does not name is rejected.
    pub fn fate(&self, field: &str) -> Fate {
        let listed = self.fields.iter().find(|(name, _)| *name == field);
        listed.map_or(Fate::Rejected(UNLISTED), |(_, fate)| *fate)
    }
}

/// Why a field is rejected that its table does not name.
pub const UNLISTED: &str = "this version does not know what it does";

/// Shorthand for tables.
pub const USED: Fate = Fate::Used;
