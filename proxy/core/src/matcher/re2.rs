//! RE2's dialect written in the `regex` crate's: the same language, and RE2's own words for what it refuses.
//!
//! RE2 reads `\d`, `\w`, `\s` and `\b` as ASCII, `{id}` and `[[]` as literals and knows `\Q…\E` and `\C`; the `regex` crate reads
//! each of these otherwise. Must never let a pattern through with another meaning.

/// Translates a pattern; the error is RE2's text, which Envoy shows to the user.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut t = Translator {
        pattern,
        rest: pattern,
        out: String::with_capacity(pattern.len() + 8),
        depth: 0,
        can_repeat: false,
        repeat: None,
    };
    t.run()?;
    Ok(t.out)
}

struct Translator<'a> {
    pattern: &'a str,
    rest: &'a str,
    out: String,
    /// Open parentheses.
    depth: usize,
    /// There is something in front that a repetition operator may repeat.
    can_repeat: bool,
    /// The repetition operator that stands in front, if one does.
    repeat: Option<&'a str>,
}

const DIGIT: &str = "0-9";
const WORD: &str = "0-9A-Za-z_";
const SPACE: &str = r"\t\n\x0C\r ";

/// The largest count that RE2 takes in `{n}`.
const MAX_REPEAT: u32 = 1000;

impl<'a> Translator<'a> {
    fn run(&mut self) -> Result<(), String> {
        while let Some(c) = self.rest.chars().next() {
            match c {
                '(' => self.group()?,
                ')' => {
                    if self.depth == 0 {
                        return Err(format!("unexpected ): {}", self.pattern));
                    }
                    self.depth -= 1;
                    self.atom(1, ")");
                }
                '*' | '+' | '?' => {
                    let len = 1 + usize::from(self.rest[1..].starts_with('?'));
                    self.repetition(len)?;
                }
                '{' => match counted(self.rest) {
                    Some((len, largest)) => {
                        if largest > MAX_REPEAT {
                            return Err(format!("invalid repetition size: {}", &self.rest[..len]));
                        }
                        let lazy = usize::from(self.rest[len..].starts_with('?'));
                        self.repetition(len + lazy)?;
                    }
                    None => self.atom(1, r"\{"),
                },
                '[' => self.class()?,
                '\\' => self.escape()?,
                '|' => {
                    self.copy(1);
                    self.can_repeat = false;
                    self.repeat = None;
                }
                c => {
                    let len = c.len_utf8();
                    let text = &self.rest[..len];
                    self.atom(len, text);
                }
            }
        }
        if self.depth > 0 {
            return Err(format!("missing ): {}", self.pattern));
        }
        Ok(())
    }

    /// Writes what may be repeated.
    fn atom(&mut self, len: usize, text: &str) {
        self.rest = &self.rest[len..];
        self.out.push_str(text);
        self.can_repeat = true;
        self.repeat = None;
    }

    fn copy(&mut self, len: usize) {
        self.out.push_str(&self.rest[..len]);
        self.rest = &self.rest[len..];
    }

    fn repetition(&mut self, len: usize) -> Result<(), String> {
        let operator = &self.rest[..len];
        if let Some(before) = self.repeat {
            return Err(format!("bad repetition operator: {before}{operator}"));
        }
        if !self.can_repeat {
            return Err(format!("no argument for repetition operator: {operator}"));
        }
        self.repeat = Some(operator);
        self.copy(len);
        Ok(())
    }

