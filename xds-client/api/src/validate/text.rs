//! How protoc-gen-validate, a Go program, writes names and durations.

use std::fmt;

use crate::reflect::{DynamicMessage, Value};

/// A duration, shown as Go shows one: `5m0s`, `1.5s`, `250ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GoDuration {
    pub(super) seconds: i64,
    pub(super) nanos: i32,
}

impl GoDuration {
    pub(super) fn from_message(message: &DynamicMessage) -> Self {
        Self {
            seconds: message
                .get_field_by_number(1)
                .as_deref()
                .and_then(Value::as_i64)
                .unwrap_or_default(),
            nanos: message
                .get_field_by_number(2)
                .as_deref()
                .and_then(Value::as_i32)
                .unwrap_or_default(),
        }
    }
}

impl From<prost_types::Duration> for GoDuration {
    fn from(duration: prost_types::Duration) -> Self {
        Self {
            seconds: duration.seconds,
            nanos: duration.nanos,
        }
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.seconds == 0 {
            return match self.nanos {
                0 => f.write_str("0s"),
                n if n.unsigned_abs() >= 1_000_000 => write!(f, "{}ms", f64::from(n) / 1e6),
                n if n.unsigned_abs() >= 1000 => write!(f, "{}µs", f64::from(n) / 1e3),
                n => write!(f, "{n}ns"),
            };
        }
        let (hours, minutes) = (self.seconds / 3600, self.seconds / 60 % 60);
        if hours != 0 {
            write!(f, "{hours}h")?;
        }
        if self.seconds >= 60 {
            write!(f, "{minutes}m")?;
        }
        write!(f, "{}", self.seconds % 60)?;
        if self.nanos != 0 {
            let digits = format!("{:09}", self.nanos);
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("s")
    }
}

/// `access_log` as `AccessLog`.
pub(super) fn upper_camel_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for part in name.split('_') {
        let mut characters = part.chars();
        out.extend(characters.next().map(|first| first.to_ascii_uppercase()));
        out.push_str(characters.as_str());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        for (seconds, nanos, text) in [
            (0, 0, "0s"),
            (0, 1, "1ns"),
            (0, 1500, "1.5µs"),
            (0, 1_000_000, "1ms"),
            (0, 250_500_000, "250.5ms"),
            (1, 500_000_000, "1.5s"),
            (300, 0, "5m0s"),
            (3600, 0, "1h0m0s"),
            (90_061, 1, "25h1m1.000000001s"),
        ] {
            assert_eq!(GoDuration { seconds, nanos }.to_string(), text);
        }
    }

    #[test]
    fn names_are_gos() {
        assert_eq!(
            upper_camel_case("http2_protocol_options"),
            "Http2ProtocolOptions"
        );
        assert_eq!(upper_camel_case("via"), "Via");
    }
}
