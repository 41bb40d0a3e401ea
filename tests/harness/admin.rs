//! The admin interface: asking it, and bringing its answers into lines that can be compared.

use crate::bytes::{Names, expand};
use crate::case::{AdminCase, AdminCompare};
use crate::http1::{self, Kind};
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

pub struct Answer {
    pub status: u16,
    /// Status line and headers.
    pub head: Vec<String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub fn get(port: u16, path: &str) -> Result<Answer> {
    ask(port, "GET", path)
}

/// One request on a connection of its own.
pub fn ask(port: u16, method: &str, path: &str) -> Result<Answer> {
    let wait = Duration::from_secs(10);
    let mut stream =
        TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), wait)?;
    stream.set_read_timeout(Some(wait))?;
    stream.write_all(
        format!("{method} {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let kind = Kind::Response {
        to_head: method == "HEAD",
    };
    let message = http1::message(&bytes, kind, true).context("no HTTP answer")?;
    if !message.complete {
        bail!("answer of {path} is cut");
    }
    let status = message.status();
    let head = std::iter::once(message.start)
        .chain(message.headers)
        .collect();
    Ok(Answer {
        status,
        head,
        body: message.body,
    })
}

/// The answer to `case` as lines, brought through `normalise`. Lines without an order of their own are sorted after
/// that, since ports would sort differently on each side.
pub fn observe(
    port: u16,
    case: &AdminCase,
    names: &Names,
    normalise: &mut dyn FnMut(&str) -> String,
) -> Result<Vec<String>> {
    let request = expand(&case.request, names);
    let (method, path) = request
        .split_once(' ')
        .context("`request` is a method and a path")?;
    let answer = ask(port, method, path)?;
    let text = answer.text();
    let mut lines = Vec::new();
    match case.compare {
        AdminCompare::Head => {}
        AdminCompare::Exact => lines.extend(text.split('\n').map(|line| format!("| {line}"))),
        AdminCompare::Lines => lines.extend(text.lines().map(str::to_owned)),
        AdminCompare::Names => {
            lines.extend(
                text.lines()
                    .map(|line| line.split(": ").next().unwrap_or(line).to_owned()),
            );
        }
        AdminCompare::Series => lines.extend(text.lines().map(series)),
        AdminCompare::Shape | AdminCompare::Values => {
            let value: Value = serde_json::from_str(&text).context("the body is no JSON")?;
            let mut paths = BTreeSet::new();
            flatten(&value, String::new(), case, &mut paths);
            lines.extend(paths);
        }
    }
    let mut lines: Vec<String> = lines.iter().map(|line| normalise(line)).collect();
    if case.compare != AdminCompare::Exact {
        lines.sort();
        lines.dedup();
    }
    Ok(answer
        .head
        .iter()
        .map(|line| normalise(line))
        .chain(lines)
        .collect())
}

/// A line of Prometheus text without its value.
fn series(line: &str) -> String {
    if line.starts_with('#') {
        return line.to_owned();
    }
    line.rsplit_once(' ')
        .map_or(line, |(name, _)| name)
        .to_owned()
}

/// One line for every leaf; lists are sets here, since Envoy's maps give no order.
fn flatten(value: &Value, path: String, case: &AdminCase, out: &mut BTreeSet<String>) {
    if case.without.contains(&path) {
        return;
    }
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                flatten(value, path, case, out);
            }
        }
        Value::Array(items) => {
            if items.is_empty() {
                out.insert(format!("{path}[] (empty)"));
            }
            for item in items {
                flatten(item, format!("{path}[]"), case, out);
            }
        }
        // What an Any holds decides what may stand beside it: always by value.
        leaf if case.compare == AdminCompare::Values || path.ends_with("@type") => {
            out.insert(format!("{path} = {leaf}"));
        }
        leaf => {
            let kind = match leaf {
                Value::String(_) => "string",
                Value::Number(_) => "number",
                Value::Bool(_) => "bool",
                _ => "null",
            };
            out.insert(format!("{path}: {kind}"));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_shape_has_paths_and_types() {
        let case = AdminCase {
            request: String::new(),
            compare: AdminCompare::Shape,
            without: vec!["b.d".to_owned()],
        };
        let mut out = BTreeSet::new();
        flatten(
            &json!({"a": [1, 2], "b": {"c": "x", "d": 1}}),
            String::new(),
            &case,
            &mut out,
        );
        assert_eq!(
            out.into_iter().collect::<Vec<_>>(),
            ["a[]: number", "b.c: string"]
        );
    }

    #[test]
    fn series_lose_their_values() {
        assert_eq!(series(r#"a{b="c d"} 4"#), r#"a{b="c d"}"#);
        assert_eq!(series("# TYPE a counter"), "# TYPE a counter");
    }
}
