//! `google.protobuf.Any` in JSON: the fields of the message it holds beside `@type`.

use prost::Message;

use super::read::Reader;
use super::well_known::WellKnown;
use super::{Json, scalar};
use crate::convert::type_name;
use crate::reflect::{DynamicMessage, MessageDescriptor, Value};

/// The key that names the type of the message.
pub(super) const TYPE: &str = "@type";

impl Reader {
    pub(super) fn any(&mut self, any: &mut DynamicMessage, value: &Json) {
        let Json::Object(entries) = value else {
            return self.error(value.unexpected('{'));
        };
        let mut types = entries.iter().filter(|(key, _)| key == TYPE);
        let Some((_, url)) = types.next() else {
            if !entries.is_empty() {
                self.error(
                    "in legacy mode, missing @type in Any is only allowed for an empty object",
                );
            }
            return;
        };
        if types.next().is_some() {
            return self.error("repeated @type in Any");
        }
        let Some(url) = self.accept(scalar::string(url)) else {
            return;
        };
        if url.find('/').is_none_or(|slash| slash == 0) {
            return self.error(format!(
                "@type must contain at least one / and a nonempty host; got: {url}"
            ));
        }
        let Some(descriptor) = MessageDescriptor::named(type_name(url)) else {
            return self.error(format!("could not find @type '{url}'"));
        };

        let well_known = WellKnown::of(&descriptor).is_some();
        let mut message = DynamicMessage::new(descriptor);
        for (key, value) in entries.iter().filter(|(key, _)| key != TYPE) {
            match key.as_str() {
                "value" if well_known => self.message(&mut message, value),
                _ if well_known => {
                    self.error("fields in a well-known-typed Any must be @type or value")
                }
                key => self.field(&mut message, key, value),
            }
        }
        any.set_field_by_number(1, Value::String(url.to_owned()));
        any.set_field_by_number(2, Value::Bytes(message.encode_to_vec().into()));
    }
}
