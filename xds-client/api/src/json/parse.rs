//! JSON text to [`Json`], with the liberties that protobuf's parser takes in the mode that Envoy uses: trailing commas,
//! bare words as keys, single quotes, control characters in strings. Comments are not among them.

use std::fmt;

use super::{Json, MAX_DEPTH};

/// Where and why a text is not JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1.
    pub column: usize,
    /// The reason, in protobuf's words.
    pub reason: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "invalid JSON near {}:{}: {}",
            self.line, self.column, self.reason
        )
    }
}

impl std::error::Error for SyntaxError {}

/// Parses one JSON document.
pub fn parse(text: &str) -> Result<Json, SyntaxError> {
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
    };
    let value = parser.value()?;
    parser.skip_space();
    match parser.peek() {
        None => Ok(value),
        Some(_) => Err(parser.error("extraneous characters after end of JSON object")),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_space(&mut self) {
        self.at = self.text.len()
            - self
                .rest()
                .trim_start_matches([' ', '\t', '\r', '\n'])
                .len();
    }

    fn error(&self, reason: impl Into<String>) -> SyntaxError {
        let before = self.text.get(..self.at).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        SyntaxError {
            line: before.matches('\n').count() + 1,
            column: before.len() - line_start + 1,
            reason: reason.into(),
        }
    }

    /// Skips space and looks at the token's first character.
    fn token(&mut self) -> Result<char, SyntaxError> {
        self.skip_space();
        self.peek().ok_or_else(|| self.error("unexpected EOF"))
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn value(&mut self) -> Result<Json, SyntaxError> {
        match self.token()? {
            '{' => self.nested(Self::object),
            '[' => self.nested(Self::array),
            '"' | '\'' => self.string().map(Json::String),
            '-' | '0'..='9' => self.number().map(Json::Number),
            't' => self.word("true", Json::Bool(true)),
            'f' => self.word("false", Json::Bool(false)),
            'n' => self.word("null", Json::Null),
            other => Err(self.error(format!("unexpected character: '{other}'"))),
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, SyntaxError> {
        if !self.rest().starts_with(word) {
            return Err(self.error(format!("expected '{word}'")));
        }
        self.at += word.len();
        Ok(value)
    }

    fn nested(
        &mut self,
        parse: fn(&mut Self) -> Result<Json, SyntaxError>,
    ) -> Result<Json, SyntaxError> {
        if self.depth == MAX_DEPTH {
            return Err(self.error("JSON content was too deeply nested"));
        }
        self.depth += 1;
        self.at += 1;
        let value = parse(self);
        self.depth -= 1;
        value
    }

    fn array(&mut self) -> Result<Json, SyntaxError> {
        let mut items = Vec::new();
        loop {
            self.token()?;
            if self.take(']') {
                return Ok(Json::Array(items));
            }
            items.push(self.value()?);
            self.separator(']')?;
        }
    }

    fn object(&mut self) -> Result<Json, SyntaxError> {
        let mut entries = Vec::new();
        loop {
            self.token()?;
            if self.take('}') {
                return Ok(Json::Object(entries));
            }
            let key = match self.token()? {
                '"' | '\'' => self.string()?,
                _ => self.bare_word()?,
            };
            let after = self.token()?;
            if !self.take(':') {
                return Err(self.error(format!("unexpected character: '{after}'; expected ':'")));
            }
            entries.push((key, self.value()?));
            self.separator('}')?;
        }
    }

    /// A comma, which may also stand before the closing bracket, or nothing if that bracket follows.
    fn separator(&mut self, close: char) -> Result<(), SyntaxError> {
        self.skip_space();
        if self.take(',') || self.peek() == Some(close) {
            Ok(())
        } else {
            Err(self.error("expected ','"))
        }
    }

    fn bare_word(&mut self) -> Result<String, SyntaxError> {
        let rest = self.rest();
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or_default();
        if word.is_empty() || word.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.error("expected bare word"));
        }
        self.at += end;
        Ok(word.to_owned())
    }

    fn number(&mut self) -> Result<String, SyntaxError> {
        let rest = self.rest();
        let end = rest
            .find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'))
            .unwrap_or(rest.len());
        let text = rest.get(..end).unwrap_or_default();
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() {
            return Err(self.error("expected a number"));
        }
        if digits.starts_with('0') && digits.chars().nth(1).is_some_and(|c| c.is_ascii_digit()) {
            return Err(self.error("number cannot have extraneous leading zero"));
        }
        if text.ends_with('.') {
            return Err(self.error("number cannot have trailing period"));
        }
        // Rust's grammar is wider than JSON's only in `+1`, `.5` and `5.e1`: the first two cannot get here.
        let finite = text.parse::<f64>().is_ok_and(f64::is_finite)
            && !text.contains(".e")
            && !text.contains(".E");
        if !finite {
            return Err(self.error(format!("invalid number: '{text}'")));
        }
        self.at += end;
        Ok(text.to_owned())
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        let quote = if self.take('\'') { '\'' } else { '"' };
        if quote == '"' {
            self.at += 1;
        }
        let mut out = String::new();
        loop {
            let c = self.peek().ok_or_else(|| self.error("unexpected EOF"))?;
            self.at += c.len_utf8();
            match c {
                '\\' => out.push(self.escape()?),
                c if c == quote => return Ok(out),
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, SyntaxError> {
        let c = self.peek().ok_or_else(|| self.error("unexpected EOF"))?;
        let plain = match c {
            '"' | '\\' | '/' | '\'' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' | 'U' => {
                self.at += 1;
                return self.unicode_escape();
            }
            other => return Err(self.error(format!("invalid escape char: '{other}'"))),
        };
        self.at += 1;
        Ok(plain)
    }

    fn unicode_escape(&mut self) -> Result<char, SyntaxError> {
        let first = self.hex4()?;
        let code = match first {
            0xd800..=0xdbff => {
                if !self.rest().starts_with("\\u") {
                    return Err(self.error("expected '\\u'"));
                }
                self.at += 2;
                let low = self.hex4()?;
                if !(0xdc00..=0xdfff).contains(&low) {
                    return Err(self.error("invalid low surrogate"));
                }
                0x1_0000 + ((first & 0x3ff) << 10) + (low & 0x3ff)
            }
            code => code,
        };
        char::from_u32(code).ok_or_else(|| self.error("unpaired low surrogate"))
    }

    fn hex4(&mut self) -> Result<u32, SyntaxError> {
        let digits = self
            .rest()
            .get(..4)
            .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = digits.and_then(|d| u32::from_str_radix(d, 16).ok());
        let code = code.ok_or_else(|| self.error("invalid Unicode escape"))?;
        self.at += 4;
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn reason(text: &str) -> String {
        parse(text).unwrap_err().reason
    }

    fn s(text: &str) -> Json {
        Json::String(text.into())
    }

    /// Each of these was given to Envoy 1.40 as a bootstrap (`--mode validate`).
    #[test]
    fn takes_the_liberties_that_envoy_takes() {
        assert_eq!(
            parse(r#"{"a":"b",}"#).unwrap(),
            Json::Object(vec![("a".into(), s("b"))])
        );
        assert_eq!(parse(r#"["a",]"#).unwrap(), Json::Array(vec![s("a")]));
        assert_eq!(
            parse("{a_1:'b'}").unwrap(),
            Json::Object(vec![("a_1".into(), s("b"))])
        );
        assert_eq!(parse("\"a\tb\nc\"").unwrap(), s("a\tb\nc"));
        assert_eq!(
            parse(r#""\u0041\n\/\b\'\ud83d\ude00""#).unwrap(),
            s("A\n/\u{8}'\u{1f600}")
        );
        assert_eq!(parse("'it\"s'").unwrap(), s("it\"s"));
        let twice = parse(r#"{"a":1,"a":2}"#).unwrap();
        assert!(matches!(twice, Json::Object(entries) if entries.len() == 2));
    }

    #[test]
    fn refuses_what_envoy_refuses() {
        assert_eq!(reason(""), "unexpected EOF");
        assert_eq!(reason("[ , ]"), "unexpected character: ','");
        assert_eq!(reason(r#"{"a":1,,}"#), "expected bare word");
        assert_eq!(reason("{// c\n}"), "expected bare word");
        assert_eq!(reason("{/* c */}"), "expected bare word");
        assert_eq!(reason("{# c\n}"), "expected bare word");
        assert_eq!(
            reason("{} x"),
            "extraneous characters after end of JSON object"
        );
        assert_eq!(reason("\u{feff}{}"), "unexpected character: '\u{feff}'");
        assert_eq!(reason(r#"{"a":"b" "c":1}"#), "expected ','");
        assert_eq!(
            reason(r#"{"a" {}}"#),
            "unexpected character: '{'; expected ':'"
        );
        assert_eq!(reason(r#""\q""#), "invalid escape char: 'q'");
        assert_eq!(reason(r#""\ud800""#), "expected '\\u'");
        assert_eq!(reason(r#""\udc00""#), "unpaired low surrogate");
        assert_eq!(reason("True"), "unexpected character: 'T'");
        assert_eq!(reason("080"), "number cannot have extraneous leading zero");
        assert_eq!(reason("[5.]"), "number cannot have trailing period");
        assert_eq!(reason("-"), "expected a number");
        assert_eq!(reason("1e999"), "invalid number: '1e999'");
        assert_eq!(reason("+5"), "unexpected character: '+'");
        assert_eq!(reason(".5"), "unexpected character: '.'");
        assert_eq!(reason("NaN"), "unexpected character: 'N'");
    }

    #[test]
    fn limits_nesting() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(
            reason(&nested(MAX_DEPTH + 1)),
            "JSON content was too deeply nested"
        );
    }

    #[test]
    fn says_where() {
        let error = parse("{\n  \"a\": ?\n}").unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid JSON near 2:8: unexpected character: '?'"
        );
    }
}
