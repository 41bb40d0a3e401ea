//! One value against its rules; every function gives the reasons in protoc-gen-validate's words.

use std::fmt::Display;

use super::rules::{FieldRules, Range, Rules, Size, TextRules};
use super::text::GoDuration;
use crate::reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, Value};

/// What an item that appeared before is told.
pub(super) const DUPLICATE: &str = "repeated value must contain unique items";

/// Seconds of 10 000 years, protobuf's limit, and what nanoseconds in 64 bits can hold, Envoy's.
const MAX_PROTOBUF_SECONDS: i64 = 315_576_000_000;
const MAX_SECONDS: i64 = i64::MAX / 1_000_000_000;

/// The rules of a field as a whole; those of list and map items come apart.
pub(super) fn field(rules: &FieldRules, field: &FieldDescriptor, value: &Value) -> Vec<String> {
    let reason = match (&rules.rules, value) {
        (Rules::List { size, .. }, Value::List(items)) => {
            let empty = rules.ignore_empty && items.is_empty();
            (!empty)
                .then(|| count(*size, items.len(), "item"))
                .flatten()
        }
        (Rules::Map { size, .. }, Value::Map(entries)) => {
            let empty = rules.ignore_empty && entries.is_empty();
            (!empty)
                .then(|| count(*size, entries.len(), "pair"))
                .flatten()
        }
        _ => return single(rules, &field.kind(), value),
    };
    reason.into_iter().collect()
}

/// The rules of a map entry's key and value.
pub(super) fn map_entry(
    rules: &FieldRules,
    field: &FieldDescriptor,
    key: &MapKey,
    value: &Value,
) -> Vec<String> {
    let (Rules::Map { keys, values, .. }, Some((key_kind, value_kind))) =
        (&rules.rules, field.map_kinds())
    else {
        return vec![];
    };
    let key = Value::from(key.clone());
    let mut reasons = single(keys, &key_kind, &key);
    reasons.extend(single(values, &value_kind, value));
    reasons
}

/// Indexes of the items that equal an earlier one, if that is not allowed.
pub(super) fn duplicates(rules: &FieldRules, items: &[Value]) -> Vec<usize> {
    let Rules::List { unique: true, .. } = rules.rules else {
        return vec![];
    };
    let seen = |index: &usize| {
        items
            .iter()
            .take(*index)
            .any(|earlier| Some(earlier) == items.get(*index))
    };
    (0..items.len()).filter(seen).collect()
}

/// A value that is neither a list nor a map. Rules of a wrapper apply to what it wraps.
pub(super) fn single(rules: &FieldRules, kind: &Kind, value: &Value) -> Vec<String> {
    if rules.ignore_empty && value.is_default(kind) {
        return vec![];
    }
    if let (Value::Message(wrapper), false) = (
        value,
        matches!(rules.rules, Rules::None | Rules::Duration(_)),
    ) && let Some(inner) = wrapper.descriptor().get_field(1)
    {
        return single(rules, &inner.kind(), &wrapper.get_field(&inner));
    }
    let reason = match (&rules.rules, value) {
        (Rules::Integer(limits), value) => integer(value).and_then(|number| range(limits, &number)),
        (Rules::Float(limits), Value::F32(number)) => range(limits, &f64::from(*number)),
        (Rules::Float(limits), Value::F64(number)) => range(limits, number),
        (Rules::Duration(limits), Value::Message(duration)) => {
            range(limits, &GoDuration::from_message(duration))
        }
        (Rules::Bool(expected), Value::Bool(b)) => {
            (b != expected).then(|| format!("value must equal {expected}"))
        }
        (Rules::Text(rules), Value::String(text)) => return string(rules, text),
        (Rules::Bytes(size), Value::Bytes(bytes)) => length(*size, bytes.len(), "bytes"),
        (
            Rules::Enum {
                defined_only,
                not_in,
            },
            Value::EnumNumber(number),
        ) => {
            return enumerator(*defined_only, not_in, kind, *number);
        }
        (Rules::Unsupported(rule), _) => Some(rule.clone()),
        _ => None,
    };
    reason.into_iter().collect()
}

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::I32(n) => Some((*n).into()),
        Value::I64(n) => Some((*n).into()),
        Value::U32(n) => Some((*n).into()),
        Value::U64(n) => Some((*n).into()),
        _ => None,
    }
}

