//! The constraints that Envoy's protos carry (`validate.rules`, protoc-gen-validate), checked on any message.
//!
//! Reasons are Envoy's, measured on its 1.40 binary. Envoy stops at the first violation, this finds them all.

mod check;
mod rules;
mod text;

use self::rules::{FieldRules, MessageRules, rules_of};
use self::text::upper_camel_case;
use crate::convert::MAX_MESSAGE_DEPTH;
use crate::diagnostic::{Diagnostic, Path};
use crate::reflect::{DynamicMessage, FieldDescriptor, Value};
use crate::typed_struct::open_any;

/// Every violation in `message` and in the messages that its Anys hold, bad durations first as in Envoy.
///
/// An Any whose type is unknown is not looked into. Within an Any the chain of names in the reason starts anew, as in
/// Envoy, which validates an extension's configuration when it unpacks it; the path does not.
pub fn validate(message: &DynamicMessage) -> Vec<Diagnostic> {
    let mut validator = Validator::default();
    validator.message(message);
    validator.durations.append(&mut validator.constraints);
    validator.durations
}

#[derive(Default)]
struct Validator {
    path: Path,
    depth: usize,
    /// `MessageValidationError.Field` of the fields that lead here, up to the nearest Any.
    chain: Vec<String>,
    durations: Vec<Diagnostic>,
    constraints: Vec<Diagnostic>,
}

impl Validator {
    fn message(&mut self, message: &DynamicMessage) {
        let descriptor = message.descriptor();
        if self.depth == MAX_MESSAGE_DEPTH {
            return self
                .constraints
                .push(self.path.diagnose("messages are too deeply nested"));
        }
        self.depth += 1;
        match descriptor.full_name() {
            "google.protobuf.Any" => {
                if let Some(inner) = open_any(message) {
                    let outer = std::mem::take(&mut self.chain);
                    self.message(&inner);
                    self.chain = outer;
                }
            }
            "google.protobuf.Duration" => {
                if let Some(reason) = check::duration_is_sane(message) {
                    self.durations
                        .push(self.path.diagnose(format!("Invalid duration: {reason}")));
                }
            }
            name => {
                self.fields(message, short_name(name), &rules_of(descriptor));
            }
        }
        self.depth -= 1;
    }

    fn fields(&mut self, message: &DynamicMessage, name: &str, rules: &MessageRules) {
        for (field, rules) in &rules.fields {
            let present = message.has_field(field);
            if !present && (field.supports_presence() && !rules.required) {
                continue;
            }
            let mark = self.path.field(field.name());
            self.chain.push(format!(
                "{name}ValidationError.{}",
                upper_camel_case(field.name())
            ));
            if present || !field.supports_presence() {
                self.field(field, rules, &message.get_field(field));
            } else {
                self.violation("value is required");
            }
            self.chain.pop();
            self.path.back(mark);
        }
        for oneof in &rules.required_oneofs {
            if !message
                .descriptor()
                .members(*oneof)
                .any(|field| message.has_field(&field))
            {
                let mark = self.path.field(oneof.name());
                let reason = format!("field: \"{}\", reason: is required", oneof.name());
                self.report(&reason);
                self.path.back(mark);
            }
        }
    }

    fn field(&mut self, field: &FieldDescriptor, rules: &FieldRules, value: &Value) {
        for reason in check::field(rules, field, value) {
            self.violation(&reason);
        }
        match value {
            Value::List(items) => {
                let kind = field.kind();
                let duplicates = check::duplicates(rules, items);
                for (index, item) in items.iter().enumerate() {
                    let mark = self.path.index(index);
                    let reasons = rules.items().map(|rules| check::single(rules, &kind, item));
                    let duplicate = duplicates
                        .contains(&index)
                        .then(|| check::DUPLICATE.to_owned());
                    self.item(
                        &index.to_string(),
                        rules,
                        item,
                        reasons.into_iter().flatten().chain(duplicate).collect(),
                    );
                    self.path.back(mark);
                }
            }
            Value::Map(entries) => {
                let mut entries: Vec<_> = entries.iter().collect();
                entries.sort_by_key(|(key, _)| *key);
                for (key, item) in entries {
                    let key_text = key
                        .as_str()
                        .map_or_else(|| format!("{key:?}"), str::to_owned);
                    let mark = self.path.key(&key_text);
                    self.item(
                        &key_text,
                        rules,
                        item,
                        check::map_entry(rules, field, key, item),
                    );
                    self.path.back(mark);
                }
            }
            Value::Message(inner) if !rules.skip => self.message(inner),
            _ => {}
        }
    }

    /// An item of a list or map: what is wrong with it, and what is wrong below it.
    fn item(&mut self, key: &str, rules: &FieldRules, item: &Value, reasons: Vec<String>) {
        let Some(field) = self.chain.last_mut() else {
            return;
        };
        let length = field.len();
        field.push_str(&format!("[{key}]"));
        for reason in reasons {
            self.violation(&reason);
        }
        if let Value::Message(inner) = item
            && !rules.items().is_some_and(|rules| rules.skip)
        {
            self.message(inner);
        }
        if let Some(field) = self.chain.last_mut() {
            field.truncate(length);
        }
    }

    /// A violation by the field at the end of the chain.
    fn violation(&mut self, reason: &str) {
        let field = self.chain.pop();
        let place = field.as_deref().unwrap_or_default();
        self.report(&format!("{place}: {reason}"));
        self.chain.extend(field);
    }

    fn report(&mut self, reason: &str) {
        let mut text = "Proto constraint validation failed (".to_owned();
        for field in &self.chain {
            text.push_str(field);
            text.push_str(": embedded message failed validation | caused by ");
        }
        text.push_str(reason);
        text.push(')');
        self.constraints.push(self.path.diagnose(text));
    }
}

fn short_name(full_name: &str) -> &str {
    full_name.rsplit('.').next().unwrap_or(full_name)
}

#[cfg(test)]
mod tests;
