//! `udpa.type.v1.TypedStruct` and `xds.type.v3.TypedStruct`: a message whose type the sender did not have, written as a
//! Struct. Envoy treats one in an Any as the message it stands for; this puts that message there.

use prost::Message;

use crate::convert::{MAX_MESSAGE_DEPTH, TYPE_URL_PREFIX, type_name};
use crate::diagnostic::{Findings, Path};
use crate::json::{self, Json};
use crate::reflect::{DynamicMessage, Kind, MessageDescriptor, Value};

/// Replaces every TypedStruct in an Any below `message`, Anys inside Anys included, by the message of its type.
///
/// One whose type is unknown stays as it is: whether that is an error depends on who needs the extension. What is
/// wrong inside a TypedStruct is found with the path of the Any.
pub fn resolve_typed_structs(message: &mut DynamicMessage) -> Findings {
    let mut resolver = Resolver::default();
    resolver.message(message);
    resolver.findings
}

#[derive(Default)]
struct Resolver {
    path: Path,
    depth: usize,
    findings: Findings,
}

impl Resolver {
    /// Whether anything changed.
    fn message(&mut self, message: &mut DynamicMessage) -> bool {
        if self.depth == MAX_MESSAGE_DEPTH {
            self.findings
                .errors
                .push(self.path.diagnose("messages are too deeply nested"));
            return false;
        }
        self.depth += 1;
        let changed = self.fields(message);
        self.depth -= 1;
        changed
    }

    fn fields(&mut self, message: &mut DynamicMessage) -> bool {
        if message.descriptor().full_name() == "google.protobuf.Any" {
            return self.any(message);
        }
        let mut changed = false;
        for (field, value) in message.fields_mut() {
            let Kind::Message(_) = field.kind() else {
                continue;
            };
            let mark = self.path.field(field.name());
            changed |= match value {
                Value::Message(inner) => self.message(inner),
                Value::List(items) => self.list(items),
                Value::Map(entries) => {
                    let mut changed = false;
                    for (key, value) in entries {
                        let mark = self.path.key(key.as_str().unwrap_or_default());
                        changed |= value
                            .as_message_mut()
                            .is_some_and(|inner| self.message(inner));
                        self.path.back(mark);
                    }
                    changed
                }
                _ => false,
            };
            self.path.back(mark);
        }
        changed
    }

    fn list(&mut self, items: &mut [Value]) -> bool {
        let mut changed = false;
        for (index, item) in items.iter_mut().enumerate() {
            let mark = self.path.index(index);
            changed |= item
                .as_message_mut()
                .is_some_and(|inner| self.message(inner));
            self.path.back(mark);
        }
        changed
    }

    fn any(&mut self, any: &mut DynamicMessage) -> bool {
        let Some(inner) = open_any(any) else {
            return false;
        };
        let (mut inner, mut changed) = match self.typed_struct(&inner) {
            Some(resolved) => (resolved, true),
            None => (inner, false),
        };
        changed |= self.message(&mut inner);
        if changed {
            let url = format!("{TYPE_URL_PREFIX}{}", inner.descriptor().full_name());
            any.set_field_by_number(1, Value::String(url));
            any.set_field_by_number(2, Value::Bytes(inner.encode_to_vec().into()));
        }
        changed
    }

    /// The message that `message` stands for, if it is a TypedStruct of a known type.
    fn typed_struct(&mut self, message: &DynamicMessage) -> Option<DynamicMessage> {
        let descriptor = message.descriptor();
        if !matches!(
            descriptor.full_name(),
            "udpa.type.v1.TypedStruct" | "xds.type.v3.TypedStruct"
        ) {
            return None;
        }
        let url = message.get_field_by_number(1)?;
        let inner = MessageDescriptor::named(type_name(url.as_str()?))?;
        let value = message.get_field_by_number(2)?;
        let value = Json::from(json::write(value.as_message()?));
        let (resolved, mut findings) = json::read(&inner, &value);
        for finding in findings.errors.iter_mut().chain(&mut findings.unknown) {
            let mark = self.path.field(&finding.path);
            finding.path = self.path.diagnose("").path;
            self.path.back(mark);
        }
        self.findings.append(findings);
        Some(resolved)
    }
}

/// The message in an Any, if its type is known and its bytes are sound.
pub fn open_any(any: &DynamicMessage) -> Option<DynamicMessage> {
    let url = any.get_field_by_number(1)?;
    let descriptor = MessageDescriptor::named(type_name(url.as_str()?))?;
    let bytes = any.get_field_by_number(2)?;
    DynamicMessage::decode(descriptor, bytes.as_bytes()?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn read(value: serde_json::Value) -> DynamicMessage {
        let descriptor = MessageDescriptor::named("envoy.config.listener.v3.FilterChain").unwrap();
        let (message, findings) = json::read(&descriptor, &value.into());
        assert_eq!(findings, Findings::default());
        message
    }

    fn filter(typed_config: serde_json::Value) -> serde_json::Value {
        json!({"filters": [{"name": "f", "typed_config": typed_config}]})
    }

    const TCP: &str = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";

    #[test]
    fn becomes_the_message_it_stands_for() {
        for typed_struct in ["udpa.type.v1.TypedStruct", "xds.type.v3.TypedStruct"] {
            let mut message = read(filter(json!({
                "@type": format!("type.googleapis.com/{typed_struct}"),
                "type_url": TCP,
                "value": {"stat_prefix": "a", "cluster": "c", "max_connect_attempts": 3},
            })));
            assert_eq!(resolve_typed_structs(&mut message), Findings::default());
            let expected = filter(
                json!({"@type": TCP, "stat_prefix": "a", "cluster": "c", "max_connect_attempts": 3}),
            );
            assert_eq!(json::write(&message), expected);
        }
    }

    #[test]
    fn keeps_the_path_of_what_is_wrong_inside() {
        let mut message = read(filter(json!({
            "@type": "type.googleapis.com/xds.type.v3.TypedStruct",
            "type_url": TCP,
            "value": {"stat_prefix": 1, "cluster": "c", "bogus": true},
        })));
        let findings = resolve_typed_structs(&mut message);
        let texts = |d: &[crate::Diagnostic]| d.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            texts(&findings.errors),
            ["filters[0].typed_config.stat_prefix: unexpected character: '1'; expected '\"'"]
        );
        assert_eq!(
            texts(&findings.unknown),
            ["filters[0].typed_config.bogus: no such field: 'bogus'"]
        );
    }

    #[test]
    fn anys_in_anys_do_not_exhaust_the_stack() {
        let mut any = prost_types::Any {
            type_url: "a/google.protobuf.Any".into(),
            value: vec![],
        };
        for _ in 0..500 {
            any.value = any.encode_to_vec();
        }
        let descriptor = MessageDescriptor::named("google.protobuf.Any").unwrap();
        let mut message = DynamicMessage::decode(descriptor, &any.encode_to_vec()).unwrap();
        assert_eq!(
            resolve_typed_structs(&mut message)
                .errors
                .first()
                .unwrap()
                .message,
            "messages are too deeply nested"
        );
        assert_eq!(
            crate::validate(&message).first().unwrap().message,
            "messages are too deeply nested"
        );
        assert!(json::write(&message).is_object());
    }

    #[test]
    fn stays_when_nobody_knows_its_type() {
        let original = filter(json!({
            "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
            "type_url": "type.googleapis.com/a.B",
            "value": {"x": 1},
        }));
        let mut message = read(original.clone());
        assert_eq!(resolve_typed_structs(&mut message), Findings::default());
        assert_eq!(json::write(&message), original);
    }
}