fn range<T: PartialOrd + Display>(range: &Range<T>, value: &T) -> Option<String> {
    let below = |(limit, inclusive): &(T, bool)| value < limit || (!inclusive && value == limit);
    let above = |(limit, inclusive): &(T, bool)| value > limit || (!inclusive && value == limit);
    if !range.low.as_ref().is_some_and(below) && !range.high.as_ref().is_some_and(above) {
        return None;
    }
    Some(match (&range.low, &range.high) {
        (Some((low, from)), Some((high, to))) => {
            let (open, close) = (if *from { '[' } else { '(' }, if *to { ']' } else { ')' });
            format!("value must be inside range {open}{low}, {high}{close}")
        }
        (Some((low, true)), None) => format!("value must be greater than or equal to {low}"),
        (Some((low, false)), None) => format!("value must be greater than {low}"),
        (None, Some((high, true))) => format!("value must be less than or equal to {high}"),
        (None, Some((high, false))) => format!("value must be less than {high}"),
        (None, None) => return None,
    })
}

fn string(rules: &TextRules, text: &str) -> Vec<String> {
    let characters = length(rules.characters, text.chars().count(), "characters");
    let bytes = length(rules.bytes, text.len(), "bytes");
    let one_of = (!rules.one_of.is_empty() && !rules.one_of.iter().any(|allowed| allowed == text))
        .then(|| format!("value must be in list [{}]", rules.one_of.join(" ")));
    let prefix = rules
        .prefix
        .as_ref()
        .filter(|prefix| !text.starts_with(*prefix));
    let prefix = prefix.map(|prefix| format!("value does not have prefix \"{prefix}\""));
    let suffix = rules
        .suffix
        .as_ref()
        .filter(|suffix| !text.ends_with(*suffix));
    let suffix = suffix.map(|suffix| format!("value does not have suffix \"{suffix}\""));
    let patterns = rules
        .patterns
        .iter()
        .filter(|pattern| !pattern.is_match(text));
    let patterns =
        patterns.map(|pattern| format!("value does not match regex pattern \"{}\"", pattern.shown));
    one_of
        .into_iter()
        .chain(characters)
        .chain(bytes)
        .chain(prefix)
        .chain(suffix)
        .chain(patterns)
        .collect()
}

fn length(size: Size, actual: usize, unit: &str) -> Option<String> {
    let reason = match (size.min, size.max) {
        (Some(min), Some(max)) if min == max => format!("value length must be {min} {unit}"),
        (Some(min), Some(max)) => {
            format!("value length must be between {min} and {max} {unit}, inclusive")
        }
        (Some(min), None) => format!("value length must be at least {min} {unit}"),
        (None, Some(max)) => format!("value length must be at most {max} {unit}"),
        (None, None) => return None,
    };
    outside(size, actual).then_some(reason)
}

fn count(size: Size, actual: usize, unit: &str) -> Option<String> {
    let reason = match (size.min, size.max) {
        (Some(min), Some(max)) if min == max => {
            format!("value must contain exactly {min} {unit}(s)")
        }
        (Some(min), Some(max)) => {
            format!("value must contain between {min} and {max} {unit}s, inclusive")
        }
        (Some(min), None) => format!("value must contain at least {min} {unit}(s)"),
        (None, Some(max)) => format!("value must contain no more than {max} {unit}(s)"),
        (None, None) => return None,
    };
    outside(size, actual).then_some(reason)
}

fn outside(size: Size, actual: usize) -> bool {
    let actual = actual as u64;
    size.min.is_some_and(|min| actual < min) || size.max.is_some_and(|max| actual > max)
}

fn enumerator(defined_only: bool, not_in: &[i32], kind: &Kind, number: i32) -> Vec<String> {
    let mut reasons = Vec::new();
    if not_in.contains(&number) {
        let list: Vec<_> = not_in.iter().map(ToString::to_string).collect();
        reasons.push(format!("value must not be in list [{}]", list.join(" ")));
    }
    if defined_only
        && matches!(kind, Kind::Enum(descriptor) if descriptor.get_value(number).is_none())
    {
        reasons.push("value must be one of the defined enum values".to_owned());
    }
    reasons
}

/// What Envoy asks of every duration, whatever its field.
pub(super) fn duration_is_sane(duration: &DynamicMessage) -> Option<&'static str> {
    let GoDuration { seconds, nanos } = GoDuration::from_message(duration);
    if seconds < 0 || nanos < 0 {
        Some("Expected positive duration")
    } else if nanos > 999_999_999 || seconds > MAX_PROTOBUF_SECONDS {
        Some("Duration out-of-range according to Protobuf")
    } else if seconds > MAX_SECONDS {
        Some("Duration out-of-range")
    } else {
        None
    }
}
