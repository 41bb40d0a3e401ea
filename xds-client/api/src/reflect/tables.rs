//! The tables as the build script writes them: rows that refer to each other and to their names by index, because
//! a pointer would have to be relocated, and its page copied, in every process that starts.

/// Where something is in another table: first row (or byte) and how many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    at: u32,
    count: u32,
}

const fn s(at: u32, count: u32) -> Span {
    Span { at, count }
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) name: Span,
    /// By number.
    pub(super) fields: Span,
    pub(super) oneofs: Span,
    /// Whether validation leaves the message alone (`validate.disabled`, `validate.ignored`).
    pub(super) unchecked: bool,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: Span,
    pub(super) json_name: Span,
    pub(super) number: u32,
    pub(super) parent: u16,
    pub(super) code: Code,
    /// The row of the message or enum, where the code is one of them.
    pub(super) of: u16,
    pub(super) shape: Shape,
    /// A row of [`ONEOFS`], or none that exists.
    pub(super) oneof: u16,
    pub(super) sensitive: bool,
    /// Bytes of [`RULES`].
    pub(super) rules: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Message,
    Enum,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One value; the default is the same as none.
    Implicit,
    /// One value or none.
    Optional,
    List,
    /// A list written as one run of bytes.
    Packed,
    Map,
}

#[derive(Debug)]
pub(super) struct Oneof {
    pub(super) name: Span,
    pub(super) required: bool,
}

#[derive(Debug)]
pub(super) struct Enum {
    pub(super) name: Span,
    pub(super) values: Span,
    pub(super) default: i32,
}

#[derive(Debug)]
pub(super) struct EnumValue {
    pub(super) name: Span,
    pub(super) number: i32,
}

include!(concat!(env!("OUT_DIR"), "/tables.rs"));

/// Encoded `validate.FieldRules`, one behind the other.
pub(super) static RULES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/rules.bin"));

impl Span {
    pub(super) fn text(self) -> &'static str {
        let (from, to) = self.range();
        TEXT.get(from..to).unwrap_or_default()
    }

    pub(super) fn of<T>(self, table: &'static [T]) -> &'static [T] {
        let (from, to) = self.range();
        table.get(from..to).unwrap_or_default()
    }

    fn range(self) -> (usize, usize) {
        let from = self.at as usize;
        (from, from + self.count as usize)
    }
}
