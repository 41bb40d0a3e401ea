//! Writes what the proxy must know of its messages at run time as constant tables: no pointers in them, so they need
//! neither decoding nor relocating, and a page of them is in memory only once somebody reads it.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write;

use prost_reflect::{
    DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor,
    OneofDescriptor,
};
use protox::prost::Message;

/// What stands for "no oneof".
const NONE: usize = u16::MAX as usize;

/// The tables as Rust source, and beside it the bytes of the rules that it refers to.
pub fn write(descriptors: &[u8]) -> Result<(String, Vec<u8>), Box<dyn Error>> {
    let pool = DescriptorPool::decode(descriptors)?;
    let mut messages: Vec<_> = pool.all_messages().collect();
    messages.sort_by(|a, b| a.full_name().cmp(b.full_name()));
    let mut enums: Vec<_> = pool.all_enums().collect();
    enums.sort_by(|a, b| a.full_name().cmp(b.full_name()));
    let mut tables = Tables {
        message_index: index(messages.iter().map(MessageDescriptor::full_name)),
        enum_index: index(enums.iter().map(EnumDescriptor::full_name)),
        pool,
        text: String::new(),
        texts: HashMap::new(),
        rules: Vec::new(),
        messages: String::new(),
        fields: Rows::default(),
        oneofs: Rows::default(),
        enums: String::new(),
        values: Rows::default(),
    };
    for message in &messages {
        tables.message(message)?;
    }
    for descriptor in &enums {
        tables.enumeration(descriptor)?;
    }
    Ok((tables.source()?, tables.rules))
}

fn index<'a>(names: impl Iterator<Item = &'a str>) -> HashMap<String, usize> {
    names
        .enumerate()
        .map(|(at, name)| (name.to_owned(), at))
        .collect()
}

/// Rows of one table, as source.
#[derive(Default)]
struct Rows {
    source: String,
    count: usize,
}

struct Tables {
    pool: DescriptorPool,
    message_index: HashMap<String, usize>,
    enum_index: HashMap<String, usize>,
    text: String,
    texts: HashMap<String, usize>,
    rules: Vec<u8>,
    messages: String,
    fields: Rows,
    oneofs: Rows,
    enums: String,
    values: Rows,
}

impl Tables {
    fn message(&mut self, message: &MessageDescriptor) -> Result<(), Box<dyn Error>> {
        let (first_field, first_oneof) = (self.fields.count, self.oneofs.count);
        let oneofs: Vec<_> = message.oneofs().filter(|o| !o.is_synthetic()).collect();
        for field in message.fields() {
            self.field(&field, &oneofs, first_oneof)?;
        }
        for oneof in &oneofs {
            let name = self.span(oneof.name());
            let required = self.flag(&oneof.options(), "validate.required");
            writeln!(
                self.oneofs.source,
                "Oneof{{name:{name},required:{required}}},"
            )?;
            self.oneofs.count += 1;
        }
        let options = message.options();
        let unchecked =
            self.flag(&options, "validate.disabled") || self.flag(&options, "validate.ignored");
        let name = self.span(message.full_name());
        let (fields, oneofs) = (
            self.fields.count - first_field,
            self.oneofs.count - first_oneof,
        );
        writeln!(
            self.messages,
            "Message{{name:{name},fields:s({first_field},{fields}),oneofs:s({first_oneof},{oneofs}),unchecked:{unchecked}}},"
        )?;
        Ok(())
    }

