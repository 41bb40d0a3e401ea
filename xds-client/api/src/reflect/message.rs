//! A message of a type that is known by its descriptor.

use std::borrow::Cow;

use prost::{DecodeError, Message};

use super::descriptor::{FieldDescriptor, MessageDescriptor};
use super::value::Value;

/// A message: its type and the fields that were set.
#[derive(Clone)]
pub struct DynamicMessage {
    descriptor: MessageDescriptor,
    /// By number.
    fields: Vec<(u32, Value)>,
    /// Fields that the type does not have, as they came.
    pub(super) unknown: Vec<u8>,
}

impl DynamicMessage {
    /// One without any field.
    pub fn new(descriptor: MessageDescriptor) -> Self {
        Self {
            descriptor,
            fields: Vec::new(),
            unknown: Vec::new(),
        }
    }

    /// From the wire. Fields that the type does not have are kept.
    pub fn decode(descriptor: MessageDescriptor, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut message = Self::new(descriptor);
        message.merge(bytes)?;
        Ok(message)
    }

    /// From JSON in which everything is right; what is not comes back as text.
    pub fn from_json(
        descriptor: MessageDescriptor,
        json: serde_json::Value,
    ) -> Result<Self, String> {
        let (message, findings) = crate::json::read(&descriptor, &json.into());
        match findings.errors.iter().chain(&findings.unknown).next() {
            None => Ok(message),
            Some(finding) => Err(finding.to_string()),
        }
    }

    /// Its type.
    pub fn descriptor(&self) -> MessageDescriptor {
        self.descriptor
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.fields().next().is_none() && self.unknown.is_empty()
    }

    /// The fields that are set and their values, by number. A field without presence that has its default is not set.
    pub fn fields(&self) -> impl Iterator<Item = (FieldDescriptor, &Value)> {
        self.fields.iter().filter_map(|(number, value)| {
            let field = self.descriptor.get_field(*number)?;
            is_set(&field, value).then_some((field, value))
        })
    }

    /// [`fields`](Self::fields), to be changed.
    pub fn fields_mut(&mut self) -> impl Iterator<Item = (FieldDescriptor, &mut Value)> {
        let descriptor = self.descriptor;
        self.fields.iter_mut().filter_map(move |(number, value)| {
            let field = descriptor.get_field(*number)?;
            is_set(&field, value).then_some((field, value))
        })
    }

    /// Whether the field is set.
    pub fn has_field(&self, field: &FieldDescriptor) -> bool {
        self.stored(field.number())
            .is_some_and(|value| is_set(field, value))
    }

    /// The value of the field, or its default.
    pub fn get_field(&self, field: &FieldDescriptor) -> Cow<'_, Value> {
        match self.stored(field.number()) {
            Some(value) => Cow::Borrowed(value),
            None => Cow::Owned(Value::default_of(field)),
        }
    }

    /// [`get_field`](Self::get_field) by number; `None` if the type has no such field.
    pub fn get_field_by_number(&self, number: u32) -> Option<Cow<'_, Value>> {
        let field = self.descriptor.get_field(number)?;
        Some(self.get_field(&field))
    }

    /// [`get_field`](Self::get_field) by name; `None` if the type has no such field.
    pub fn get_field_by_name(&self, name: &str) -> Option<Cow<'_, Value>> {
        let field = self.descriptor.get_field_by_name(name)?;
        Some(self.get_field(&field))
    }

    /// The value of the field, set to its default if it was not; other members of its oneof are taken out.
    pub fn get_field_mut(&mut self, field: &FieldDescriptor) -> &mut Value {
        self.make_room(field);
        let at = self
            .position(field.number())
            .unwrap_or_else(|at| self.put(at, field, Value::default_of(field)));
        // `at` is a place in the list, whichever way it was had.
        &mut self.fields[at].1
    }

    /// [`get_field_mut`](Self::get_field_mut) by number; `None` if the type has no such field.
    pub fn get_field_by_number_mut(&mut self, number: u32) -> Option<&mut Value> {
        let field = self.descriptor.get_field(number)?;
        Some(self.get_field_mut(&field))
    }

    /// Sets the field; other members of its oneof are taken out.
    pub fn set_field(&mut self, field: &FieldDescriptor, value: Value) {
        *self.get_field_mut(field) = value;
    }

    /// [`set_field`](Self::set_field) by number; nothing if the type has no such field.
    pub fn set_field_by_number(&mut self, number: u32, value: Value) {
        if let Some(field) = self.descriptor.get_field(number) {
            self.set_field(&field, value);
        }
    }

    /// [`set_field`](Self::set_field) by name; nothing if the type has no such field.
    pub fn set_field_by_name(&mut self, name: &str, value: Value) {
        if let Some(field) = self.descriptor.get_field_by_name(name) {
            self.set_field(&field, value);
        }
    }

    /// Takes the field out.
    pub fn clear_field(&mut self, field: &FieldDescriptor) {
        if let Ok(at) = self.position(field.number()) {
            self.fields.remove(at);
        }
    }

    /// Takes everything out.
    pub(super) fn clear_all(&mut self) {
        self.fields.clear();
        self.unknown.clear();
    }

    fn stored(&self, number: u32) -> Option<&Value> {
        let at = self.position(number).ok()?;
        self.fields.get(at).map(|(_, value)| value)
    }

    fn position(&self, number: u32) -> Result<usize, usize> {
        self.fields.binary_search_by_key(&number, |(n, _)| *n)
    }

    fn put(&mut self, at: usize, field: &FieldDescriptor, value: Value) -> usize {
        self.fields.insert(at, (field.number(), value));
        at
    }

    fn make_room(&mut self, field: &FieldDescriptor) {
        if let Some(oneof) = field.containing_oneof() {
            let descriptor = self.descriptor;
            self.fields.retain(|(number, _)| {
                *number == field.number()
                    || descriptor
                        .get_field(*number)
                        .is_none_or(|other| other.containing_oneof() != Some(oneof))
            });
        }
    }
}

fn is_set(field: &FieldDescriptor, value: &Value) -> bool {
    field.supports_presence() || !value.is_default(&field.kind())
}

/// What is set counts, not what is stored: a default that nobody can tell from nothing is none.
impl PartialEq for DynamicMessage {
    fn eq(&self, other: &Self) -> bool {
        self.descriptor == other.descriptor
            && self.fields().eq(other.fields())
            && self.unknown == other.unknown
    }
}

impl std::fmt::Debug for DynamicMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct(self.descriptor.full_name());
        for (field, value) in self.fields() {
            out.field(field.name(), value);
        }
        out.finish()
    }
}
