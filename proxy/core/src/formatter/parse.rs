//! Splits a format string into literal text and commands, with Envoy's grammar and its error messages.

use super::{Commands, Piece, literal::Literal};
use crate::ConfigError;
use regex::Regex;
use std::sync::OnceLock;

/// One command as it is written: `%NAME(argument):max_len%`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Command<'a> {
    pub name: &'a str,
    /// Empty if there is none: Envoy does not tell `%X%` from `%X()%`.
    pub argument: &'a str,
    /// Longest text in bytes.
    pub max_len: Option<usize>,
}

/// Envoy's own expression: the shortest argument that is followed by `)`, a length perhaps, and `%`. An argument is on
/// one line, but for `START_TIME` formats may hold any other character, `%` and `)` among them.
fn grammar() -> Option<&'static Regex> {
    static GRAMMAR: OnceLock<Option<Regex>> = OnceLock::new();
    GRAMMAR
        .get_or_init(|| Regex::new(r"^%([A-Z0-9_]+)(?:\((.*?)\))?(?::([0-9]+))?%").ok())
        .as_ref()
}

/// The parts of a format string, neighbouring literals joined.
pub(super) fn pieces(text: &str, commands: &Commands) -> Result<Vec<Piece>, ConfigError> {
    let mut pieces = Vec::new();
    let mut literal = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let (before, from_percent) = rest.split_at(at);
        literal.extend_from_slice(before.as_bytes());
        if let Some(after) = from_percent.strip_prefix("%%") {
            literal.push(b'%');
            rest = after;
            continue;
        }
        let (command, after) = command(from_percent).ok_or_else(|| {
            let position = text.len() - from_percent.len();
            ConfigError::new(format!(
                "Incorrect configuration: {text}. Couldn't find valid command at position {position}"
            ))
        })?;
        if !literal.is_empty() {
            pieces.push(Piece::Literal(Literal::new(&literal)));
            literal.clear();
        }
        pieces.push(Piece::Operator(commands.compile(&command)?));
        rest = after;
    }
    literal.extend_from_slice(rest.as_bytes());
    if !literal.is_empty() {
        pieces.push(Piece::Literal(Literal::new(&literal)));
    }
    Ok(pieces)
}

/// The command that the text starts with, and what follows it.
fn command(text: &str) -> Option<(Command<'_>, &str)> {
    let captures = grammar()?.captures(text)?;
    let whole = captures.get(0)?;
    let max_len = match captures.get(3) {
        Some(digits) => Some(digits.as_str().parse().ok()?),
        None => None,
    };
    let command = Command {
        name: captures.get(1)?.as_str(),
        argument: captures.get(2).map_or("", |m| m.as_str()),
        max_len,
    };
    Some((command, text.get(whole.end()..)?))
}
