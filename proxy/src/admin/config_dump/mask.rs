//! `google.protobuf.FieldMask` on a message: only the fields that it names stay.

use super::unpacked;
use envoy_api::{DynamicMessage, FieldDescriptor, Kind, Message, MessageDescriptor, Value};
use std::collections::BTreeMap;

/// Field paths as a tree; a field without children stays as a whole.
#[derive(Clone, Debug, Default)]
pub struct Mask(BTreeMap<String, Mask>);

impl Mask {
    /// From `a.b,c`.
    pub fn parse(text: &str) -> Self {
        let mut mask = Self::default();
        for path in text.split(',').filter(|path| !path.is_empty()) {
            let mut node = &mut mask;
            for segment in path.split('.') {
                node = node.0.entry(segment.to_owned()).or_default();
            }
        }
        mask
    }

    /// Trims the message, or returns false if the message has no such fields; only a last field may be repeated.
    pub fn apply(&self, message: &mut DynamicMessage) -> bool {
        if !self.fits(&message.descriptor()) {
            return false;
        }
        self.trim(message);
        true
    }

    /// As [`apply`](Self::apply), but a path may lead into the resource that an Any holds.
    pub fn apply_to_resource(&self, element: &mut DynamicMessage) -> bool {
        let mut outer = self.clone();
        for (name, inner) in &mut outer.0 {
            let Some(field) = element.descriptor().get_field_by_name(name) else {
                return false;
            };
            if inner.0.is_empty() || !is_any(&field) {
                continue;
            }
            if let Value::Message(any) = element.get_field_mut(&field) {
                let Some(mut resource) = unpacked(any) else {
                    return false;
                };
                if !inner.apply(&mut resource) {
                    return false;
                }
                any.set_field_by_name("value", Value::Bytes(resource.encode_to_vec().into()));
            }
            *inner = Self::default();
        }
        outer.apply(element)
    }

    fn fits(&self, descriptor: &MessageDescriptor) -> bool {
        self.0.iter().all(|(name, inner)| {
            let Some(field) = descriptor.get_field_by_name(name) else {
                return false;
            };
            inner.0.is_empty()
                || match field.kind() {
                    Kind::Message(message) if !field.is_list() && !field.is_map() => {
                        inner.fits(&message)
                    }
                    _ => false,
                }
        })
    }

    fn trim(&self, message: &mut DynamicMessage) {
        let fields: Vec<FieldDescriptor> = message.fields().map(|(field, _)| field).collect();
        for field in fields {
            match self.0.get(field.name()) {
                None => message.clear_field(&field),
                Some(inner) if inner.0.is_empty() => {}
                Some(inner) => {
                    if let Value::Message(value) = message.get_field_mut(&field) {
                        inner.trim(value);
                    }
                }
            }
        }
    }
}

fn is_any(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::Message(message) if message.full_name() == "google.protobuf.Any")
        && !field.is_list()
}
