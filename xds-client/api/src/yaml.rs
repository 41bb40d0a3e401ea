//! YAML as Envoy reads it: what yaml-cpp takes for a bool or an integer is one, everything else is a string.
//!
//! That makes `id: n` a bool, `1.5` a string (which a double field takes), an integer beyond 32 bits a string (which a
//! 64-bit field takes). There are no merge keys, of repeated keys the last one counts, and only the first document is
//! read.

use std::collections::HashMap;
use std::fmt;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use crate::json::{Json, MAX_DEPTH};

/// How many nodes a document may have with its aliases expanded: far above any real configuration, far below what a
/// handful of nested aliases can make.
const MAX_NODES: usize = 1_000_000;

/// Why a text is not YAML that Envoy could use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The reason.
    pub reason: String,
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "invalid YAML near {}:{}: {}",
            self.line, self.column, self.reason
        )
    }
}

impl std::error::Error for YamlError {}

/// Parses the first document of `text`. An empty one is [`Json::Null`].
pub fn parse(text: &str) -> Result<Json, YamlError> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| YamlError {
            line: error.marker().line(),
            column: error.marker().col() + 1,
            reason: error.info().to_owned(),
        })?;
        let done = builder.event(event).map_err(|reason| YamlError {
            line: span.start.line(),
            column: span.start.col() + 1,
            reason: reason.to_owned(),
        })?;
        if let Some(document) = done {
            return Ok(document);
        }
    }
    Ok(Json::Null)
}

/// A collection whose end has not come yet.
enum Open {
    Sequence(Vec<Json>),
    Mapping(Mapping),
}

/// Entries in the order of their first appearance, and the key that waits for its value.
#[derive(Default)]
struct Mapping {
    entries: Vec<(String, Json)>,
    places: HashMap<String, usize>,
    key: Option<String>,
}

impl Mapping {
    fn put(&mut self, value: Json) -> Result<(), &'static str> {
        let Some(key) = self.key.take() else {
            // Scalar keys come through `Builder::scalar`; this is an alias of one, or a collection.
            self.key = Some(match value {
                Json::String(text) | Json::Number(text) => text,
                Json::Bool(b) => b.to_string(),
                Json::Null => "null".to_owned(),
                Json::Array(_) | Json::Object(_) => return Err("a mapping key must be a scalar"),
            });
            return Ok(());
        };
        match self
            .places
            .get(&key)
            .and_then(|place| self.entries.get_mut(*place))
        {
            Some(entry) => entry.1 = value,
            None => {
                self.places.insert(key.clone(), self.entries.len());
                self.entries.push((key, value));
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Builder {
    /// Open collections, outermost first, each with the id of its anchor (0 is none).
    open: Vec<(Open, usize)>,
    anchors: HashMap<usize, Json>,
    nodes: usize,
}

impl Builder {
    /// The document, once it is complete.
    fn event(&mut self, event: Event<'_>) -> Result<Option<Json>, &'static str> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, anchor, tag.as_deref())
            }
            Event::SequenceStart(anchor, _) => self.open(Open::Sequence(Vec::new()), anchor),
            Event::MappingStart(anchor, _) => self.open(Open::Mapping(Mapping::default()), anchor),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some((Open::Sequence(items), anchor)) => self.put(Json::Array(items), anchor),
                Some((Open::Mapping(mapping), anchor)) => {
                    self.put(Json::Object(mapping.entries), anchor)
                }
                None => Err("unexpected end of a collection"),
            },
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(value) => {
                    self.count(nodes(&value))?;
                    self.check_depth(depth(&value))?;
                    self.put(value, 0)
                }
                None => Err("an alias of a node that is not complete"),
            },
            _ => Ok(None),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<Option<Json>, &'static str> {
        // A key is its text, whatever it looks like as a value.
        if let Some((Open::Mapping(mapping), _)) = self.open.last_mut()
            && mapping.key.is_none()
            && anchor == 0
        {
            let null = style == ScalarStyle::Plain && plain_scalar(text) == Json::Null;
            mapping.key = Some(if null {
                "null".to_owned()
            } else {
                text.to_owned()
            });
            return self.count(1).map(|()| None);
        }
        // yaml-cpp keeps one tag for a node, and quotes are the tag `!` to it: any other tag hides the quotes.
        let quoted = tag.map_or(style != ScalarStyle::Plain, |tag| {
            tag.handle.is_empty() && tag.suffix == "!"
        });
        self.put(
            if quoted {
                Json::String(text.to_owned())
            } else {
                plain_scalar(text)
            },
            anchor,
        )
    }

    fn open(&mut self, collection: Open, anchor: usize) -> Result<Option<Json>, &'static str> {
        self.check_depth(1)?;
        self.open.push((collection, anchor));
        Ok(None)
    }

    fn put(&mut self, value: Json, anchor: usize) -> Result<Option<Json>, &'static str> {
        self.count(1)?;
        if anchor > 0 {
            self.count(nodes(&value))?;
            self.anchors.insert(anchor, value.clone());
        }
        match self.open.last_mut() {
            None => return Ok(Some(value)),
            Some((Open::Sequence(items), _)) => items.push(value),
            Some((Open::Mapping(mapping), _)) => mapping.put(value)?,
        }
        Ok(None)
    }

    fn count(&mut self, nodes: usize) -> Result<(), &'static str> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            Err("the document is too large with its aliases expanded")
        } else {
            Ok(())
        }
    }

    fn check_depth(&self, more: usize) -> Result<(), &'static str> {
        if self.open.len() + more > MAX_DEPTH {
            Err("content was too deeply nested")
        } else {
            Ok(())
        }
    }
}

