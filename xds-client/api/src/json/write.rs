//! A dynamic message as Envoy's `/config_dump` prints it: proto field names, 64-bit integers as strings, enum names,
//! the contents of an Any, and nothing of what `udpa.annotations.sensitive` marks.

use serde_json::{Map, Number, Value as Out};

use super::any::TYPE;
use super::well_known::WellKnown;
use crate::convert::MAX_MESSAGE_DEPTH;
use crate::reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, Value};
use crate::typed_struct::open_any;

/// What stands for a secret.
const REDACTED: &str = "[redacted]";

/// `message` as JSON. An Any of an unknown or damaged message keeps its bytes, in base64, as `value`.
pub fn write(message: &DynamicMessage) -> Out {
    Writer {
        redact: false,
        depth: 0,
    }
    .message(message)
}

/// JSON text as Envoy's admin interface has it: one space for each level, angle brackets escaped.
pub fn print(json: &Out) -> String {
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(
        &mut text,
        serde_json::ser::PrettyFormatter::with_indent(b" "),
    );
    // A tree of strings and numbers cannot fail to serialize into memory.
    let _ = serde::Serialize::serialize(json, &mut serializer);
    String::from_utf8(text)
        .unwrap_or_default()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
}

#[derive(Clone, Copy)]
struct Writer {
    /// Inside a sensitive field: strings and bytes are replaced, other scalars left out.
    redact: bool,
    /// Messages around this one.
    depth: usize,
}

impl Writer {
    fn message(self, message: &DynamicMessage) -> Out {
        if self.depth == MAX_MESSAGE_DEPTH {
            return Out::Null;
        }
        let inner = Self {
            depth: self.depth + 1,
            ..self
        };
        inner.contents(message)
    }

    fn contents(self, message: &DynamicMessage) -> Out {
        match WellKnown::of(&message.descriptor()) {
            Some(WellKnown::Any) => self.any(message),
            Some(WellKnown::Value) => message
                .fields()
                .next()
                .map_or(Out::Null, |(f, v)| self.single(&f.kind(), v)),
            Some(WellKnown::Struct | WellKnown::List) => match message.descriptor().get_field(1) {
                Some(field) => self.field(&field, &message.get_field(&field)),
                None => Out::Null,
            },
            Some(WellKnown::Wrapper) => match message.descriptor().get_field(1) {
                Some(field) => self.single(&field.kind(), &message.get_field(&field)),
                None => Out::Null,
            },
            Some(WellKnown::Duration) => Out::String(duration(time(message))),
            Some(WellKnown::Timestamp) => Out::String(timestamp(time(message))),
            Some(WellKnown::FieldMask) => Out::String(field_mask(message)),
            None => Out::Object(self.fields(message)),
        }
    }

    fn fields(self, message: &DynamicMessage) -> Map<String, Out> {
        let mut out = Map::new();
        for (field, value) in message.fields() {
            let inner = Self {
                redact: self.redact || field.is_sensitive(),
                ..self
            };
            if inner.keeps(&field.kind()) {
                out.insert(field.name().to_owned(), inner.field(&field, value));
            }
        }
        out
    }

    /// Whether a field of this kind survives redaction.
    fn keeps(self, kind: &Kind) -> bool {
        !self.redact || matches!(kind, Kind::String | Kind::Bytes | Kind::Message(_))
    }

    fn field(self, field: &FieldDescriptor, value: &Value) -> Out {
        match (value, field.kind()) {
            (Value::List(items), kind) => {
                Out::Array(items.iter().map(|item| self.single(&kind, item)).collect())
            }
            (Value::Map(entries), kind) => {
                let kind = field.map_kinds().map_or(kind, |(_, values)| values);
                let mut entries: Vec<_> = entries.iter().collect();
                entries.sort_by_key(|(key, _)| *key);
                let pairs = entries.into_iter().filter(|_| self.keeps(&kind));
                Out::Object(
                    pairs
                        .map(|(key, value)| (map_key(key), self.single(&kind, value)))
                        .collect(),
                )
            }
            (value, kind) => self.single(&kind, value),
        }
    }

    fn single(self, kind: &Kind, value: &Value) -> Out {
        match value {
            Value::Message(message) => self.message(message),
            Value::String(_) if self.redact => Out::String(REDACTED.to_owned()),
            Value::Bytes(_) if self.redact => Out::String(base64(REDACTED.as_bytes())),
            _ if self.redact => Out::Null,
            Value::String(text) => Out::String(text.clone()),
            Value::Bytes(bytes) => Out::String(base64(bytes)),
            Value::Bool(b) => Out::Bool(*b),
            Value::I32(n) => Out::from(*n),
            Value::U32(n) => Out::from(*n),
            Value::I64(n) => Out::String(n.to_string()),
            Value::U64(n) => Out::String(n.to_string()),
            // Through its own shortest notation: 0.1 as a float is not 0.1 as a double.
            Value::F32(n) => double(n.to_string().parse().unwrap_or(f64::from(*n))),
            Value::F64(n) => double(*n),
            Value::EnumNumber(number) => enumerator(kind, *number),
            Value::List(_) | Value::Map(_) => Out::Null,
        }
    }

