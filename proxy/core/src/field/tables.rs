//! Holds a message against the tables of fields, before anything of it is compiled.

use super::{Fate, Message};
use crate::ConfigError;
use envoy_api::{DynamicMessage, MapKey, Value, open_any, type_name};
use std::collections::HashMap;

/// Deeper messages are refused; Anys in Anys could otherwise nest without end.
const MAX_DEPTH: usize = 256;

/// The tables of all crates, by message.
#[derive(Debug, Default)]
pub struct Tables {
    messages: HashMap<&'static str, &'static Message>,
}

/// A field that is set, and that changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Where it stands, from the root message.
    pub path: String,
    /// The field by the full name of its message: `envoy.config.listener.v3.Listener.drain_type`.
    pub field: String,
    /// Why that is safe.
    pub reason: &'static str,
}

/// What became of the fields of one message and of all below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub ignored: Vec<Report>,
    /// Every field that is not supported, not only the first.
    pub errors: Vec<ConfigError>,
}

impl Tables {
    /// A message may stand in several tables; they must agree, and the first counts.
    pub fn new(messages: impl IntoIterator<Item = &'static Message>) -> Self {
        let mut tables = Self::default();
        for message in messages {
            tables.messages.entry(message.name).or_insert(message);
        }
        tables
    }

    /// Visits every field that is set in `message` and below it, TypedStructs resolved beforehand.
    pub fn check(&self, message: &DynamicMessage) -> Verdict {
        let mut walk = Walk {
            tables: self,
            path: String::new(),
            depth: 0,
            verdict: Verdict::default(),
        };
        walk.message(message);
        walk.verdict
    }
}

struct Walk<'t> {
    tables: &'t Tables,
    path: String,
    depth: usize,
    verdict: Verdict,
}

impl Walk<'_> {
    fn reject(&mut self, reason: impl Into<String>) {
        let error = ConfigError::new(reason);
        self.verdict.errors.push(if self.path.is_empty() {
            error
        } else {
            error.at(&self.path)
        });
    }

    /// Runs `visit` with the path one step longer.
    fn below(&mut self, step: &str, visit: impl FnOnce(&mut Self)) {
        let end = self.path.len();
        if end != 0 && !step.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(step);
        visit(self);
        self.path.truncate(end);
    }

    fn message(&mut self, message: &DynamicMessage) {
        let descriptor = message.descriptor();
        let name = descriptor.full_name();
        // Durations, wrappers, Structs and the like are values: there is nothing in them to support or not.
        if name.starts_with("google.protobuf.") {
            return;
        }
        let Some(table) = self.tables.messages.get(name).copied() else {
            return self.reject(format!("messages of type {name} are not supported"));
        };
        if self.depth == MAX_DEPTH {
            return self.reject("messages are too deeply nested");
        }
        self.depth += 1;
        for (field, value) in message.fields() {
            self.below(field.name(), |walk| match table.fate(field.name()) {
                Fate::Rejected(reason) => walk.reject(format!("field is not supported: {reason}")),
                Fate::Ignored(reason) => walk.verdict.ignored.push(Report {
                    path: walk.path.clone(),
                    field: field.full_name().to_owned(),
                    reason,
                }),
                Fate::Used => walk.value(message, value),
            });
        }
        self.depth -= 1;
    }

    /// A used field of `parent`.
    fn value(&mut self, parent: &DynamicMessage, value: &Value) {
        match value {
            Value::Message(inner) => {
                if is_optional(parent) && self.skips_optional(inner) {
                    return;
                }
                self.any_or_message(inner, || extension_name(parent));
            }
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    if let Value::Message(inner) = item {
                        self.below(&format!("[{index}]"), |walk| {
                            walk.any_or_message(inner, || extension_name(parent));
                        });
                    }
                }
            }
            Value::Map(entries) => {
                let mut entries: Vec<_> = entries
                    .iter()
                    .filter_map(|(key, item)| Some((key_text(key), item.as_message()?)))
                    .collect();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                for (key, inner) in entries {
                    self.below(&format!("[{key:?}]"), |walk| {
                        walk.any_or_message(inner, || key);
                    });
                }
            }
            _ => {}
        }
    }

    /// An optional filter in an Any is passed over, and reported, if Envoy would pass over it as well. One that Envoy has
    /// and we have not is refused like any other: it may guard access.
    fn skips_optional(&mut self, message: &DynamicMessage) -> bool {
        if message.descriptor().full_name() != "google.protobuf.Any" || is_empty_any(message) {
            return false;
        }
        let (_, type_name) = type_of_any(message);
        if self.tables.messages.contains_key(type_name.as_str())
            || type_name.starts_with("envoy.extensions.")
        {
            return false;
        }
        self.verdict.ignored.push(Report {
            path: self.path.clone(),
            field: type_name,
            reason: "an optional filter of a type that there is no implementation of",
        });
        true
    }

    /// `name` is what the configuration calls the extension in an Any.
    fn any_or_message(&mut self, message: &DynamicMessage, name: impl FnOnce() -> String) {
        if message.descriptor().full_name() != "google.protobuf.Any" {
            return self.message(message);
        }
        if is_empty_any(message) {
            return;
        }
        match type_of_any(message) {
            (Some(inner), name) if self.tables.messages.contains_key(name.as_str()) => {
                self.message(&inner);
            }
            (_, type_name) => self.reject(format!(
                "Didn't find a registered implementation for '{}' with type URL: '{type_name}'",
                name()
            )),
        }
    }
}