fn nodes(value: &Json) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(nodes).sum::<usize>(),
        Json::Object(entries) => 1 + entries.iter().map(|(_, value)| nodes(value)).sum::<usize>(),
        _ => 1,
    }
}

fn depth(value: &Json) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Json::Object(entries) => {
            1 + entries
                .iter()
                .map(|(_, value)| depth(value))
                .max()
                .unwrap_or(0)
        }
        _ => 0,
    }
}

fn plain_scalar(text: &str) -> Json {
    if matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        return Json::Null;
    }
    if let Some(b) = boolean(text) {
        return Json::Bool(b);
    }
    match integer(text) {
        Some(number) if i32::try_from(number).is_ok() => Json::Number(number.to_string()),
        Some(number) => Json::String(number.to_string()),
        None => Json::String(text.to_owned()),
    }
}

/// yaml-cpp's words for a bool, in lower case, upper case or capitalized.
fn boolean(text: &str) -> Option<bool> {
    let tail = text.get(1..)?;
    let lower = text.bytes().all(|b| b.is_ascii_lowercase());
    let upper = text.bytes().all(|b| b.is_ascii_uppercase());
    let capitalized = text.starts_with(|c: char| c.is_ascii_uppercase())
        && tail.bytes().all(|b| b.is_ascii_lowercase());
    if !(lower || upper || capitalized) {
        return None;
    }
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "true" | "on" => Some(true),
        "n" | "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

/// A 64-bit integer in decimal, hexadecimal (`0x1f`) or octal (`017`).
fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        Some(hex) => (16, hex),
        None if digits.len() > 1 && digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn yaml(text: &str) -> serde_json::Value {
        to_value(parse(text).unwrap())
    }

    fn to_value(json: Json) -> serde_json::Value {
        match json {
            Json::Null => serde_json::Value::Null,
            Json::Bool(b) => b.into(),
            Json::Number(n) => serde_json::from_str(&n).unwrap(),
            Json::String(s) => s.into(),
            Json::Array(items) => items.into_iter().map(to_value).collect(),
            Json::Object(entries) => entries.into_iter().map(|(k, v)| (k, to_value(v))).collect(),
        }
    }

    /// Measured with `node.metadata` of Envoy 1.40.
    #[test]
    fn plain_scalars_are_what_yaml_cpp_takes_them_for() {
        for (text, expected) in [
            ("y", serde_json::json!(true)),
            ("Yes", true.into()),
            ("ON", true.into()),
            ("off", false.into()),
            ("n", false.into()),
            ("yEs", "yEs".into()),
            ("12", 12.into()),
            ("-3", (-3).into()),
            ("0777", 511.into()),
            ("0x10", 16.into()),
            ("089", "089".into()),
            ("1.5", "1.5".into()),
            ("1e3", "1e3".into()),
            (".5", ".5".into()),
            ("1_000", "1_000".into()),
            ("2147483648", "2147483648".into()),
            ("-2147483648", (-2_147_483_648_i64).into()),
            ("\"12\"", "12".into()),
            ("'true'", "true".into()),
            ("!!str 12", 12.into()),
            ("!!int \"12\"", 12.into()),
            ("!foo 12", 12.into()),
            ("! 12", "12".into()),
            ("|-\n  12", "12".into()),
            ("+5", 5.into()),
            ("-0x10", (-16).into()),
            ("0xfg", "0xfg".into()),
            ("0o17", "0o17".into()),
            ("0x", "0x".into()),
            ("+", "+".into()),
            ("T", "T".into()),
            (".inf", ".inf".into()),
            ("1:30", "1:30".into()),
            ("9999999999999999999", "9999999999999999999".into()),
            ("nULL", "nULL".into()),
            ("~", serde_json::Value::Null),
            ("null", serde_json::Value::Null),
            ("2024-01-01", "2024-01-01".into()),
        ] {
            assert_eq!(yaml(text), expected, "{text}");
        }
    }

    #[test]
    fn last_of_repeated_keys_counts_and_merge_keys_do_not() {
        assert_eq!(
            yaml("a: 1\nb: 2\na: 3"),
            serde_json::json!({"a": 3, "b": 2})
        );
        assert_eq!(
            yaml("x: &x {a: 1}\ny: {<<: *x}"),
            serde_json::json!({"x": {"a": 1}, "y": {"<<": {"a": 1}}})
        );
    }

    #[test]
    fn keys_are_text() {
        let keys = yaml("12: a\ny: b\n~: c\n1.5: d\n0x10: e");
        assert_eq!(
            keys,
            serde_json::json!({"12": "a", "y": "b", "null": "c", "1.5": "d", "0x10": "e"})
        );
    }

    #[test]
    fn aliases_expand_and_only_the_first_document_counts() {
        assert_eq!(
            yaml("a: &x [1]\nb: *x"),
            serde_json::json!({"a": [1], "b": [1]})
        );
        assert_eq!(yaml("a: 1\n---\nb: 2"), serde_json::json!({"a": 1}));
        assert_eq!(yaml(""), serde_json::Value::Null);
    }

    #[test]
    fn limits_aliases_and_depth() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for i in 1..9 {
            let aliases = vec![format!("*a{}", i - 1); 9].join(",");
            bomb.push_str(&format!("a{i}: &a{i} [{aliases}]\n"));
        }
        assert_eq!(
            parse(&bomb).unwrap_err().reason,
            "the document is too large with its aliases expanded"
        );
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(
            parse(&nested(MAX_DEPTH + 1)).unwrap_err().reason,
            "content was too deeply nested"
        );
    }

    #[test]
    fn says_where() {
        let error = parse("a: 1\nb: [1").unwrap_err();
        assert!(error.line >= 2, "{error}");
        assert_eq!(
            parse("[1]: 2").unwrap_err().reason,
            "a mapping key must be a scalar"
        );
    }
}
