//! What a message, a field, an enum is. Handles are a pointer into constant tables: to copy one costs nothing.

use std::fmt;
use std::ptr;

use super::tables::{self, Code, Shape};

/// A type of message.
#[derive(Clone, Copy)]
pub struct MessageDescriptor(&'static tables::Message);

/// A field of a message.
#[derive(Clone, Copy)]
pub struct FieldDescriptor(&'static tables::Field);

/// A type of enum.
#[derive(Clone, Copy)]
pub struct EnumDescriptor(&'static tables::Enum);

/// A value that an enum defines.
#[derive(Clone, Copy, Debug)]
pub struct EnumValue(&'static tables::EnumValue);

/// A oneof that stands in the proto file; what the compiler makes of an `optional` field is none.
#[derive(Clone, Copy)]
pub struct Oneof(&'static tables::Oneof);

/// What a field holds, each item of it where it is a list. A map is a list of entries.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "protobuf's own names")]
pub enum Kind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Message(MessageDescriptor),
    Enum(EnumDescriptor),
}

impl MessageDescriptor {
    /// The message of that full name (`envoy.config.core.v3.Node`), if the proxy knows it.
    pub fn named(full_name: &str) -> Option<Self> {
        let found = tables::MESSAGES.binary_search_by(|row| row.name.text().cmp(full_name));
        tables::MESSAGES.get(found.ok()?).map(Self)
    }

    /// The message that a generated type stands for.
    pub fn of<T: prost::Name>() -> Option<Self> {
        Self::named(&T::full_name())
    }

    /// Every message, entries of maps included, by name.
    pub fn all() -> impl Iterator<Item = Self> {
        tables::MESSAGES.iter().map(Self)
    }

    /// The name with its package.
    pub fn full_name(&self) -> &'static str {
        self.0.name.text()
    }

    /// The fields by number.
    pub fn fields(&self) -> impl Iterator<Item = FieldDescriptor> + use<> {
        self.0.fields.of(tables::FIELDS).iter().map(FieldDescriptor)
    }

    /// The field with this number.
    pub fn get_field(&self, number: u32) -> Option<FieldDescriptor> {
        let rows = self.0.fields.of(tables::FIELDS);
        let found = rows.binary_search_by_key(&number, |row| row.number);
        rows.get(found.ok()?).map(FieldDescriptor)
    }

    /// The field with this name in the proto file.
    pub fn get_field_by_name(&self, name: &str) -> Option<FieldDescriptor> {
        self.fields().find(|field| field.name() == name)
    }

    /// The field with this name in lowerCamelCase.
    pub fn get_field_by_json_name(&self, name: &str) -> Option<FieldDescriptor> {
        self.fields().find(|field| field.json_name() == name)
    }

    /// The oneofs, in the order of the proto file.
    pub fn oneofs(&self) -> impl Iterator<Item = Oneof> + use<> {
        self.0.oneofs.of(tables::ONEOFS).iter().map(Oneof)
    }

    /// The members of one of this message's oneofs.
    pub fn members(&self, oneof: Oneof) -> impl Iterator<Item = FieldDescriptor> + use<> {
        self.fields()
            .filter(move |field| field.containing_oneof() == Some(oneof))
    }

    /// Whether its rules are switched off.
    pub(crate) fn is_unchecked(&self) -> bool {
        self.0.unchecked
    }
}

impl FieldDescriptor {
    /// The name in the proto file.
    pub fn name(&self) -> &'static str {
        self.0.name.text()
    }

    /// The name in lowerCamelCase.
    pub fn json_name(&self) -> &'static str {
        self.0.json_name.text()
    }

    /// The name behind that of its message.
    pub fn full_name(&self) -> String {
        let parent = tables::MESSAGES.get(usize::from(self.0.parent));
        let parent = parent.map_or("", |row| row.name.text());
        format!("{parent}.{}", self.name())
    }

    /// The number on the wire.
    pub fn number(&self) -> u32 {
        self.0.number
    }

    /// What it holds.
    pub fn kind(&self) -> Kind {
        let of = usize::from(self.0.of);
        match self.0.code {
            Code::Double => Kind::Double,
            Code::Float => Kind::Float,
            Code::Int32 => Kind::Int32,
            Code::Int64 => Kind::Int64,
            Code::Uint32 => Kind::Uint32,
            Code::Uint64 => Kind::Uint64,
            Code::Sint32 => Kind::Sint32,
            Code::Sint64 => Kind::Sint64,
            Code::Fixed32 => Kind::Fixed32,
            Code::Fixed64 => Kind::Fixed64,
            Code::Sfixed32 => Kind::Sfixed32,
            Code::Sfixed64 => Kind::Sfixed64,
            Code::Bool => Kind::Bool,
            Code::String => Kind::String,
            Code::Bytes => Kind::Bytes,
            // The build script wrote row and table together; a row that is not there would be bytes to everybody.
            Code::Message => tables::MESSAGES
                .get(of)
                .map_or(Kind::Bytes, |row| Kind::Message(MessageDescriptor(row))),
            Code::Enum => tables::ENUMS
                .get(of)
                .map_or(Kind::Int32, |row| Kind::Enum(EnumDescriptor(row))),
        }
    }

    /// Whether it is repeated; a map is not a list.
    pub fn is_list(&self) -> bool {
        matches!(self.0.shape, Shape::List | Shape::Packed)
    }

    /// Whether it is a map.
    pub fn is_map(&self) -> bool {
        self.0.shape == Shape::Map
    }

    /// Kind of keys and of values, if it is a map.
    pub fn map_kinds(&self) -> Option<(Kind, Kind)> {
        let Kind::Message(entry) = self.kind() else {
            return None;
        };
        let kinds = (entry.get_field(1)?.kind(), entry.get_field(2)?.kind());
        self.is_map().then_some(kinds)
    }

    /// Whether its being set can be told from its having the default value.
    pub fn supports_presence(&self) -> bool {
        self.0.shape == Shape::Optional
    }

    /// Whether a list is written as one run of bytes.
    pub(super) fn is_packed(&self) -> bool {
        self.0.shape == Shape::Packed
    }

    /// The oneof that it is a member of.
    pub fn containing_oneof(&self) -> Option<Oneof> {
        tables::ONEOFS.get(usize::from(self.0.oneof)).map(Oneof)
    }

    /// Whether it holds a secret (`udpa.annotations.sensitive`).
    pub fn is_sensitive(&self) -> bool {
        self.0.sensitive
    }

    /// Its `validate.FieldRules`, encoded; empty without any.
    pub(crate) fn rules(&self) -> &'static [u8] {
        self.0.rules.of(tables::RULES)
    }
}

