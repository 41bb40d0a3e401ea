//! The wire encoding of a message that is known by its descriptor.

use std::collections::HashMap;

use prost::bytes::{Buf, BufMut};
use prost::encoding::{self, DecodeContext, WireType};
use prost::{DecodeError, Message};

use super::descriptor::{FieldDescriptor, Kind};
use super::message::DynamicMessage;
use super::value::{MapKey, Value};

impl Message for DynamicMessage {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        for (field, value) in self.fields() {
            encode_field(&field, value, buf);
        }
        buf.put_slice(&self.unknown);
    }

    fn merge_field(
        &mut self,
        number: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        match self.descriptor().get_field(number) {
            Some(field) => merge_field(&field, self.get_field_mut(&field), wire_type, buf, context),
            None => keep_unknown(&mut self.unknown, number, wire_type, buf, context),
        }
    }

    fn encoded_len(&self) -> usize {
        let fields = self.fields();
        fields
            .map(|(field, value)| field_len(&field, value))
            .sum::<usize>()
            + self.unknown.len()
    }

    fn clear(&mut self) {
        self.clear_all();
    }
}

/// Runs one of prost's functions for the kind of a scalar.
macro_rules! scalar {
    ($kind:expr, $value:expr, $other:expr, |$codec:ident, $inner:ident| $run:expr) => {
        match ($kind, $value) {
            (Kind::Double, Value::F64($inner)) => {
                use encoding::double as $codec;
                $run
            }
            (Kind::Float, Value::F32($inner)) => {
                use encoding::float as $codec;
                $run
            }
            (Kind::Int32, Value::I32($inner)) => {
                use encoding::int32 as $codec;
                $run
            }
            (Kind::Int64, Value::I64($inner)) => {
                use encoding::int64 as $codec;
                $run
            }
            (Kind::Uint32, Value::U32($inner)) => {
                use encoding::uint32 as $codec;
                $run
            }
            (Kind::Uint64, Value::U64($inner)) => {
                use encoding::uint64 as $codec;
                $run
            }
            (Kind::Sint32, Value::I32($inner)) => {
                use encoding::sint32 as $codec;
                $run
            }
            (Kind::Sint64, Value::I64($inner)) => {
                use encoding::sint64 as $codec;
                $run
            }
            (Kind::Fixed32, Value::U32($inner)) => {
                use encoding::fixed32 as $codec;
                $run
            }
            (Kind::Fixed64, Value::U64($inner)) => {
                use encoding::fixed64 as $codec;
                $run
            }
            (Kind::Sfixed32, Value::I32($inner)) => {
                use encoding::sfixed32 as $codec;
                $run
            }
            (Kind::Sfixed64, Value::I64($inner)) => {
                use encoding::sfixed64 as $codec;
                $run
            }
            (Kind::Bool, Value::Bool($inner)) => {
                use encoding::bool as $codec;
                $run
            }
            (Kind::Enum(_), Value::EnumNumber($inner)) => {
                use encoding::int32 as $codec;
                $run
            }
            (Kind::String, Value::String($inner)) => {
                use encoding::string as $codec;
                $run
            }
            (Kind::Bytes, Value::Bytes($inner)) => {
                use encoding::bytes as $codec;
                $run
            }
            (Kind::Message(_), Value::Message($inner)) => {
                use encoding::message as $codec;
                $run
            }
            _ => $other,
        }
    };
}

fn encode_field(field: &FieldDescriptor, value: &Value, buf: &mut impl BufMut) {
    let (kind, number) = (field.kind(), field.number());
    match value {
        Value::List(items) if field.is_packed() => {
            encoding::encode_key(number, WireType::LengthDelimited, buf);
            encoding::encode_varint(packed_len(&kind, items) as u64, buf);
            for item in items {
                encode_bare(&kind, item, buf);
            }
        }
        Value::List(items) => {
            for item in items {
                encode_single(&kind, number, item, buf);
            }
        }
        Value::Map(entries) => {
            for (key, value) in entries {
                if let Some(entry) = entry(field, key, value) {
                    encoding::message::encode(number, &entry, buf);
                }
            }
        }
        value => encode_single(&kind, number, value, buf),
    }
}

fn encode_single(kind: &Kind, number: u32, value: &Value, buf: &mut impl BufMut) {
    scalar!(kind, value, (), |codec, inner| codec::encode(
        number, inner, buf
    ));
}

/// An item of a packed list, which has no key.
fn encode_bare(kind: &Kind, value: &Value, buf: &mut impl BufMut) {
    // A key in one byte, which field 1 has, goes in front of what the codecs write.
    let mut keyed = Vec::with_capacity(16);
    encode_single(kind, 1, value, &mut keyed);
    buf.put_slice(keyed.get(1..).unwrap_or_default());
}

fn packed_len(kind: &Kind, items: &[Value]) -> usize {
    items
        .iter()
        .map(|item| single_len(kind, 1, item).saturating_sub(1))
        .sum()
}