/// The message in an Any, and the type that it is of. A TypedStruct is still there only if nobody knows the type that it
/// names.
fn type_of_any(any: &DynamicMessage) -> (Option<DynamicMessage>, String) {
    let inner = open_any(any);
    let stands_for = inner.as_ref().unwrap_or(any);
    let url = stands_for.get_field_by_name("type_url");
    let url = url.as_deref().and_then(Value::as_str);
    let descriptor = stands_for.descriptor();
    let name = url.map_or(descriptor.full_name(), type_name).to_owned();
    (inner, name)
}

/// `HttpFilter.is_optional` and `FilterConfig.is_optional`.
fn is_optional(message: &DynamicMessage) -> bool {
    let optional = message.get_field_by_name("is_optional");
    matches!(optional.as_deref(), Some(Value::Bool(true)))
}

/// An Any without a type holds nothing; that it is set may mean something to its parent.
fn is_empty_any(any: &DynamicMessage) -> bool {
    let url = any.get_field_by_name("type_url");
    url.as_deref().and_then(Value::as_str) == Some("")
}

/// Envoy names an extension beside its configuration.
fn extension_name(message: &DynamicMessage) -> String {
    let name = message.get_field_by_name("name");
    name.as_deref()
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::String(text) => text.clone(),
        MapKey::Bool(value) => value.to_string(),
        MapKey::I32(value) => value.to_string(),
        MapKey::I64(value) => value.to_string(),
        MapKey::U32(value) => value.to_string(),
        MapKey::U64(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::USED;
    use super::*;
    use envoy_api::{Format, load, resolve_typed_structs};

    const MESSAGES: &[Message] = &[
        Message {
            name: "envoy.config.cluster.v3.Cluster",
            fields: &[
                ("name", USED),
                ("connect_timeout", USED),
                ("metadata", USED),
                ("transport_socket", USED),
                ("filters", USED),
                ("typed_extension_protocol_options", USED),
                ("alt_stat_name", Fate::Ignored("nobody asks")),
                ("lb_policy", Fate::Rejected("there is only one")),
            ],
        },
        Message {
            name: "envoy.config.core.v3.Metadata",
            fields: &[("filter_metadata", USED)],
        },
        Message {
            name: "envoy.config.core.v3.TransportSocket",
            fields: &[("name", USED), ("typed_config", USED)],
        },
        Message {
            name: "envoy.config.cluster.v3.Filter",
            fields: &[("typed_config", USED)],
        },
        Message {
            name: "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            fields: &[],
        },
    ];

    fn check(yaml: &str) -> (Vec<String>, Vec<String>) {
        let descriptor =
            envoy_api::MessageDescriptor::named("envoy.config.cluster.v3.Cluster").unwrap();
        let (mut message, findings) = load(&descriptor, Format::Yaml, yaml.as_bytes()).unwrap();
        assert!(findings.errors.is_empty() && findings.unknown.is_empty());
        resolve_typed_structs(&mut message);
        let verdict = Tables::new(MESSAGES).check(&message);
        (
            verdict.errors.iter().map(ToString::to_string).collect(),
            verdict.ignored.iter().map(|r| r.path.clone()).collect(),
        )
    }

    #[test]
    fn used_fields_and_values_pass() {
        let (errors, ignored) =
            check("{name: a, connect_timeout: 1s, metadata: {filter_metadata: {x: {y: [1]}}}}");
        assert_eq!(errors, [""; 0]);
        assert_eq!(ignored, [""; 0]);
    }

    #[test]
    fn every_other_field_is_named() {
        let (errors, ignored) = check(
            "{name: a, alt_stat_name: b, lb_policy: RANDOM, respect_dns_ttl: true, metadata: {typed_filter_metadata: {}}}",
        );
        assert_eq!(
            errors,
            [
                "lb_policy: field is not supported: there is only one",
                "respect_dns_ttl: field is not supported: this version does not know what it does",
            ]
        );
        assert_eq!(ignored, ["alt_stat_name"]);
    }

    #[test]
    fn anys_are_opened_and_unknown_extensions_rejected() {
        let (errors, _) = check(
            r#"
            transport_socket:
              name: tls
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
                sni: x
            filters:
            - name: f
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
            - name: g
              typed_config:
                "@type": type.googleapis.com/xds.type.v3.TypedStruct
                type_url: type.googleapis.com/a.B
            typed_extension_protocol_options:
              k:
                "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
            "#,
        );
        assert_eq!(
            errors,
            [
                "transport_socket.typed_config.sni: field is not supported: \
                 this version does not know what it does",
                "typed_extension_protocol_options[\"k\"]: Didn't find a registered implementation for 'k' \
                 with type URL: 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'",
                "filters[0].name: field is not supported: this version does not know what it does",
                "filters[0].typed_config: Didn't find a registered implementation for 'f' with type URL: \
                 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'",
                "filters[1].name: field is not supported: this version does not know what it does",
                "filters[1].typed_config: Didn't find a registered implementation for 'g' with type URL: 'a.B'",
            ]
        );
    }

    #[test]
    fn a_message_without_a_table_is_rejected() {
        let (errors, _) = check("{metadata: {}, typed_extension_protocol_options: {}}");
        assert_eq!(errors, [""; 0]);
        let tables = Tables::new(&MESSAGES[..1]);
        let descriptor =
            envoy_api::MessageDescriptor::named("envoy.config.cluster.v3.Cluster").unwrap();
        let (message, _) = load(&descriptor, Format::Yaml, b"metadata: {}").unwrap();
        assert_eq!(
            tables.check(&message).errors[0].to_string(),
            "metadata: messages of type envoy.config.core.v3.Metadata are not supported"
        );
    }

    const HTTP_FILTER: &str =
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter";

    #[test]
    fn an_optional_filter_is_passed_over_only_if_nobody_has_it() {
        let table: &'static [Message] = &[Message {
            name: HTTP_FILTER,
            fields: &[
                ("name", USED),
                ("typed_config", USED),
                ("is_optional", USED),
            ],
        }];
        let check = |type_name: &str, optional: bool| {
            let yaml = format!(
                "{{name: x, is_optional: {optional}, typed_config: {{'@type': type.googleapis.com/xds.type.v3.TypedStruct, \
                 type_url: type.googleapis.com/{type_name}}}}}"
            );
            let descriptor = envoy_api::MessageDescriptor::named(HTTP_FILTER).unwrap();
            let (message, _) = load(&descriptor, Format::Yaml, yaml.as_bytes()).unwrap();
            let verdict = Tables::new(table).check(&message);
            (verdict.errors.len(), verdict.ignored.len())
        };
        assert_eq!(check("no.such.Type", true), (0, 1));
        assert_eq!(check("no.such.Type", false), (1, 0));
        assert_eq!(
            check("envoy.extensions.filters.http.rbac.v3.RBAC", true),
            (1, 0)
        );
    }
}