impl EnumDescriptor {
    /// The name with its package.
    pub fn full_name(&self) -> &'static str {
        self.0.name.text()
    }

    /// All values, in the order of the proto file.
    pub fn values(&self) -> impl Iterator<Item = EnumValue> + use<> {
        self.0.values.of(tables::ENUM_VALUES).iter().map(EnumValue)
    }

    /// The first value with this number.
    pub fn get_value(&self, number: i32) -> Option<EnumValue> {
        self.values().find(|value| value.number() == number)
    }

    /// The number of the value that an unset field has.
    pub fn default_number(&self) -> i32 {
        self.0.default
    }
}

impl EnumValue {
    /// The name in the proto file.
    pub fn name(&self) -> &'static str {
        self.0.name.text()
    }

    /// The number on the wire.
    pub fn number(&self) -> i32 {
        self.0.number
    }
}

impl Oneof {
    /// The name in the proto file.
    pub fn name(&self) -> &'static str {
        self.0.name.text()
    }

    /// Whether one of its members must be set (`validate.required`).
    pub(crate) fn is_required(&self) -> bool {
        self.0.required
    }
}

/// Rows are what they are by where they stand.
macro_rules! identity {
    ($($handle:ty),*) => {$(
        impl PartialEq for $handle {
            fn eq(&self, other: &Self) -> bool {
                ptr::eq(self.0, other.0)
            }
        }

        impl Eq for $handle {}
    )*};
}

identity!(MessageDescriptor, FieldDescriptor, EnumDescriptor, Oneof);

impl fmt::Debug for MessageDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.full_name())
    }
}

impl fmt::Debug for FieldDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full_name())
    }
}

impl fmt::Debug for EnumDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.full_name())
    }
}

impl fmt::Debug for Oneof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
