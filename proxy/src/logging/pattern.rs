//! spdlog's log-line pattern (`--log-format`), compiled once.

use crate::cli::LogLevel;
use std::fmt::Write;

/// One log line before it is laid out.
#[derive(Debug)]
pub struct Line<'a> {
    pub time: jiff::Zoned,
    pub level: LogLevel,
    pub component: &'a str,
    pub message: &'a str,
    pub file: &'a str,
    /// What stands for the function that logs: its module.
    pub module: &'a str,
    pub line: u32,
    pub thread: u32,
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Field { flag: char, pad: Option<Pad> },
}

/// `%8l`, `%-8l`, `%=8l`; with `!` longer values are cut.
#[derive(Debug, Clone, Copy)]
struct Pad {
    side: Side,
    width: usize,
    cut: bool,
}

#[derive(Debug, Clone, Copy)]
enum Side {
    Left,
    Right,
    Both,
}

/// The flags that this proxy knows; spdlog prints any other as it stands.
const FLAGS: &str = "vtPnlLaAbBcCYDxmdHIMSefFEprRTXz@sg#!_j+%^$";

impl Pattern {
    pub fn compile(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            literal.push_str(&rest[..at]);
            let (pad, tail) = padding(&rest[at + 1..]);
            match tail.chars().next() {
                Some('%') => literal.push('%'),
                // The colours of a terminal.
                Some('^' | '$') => {}
                Some(flag) if FLAGS.contains(flag) => {
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Field { flag, pad });
                }
                Some(other) => {
                    literal.push('%');
                    literal.push(other);
                }
                None => {}
            }
            let mut chars = tail.chars();
            chars.next();
            rest = chars.as_str();
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Self { parts }
    }

    /// Appends the line with its line feed.
    pub fn render(&self, line: &Line<'_>, out: &mut String) {
        let mut value = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Field { flag, pad: None } => field(*flag, line, out),
                Part::Field {
                    flag,
                    pad: Some(pad),
                } => {
                    value.clear();
                    field(*flag, line, &mut value);
                    pad.apply(&value, out);
                }
            }
        }
        out.push('\n');
    }
}

/// Reads `[-=]width[!]` in front of a flag.
fn padding(text: &str) -> (Option<Pad>, &str) {
    let (side, rest) = match text.strip_prefix('-') {
        Some(rest) => (Side::Right, rest),
        None => match text.strip_prefix('=') {
            Some(rest) => (Side::Both, rest),
            None => (Side::Left, text),
        },
    };
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = rest.split_at(digits);
    match number.parse::<usize>() {
        // spdlog's limit.
        Ok(width) => {
            let (cut, rest) = match rest.strip_prefix('!') {
                Some(rest) => (true, rest),
                None => (false, rest),
            };
            let width = width.min(64);
            (Some(Pad { side, width, cut }), rest)
        }
        Err(_) => (None, text),
    }
}

impl Pad {
    fn apply(self, value: &str, out: &mut String) {
        let length = value.chars().count();
        let missing = self.width.saturating_sub(length);
        let before = match self.side {
            Side::Left => missing,
            Side::Right => 0,
            Side::Both => missing / 2,
        };
        out.extend(std::iter::repeat_n(' ', before));
        let shown = if self.cut { self.width } else { length };
        out.extend(value.chars().take(shown));
        out.extend(std::iter::repeat_n(' ', missing - before));
    }
}

