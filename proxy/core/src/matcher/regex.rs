//! `type.matcher.v3.RegexMatcher` and `RegexMatchAndSubstitute`: RE2 patterns over raw bytes.

use crate::{
    ConfigError,
    error::{ConfigResult, required},
};
use envoy_api::pb::envoy::r#type::matcher::v3::{
    RegexMatchAndSubstitute as RewriteProto, RegexMatcher as Proto,
};
use regex::bytes::{Regex as Engine, RegexBuilder};

use super::re2;

/// Memory that one compiled pattern may take. Envoy bounds the size of RE2's program instead
/// (`re2.max_program_size.error_level`), which has no counterpart here.
const SIZE_LIMIT: usize = 16 << 20;

/// A pattern that has to match the whole text, as everywhere in Envoy.
#[derive(Clone, Debug)]
pub struct Regex(Engine);

impl Regex {
    pub fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        Self::new(&proto.regex).map_err(|e| e.at("regex"))
    }

    /// Compiles RE2's dialect.
    pub fn new(pattern: &str) -> Result<Self, ConfigError> {
        let translated = format!(r"\A(?:{})\z", translate(pattern)?);
        build(&translated, pattern).map(Self)
    }

    /// The pattern in the `regex` crate's dialect, anchored at both ends: for those who build a set of patterns.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// RE2's `FullMatch`.
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.0.is_match(text)
    }
}

/// The pattern in the `regex` crate's dialect, not anchored: RE2's `PartialMatch`.
pub fn translate(pattern: &str) -> Result<String, ConfigError> {
    if pattern.is_empty() {
        return Err(ConfigError::new(
            "value length must be at least 1 characters",
        ));
    }
    re2::translate(pattern).map_err(ConfigError::new)
}

fn build(translated: &str, pattern: &str) -> Result<Engine, ConfigError> {
    RegexBuilder::new(translated)
        .size_limit(SIZE_LIMIT)
        .build()
        .map_err(|_| ConfigError::new(format!("pattern not understood or too large: {pattern}")))
}

/// RE2's `GlobalReplace`: every match is replaced, `\1` stands for a group and `\0` for the whole match.
#[derive(Clone, Debug)]
pub struct RegexRewrite {
    regex: Engine,
    /// No parts: the substitution names a group that there is not, so RE2 leaves the text as it is.
    parts: Option<Vec<Part>>,
}

#[derive(Clone, Debug)]
enum Part {
    Literal(Vec<u8>),
    Group(usize),
}

impl RegexRewrite {
    pub fn compile(proto: &RewriteProto) -> Result<Self, ConfigError> {
        let pattern = &required(proto.pattern.as_ref(), "pattern")?.regex;
        let regex = translate(pattern)
            .and_then(|translated| build(&translated, pattern))
            .at("regex")
            .at("pattern")?;
        if proto
            .substitution
            .bytes()
            .any(|b| matches!(b, 0 | b'\n' | b'\r'))
        {
            return Err(
                ConfigError::new(r#"value does not match regex pattern "^[^\x00\n\r]*$""#)
                    .at("substitution"),
            );
        }
        let parts = parse(proto.substitution.as_bytes());
        let known = |part: &Part| match part {
            Part::Group(group) => *group < regex.captures_len(),
            Part::Literal(_) => true,
        };
        let parts = parts.iter().all(known).then_some(parts);
        Ok(Self { regex, parts })
    }

    /// Appends `text` with every match replaced.
    pub fn replace_all<'t>(&self, text: &'t [u8], out: &mut impl Extend<u8>) {
        let mut add = |bytes: &[u8]| out.extend(bytes.iter().copied());
        let Some(parts) = &self.parts else {
            return add(text);
        };
        let mut done = 0;
        let needs_groups = parts.iter().any(|p| matches!(p, Part::Group(1..)));
        let mut replace = |start: usize, end: usize, group: &dyn Fn(usize) -> &'t [u8]| {
            add(text.get(done..start).unwrap_or_default());
            for part in parts {
                match part {
                    Part::Literal(literal) => add(literal),
                    Part::Group(index) => add(group(*index)),
                }
            }
            done = end;
        };
        if needs_groups {
            for found in self.regex.captures_iter(text) {
                if let Some(whole) = found.get(0) {
                    replace(whole.start(), whole.end(), &|index| {
                        found.get(index).map(|m| m.as_bytes()).unwrap_or_default()
                    });
                }
            }
        } else {
            for found in self.regex.find_iter(text) {
                replace(found.start(), found.end(), &|_| found.as_bytes());
            }
        }
        add(text.get(done..).unwrap_or_default());
    }
}

/// Splits a substitution at its `\N`. RE2 stops at an escape that it does not know, with what it has written so far.
fn parse(substitution: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut literal = Vec::new();
    let mut bytes = substitution.iter().copied();
    while let Some(b) = bytes.next() {
        if b != b'\\' {
            literal.push(b);
            continue;
        }
        match bytes.next() {
            Some(b'\\') => literal.push(b'\\'),
            Some(digit @ b'0'..=b'9') => {
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(Part::Group(usize::from(digit - b'0')));
            }
            _ => break,
        }
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    parts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn rewrite(pattern: &str, substitution: &str, text: &str) -> String {
        let rewrite = RegexRewrite::compile(&RewriteProto {
            pattern: Some(Proto {
                regex: pattern.into(),
                ..Default::default()
            }),
            substitution: substitution.into(),
        })
        .unwrap();
        let mut out = Vec::new();
        rewrite.replace_all(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_match_is_a_match_of_the_whole_text() {
        let regex = Regex::new("a|ab").unwrap();
        assert!(regex.is_match(b"ab"));
        assert!(!regex.is_match(b"abc"));
        assert!(!Regex::new("a.c").unwrap().is_match(b"a\nc"));
        assert_eq!(Regex::new("a(").unwrap_err().to_string(), "missing ): a(");
    }

    #[test]
    fn substitutions_are_re2s() {
        assert_eq!(rewrite("/(a)/(b)", r"/\2/\1", "/a/b/c"), "/b/a/c");
        assert_eq!(rewrite("b+", r"[\0]", "abba"), "a[bb]a");
        assert_eq!(rewrite("a*", "x", "baac"), "xbxcx");
        assert_eq!(rewrite("a", r"\\", "a"), r"\");
        assert_eq!(rewrite("/x", "", "/x/y"), "/y");
        assert_eq!(rewrite("(a)", r"\2", "a"), "a");
        assert_eq!(rewrite("(a)", r"\x", "/q3a"), "/q3");
    }
}
