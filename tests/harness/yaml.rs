//! YAML as Envoy reads it (yaml-cpp, no schema), so that a case file means the same as the bootstrap that is cut out of it.

use anyhow::{Context as _, Result, bail};
use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Reads the first document of `text`.
pub fn load(text: &str) -> Result<Value> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event?;
        let done = builder
            .event(event)
            .with_context(|| format!("line {}", span.start.line()))?;
        if let Some(document) = done {
            return Ok(document);
        }
    }
    Ok(Value::Null)
}

enum Open {
    Sequence(Vec<Value>),
    Mapping(Map<String, Value>, Option<String>),
}

#[derive(Default)]
struct Builder {
    stack: Vec<(Open, usize)>,
    anchors: HashMap<usize, Value>,
}

impl Builder {
    fn event(&mut self, event: Event<'_>) -> Result<Option<Value>> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let value = match style {
                    ScalarStyle::Plain => plain(&text),
                    _ => Value::String(text.into_owned()),
                };
                self.put(value, anchor)
            }
            Event::SequenceStart(anchor, _) => {
                self.stack.push((Open::Sequence(Vec::new()), anchor));
                Ok(None)
            }
            Event::MappingStart(anchor, _) => {
                self.stack.push((Open::Mapping(Map::new(), None), anchor));
                Ok(None)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some((Open::Sequence(items), anchor)) => self.put(Value::Array(items), anchor),
                Some((Open::Mapping(map, _), anchor)) => self.put(Value::Object(map), anchor),
                None => bail!("unbalanced collection"),
            },
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(value) => self.put(value, 0),
                None => bail!("unknown anchor"),
            },
            _ => Ok(None),
        }
    }

    /// Places a finished value into the innermost open collection; a value outside of any is the document.
    fn put(&mut self, value: Value, anchor: usize) -> Result<Option<Value>> {
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        match self.stack.last_mut() {
            None => return Ok(Some(value)),
            Some((Open::Sequence(items), _)) => items.push(value),
            Some((Open::Mapping(map, key), _)) => match (key.take(), value) {
                (Some(key), value) => {
                    if map.contains_key(&key) {
                        bail!("the key `{key}` stands twice");
                    }
                    map.insert(key, value);
                }
                (None, Value::String(name)) => *key = Some(name),
                (None, Value::Bool(flag)) => *key = Some(flag.to_string()),
                (None, Value::Number(number)) => *key = Some(number.to_string()),
                (None, _) => bail!("a mapping key must be a scalar"),
            },
        }
        Ok(None)
    }
}

/// Envoy's reading of an unquoted scalar: boolean words, integers in three bases, never a fraction, else text.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" => return Value::Null,
        "true" | "True" | "yes" | "on" | "y" => return Value::Bool(true),
        "false" | "False" | "no" | "off" | "n" => return Value::Bool(false),
        _ => {}
    }
    match text.parse::<i64>() {
        Ok(number) if !text.starts_with('+') => Value::from(number),
        _ => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::load;
    use serde_json::json;

    #[test]
    fn scalars_follow_yaml_cpp() {
        let value = load("a: 1\nb: 0.2s\nc: on\nd: '1'\ne: 1.5\nf: &x [1]\ng: *x\nh:\n").unwrap();
        assert_eq!(
            value,
            json!({"a": 1, "b": "0.2s", "c": true, "d": "1", "e": "1.5", "f": [1], "g": [1], "h": null})
        );
    }

    #[test]
    fn a_key_that_stands_twice_is_an_error() {
        assert!(load("a: 1\na: 2\n").is_err());
    }
}