fn field_len(field: &FieldDescriptor, value: &Value) -> usize {
    let (kind, number) = (field.kind(), field.number());
    match value {
        Value::List(items) if field.is_packed() => {
            let length = packed_len(&kind, items);
            encoding::key_len(number) + encoding::encoded_len_varint(length as u64) + length
        }
        Value::List(items) => items
            .iter()
            .map(|item| single_len(&kind, number, item))
            .sum(),
        Value::Map(entries) => entries
            .iter()
            .filter_map(|(key, value)| entry(field, key, value))
            .map(|entry| encoding::message::encoded_len(number, &entry))
            .sum(),
        value => single_len(&kind, number, value),
    }
}

fn single_len(kind: &Kind, number: u32, value: &Value) -> usize {
    scalar!(kind, value, 0, |codec, inner| codec::encoded_len(
        number, inner
    ))
}

/// The message that an entry of a map is on the wire.
fn entry(field: &FieldDescriptor, key: &MapKey, value: &Value) -> Option<DynamicMessage> {
    let Kind::Message(descriptor) = field.kind() else {
        return None;
    };
    let mut entry = DynamicMessage::new(descriptor);
    entry.set_field_by_number(1, Value::from(key.clone()));
    entry.set_field_by_number(2, value.clone());
    Some(entry)
}

fn merge_field(
    field: &FieldDescriptor,
    into: &mut Value,
    wire_type: WireType,
    buf: &mut impl Buf,
    context: DecodeContext,
) -> Result<(), DecodeError> {
    let kind = field.kind();
    match into {
        Value::Map(entries) => merge_entry(&kind, entries, wire_type, buf, context),
        Value::List(items) if wire_type == WireType::LengthDelimited && is_numeric(&kind) => {
            encoding::merge_loop(items, buf, context, |items, buf, context| {
                let mut item = Value::default_value(&kind);
                merge_single(&kind, &mut item, natural(&kind), buf, context)?;
                items.push(item);
                Ok(())
            })
        }
        Value::List(items) => {
            let mut item = Value::default_value(&kind);
            merge_single(&kind, &mut item, wire_type, buf, context)?;
            items.push(item);
            Ok(())
        }
        single => merge_single(&kind, single, wire_type, buf, context),
    }
}

fn merge_single(
    kind: &Kind,
    into: &mut Value,
    wire_type: WireType,
    buf: &mut impl Buf,
    context: DecodeContext,
) -> Result<(), DecodeError> {
    scalar!(kind, into, Ok(()), |codec, inner| codec::merge(
        wire_type, inner, buf, context
    ))
}

fn merge_entry(
    kind: &Kind,
    entries: &mut HashMap<MapKey, Value>,
    wire_type: WireType,
    buf: &mut impl Buf,
    context: DecodeContext,
) -> Result<(), DecodeError> {
    let Kind::Message(descriptor) = kind else {
        return Ok(());
    };
    let mut entry = DynamicMessage::new(*descriptor);
    encoding::message::merge(wire_type, &mut entry, buf, context)?;
    let part = |number| entry.get_field_by_number(number).map(|v| v.into_owned());
    if let (Some(key), Some(value)) = (part(1), part(2))
        && let Ok(key) = MapKey::try_from(key)
    {
        entries.insert(key, value);
    }
    Ok(())
}

/// Whether a list of the kind may come packed.
fn is_numeric(kind: &Kind) -> bool {
    !matches!(kind, Kind::String | Kind::Bytes | Kind::Message(_))
}

/// How a number is written.
fn natural(kind: &Kind) -> WireType {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => WireType::SixtyFourBit,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => WireType::ThirtyTwoBit,
        _ => WireType::Varint,
    }
}

/// A field that the type does not have, key and all.
fn keep_unknown(
    out: &mut Vec<u8>,
    number: u32,
    wire_type: WireType,
    buf: &mut impl Buf,
    context: DecodeContext,
) -> Result<(), DecodeError> {
    match wire_type {
        WireType::Varint => {
            let value = encoding::decode_varint(buf)?;
            encoding::encode_key(number, wire_type, out);
            encoding::encode_varint(value, out);
        }
        WireType::LengthDelimited => {
            let mut bytes = Vec::new();
            encoding::bytes::merge(wire_type, &mut bytes, buf, context)?;
            encoding::bytes::encode(number, &bytes, out);
        }
        WireType::SixtyFourBit => {
            let mut value = 0;
            encoding::fixed64::merge(wire_type, &mut value, buf, context)?;
            encoding::fixed64::encode(number, &value, out);
        }
        WireType::ThirtyTwoBit => {
            let mut value = 0;
            encoding::fixed32::merge(wire_type, &mut value, buf, context)?;
            encoding::fixed32::encode(number, &value, out);
        }
        // Groups went out of use before Envoy's API began.
        WireType::StartGroup | WireType::EndGroup => {
            encoding::skip_field(wire_type, number, buf, context)?;
        }
    }
    Ok(())
}
