//! The text of a scalar as yaml-cpp scans it: folding, chomping, escapes and indentation. It never looks at what the
//! text means.

use super::cursor::{Cursor, Fault};

/// What happens to the line breaks inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fold {
    /// They stay: `|`.
    Keep,
    /// One is a space, but not around indented lines: `>`.
    Block,
    /// One is a space: plain and quoted scalars.
    Flow,
}

/// What happens to the line breaks at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chomp {
    Strip,
    Clip,
    Keep,
}

/// The kinds of scalars by how they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain { flow: bool },
    SingleQuoted,
    DoubleQuoted,
    Block,
}

/// How to scan one scalar.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub style: Style,
    pub fold: Fold,
    pub chomp: Chomp,
    /// The column from which lines belong to the scalar.
    pub indent: usize,
    /// The first line that is not empty may raise `indent`.
    pub detect_indent: bool,
}

impl Rules {
    /// A plain scalar in the block or flow context.
    pub(super) fn plain(flow: bool, indent: usize) -> Self {
        Self {
            style: Style::Plain { flow },
            fold: Fold::Flow,
            chomp: Chomp::Strip,
            indent,
            detect_indent: false,
        }
    }

    /// A scalar in quotes: it may go on in any column.
    pub(super) fn quoted(style: Style) -> Self {
        Self {
            style,
            fold: Fold::Flow,
            chomp: Chomp::Clip,
            indent: 0,
            detect_indent: false,
        }
    }

    fn plain_style(&self) -> bool {
        matches!(self.style, Style::Plain { .. })
    }

    fn quoted_style(&self) -> bool {
        matches!(self.style, Style::SingleQuoted | Style::DoubleQuoted)
    }

    /// The scalar ends here.
    fn ends(&self, at: &Cursor<'_>) -> bool {
        match self.style {
            Style::Plain { flow: false } => at.indicator(b':') || at.comment_behind_space(),
            Style::Plain { flow: true } => {
                let colon = at.is(b':')
                    && (at.space_at(1) || matches!(at.peek_at(1), Some(b',' | b']' | b'}')));
                colon
                    || matches!(at.peek(), Some(b',' | b'?' | b'[' | b']' | b'{' | b'}'))
                    || at.comment_behind_space()
            }
            Style::SingleQuoted => at.is(b'\'') && at.peek_at(1) != Some(b'\''),
            Style::DoubleQuoted => at.is(b'"'),
            Style::Block => at.at_end(),
        }
    }

    /// What starts an escape. Outside of quotes that is NUL, which no escape follows.
    fn escape(&self) -> u8 {
        match self.style {
            Style::SingleQuoted => b'\'',
            Style::DoubleQuoted => b'\\',
            Style::Plain { .. } | Style::Block => 0,
        }
    }
}

/// A scanned scalar.
pub(super) struct Scalar {
    pub text: String,
    /// It ended because a line was indented less.
    pub ended_by_indent: bool,
}

/// A scalar as far as it has been read.
struct Scan {
    rules: Rules,
    text: Vec<u8>,
    /// A line with something on it has come.
    found_line: bool,
    /// The line break behind the `|` or `>` is no part of the text.
    past_opening: bool,
    empty_line: bool,
    more_indented: bool,
    folded: usize,
    folded_more_indented: bool,
    /// Where the last escape ended: what it made is not trimmed.
    last_escape: Option<usize>,
}

/// Why the text of a line ended.
enum LineEnd {
    Scalar,
    Break { escaped: bool, trimmed: usize },
}

/// Reads a scalar from behind what opens it.
pub(super) fn scan(input: &mut Cursor<'_>, rules: Rules) -> Result<Scalar, Fault> {
    let mut scan = Scan {
        rules,
        text: Vec::new(),
        found_line: false,
        past_opening: rules.fold == Fold::Flow,
        empty_line: false,
        more_indented: false,
        folded: 0,
        folded_more_indented: false,
        last_escape: None,
    };
    let mut ended_by_indent = false;
    while !input.at_end() {
        let LineEnd::Break { escaped, trimmed } = scan.line(input)? else {
            break;
        };
        if rules.fold == Fold::Flow {
            scan.text.truncate(trimmed);
        }
        input.skip(input.line_break());
        scan.indentation(input)?;
        scan.fold(input, escaped);
        if !scan.empty_line && input.column() < scan.rules.indent {
            ended_by_indent = true;
            break;
        }
    }
    Ok(Scalar {
        text: scan.finish(),
        ended_by_indent,
    })
}

impl Scan {
    fn line(&mut self, input: &mut Cursor<'_>) -> Result<LineEnd, Fault> {
        let mut trimmed = self.text.len();
        let mut escaped = false;
        while !input.at_end() && !self.rules.ends(input) && input.line_break() == 0 {
            if input.any_document_mark() {
                if self.rules.plain_style() {
                    break;
                }
                if self.rules.quoted_style() {
                    return input.fault("illegal document indicator in scalar");
                }
            }
            self.found_line = true;
            self.past_opening = true;
            let escape = self.rules.escape();
            if escape == b'\\' && input.is(b'\\') && input.line_break_at(1) > 0 {
                input.take();
                trimmed = self.text.len();
                self.last_escape = Some(trimmed);
                escaped = true;
                break;
            }
            if input.is(escape) {
                unescape(input, &mut self.text)?;
                trimmed = self.text.len();
                self.last_escape = Some(trimmed);
                continue;
            }
            if let Some(byte) = input.take() {
                self.text.push(byte);
                if byte != b' ' && byte != b'\t' {
                    trimmed = self.text.len();
                }
            }
        }
        if input.at_end() {
            if self.rules.quoted_style() {
                return input.fault("illegal EOF in scalar");
            }
            return Ok(LineEnd::Scalar);
        }
        if self.rules.plain_style() && input.any_document_mark() {
            return Ok(LineEnd::Scalar);
        }
        if self.rules.ends(input) {
            if self.rules.quoted_style() {
                input.take();
            }
            return Ok(LineEnd::Scalar);
        }
        Ok(LineEnd::Break { escaped, trimmed })
    }

