//! The value of a field.

use std::collections::HashMap;

use prost::bytes::Bytes;

use super::descriptor::{FieldDescriptor, Kind};
use super::message::DynamicMessage;

/// The value of a field, or an item of a list or map.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "protobuf's own names")]
pub enum Value {
    Bool(bool),
    I32(i32),
    I64(i64),
    U32(u32),
    U64(u64),
    F32(f32),
    F64(f64),
    String(String),
    Bytes(Bytes),
    EnumNumber(i32),
    Message(DynamicMessage),
    List(Vec<Value>),
    Map(HashMap<MapKey, Value>),
}

/// The key of a map entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "protobuf's own names")]
pub enum MapKey {
    Bool(bool),
    I32(i32),
    I64(i64),
    U32(u32),
    U64(u64),
    String(String),
}

impl Value {
    /// The value of a field that is not set.
    pub fn default_of(field: &FieldDescriptor) -> Self {
        if field.is_list() {
            Self::List(Vec::new())
        } else if field.is_map() {
            Self::Map(HashMap::new())
        } else {
            Self::default_value(&field.kind())
        }
    }

    /// The default of a single value.
    pub fn default_value(kind: &Kind) -> Self {
        match kind {
            Kind::Message(descriptor) => Self::Message(DynamicMessage::new(*descriptor)),
            Kind::Enum(descriptor) => Self::EnumNumber(descriptor.default_number()),
            Kind::Double => Self::F64(0.0),
            Kind::Float => Self::F32(0.0),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Self::I32(0),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Self::I64(0),
            Kind::Uint32 | Kind::Fixed32 => Self::U32(0),
            Kind::Uint64 | Kind::Fixed64 => Self::U64(0),
            Kind::Bool => Self::Bool(false),
            Kind::String => Self::String(String::new()),
            Kind::Bytes => Self::Bytes(Bytes::new()),
        }
    }

    /// Whether it is the default of its kind; an empty list or map is.
    pub fn is_default(&self, kind: &Kind) -> bool {
        match (self, kind) {
            (Self::List(items), _) => items.is_empty(),
            (Self::Map(entries), _) => entries.is_empty(),
            (Self::Message(message), _) => message.is_empty(),
            (Self::EnumNumber(number), Kind::Enum(of)) => *number == of.default_number(),
            (Self::EnumNumber(number), _) => *number == 0,
            (Self::Bool(value), _) => !value,
            (Self::I32(value), _) => *value == 0,
            (Self::I64(value), _) => *value == 0,
            (Self::U32(value), _) => *value == 0,
            (Self::U64(value), _) => *value == 0,
            // Minus zero is a value.
            (Self::F32(value), _) => value.to_bits() == 0,
            (Self::F64(value), _) => value.to_bits() == 0,
            (Self::String(text), _) => text.is_empty(),
            (Self::Bytes(bytes), _) => bytes.is_empty(),
        }
    }
}

/// `as_x`: what is inside, if it is an x.
macro_rules! accessors {
    ($($name:ident, $name_mut:ident, $variant:ident, $type:ty;)*) => {
        impl Value {
            $(
                #[doc = concat!("What is inside a `", stringify!($variant), "`.")]
                pub fn $name(&self) -> Option<&$type> {
                    match self {
                        Self::$variant(value) => Some(value),
                        _ => None,
                    }
                }

                #[doc = concat!("What is inside a `", stringify!($variant), "`.")]
                pub fn $name_mut(&mut self) -> Option<&mut $type> {
                    match self {
                        Self::$variant(value) => Some(value),
                        _ => None,
                    }
                }
            )*
        }
    };
}

accessors! {
    as_bytes, as_bytes_mut, Bytes, Bytes;
    as_message, as_message_mut, Message, DynamicMessage;
    as_map, as_map_mut, Map, HashMap<MapKey, Value>;
}

impl Value {
    /// What is inside a `String`.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// What is inside a `List`.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// What is inside an `I64`.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::I64(number) => Some(*number),
            _ => None,
        }
    }

    /// What is inside an `I32`.
    pub fn as_i32(&self) -> Option<i32> {
        match self {
            Self::I32(number) => Some(*number),
            _ => None,
        }
    }
}

impl MapKey {
    /// What is inside a `String`.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
}

impl From<MapKey> for Value {
    fn from(key: MapKey) -> Self {
        match key {
            MapKey::Bool(value) => Self::Bool(value),
            MapKey::I32(value) => Self::I32(value),
            MapKey::I64(value) => Self::I64(value),
            MapKey::U32(value) => Self::U32(value),
            MapKey::U64(value) => Self::U64(value),
            MapKey::String(text) => Self::String(text),
        }
    }
}

impl TryFrom<Value> for MapKey {
    type Error = ();

    /// Fails for what protobuf has no keys of.
    fn try_from(value: Value) -> Result<Self, ()> {
        match value {
            Value::Bool(value) => Ok(Self::Bool(value)),
            Value::I32(value) => Ok(Self::I32(value)),
            Value::I64(value) => Ok(Self::I64(value)),
            Value::U32(value) => Ok(Self::U32(value)),
            Value::U64(value) => Ok(Self::U64(value)),
            Value::String(text) => Ok(Self::String(text)),
            _ => Err(()),
        }
    }
}