    /// `(`, `(?:`, `(?flags)`, `(?flags:` and named groups, whose names Envoy never uses (and RE2 lets repeat).
    fn group(&mut self) -> Result<(), String> {
        self.can_repeat = false;
        self.repeat = None;
        let Some(inner) = self.rest.strip_prefix("(?") else {
            self.depth += 1;
            self.copy(1);
            return Ok(());
        };
        if let Some(name) = inner.strip_prefix("P<").or(inner.strip_prefix('<')) {
            let end = name.find('>').filter(|end| {
                *end > 0
                    && name[..*end]
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'_')
            });
            let Some(end) = end else {
                let text = name.find('>').map_or(self.rest, |end| {
                    &self.rest[..self.rest.len() - name.len() + end + 1]
                });
                return Err(format!("invalid named capture group: {text}"));
            };
            self.depth += 1;
            self.out.push('(');
            self.rest = &name[end + 1..];
            return Ok(());
        }
        let bad = |len: usize| {
            let text = self.rest.get(..len).unwrap_or(self.rest);
            Err(format!("invalid perl operator: {text}"))
        };
        let mut negated = false;
        for (at, c) in inner.char_indices() {
            match c {
                'i' | 'm' | 's' | 'U' => {}
                '-' if !negated => negated = true,
                ':' | ')' => {
                    if c == ':' {
                        self.depth += 1;
                    }
                    self.copy(2 + at + 1);
                    return Ok(());
                }
                _ => return bad(2 + at + c.len_utf8()),
            }
        }
        Err(format!("missing ): {}", self.pattern))
    }

    fn escape(&mut self) -> Result<(), String> {
        let Some(c) = self.rest[1..].chars().next() else {
            return Err(r"trailing \".into());
        };
        let text: String = match c {
            'd' => format!("[{DIGIT}]"),
            'D' => format!("[^{DIGIT}]"),
            'w' => format!("[{WORD}]"),
            'W' => format!("[^{WORD}]"),
            's' => format!("[{SPACE}]"),
            'S' => format!("[^{SPACE}]"),
            'b' => r"(?-u:\b)".into(),
            'B' => r"(?-u:\B)".into(),
            'C' => "(?s-u:.)".into(),
            'A' | 'z' => format!(r"\{c}"),
            'Q' => {
                let quoted = &self.rest[2..];
                let (literal, len) = match quoted.find(r"\E") {
                    Some(end) => (&quoted[..end], 2 + end + 2),
                    None => (quoted, self.rest.len()),
                };
                let text = ::regex::escape(literal);
                if text.is_empty() {
                    self.rest = &self.rest[len..];
                } else {
                    self.atom(len, &text);
                }
                return Ok(());
            }
            _ => {
                let (len, text) = self.character()?;
                self.atom(len, &text);
                return Ok(());
            }
        };
        self.atom(2, &text);
        Ok(())
    }

    /// An escape that stands for a character or a Unicode class, in or out of brackets: its length and translation.
    fn character(&self) -> Result<(usize, String), String> {
        let rest = &self.rest[1..];
        let Some(c) = rest.chars().next() else {
            return Err(r"trailing \".into());
        };
        let invalid = |len: usize| {
            let text = self.rest.get(..len).unwrap_or(self.rest);
            Err(format!("invalid escape sequence: {text}"))
        };
        match c {
            'a' | 'f' | 't' | 'n' | 'r' | 'v' => Ok((2, format!(r"\{c}"))),
            'x' => match hex(&rest[1..]) {
                Some((len, value)) => Ok((2 + len, format!(r"\x{{{value:X}}}"))),
                None => invalid(3),
            },
            // Octal: \0 with up to two more digits, or \1…\7 with at least one more.
            '0'..='7' => {
                let digits = rest
                    .bytes()
                    .take(3)
                    .take_while(|b| (b'0'..=b'7').contains(b))
                    .count();
                if c != '0' && digits < 2 {
                    return invalid(2);
                }
                match u32::from_str_radix(&rest[..digits], 8) {
                    Ok(value) => Ok((1 + digits, format!(r"\x{{{value:X}}}"))),
                    Err(_) => invalid(2),
                }
            }
            'p' | 'P' => {
                let len = if rest[1..].starts_with('{') {
                    match rest.find('}') {
                        Some(end) => end + 1,
                        None => {
                            return Err(format!("invalid character class range: {}", self.rest));
                        }
                    }
                } else {
                    match rest[1..].chars().next() {
                        Some(name) => 1 + name.len_utf8(),
                        None => {
                            return Err(format!("invalid character class range: {}", self.rest));
                        }
                    }
                };
                let text = &self.rest[..1 + len];
                if ::regex::bytes::Regex::new(text).is_err() {
                    return Err(format!("invalid character class range: {text}"));
                }
                Ok((1 + len, text.into()))
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() && !c.is_ascii_control() => {
                Ok((2, ::regex::escape(c.encode_utf8(&mut [0; 4]))))
            }
            c => invalid(1 + c.len_utf8()),
        }
    }

    /// A bracket expression: what the `regex` crate would read as nesting or set operations is escaped.
    fn class(&mut self) -> Result<(), String> {
        let whole = self.rest;
        let missing = || format!("missing ]: {whole}");
        self.copy(1);
        if self.rest.starts_with('^') {
            self.copy(1);
        }
        let mut first = true;
        loop {
            let c = self.rest.chars().next().ok_or_else(missing)?;
            if c == ']' && !first {
                break;
            }
            first = false;
            if self.rest.starts_with("[:")
                && let Some(end) = self.rest.find(":]")
            {
                let text = &self.rest[..end + 2];
                if !is_posix(text) {
                    return Err(format!("invalid character class range: {text}"));
                }
                self.copy(end + 2);
                continue;
            }
            if let Some(text) = shorthand(self.rest) {
                self.out.push_str(&text);
                self.rest = &self.rest[2..];
                continue;
            }
            let start = self.rest;
            let low = self.class_char().map_err(|e| e.unwrap_or_else(missing))?;
            let ranged = self
                .rest
                .strip_prefix('-')
                .is_some_and(|after| !after.is_empty() && !after.starts_with(']'));
            if !ranged {
                continue;
            }
            self.copy(1);
            let high = self.class_char().map_err(|e| e.unwrap_or_else(missing))?;
            if let (Some(low), Some(high)) = (low, high)
                && low > high
            {
                let text = &start[..start.len() - self.rest.len()];
                return Err(format!("invalid character class range: {text}"));
            }
        }
        self.atom(1, "]");
        Ok(())
    }

    /// One character of a bracket expression, written so that it can mean nothing else. No error text: the bracket is
    /// not closed.
    fn class_char(&mut self) -> Result<Option<char>, Option<String>> {
        let c = self.rest.chars().next().ok_or(None)?;
        if c != '\\' {
            self.rest = &self.rest[c.len_utf8()..];
            if matches!(c, '[' | ']' | '&' | '~' | '-' | '^') {
                self.out.push('\\');
            }
            self.out.push(c);
            return Ok(Some(c));
        }
        let (len, text) = self.character().map_err(Some)?;
        let value = match self.rest[1..].chars().next() {
            Some(c) if c.is_ascii_punctuation() => Some(c),
            _ => None,
        };
        self.rest = &self.rest[len..];
        self.out.push_str(&text);
        Ok(value)
    }
}

/// `\d` and its like inside brackets.
fn shorthand(rest: &str) -> Option<String> {
    let mut chars = rest.chars();
    if chars.next() != Some('\\') {
        return None;
    }
    Some(match chars.next()? {
        'd' => DIGIT.into(),
        'w' => WORD.into(),
        's' => SPACE.into(),
        'D' => format!("[^{DIGIT}]"),
        'W' => format!("[^{WORD}]"),
        'S' => format!("[^{SPACE}]"),
        _ => return None,
    })
}

fn is_posix(text: &str) -> bool {
    let name = text.trim_start_matches("[:").trim_end_matches(":]");
    matches!(
        name.strip_prefix('^').unwrap_or(name),
        "alnum"
            | "alpha"
            | "ascii"
            | "blank"
            | "cntrl"
            | "digit"
            | "graph"
            | "lower"
            | "print"
            | "punct"
            | "space"
            | "upper"
            | "word"
            | "xdigit"
    )
}

/// The length of `{n}`, `{n,}` or `{n,m}` and its largest number; anything else with a brace is literal text.
fn counted(text: &str) -> Option<(usize, u32)> {
    let end = text.find('}')?;
    let (low, high) = match text[1..end].split_once(',') {
        Some((low, high)) => (low, high),
        None => (&text[1..end], ""),
    };
    let number = |digits: &str| {
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse().unwrap_or(u32::MAX))
    };
    if low.is_empty() {
        return None;
    }
    let low = number(low)?;
    let high = if high.is_empty() { low } else { number(high)? };
    // A range that goes backwards is as bad as one that is too large.
    Some((end + 1, if high < low { u32::MAX } else { high }))
}

/// What follows `\x`: its length and value.
fn hex(text: &str) -> Option<(usize, u32)> {
    if let Some(braced) = text.strip_prefix('{') {
        let end = braced.find('}')?;
        let value = u32::from_str_radix(&braced[..end], 16).ok()?;
        char::from_u32(value)?;
        return Some((end + 2, value));
    }
    let value = u32::from_str_radix(text.get(..2)?, 16).ok()?;
    Some((2, value))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn errors_are_re2s() {
        for (pattern, error) in [
            ("a(", "missing ): a("),
            ("a)", "unexpected ): a)"),
            ("(?=x)", "invalid perl operator: (?="),
            ("(?x)a", "invalid perl operator: (?x"),
            ("(?P=x)", "invalid perl operator: (?P"),
            ("[a", "missing ]: [a"),
            ("*a", "no argument for repetition operator: *"),
            ("a**", "bad repetition operator: **"),
            ("a+?+", "bad repetition operator: +?+"),
            ("x{2}{3}", "bad repetition operator: {2}{3}"),
            ("a{2}*", "bad repetition operator: {2}*"),
            (r"\q", r"invalid escape sequence: \q"),
            (r"\1", r"invalid escape sequence: \1"),
            (r"\8", r"invalid escape sequence: \8"),
            ("a{1001}", "invalid repetition size: {1001}"),
            ("(?P<n", "invalid named capture group: (?P<n"),
            ("[b-a]", "invalid character class range: b-a"),
            (r"\p{Foo}", r"invalid character class range: \p{Foo}"),
            ("[[:foo:]]", "invalid character class range: [:foo:]"),
            (r"a\", r"trailing \"),
        ] {
            assert_eq!(translate(pattern).unwrap_err(), error, "{pattern}");
        }
    }

    #[test]
    fn what_re2_reads_otherwise_keeps_its_meaning() {
        for (pattern, yes, no) in [
            (r"\d+", "12", "\u{0663}"),
            (r"\w", "a", "é"),
            (r"[\d\-]+", "1-2", "1_2"),
            (r"[\W]", "-", "a"),
            (r"[^\s]", "a", " "),
            ("{id}", "{id}", "id"),
            ("a{,5}", "a{,5}", "aaa"),
            (r"\<a\>", "<a>", "a"),
            (r"\Qa+\E+", "a++", "aa"),
            ("[[]", "[", "]"),
            ("[]a]", "]", "["),
            ("[a&&b]+", "a&b", "c"),
            ("[a~~b]+", "a~b", "c"),
            ("[+--]+", "+,-", "."),
            ("[--/]+", "-./", ","),
            ("[a-]", "-", "b"),
            ("[[:alpha:]_]+", "a_", "1"),
            (r"\x41\x{42}\103", "ABC", "abc"),
            ("(?i)abc", "ABC", "ABD"),
            ("(?i:a)b", "Ab", "AB"),
            ("(?P<n>a)(?P<n>b)", "ab", "a"),
            (r"\z\A", "", "a"),
            ("a{2}?", "aa", "a"),
            ("[^]]", "a", "]"),
        ] {
            let translated = translate(pattern).unwrap();
            let regex = ::regex::bytes::Regex::new(&format!(r"\A(?:{translated})\z"))
                .unwrap_or_else(|e| panic!("{pattern} became {translated}: {e}"));
            assert!(regex.is_match(yes.as_bytes()), "{pattern} on {yes}");
            assert!(!regex.is_match(no.as_bytes()), "{pattern} on {no}");
        }
    }
}