    /// Passes over the white space in front of the next line.
    fn indentation(&mut self, input: &mut Cursor<'_>) -> Result<(), Fault> {
        let detect = self.rules.detect_indent && !self.found_line;
        while input.is(b' ')
            && (input.column() < self.rules.indent || detect)
            && !self.rules.ends(input)
        {
            input.take();
        }
        if detect {
            self.rules.indent = self.rules.indent.max(input.column());
        }
        while input.blank() {
            if input.is(b'\t') && input.column() < self.rules.indent && !self.rules.quoted_style() {
                return input.fault("illegal tab when looking for indentation");
            }
            if self.rules.style == Style::Block || self.rules.ends(input) {
                break;
            }
            input.take();
        }
        Ok(())
    }

    /// Says what the line break before this line is.
    fn fold(&mut self, input: &Cursor<'_>, escaped: bool) {
        let next_empty = input.line_break() > 0;
        let next_more_indented = input.blank();
        if self.rules.fold == Fold::Block && self.folded == 0 && next_empty {
            self.folded_more_indented = self.more_indented;
        }
        if self.past_opening {
            match self.rules.fold {
                Fold::Keep => self.text.push(b'\n'),
                Fold::Block => {
                    let within = input.column() >= self.rules.indent;
                    if !self.empty_line
                        && !next_empty
                        && !self.more_indented
                        && !next_more_indented
                        && within
                    {
                        self.text.push(b' ');
                    } else if next_empty {
                        self.folded += 1;
                    } else {
                        self.text.push(b'\n');
                    }
                    if !next_empty && self.folded > 0 {
                        let kept =
                            self.folded_more_indented || next_more_indented || !self.found_line;
                        let breaks = self.folded - usize::from(!kept);
                        self.text.extend(std::iter::repeat_n(b'\n', breaks));
                        self.folded = 0;
                    }
                }
                Fold::Flow if next_empty => self.text.push(b'\n'),
                Fold::Flow if !self.empty_line && !escaped => self.text.push(b' '),
                Fold::Flow => {}
            }
        }
        self.empty_line = next_empty;
        self.more_indented = next_more_indented;
        self.past_opening = true;
    }

    fn finish(mut self) -> String {
        if self.rules.plain_style() {
            let end = self.end_without(|byte| byte == b' ' || byte == b'\t');
            self.text.truncate(end);
        }
        let end = self.end_without(|byte| byte == b'\n');
        match self.rules.chomp {
            Chomp::Strip => self.text.truncate(end),
            Chomp::Clip if end == 0 => self.text.clear(),
            Chomp::Clip => self.text.truncate(end + 1),
            Chomp::Keep => {}
        }
        // The text is cut at ASCII characters only.
        String::from_utf8_lossy(&self.text).into_owned()
    }

    /// Length without what stands at the end, but with what an escape made.
    fn end_without(&self, trimmed: impl Fn(u8) -> bool) -> usize {
        let end = self.text.iter().rposition(|byte| !trimmed(*byte));
        let end = end.map_or(0, |last| last + 1);
        match self.last_escape {
            Some(escape) if end <= escape => escape + 1,
            _ => end,
        }
    }
}

/// Reads an escape and appends what it stands for.
fn unescape(input: &mut Cursor<'_>, text: &mut Vec<u8>) -> Result<(), Fault> {
    let introducer = input.take();
    let code = input.take();
    if introducer == Some(b'\'') && code == Some(b'\'') {
        text.push(b'\'');
        return Ok(());
    }
    let plain = match code {
        Some(b'0') => 0,
        Some(b'a') => 7,
        Some(b'b') => 8,
        Some(b't' | b'\t') => 9,
        Some(b'n') => b'\n',
        Some(b'v') => 0xb,
        Some(b'f') => 0xc,
        Some(b'r') => b'\r',
        Some(b'e') => 0x1b,
        Some(same @ (b' ' | b'"' | b'\'' | b'\\' | b'/')) => same,
        // yaml-cpp makes the single byte 0x85 or 0xa0 of them, and what is no UTF-8 becomes a space.
        Some(b'N' | b'_') => b' ',
        Some(b'L') => return push(text, '\u{2028}'),
        Some(b'P') => return push(text, '\u{2029}'),
        Some(b'x') => return push(text, hexadecimal(input, 2)?),
        Some(b'u') => return push(text, hexadecimal(input, 4)?),
        Some(b'U') => return push(text, hexadecimal(input, 8)?),
        Some(other) => {
            let other = char::from(other);
            return input.fault(format!("unknown escape character: {other}"));
        }
        None => return input.fault("unknown escape character: "),
    };
    text.push(plain);
    Ok(())
}

fn push(text: &mut Vec<u8>, c: char) -> Result<(), Fault> {
    text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(())
}

fn hexadecimal(input: &mut Cursor<'_>, digits: usize) -> Result<char, Fault> {
    let mut value = Some(0_u32);
    for _ in 0..digits {
        let digit = input.take().and_then(|byte| char::from(byte).to_digit(16));
        value = value
            .zip(digit)
            .map(|(value, digit)| value.wrapping_mul(16).wrapping_add(digit));
    }
    let Some(value) = value else {
        return input.fault("bad character found while scanning hex number");
    };
    match char::from_u32(value) {
        Some(c) => Ok(c),
        None => input.fault(format!("invalid unicode: {value}")),
    }
}