    fn field(
        &mut self,
        field: &FieldDescriptor,
        oneofs: &[OneofDescriptor],
        first_oneof: usize,
    ) -> Result<(), Box<dyn Error>> {
        let (kind, of) = match field.kind() {
            Kind::Message(message) => ("Message", self.message_index[message.full_name()]),
            Kind::Enum(descriptor) => ("Enum", self.enum_index[descriptor.full_name()]),
            Kind::Double => ("Double", 0),
            Kind::Float => ("Float", 0),
            Kind::Int32 => ("Int32", 0),
            Kind::Int64 => ("Int64", 0),
            Kind::Uint32 => ("Uint32", 0),
            Kind::Uint64 => ("Uint64", 0),
            Kind::Sint32 => ("Sint32", 0),
            Kind::Sint64 => ("Sint64", 0),
            Kind::Fixed32 => ("Fixed32", 0),
            Kind::Fixed64 => ("Fixed64", 0),
            Kind::Sfixed32 => ("Sfixed32", 0),
            Kind::Sfixed64 => ("Sfixed64", 0),
            Kind::Bool => ("Bool", 0),
            Kind::String => ("String", 0),
            Kind::Bytes => ("Bytes", 0),
        };
        let shape = match field {
            field if field.is_map() => "Map",
            field if field.is_list() && field.is_packed() => "Packed",
            field if field.is_list() => "List",
            field if field.supports_presence() => "Optional",
            _ => "Implicit",
        };
        let oneof = field
            .containing_oneof()
            .and_then(|oneof| oneofs.iter().position(|o| *o == oneof))
            .map_or(NONE, |at| first_oneof + at);
        let sensitive = self.flag(&field.options(), "udpa.annotations.sensitive");
        let (name, json_name) = (self.span(field.name()), self.span(field.json_name()));
        let rules = self.field_rules(field);
        let parent = self.message_index[field.parent_message().full_name()];
        let number = field.number();
        writeln!(
            self.fields.source,
            "Field{{name:{name},json_name:{json_name},number:{number},parent:{parent},code:Code::{kind},of:{of},shape:Shape::{shape},oneof:{oneof},sensitive:{sensitive},rules:{rules}}},"
        )?;
        self.fields.count += 1;
        Ok(())
    }

    /// Where the field's encoded `validate.FieldRules` are.
    fn field_rules(&mut self, field: &FieldDescriptor) -> String {
        let options = field.options();
        let rules = self
            .pool
            .get_extension_by_name("validate.rules")
            .filter(|extension| options.has_extension(extension))
            .map(|extension| options.get_extension(&extension).into_owned());
        let bytes = rules
            .as_ref()
            .and_then(|value| value.as_message())
            .map(Message::encode_to_vec)
            .unwrap_or_default();
        let known = (!bytes.is_empty())
            .then(|| self.rules.windows(bytes.len()).position(|w| w == bytes))
            .flatten();
        let at = known.unwrap_or(self.rules.len());
        if known.is_none() {
            self.rules.extend_from_slice(&bytes);
        }
        format!("s({at},{})", bytes.len())
    }

    fn enumeration(&mut self, descriptor: &EnumDescriptor) -> Result<(), Box<dyn Error>> {
        let first = self.values.count;
        // Not `values`, whose order of several names for one number is not that of the file.
        for value in &descriptor.enum_descriptor_proto().value {
            let name = self.span(value.name());
            let number = value.number();
            writeln!(
                self.values.source,
                "EnumValue{{name:{name},number:{number}}},"
            )?;
            self.values.count += 1;
        }
        let name = self.span(descriptor.full_name());
        let (count, default) = (
            self.values.count - first,
            descriptor.default_value().number(),
        );
        writeln!(
            self.enums,
            "Enum{{name:{name},values:s({first},{count}),default:{default}}},"
        )?;
        Ok(())
    }

    fn flag(&self, options: &DynamicMessage, extension: &str) -> bool {
        let extension = self.pool.get_extension_by_name(extension);
        extension.is_some_and(|extension| {
            options.has_extension(&extension)
                && options.get_extension(&extension).as_bool() == Some(true)
        })
    }

    /// Where `text` is among all texts, each of which is there once.
    fn span(&mut self, text: &str) -> String {
        let at = self.texts.get(text).copied().unwrap_or_else(|| {
            let at = self.text.len();
            self.text.push_str(text);
            self.texts.insert(text.to_owned(), at);
            at
        });
        format!("s({at},{})", text.len())
    }

    fn source(&self) -> Result<String, Box<dyn Error>> {
        for rows in [&self.fields, &self.oneofs, &self.values] {
            if rows.count >= NONE {
                return Err("a table of descriptors is too long for its indexes".into());
            }
        }
        Ok(format!(
            "pub(super) static TEXT: &str = {:?};\n\
             pub(super) static MESSAGES: &[Message] = &[\n{}];\n\
             pub(super) static FIELDS: &[Field] = &[\n{}];\n\
             pub(super) static ONEOFS: &[Oneof] = &[\n{}];\n\
             pub(super) static ENUMS: &[Enum] = &[\n{}];\n\
             pub(super) static ENUM_VALUES: &[EnumValue] = &[\n{}];\n",
            self.text,
            self.messages,
            self.fields.source,
            self.oneofs.source,
            self.enums,
            self.values.source,
        ))
    }
}
