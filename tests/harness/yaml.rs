//! Case files are read as Envoy reads YAML, so that a bootstrap in one means the same as in a file of its own.

use anyhow::Result;
use envoy_api::json::Json;
use serde_json::Value;

/// Reads the first document of `text`.
pub fn load(text: &str) -> Result<Value> {
    Ok(value(envoy_api::yaml::parse(text)?))
}

fn value(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(flag),
        Json::Number(text) => text.parse().map_or(Value::String(text), Value::Number),
        Json::String(text) => Value::String(text),
        Json::Array(items) => items.into_iter().map(value).collect(),
        Json::Object(entries) => entries
            .into_iter()
            .map(|(key, json)| (key, value(json)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::load;
    use serde_json::json;

    #[test]
    fn scalars_follow_yaml_cpp() {
        let text = "a: 1\nb: 0.2s\nc: on\nd: '1'\ne: 1.5\nf: &x [1]\ng: *x\nh:\n";
        let expected = json!({"a": 1, "b": "0.2s", "c": true, "d": "1", "e": "1.5", "f": [1], "g": [1], "h": null});
        assert_eq!(load(text).unwrap(), expected);
    }
}
