//! [`Json`] to a dynamic message, finding everything that is wrong and not only the first thing.

use std::collections::{HashMap, HashSet};

use super::well_known::WellKnown;
use super::{Json, scalar};
use crate::diagnostic::{Findings, Path};
use crate::reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};

/// Reads `value` as a message of type `descriptor`. With errors among the findings the message is incomplete.
pub fn read(descriptor: &MessageDescriptor, value: &Json) -> (DynamicMessage, Findings) {
    let mut reader = Reader::default();
    let mut message = DynamicMessage::new(*descriptor);
    reader.message(&mut message, value);
    (message, reader.findings)
}

#[derive(Default)]
pub(super) struct Reader {
    pub(super) path: Path,
    pub(super) findings: Findings,
}

impl Reader {
    pub(super) fn error(&mut self, message: impl Into<String>) {
        self.findings.errors.push(self.path.diagnose(message));
    }

    /// The value, or `None` with the error noted.
    pub(super) fn accept<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.error(message)).ok()
    }

    pub(super) fn message(&mut self, message: &mut DynamicMessage, value: &Json) {
        match WellKnown::of(&message.descriptor()) {
            Some(kind) => self.well_known(kind, message, value),
            None => self.object(message, value),
        }
    }

    pub(super) fn object(&mut self, message: &mut DynamicMessage, value: &Json) {
        match value {
            Json::Object(entries) => entries
                .iter()
                .for_each(|(key, value)| self.field(message, key, value)),
            other => self.error(other.unexpected('{')),
        }
    }

    /// One `key: value` of an object. When a key comes again, a message merges with what is there, anything else
    /// replaces it.
    pub(super) fn field(&mut self, message: &mut DynamicMessage, key: &str, value: &Json) {
        let descriptor = message.descriptor();
        let known = descriptor
            .get_field_by_json_name(key)
            .or_else(|| descriptor.get_field_by_name(key));
        let mark = self
            .path
            .field(known.as_ref().map_or(key, |field| field.name()));
        match known {
            None => self
                .findings
                .unknown
                .push(self.path.diagnose(format!("no such field: '{key}'"))),
            Some(field) if *value != Json::Null && oneof_is_taken(message, &field) => {
                self.error(format!(
                    "'{key}' has already been set (either directly or as part of a oneof)"
                ));
            }
            Some(field) => self.known_field(message, &field, value),
        }
        self.path.back(mark);
    }

    fn known_field(&mut self, message: &mut DynamicMessage, field: &FieldDescriptor, value: &Json) {
        let null = *value == Json::Null;
        if field.is_map() {
            if !null {
                let mut entries = HashMap::new();
                self.map(&mut entries, field, value);
                message.set_field(field, Value::Map(entries));
            }
        } else if field.is_list() {
            if !null {
                let mut items = Vec::new();
                match value {
                    Json::Array(elements) => self.elements(&mut items, field, elements),
                    // One element may come without its array.
                    single => items.extend(self.element(&field.kind(), single)),
                }
                message.set_field(field, Value::List(items));
            }
        } else if null && !takes_null(&field.kind()) {
            // The same as leaving the field out.
        } else if let Kind::Message(_) = field.kind() {
            if let Some(inner) = message.get_field_mut(field).as_message_mut() {
                self.message(inner, value);
            }
        } else if let Some(scalar) = self.element(&field.kind(), value) {
            message.set_field(field, scalar);
        }
    }

    /// Arrays inside arrays are one array; a null is an element with no field set.
    pub(super) fn elements(
        &mut self,
        items: &mut Vec<Value>,
        field: &FieldDescriptor,
        elements: &[Json],
    ) {
        let kind = field.kind();
        for element in elements {
            let mark = self.path.index(items.len());
            match element {
                Json::Array(inner) if !takes_array(&kind) => {
                    self.path.back(mark);
                    self.elements(items, field, inner);
                }
                Json::Null if !takes_null(&kind) => items.push(Value::default_value(&kind)),
                element => items.extend(self.element(&kind, element)),
            }
            self.path.back(mark);
        }
    }

    pub(super) fn map(
        &mut self,
        out: &mut HashMap<MapKey, Value>,
        field: &FieldDescriptor,
        value: &Json,
    ) {
        let Json::Object(entries) = value else {
            return self.error(value.unexpected('{'));
        };
        let Some((key_kind, value_kind)) = field.map_kinds() else {
            return;
        };
        let mut seen = HashSet::with_capacity(entries.len());
        for (text, value) in entries {
            let mark = self.path.key(text);
            match map_key(&key_kind, text) {
                Err(message) => self.error(message),
                Ok(key) if seen.contains(&key) => {
                    self.error(format!(
                        "got unexpectedly-repeated repeated map key: '{text}'"
                    ));
                }
                Ok(key) => {
                    let value = match value {
                        Json::Null if !takes_null(&value_kind) => {
                            Some(Value::default_value(&value_kind))
                        }
                        value => self.element(&value_kind, value),
                    };
                    seen.insert(key.clone());
                    out.extend(value.map(|value| (key, value)));
                }
            }
            self.path.back(mark);
        }
    }

    /// A single value of `kind`; `None` if there is none to be had, with the reason noted.
    pub(super) fn element(&mut self, kind: &Kind, value: &Json) -> Option<Value> {
        let value = match kind {
            Kind::Message(descriptor) => {
                let mut message = DynamicMessage::new(*descriptor);
                self.message(&mut message, value);
                return Some(Value::Message(message));
            }
            Kind::Enum(descriptor) => {
                return self.enumerator(descriptor, value).map(Value::EnumNumber);
            }
            Kind::Bool => scalar::boolean(value).map(Value::Bool),
            Kind::String => scalar::string(value).map(|s| Value::String(s.to_owned())),
            Kind::Bytes => scalar::bytes(value).map(|bytes| Value::Bytes(bytes.into())),
            Kind::Double => scalar::double(value).map(Value::F64),
            Kind::Float => scalar::float(value).map(Value::F32),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => scalar::signed32(value).map(Value::I32),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => scalar::signed(value).map(Value::I64),
            Kind::Uint32 | Kind::Fixed32 => scalar::unsigned32(value).map(Value::U32),
            Kind::Uint64 | Kind::Fixed64 => scalar::unsigned(value).map(Value::U64),
        };
        self.accept(value)
    }

    /// A name in any case, or a number. An unknown name is like an unknown field; an unknown number is for validation.
    fn enumerator(&mut self, descriptor: &EnumDescriptor, value: &Json) -> Option<i32> {
        match value {
            _ if descriptor.full_name() == "google.protobuf.NullValue" && *value == Json::Null => {
                Some(0)
            }
            Json::Number(_) => {
                let number = scalar::signed32(value);
                self.accept(number)
            }
            Json::String(text) => {
                let named = descriptor
                    .values()
                    .find(|v| v.name().eq_ignore_ascii_case(text))
                    .map(|v| v.number());
                let number = named.or_else(|| text.parse().ok());
                if number.is_none() {
                    self.findings
                        .unknown
                        .push(self.path.diagnose(format!("unknown enum value: '{text}'")));
                }
                number
            }
            _ => {
                self.error("expected number or string");
                None
            }
        }
    }
}

