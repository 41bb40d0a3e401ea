//! The `google.protobuf` messages whose JSON is not an object with their fields.

use std::collections::HashMap;

use super::read::Reader;
use super::{Json, scalar};
use crate::reflect::{DynamicMessage, MessageDescriptor, Value};

/// Seconds of 10 000 years, the largest duration that protobuf's JSON has.
const MAX_DURATION_SECONDS: i64 = 3_652_500 * 86_400;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WellKnown {
    Any,
    Value,
    Struct,
    List,
    Wrapper,
    Timestamp,
    Duration,
    FieldMask,
}

impl WellKnown {
    /// `None` for the messages that are plain objects, `google.protobuf.Empty` among them.
    pub(super) fn of(descriptor: &MessageDescriptor) -> Option<Self> {
        match descriptor.full_name().strip_prefix("google.protobuf.")? {
            "Any" => Some(Self::Any),
            "Value" => Some(Self::Value),
            "Struct" => Some(Self::Struct),
            "ListValue" => Some(Self::List),
            "BoolValue" | "BytesValue" | "DoubleValue" | "FloatValue" | "Int32Value"
            | "Int64Value" | "StringValue" | "UInt32Value" | "UInt64Value" => Some(Self::Wrapper),
            "Timestamp" => Some(Self::Timestamp),
            "Duration" => Some(Self::Duration),
            "FieldMask" => Some(Self::FieldMask),
            _ => None,
        }
    }
}

impl Reader {
    pub(super) fn well_known(
        &mut self,
        kind: WellKnown,
        message: &mut DynamicMessage,
        value: &Json,
    ) {
        match kind {
            WellKnown::Any => self.any(message, value),
            WellKnown::Value => self.value(message, value),
            WellKnown::Struct => self.structure(message, value),
            // The plain form with the message's own fields is taken as well.
            _ if matches!(value, Json::Object(_)) => self.object(message, value),
            // Only inside an Any, and there it says nothing.
            _ if *value == Json::Null => {}
            WellKnown::List => self.list(message, value),
            WellKnown::Wrapper => {
                if let Some(field) = message.descriptor().get_field(1)
                    && let Some(inner) = self.element(&field.kind(), value)
                {
                    message.set_field(&field, inner);
                }
            }
            WellKnown::Timestamp => self.time(message, value, timestamp),
            WellKnown::Duration => self.time(message, value, duration),
            WellKnown::FieldMask => self.field_mask(message, value),
        }
    }

    fn value(&mut self, message: &mut DynamicMessage, value: &Json) {
        match value {
            Json::Null => message.set_field_by_number(1, Value::EnumNumber(0)),
            Json::Number(_) => {
                if let Some(number) = self.accept(scalar::double(value)) {
                    message.set_field_by_number(2, Value::F64(number));
                }
            }
            Json::String(text) => message.set_field_by_number(3, Value::String(text.clone())),
            Json::Bool(b) => message.set_field_by_number(4, Value::Bool(*b)),
            Json::Object(_) => {
                if let Some(inner) = message
                    .get_field_by_number_mut(5)
                    .and_then(Value::as_message_mut)
                {
                    self.structure(inner, value);
                }
            }
            Json::Array(_) => {
                if let Some(inner) = message
                    .get_field_by_number_mut(6)
                    .and_then(Value::as_message_mut)
                {
                    self.list(inner, value);
                }
            }
        }
    }

    fn structure(&mut self, message: &mut DynamicMessage, value: &Json) {
        if let Some(field) = message.descriptor().get_field(1) {
            let mut entries = HashMap::new();
            self.map(&mut entries, &field, value);
            message.set_field(&field, Value::Map(entries));
        }
    }

    fn list(&mut self, message: &mut DynamicMessage, value: &Json) {
        let Json::Array(elements) = value else {
            return self.error(value.unexpected('['));
        };
        if let Some(field) = message.descriptor().get_field(1) {
            let mut items = Vec::new();
            self.elements(&mut items, &field, elements);
            message.set_field(&field, Value::List(items));
        }
    }

    fn time(
        &mut self,
        message: &mut DynamicMessage,
        value: &Json,
        parse: fn(&str) -> Result<(i64, i32), &'static str>,
    ) {
        let time = scalar::string(value).and_then(|text| parse(text).map_err(str::to_owned));
        if let Some((seconds, nanos)) = self.accept(time) {
            message.set_field_by_number(1, Value::I64(seconds));
            message.set_field_by_number(2, Value::I32(nanos));
        }
    }

    /// `"fooBar,baz.qux"`: lowerCamelCase paths.
    fn field_mask(&mut self, message: &mut DynamicMessage, value: &Json) {
        let Some(text) = self.accept(scalar::string(value)) else {
            return;
        };
        let paths = text.split(',').filter(|path| !path.is_empty()).map(|path| {
            let mut snake = String::with_capacity(path.len() + 4);
            for c in path.chars() {
                if c.is_ascii_uppercase() {
                    snake.push('_');
                }
                snake.push(c.to_ascii_lowercase());
            }
            Value::String(snake)
        });
        message.set_field_by_number(1, Value::List(paths.collect()));
    }
}

