//! Protobuf's JSON as Envoy's library reads and prints it.

mod any;
mod parse;
mod read;
mod scalar;
#[cfg(test)]
mod tests;
mod well_known;
mod write;

pub use parse::{SyntaxError, parse};
pub use read::read;
pub use write::{print, write};

/// How deep objects and arrays may nest, the outermost included (protobuf's limit).
pub const MAX_DEPTH: usize = 100;

/// A JSON document before it has a type.
///
/// Unlike [`serde_json::Value`] it keeps repeated keys (which merge in messages but are wrong in maps) and the text of
/// numbers (a quoted and a bare number follow the same rules).
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as written.
    Number(String),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object, in the order of the document.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// How the value begins, which is what protobuf's parser names when it expected something else.
    fn first_char(&self) -> char {
        match self {
            Self::Null => 'n',
            Self::Bool(true) => 't',
            Self::Bool(false) => 'f',
            Self::Number(text) => text.chars().next().unwrap_or('0'),
            Self::String(_) => '"',
            Self::Array(_) => '[',
            Self::Object(_) => '{',
        }
    }

    fn unexpected(&self, expected: char) -> String {
        format!(
            "unexpected character: '{}'; expected '{expected}'",
            self.first_char()
        )
    }
}

impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(b) => Self::Bool(b),
            serde_json::Value::Number(n) => Self::Number(n.to_string()),
            serde_json::Value::String(s) => Self::String(s),
            serde_json::Value::Array(items) => {
                Self::Array(items.into_iter().map(Self::from).collect())
            }
            serde_json::Value::Object(entries) => Self::Object(
                entries
                    .into_iter()
                    .map(|(key, value)| (key, Self::from(value)))
                    .collect(),
            ),
        }
    }
}