fn field(flag: char, line: &Line<'_>, out: &mut String) {
    let t = &line.time;
    let nanos = t.subsec_nanosecond();
    let hour12 = match t.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let year2 = t.year().rem_euclid(100);
    // Writing to a String cannot fail.
    let _ = match flag {
        'v' => out.write_str(line.message),
        '_' => escape_lines(line.message, out),
        'j' => escape_json(line.message, out),
        't' => write!(out, "{}", line.thread),
        'P' => write!(out, "{}", std::process::id()),
        'n' => out.write_str(line.component),
        'l' => out.write_str(line.level.as_str()),
        'L' => out.write_str(line.level.letter()),
        'a' => write!(out, "{}", t.strftime("%a")),
        'A' => write!(out, "{}", t.strftime("%A")),
        'b' => write!(out, "{}", t.strftime("%b")),
        'B' => write!(out, "{}", t.strftime("%B")),
        'c' => write!(out, "{}", t.strftime("%a %b %-d %T %Y")),
        'C' => write!(out, "{year2:02}"),
        'Y' => write!(out, "{}", t.year()),
        'D' | 'x' => write!(out, "{:02}/{:02}/{year2:02}", t.month(), t.day()),
        'm' => write!(out, "{:02}", t.month()),
        'd' => write!(out, "{:02}", t.day()),
        'H' => write!(out, "{:02}", t.hour()),
        'I' => write!(out, "{hour12:02}"),
        'M' => write!(out, "{:02}", t.minute()),
        'S' => write!(out, "{:02}", t.second()),
        'e' => write!(out, "{:03}", nanos / 1_000_000),
        'f' => write!(out, "{:06}", nanos / 1_000),
        'F' => write!(out, "{nanos:09}"),
        'E' => write!(out, "{}", t.timestamp().as_second()),
        'p' => out.write_str(if t.hour() < 12 { "AM" } else { "PM" }),
        'r' => write!(out, "{hour12:02}:{:02}:{:02} ", t.minute(), t.second())
            .map(|()| field('p', line, out)),
        'R' => write!(out, "{:02}:{:02}", t.hour(), t.minute()),
        'T' | 'X' => write!(out, "{:02}:{:02}:{:02}", t.hour(), t.minute(), t.second()),
        'z' => {
            let minutes = t.offset().seconds() / 60;
            let sign = if minutes < 0 { '-' } else { '+' };
            let minutes = minutes.unsigned_abs();
            write!(out, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
        }
        '@' => write!(out, "{}:{}", line.file, line.line),
        's' => out.write_str(line.file.rsplit('/').next().unwrap_or(line.file)),
        'g' => out.write_str(line.file),
        '#' => write!(out, "{}", line.line),
        '!' => out.write_str(line.module),
        '+' => {
            for (before, flag) in [
                ("[", 'Y'),
                ("-", 'm'),
                ("-", 'd'),
                (" ", 'T'),
                (".", 'e'),
                ("] [", 'n'),
                ("] [", 'l'),
                ("] [", 's'),
                (":", '#'),
                ("] ", 'v'),
            ] {
                out.push_str(before);
                field(flag, line, out);
            }
            Ok(())
        }
        _ => Ok(()),
    };
}

/// Envoy's `%_`: one line stays one line.
fn escape_lines(text: &str, out: &mut String) -> std::fmt::Result {
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    Ok(())
}

/// Envoy's `%j`: the inside of a JSON string.
fn escape_json(text: &str, out: &mut String) -> std::fmt::Result {
    let quoted = serde_json::Value::from(text).to_string();
    out.write_str(
        quoted
            .get(1..quoted.len().saturating_sub(1))
            .unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn render(pattern: &str) -> String {
        let line = Line {
            time: "2026-11-21T12:08:39.019020+00:00[UTC]".parse().unwrap(),
            level: LogLevel::Warning,
            component: "main",
            message: "say \"hi\"\nand go",
            file: "proxy/src/server.rs",
            module: "outrigger::server",
            line: 7,
            thread: 42,
        };
        let mut out = String::new();
        Pattern::compile(pattern).render(&line, &mut out);
        out.strip_suffix('\n').unwrap().to_owned()
    }

    #[test]
    fn envoys_default() {
        assert_eq!(
            render(crate::cli::DEFAULT_LOG_FORMAT),
            "[2026-11-21 12:08:39.019][42][warning][main] [proxy/src/server.rs:7] say \"hi\"\nand go"
        );
    }

    #[test]
    fn every_flag_prints_as_spdlog_does() {
        for (pattern, expected) in [
            (
                "%a %A %b %B %C %D %x",
                "Sat Saturday Nov November 26 11/21/26 11/21/26",
            ),
            ("%c", "Sat Nov 21 12:08:39 2026"),
            (
                "%H %I %M %S %e %f %F %E %p",
                "12 12 08 39 019 019020 019020000 1795262919 PM",
            ),
            ("%r|%R|%X|%z", "12:08:39 PM|12:08|12:08:39|+00:00"),
            ("%L %l%%%^%$", "W warning%"),
            ("%@ %s %Q%", "proxy/src/server.rs:7 server.rs %Q"),
            ("%!|%", "outrigger::server|"),
            ("%_", "say \"hi\"\\nand go"),
            ("%j", "say \\\"hi\\\"\\nand go"),
            (
                "%+",
                "[2026-11-21 12:08:39.019] [main] [warning] [server.rs:7] say \"hi\"\nand go",
            ),
        ] {
            assert_eq!(render(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn values_are_padded_and_cut() {
        assert_eq!(
            render("%8n|%-8n|%=8n|%2!n"),
            "    main|main    |  main  |ma"
        );
    }
}
