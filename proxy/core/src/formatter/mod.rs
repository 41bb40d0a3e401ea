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
        Ok(Self {
            pieces: parse::pieces(text, commands)?.into(),
            omit_empty,
        })
    }

    /// Appends the text for one stream.
    pub fn render(&self, cx: &FormatContext<'_>, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => text.put(out),
                Piece::Operator(operator) => {
                    let start = out.len();
                    if operator.text(cx, out).is_none() && !self.omit_empty {
                        out.push(b'-');
                    }
                    if cx.log_type != AccessLogType::NotSet {
                        escape_controls(out, start);
                    }
                }
            }
        }
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

/// Spells out the control bytes from `start` on. A tab stays: headers may hold it, and it ends no line.
fn escape_controls(out: &mut Vec<u8>, start: usize) {
    let ends_lines = |b: &u8| b.is_ascii_control() && *b != b'\t';
    if !out.get(start..).unwrap_or_default().iter().any(ends_lines) {
        return;
    }
    for byte in out.split_off(start) {
        if ends_lines(&byte) {
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
