//! YAML as Envoy reads it: what yaml-cpp takes for a bool or an integer is one, everything else is a string.
//!
//! That makes `id: n` a bool, `1.5` a string (which a double field takes), an integer beyond 32 bits a string (which a
//! 64-bit field takes). There are no merge keys, of repeated keys the last one counts, and only the first document is
//! read. What is well-formed is what yaml-cpp takes as such: it is more liberal than YAML 1.2 with indentation inside of
//! brackets and quotes, and stricter in a few places. Only UTF-8 is read, where yaml-cpp guesses UTF-16 and UTF-32 too.

mod cursor;
mod document;
mod plain;
mod scalar;
mod scan;
mod tag;

use std::fmt;

use crate::json::Json;

/// Why a text is not YAML that Envoy could use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1.
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
    document::parse(text).map_err(|fault| YamlError {
        line: fault.mark.line + 1,
        column: fault.mark.column + 1,
        reason: fault.reason,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::json::MAX_DEPTH;

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

    /// `measured.json` has what Envoy 1.40 made of each text: the node's id and metadata, or where and why it refused.
    #[test]
    fn texts_are_read_as_envoy_reads_them() {
        let measured: Vec<(String, serde_json::Value)> =
            serde_json::from_str(include_str!("measured.json")).unwrap();
        let mut wrong = Vec::new();
        for (text, expected) in measured {
            let found = match parse(&text).map(to_value) {
                Ok(serde_json::Value::Object(mut config)) => {
                    let mut node = config.remove("node").unwrap_or_default();
                    if let Some(node) = node.as_object_mut() {
                        node.retain(|name, value| {
                            (name == "id" && value != "")
                                || (name == "metadata" && !value.is_null())
                        });
                    }
                    if node.is_object() {
                        node
                    } else {
                        serde_json::json!({})
                    }
                }
                Ok(_) => "not a mapping".into(),
                Err(error) => {
                    let reason = match error.reason.as_str() {
                        "a mapping key must be a scalar" => "bad conversion",
                        "end of map not found"
                            if expected
                                .as_str()
                                .is_some_and(|e| e.ends_with("unexpected scalar")) =>
                        {
                            "unexpected scalar"
                        }
                        reason => reason,
                    };
                    format!("{}:{}: {reason}", error.line, error.column).into()
                }
            };
            if found != expected {
                wrong.push(format!(
                    "{text:?}\n   expected {expected}\n   found    {found}"
                ));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