fn oneof_is_taken(message: &DynamicMessage, field: &FieldDescriptor) -> bool {
    let members = |oneof| message.descriptor().members(oneof);
    field
        .containing_oneof()
        .is_some_and(|oneof| members(oneof).any(|member| message.has_field(&member)))
}

fn takes_null(kind: &Kind) -> bool {
    match kind {
        Kind::Message(descriptor) => descriptor.full_name() == "google.protobuf.Value",
        Kind::Enum(descriptor) => descriptor.full_name() == "google.protobuf.NullValue",
        _ => false,
    }
}

fn takes_array(kind: &Kind) -> bool {
    let Kind::Message(descriptor) = kind else {
        return false;
    };
    matches!(
        descriptor.full_name(),
        "google.protobuf.Value" | "google.protobuf.ListValue"
    )
}

fn map_key(kind: &Kind, text: &str) -> Result<MapKey, String> {
    let key = match kind {
        Kind::String => Some(MapKey::String(text.to_owned())),
        Kind::Bool => {
            return text
                .parse()
                .map(MapKey::Bool)
                .map_err(|_| format!("expected bool string, got '{text}'"));
        }
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => text.parse().ok().map(MapKey::I32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => text.parse().ok().map(MapKey::I64),
        Kind::Uint32 | Kind::Fixed32 => text.parse().ok().map(MapKey::U32),
        Kind::Uint64 | Kind::Fixed64 => text.parse().ok().map(MapKey::U64),
        Kind::Double | Kind::Float | Kind::Bytes | Kind::Message(_) | Kind::Enum(_) => None,
    };
    key.ok_or_else(|| "non-number characters in quoted number".to_owned())
}
