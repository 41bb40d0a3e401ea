//! What may differ between two runs of the same program, and nothing more: replaced by a name on both sides before the
//! comparison. Every rule says why.

use crate::bytes::{Names, show};
use anyhow::Result;
use regex::{Captures, Regex};
use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// The rules, in order. Each must keep all that a specification fixes: a time keeps its form, an id its fixed digits.
static RULES: LazyLock<Result<Vec<(Regex, &'static str)>, regex::Error>> = LazyLock::new(|| {
    let rules = [
        // The clock: RFC 1123 dates in headers.
        (
            r"\b[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT",
            "<date>",
        ),
        // The clock: how long the upstream took.
        (r"(?i)(x-envoy-upstream-service-time: )\d+", "${1}<ms>"),
        // The clock in Envoy's default log format: the duration, then the service time unless there was none.
        (r#"^(\[\S+\] ".*" \d+ \S+ \d+ \d+) \d+ "#, "${1} <ms> "),
        (
            r#"^(\[\S+\] ".*" \d+ \S+ \d+ \d+ <ms>) \d+ ""#,
            "${1} <ms> \"",
        ),
        // The clock in log lines: `something_ms=12`, `"something_ms":12`.
        (r#"(_ms"?[=:])-?\d+(\.\d+)?"#, "${1}<n>"),
        // Ids that count connections since the start: `something_id=12`.
        (r#"(_id"?[=:]"?)\d+"#, "${1}<n>"),
    ];
    rules
        .into_iter()
        .map(|(pattern, to)| Ok((Regex::new(pattern)?, to)))
        .collect()
});

static UUID: LazyLock<Result<Regex, regex::Error>> = LazyLock::new(|| {
    Regex::new(r"\b[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b")
});

/// ISO 8601 times and values of `something_at=`: the digits go, the form stays.
static TIME: LazyLock<Result<Regex, regex::Error>> =
    LazyLock::new(|| Regex::new(r#"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?|_at"?[=:]"?[^"\s]*"#));

/// Base64 that may hold an address.
static BASE64: LazyLock<Result<Regex, regex::Error>> =
    LazyLock::new(|| Regex::new(r"[A-Za-z0-9+/]{16,}={0,2}"));

/// Replaces what one side of one case cannot help choosing itself.
pub struct Normaliser {
    /// `127.0.0.1:12345`-like texts and their names, longest first.
    ports: Vec<(Regex, String)>,
    /// Generated ids by first appearance: the same id seen in two places must stay the same id.
    uuids: HashMap<String, usize>,
    /// Text of the case: an id that the case itself sends is no generated one.
    given: String,
}

impl Normaliser {
    /// `names` are the ports of this side (values that are numbers), `given` the text of the case.
    pub fn new(names: &Names, given: &str) -> Result<Self> {
        let mut out = Self {
            ports: Vec::new(),
            uuids: HashMap::new(),
            given: given.to_owned(),
        };
        for (name, value) in names {
            if value.parse::<u16>().is_ok() {
                out.port(value.parse()?, name)?;
            } else {
                out.ports
                    .push((Regex::new(&regex::escape(value))?, format!("<{name}>")));
            }
        }
        Ok(out)
    }

    /// From now on the port `number` is called `<name>`.
    pub fn port(&mut self, number: u16, name: &str) -> Result<()> {
        // Stat names write an address as `127.0.0.1_12345`.
        self.ports.push((
            Regex::new(&format!(r"(\b|_){number}(\b|_)"))?,
            format!("${{1}}<{name}>${{2}}"),
        ));
        Ok(())
    }

    pub fn line(&mut self, line: &str) -> String {
        let mut out = line.to_owned();
        if let Ok(base64) = &*BASE64 {
            out = base64
                .replace_all(&out, |found: &Captures<'_>| open_base64(&found[0]))
                .into_owned();
        }
        for (regex, name) in &self.ports {
            out = regex.replace_all(&out, name.as_str()).into_owned();
        }
        if let Ok(uuid) = &*UUID {
            out = uuid
                .replace_all(&out, |found: &Captures<'_>| self.name_uuid(found))
                .into_owned();
        }
        if let Ok(rules) = &*RULES {
            for (regex, to) in rules {
                out = regex.replace_all(&out, *to).into_owned();
            }
        }
        if let Ok(time) = &*TIME {
            let blank = |found: &Captures<'_>| {
                found[0]
                    .chars()
                    .map(|c| if c.is_ascii_digit() { 'd' } else { c })
                    .collect::<String>()
            };
            out = time.replace_all(&out, blank).into_owned();
        }
        out
    }

    pub fn lines<S: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = S>) -> Vec<String> {
        lines
            .into_iter()
            .map(|line| self.line(line.as_ref()))
            .collect()
    }

    /// A generated id keeps its version digit, which carries Envoy's sampling decision.
    fn name_uuid(&mut self, found: &Captures<'_>) -> String {
        let text = found[0].to_owned();
        if self.given.contains(&text) {
            return text;
        }
        let next = self.uuids.len() + 1;
        let number = *self.uuids.entry(text).or_insert(next);
        format!("<uuid {number} version {}>", &found[1])
    }
}

/// Shows an address that stands in base64: its port is another on each side. What stands behind it as the second field of
/// a protobuf message is a time, told by how long it is from now.
fn open_base64(text: &str) -> String {
    let decoded = crate::base64::decode(text).filter(|bytes| {
        let mut pairs = bytes.windows(8);
        pairs.any(|found| found == b"127.0.0.")
    });
    let Some(bytes) = decoded else {
        return text.to_owned();
    };
    let at = bytes.iter().rposition(|byte| *byte == 0x10);
    let Some((address, time)) = at.map(|at| bytes.split_at(at)) else {
        return format!("<base64 {}>", show(&bytes));
    };
    let groups = time.iter().skip(1).rev();
    let expires = groups.fold(0_u64, |value, byte| value << 7 | u64::from(byte & 0x7f));
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let left = expires.saturating_sub(now.map_or(0, |now| now.as_secs()));
    // A case may take some seconds.
    let left = left.div_ceil(20) * 20;
    format!("<base64 {} for {left} s>", show(address))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn only_what_must_vary_is_replaced() {
        let names = Names::from([("main".to_owned(), "12345".to_owned())]);
        let mut normaliser = Normaliser::new(&names, "").unwrap();
        assert_eq!(
            normaliser.line("listener.127.0.0.1_12345.x"),
            "listener.127.0.0.1_<main>.x"
        );
        assert_eq!(
            normaliser.line("host: 127.0.0.1:12345"),
            "host: 127.0.0.1:<main>"
        );
        assert_eq!(
            normaliser.line("date: Sat, 21 Nov 2026 11:38:05 GMT"),
            "date: <date>"
        );
        assert_eq!(
            normaliser.line(r#"[x] "GET / HTTP/1.1" 200 - 0 2 13 12 "-""#),
            r#"[x] "GET / HTTP/1.1" 200 - 0 2 <ms> <ms> "-""#
        );
        assert_eq!(
            normaliser.line("total_ms=17 code=200"),
            "total_ms=<n> code=200"
        );
        assert_eq!(
            normaliser.line("t=2026-11-21T11:38:05.123Z"),
            "t=dddd-dd-ddTdd:dd:dd.dddZ"
        );
    }

    #[test]
    fn addresses_in_base64_are_shown() {
        let names = Names::from([("up".to_owned(), "12345".to_owned())]);
        let mut normaliser = Normaliser::new(&names, "").unwrap();
        let mut line = |bytes: &[u8]| {
            let text = crate::base64::encode(bytes);
            normaliser.line(&format!("s=\"{text}\"; Path=/"))
        };
        assert_eq!(
            line(b"127.0.0.1:12345"),
            "s=\"<base64 127.0.0.1:<up>>\"; Path=/"
        );
        assert_eq!(
            line(b"\x0a\x0f127.0.0.1:12345\x10\x05"),
            "s=\"<base64 \\n\\x0f127.0.0.1:<up> for 0 s>\"; Path=/"
        );
        assert_eq!(
            line(b"nothing of interest"),
            "s=\"bm90aGluZyBvZiBpbnRlcmVzdA==\"; Path=/"
        );
    }

    #[test]
    fn ids_keep_identity_and_version() {
        let mut normaliser =
            Normaliser::new(&Names::new(), "11111111-1111-4111-8111-111111111111").unwrap();
        let id = "0a0b0c0d-1111-4222-8333-444455556666";
        assert_eq!(
            normaliser.line(&format!("{id} {id}")),
            "<uuid 1 version 4> <uuid 1 version 4>"
        );
        let given = "11111111-1111-4111-8111-111111111111";
        assert_eq!(normaliser.line(given), given);
    }
}