    fn any(self, any: &DynamicMessage) -> Out {
        let url = any.get_field_by_number(1);
        let url = url.as_deref().and_then(Value::as_str).unwrap_or_default();
        let bytes = any
            .get_field_by_number(2)
            .and_then(|v| v.as_bytes().cloned())
            .unwrap_or_default();
        let mut out = Map::new();
        if url.is_empty() && bytes.is_empty() {
            return Out::Object(out);
        }
        out.insert(TYPE.to_owned(), Out::String(url.to_owned()));
        match open_any(any) {
            None => {
                out.insert(
                    "value".to_owned(),
                    self.single(&Kind::Bytes, &Value::Bytes(bytes)),
                );
            }
            Some(inner) => match (WellKnown::of(&inner.descriptor()), self.message(&inner)) {
                (None, Out::Object(fields)) => out.extend(fields),
                (_, value) => {
                    out.insert("value".to_owned(), value);
                }
            },
        }
        Out::Object(out)
    }
}

fn enumerator(kind: &Kind, number: i32) -> Out {
    match kind {
        Kind::Enum(descriptor) if descriptor.full_name() == "google.protobuf.NullValue" => {
            Out::Null
        }
        Kind::Enum(descriptor) => descriptor
            .get_value(number)
            .map_or(Out::from(number), |value| {
                Out::String(value.name().to_owned())
            }),
        _ => Out::from(number),
    }
}

/// A double without a fraction is printed as an integer.
fn double(number: f64) -> Out {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0
        && number.abs() < EXACT
        && !(number == 0.0 && number.is_sign_negative())
    {
        return Out::from(number as i64);
    }
    match Number::from_f64(number) {
        Some(number) => Out::Number(number),
        None if number.is_nan() => Out::String("NaN".to_owned()),
        None if number > 0.0 => Out::String("Infinity".to_owned()),
        None => Out::String("-Infinity".to_owned()),
    }
}

fn map_key(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

/// Seconds and nanoseconds of a Duration or Timestamp.
fn time(message: &DynamicMessage) -> (i64, i32) {
    let seconds = message
        .get_field_by_number(1)
        .and_then(|v| v.as_i64())
        .unwrap_or_default();
    let nanos = message
        .get_field_by_number(2)
        .and_then(|v| v.as_i32())
        .unwrap_or_default();
    (seconds, nanos)
}

fn duration((seconds, nanos): (i64, i32)) -> String {
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    format!(
        "{sign}{}{}s",
        seconds.unsigned_abs(),
        fraction(nanos.unsigned_abs())
    )
}

fn timestamp((seconds, nanos): (i64, i32)) -> String {
    let (days, time) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(days);
    let (hours, minutes, seconds) = (time / 3600, time / 60 % 60, time % 60);
    let fraction = fraction(nanos.unsigned_abs());
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}{fraction}Z")
}

/// Nothing, or three, six or nine digits after a point.
fn fraction(nanos: u32) -> String {
    match nanos {
        0 => String::new(),
        n if n % 1_000_000 == 0 => format!(".{:03}", n / 1_000_000),
        n if n % 1000 == 0 => format!(".{:06}", n / 1000),
        n => format!(".{n:09}"),
    }
}

/// Year, month and day of a number of days since 1970-01-01; years are counted from March, in eras of 400.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days.saturating_add(719_468);
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * from_march + 2) / 5 + 1)
}

fn field_mask(message: &DynamicMessage) -> String {
    let paths = message.get_field_by_number(1);
    let paths = paths
        .as_deref()
        .and_then(Value::as_list)
        .unwrap_or_default();
    let camel = paths.iter().filter_map(Value::as_str).map(|path| {
        let mut out = String::with_capacity(path.len());
        let mut upper = false;
        for c in path.chars() {
            match c {
                '_' => upper = true,
                c => {
                    out.push(if upper { c.to_ascii_uppercase() } else { c });
                    upper = false;
                }
            }
        }
        out
    });
    camel.collect::<Vec<_>>().join(",")
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = DIGITS
                .get((bits >> (18 - 6 * place) & 63) as usize)
                .copied();
            out.push(
                digit
                    .filter(|_| place <= group.len())
                    .map_or('=', char::from),
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(duration((1, 500_000_000)), "1.500s");
        assert_eq!(duration((0, -1)), "-0.000000001s");
        assert_eq!(duration((300, 0)), "300s");
        assert_eq!(
            timestamp((1_709_208_000, 250_000_000)),
            "2024-02-29T12:00:00.250Z"
        );
        assert_eq!(timestamp((-1, 0)), "1969-12-31T23:59:59Z");
        assert_eq!(timestamp((951_868_800, 0)), "2000-03-01T00:00:00Z");
    }

    #[test]
    fn doubles() {
        assert_eq!(double(1.0).to_string(), "1");
        assert_eq!(double(0.5).to_string(), "0.5");
        assert_eq!(double(f64::NAN), Out::from("NaN"));
        assert_eq!(double(f64::NEG_INFINITY), Out::from("-Infinity"));
    }

    #[test]
    fn base64_is_padded() {
        assert_eq!(base64(b""), "");
        assert_eq!(base64(b"f"), "Zg==");
        assert_eq!(base64(b"fo"), "Zm8=");
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }
}
