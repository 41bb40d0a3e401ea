//! Envoy's substitution format strings (`%START_TIME% %REQ(:PATH)% …`), compiled once and rendered per request.
//!
//! Everything that can be wrong with a format is found when it is compiled; rendering cannot fail, and allocates nothing
//! for the common operators. Text is written as it is: Envoy does not escape it, so neither do we, but for control bytes in a
//! log, with which a client could write lines of its own.

mod address;
mod coalesce;
mod command;
mod durations;
mod field;
pub(crate) mod grpc;
mod header;
mod json;
mod json_text;
mod literal;
mod operator;
mod parse;
mod source;
mod time;
mod tls;
mod value;

pub use command::Commands;
pub use json::JsonFormatter;
pub use source::SubstitutionFormat;

use crate::{ConfigError, HeaderMap, StreamInfo};
use envoy_api::pb::envoy::data::accesslog::v3::AccessLogType;
use literal::Literal;
use operator::Operator;

/// What a format may read: the stream and its messages, as far as they exist when it is rendered.
#[derive(Clone, Copy, Debug)]
pub struct FormatContext<'a> {
    pub request: Option<&'a HeaderMap>,
    pub response: Option<&'a HeaderMap>,
    pub trailers: Option<&'a HeaderMap>,
    pub info: &'a StreamInfo,
    /// `%LOCAL_REPLY_BODY%`; empty unless a local reply is being made.
    pub local_reply_body: &'a [u8],
    /// `%ACCESS_LOG_TYPE%`, `NotSet` outside of access logs.
    pub log_type: AccessLogType,
}

impl<'a> FormatContext<'a> {
    /// A context with nothing but the stream.
    pub fn new(info: &'a StreamInfo) -> Self {
        Self {
            request: None,
            response: None,
            trailers: None,
            info,
            local_reply_body: b"",
            log_type: AccessLogType::NotSet,
        }
    }
}

/// One part of a format.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Literal(Literal),
    Operator(Operator),
}

/// A compiled text format.
#[derive(Clone, Debug)]
pub struct Formatter {
    pieces: Box<[Piece]>,
    /// A missing value prints nothing instead of `-`.
    omit_empty: bool,
    /// Control bytes of the format itself.
    controls: usize,
}

impl Formatter {
    /// Compiles a log format with the built-in commands: a missing value prints `-`.
    pub fn compile(text: &str) -> Result<Self, ConfigError> {
        Self::compile_with(text, &Commands::default(), false)
    }

    /// Compiles the value of an added header: a missing value prints nothing, and the header whose whole value is empty
    /// is not to be added (unless `keep_empty_value`), as Envoy does.
    pub fn compile_header(text: &str) -> Result<Self, ConfigError> {
        Self::compile_with(text, &Commands::default(), true)
    }

    /// Compiles with the commands of formatter extensions; `omit_empty` is `omit_empty_values`.
    pub fn compile_with(
        text: &str,
        commands: &Commands,
        omit_empty: bool,
    ) -> Result<Self, ConfigError> {
        let pieces = parse::pieces(text, commands)?;
        let literals = pieces.iter().map(|piece| match piece {
            Piece::Literal(text) => controls(text.as_bytes()),
            Piece::Operator(_) => 0,
        });
        Ok(Self {
            controls: literals.sum(),
            pieces: pieces.into(),
            omit_empty,
        })
    }

    /// Appends the text for one stream. In a log no value begins another line: the control bytes of all but the format
    /// itself are spelt out.
    pub fn render(&self, cx: &FormatContext<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        self.put(cx, out, |_, _| {});
        if cx.log_type == AccessLogType::NotSet {
            return;
        }
        // Hardly any value holds one, and to count them all is cheaper than to look at each value.
        let found = controls(out.get(start..).unwrap_or_default());
        if found != self.controls {
            out.truncate(start);
            self.put(cx, out, escape_controls);
        }
    }

    /// Appends all pieces; `finish` gets where the text of an operator begins.
    #[inline]
    fn put(&self, cx: &FormatContext<'_>, out: &mut Vec<u8>, finish: impl Fn(&mut Vec<u8>, usize)) {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => text.put(out),
                Piece::Operator(operator) => {
                    let start = out.len();
                    if operator.text(cx, out).is_none() && !self.omit_empty {
                        out.push(b'-');
                    }
                    finish(out, start);
                }
            }
        }
    }

    /// How many texts and operators it consists of.
    pub fn parts(&self) -> usize {
        self.pieces.len()
    }

    /// The text if it is the same for every stream.
    pub fn literal(&self) -> Option<&[u8]> {
        match &*self.pieces {
            [] => Some(b""),
            [Piece::Literal(text)] => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// True if the text is the same for every stream.
    pub fn is_literal(&self) -> bool {
        self.literal().is_some()
    }
}

/// A control byte that a log line must not get from a value. A tab stays: headers may hold it, and it ends no line.
fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() & (byte != b'\t')
}

/// How many of them there are.
fn controls(text: &[u8]) -> usize {
    // As many bytes as one byte can count, so that many are looked at in one step.
    let counts = text.chunks(128).map(|chunk| {
        let found = chunk.iter().map(|&byte| u8::from(is_control(byte)));
        usize::from(found.fold(0, u8::wrapping_add))
    });
    counts.sum()
}

/// Spells out the control bytes from `start` on.
#[cold]
fn escape_controls(out: &mut Vec<u8>, start: usize) {
    if controls(out.get(start..).unwrap_or_default()) == 0 {
        return;
    }
    for byte in out.split_off(start) {
        if is_control(byte) {
            out.extend(byte.escape_ascii());
        } else {
            out.push(byte);
        }
    }
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