/// Seconds and nanoseconds of `1.5s`.
fn duration(text: &str) -> Result<(i64, i32), &'static str> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '-')
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() {
        return Err("duration must start with an integer");
    }
    let seconds: i64 = digits.parse().map_err(|_| "duration had bad seconds")?;
    if !(-MAX_DURATION_SECONDS..=MAX_DURATION_SECONDS).contains(&seconds) {
        return Err("duration out of range");
    }
    let (nanos, rest) = fraction(rest).ok_or("duration had bad nanoseconds")?;
    if rest != "s" {
        return Err("duration must end with a single 's'");
    }
    Ok((
        seconds,
        if digits.starts_with('-') {
            -nanos
        } else {
            nanos
        },
    ))
}

/// Seconds since the epoch and nanoseconds of `2006-01-02T15:04:05.999Z` or with an offset.
fn timestamp(text: &str) -> Result<(i64, i32), &'static str> {
    if text.len() < 20 || !text.is_ascii() {
        return Err("timestamp string too short");
    }
    let number = |range: std::ops::Range<usize>| {
        text.get(range)
            .filter(|d| digits_only(d))?
            .parse::<i64>()
            .ok()
    };
    let mark = |at: usize, wanted: u8| text.as_bytes().get(at) == Some(&wanted);
    let year = number(0..4)
        .filter(|y| *y > 0 && mark(4, b'-'))
        .ok_or("bad year in timestamp")?;
    let month = number(5..7)
        .filter(|m| (1..=12).contains(m) && mark(7, b'-'))
        .ok_or("bad month in timestamp")?;
    let day = number(8..10)
        .filter(|d| (1..=31).contains(d) && mark(10, b'T'))
        .ok_or("bad day in timestamp")?;
    let hours = number(11..13)
        .filter(|_| mark(13, b':'))
        .ok_or("bad hours in timestamp")?;
    let minutes = number(14..16)
        .filter(|_| mark(16, b':'))
        .ok_or("bad minutes in timestamp")?;
    let seconds = number(17..19).ok_or("bad seconds in timestamp")?;

    let (nanos, zone) = text
        .get(19..)
        .and_then(fraction)
        .ok_or("timestamp had bad nanoseconds")?;
    let offset = match zone.split_at_checked(1) {
        None => return Err("timestamp missing timezone offset"),
        Some(("Z", "")) => 0,
        Some((sign @ ("+" | "-"), rest)) => {
            let (h, m) = rest.split_once(':').ok_or("bad timezone offset")?;
            if !(h.len() == 2 && m.len() == 2 && digits_only(h) && digits_only(m)) {
                return Err("timestamp offset has bad hours and minutes");
            }
            let minutes = h.parse::<i64>().unwrap_or(0) * 60 + m.parse::<i64>().unwrap_or(0);
            if sign == "-" {
                -minutes * 60
            } else {
                minutes * 60
            }
        }
        Some(_) => return Err("bad timezone offset"),
    };
    let time_of_day = hours * 3600 + minutes * 60 + seconds;
    Ok((
        days_from_epoch(year, month, day) * 86_400 + time_of_day - offset,
        nanos,
    ))
}

/// The nanoseconds of an optional `.123` and what follows it.
fn fraction(text: &str) -> Option<(i32, &str)> {
    let Some(digits) = text.strip_prefix('.') else {
        return Some((0, text));
    };
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    format!("{digits:0<9}")
        .parse()
        .ok()
        .map(|nanos| (nanos, rest))
}

fn digits_only(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

/// Days between 1970-01-01 and a date of the Gregorian calendar, counted in years that begin in March.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Measured with `connect_timeout` of Envoy 1.40.
    #[test]
    fn durations() {
        assert_eq!(duration("1.5s"), Ok((1, 500_000_000)));
        assert_eq!(duration("1.000000001s"), Ok((1, 1)));
        assert_eq!(duration("-0.5s"), Ok((0, -500_000_000)));
        for text in [".5s", " 1s", "+1s", ""] {
            assert_eq!(
                duration(text),
                Err("duration must start with an integer"),
                "{text}"
            );
        }
        for text in ["5ms", "5", "5S", "5ss"] {
            assert_eq!(
                duration(text),
                Err("duration must end with a single 's'"),
                "{text}"
            );
        }
        for text in ["1.s", "1.0000000001s"] {
            assert_eq!(
                duration(text),
                Err("duration had bad nanoseconds"),
                "{text}"
            );
        }
        assert_eq!(duration("1-2s"), Err("duration had bad seconds"));
        assert_eq!(duration("315576000001s"), Err("duration out of range"));
    }

    #[test]
    fn timestamps() {
        assert_eq!(timestamp("1970-01-01T00:00:00Z"), Ok((0, 0)));
        assert_eq!(
            timestamp("2024-02-29T12:00:00.25Z"),
            Ok((1_709_208_000, 250_000_000))
        );
        assert_eq!(timestamp("1969-12-31T23:59:59Z"), Ok((-1, 0)));
        assert_eq!(
            timestamp("2024-02-29T14:00:00+02:00"),
            Ok((1_709_208_000, 0))
        );
        assert_eq!(
            timestamp("2024-02-29T10:30:00-01:30"),
            Ok((1_709_208_000, 0))
        );
        assert_eq!(
            timestamp("2024-02-29 12:00:00Z"),
            Err("bad day in timestamp")
        );
        assert_eq!(
            timestamp("2024-02-29T12:00:00z"),
            Err("bad timezone offset")
        );
        assert_eq!(
            timestamp("2024-02-29T12:00:00"),
            Err("timestamp string too short")
        );
    }
}
