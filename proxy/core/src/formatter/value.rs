//! Operators that read structured values: metadata and filter state.

use super::{
    FormatContext,
    json_text::{self, put_double, put_struct, put_value},
    operator::truncate,
    parse::Command,
};
use crate::{ConfigError, metadata::Metadata, stream_info::FilterState};
use prost_types::value::Kind;
use std::collections::BTreeMap;

/// Whose metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetadataSource {
    Dynamic,
    Cluster,
    Route,
    UpstreamHost,
    Listener,
    ListenerFilterChain,
    VirtualHost,
}

impl MetadataSource {
    fn of<'a>(self, cx: &FormatContext<'a>) -> Option<&'a Metadata> {
        let info = cx.info;
        Some(match self {
            Self::Dynamic => &info.dynamic_metadata,
            Self::Cluster => &info.cluster.as_ref()?.metadata,
            Self::Route => &info.route.as_ref()?.metadata,
            Self::UpstreamHost => &info.upstream.host.as_ref()?.metadata,
            Self::Listener => &info.connection.listener.metadata,
            Self::ListenerFilterChain => &info.connection.filter_chain.as_ref()?.metadata,
            Self::VirtualHost => &info.route.as_ref()?.virtual_host_metadata,
        })
    }
}

/// `%DYNAMIC_METADATA(namespace:key:…):max_len%` and its like; without a key the whole namespace.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MetadataOperator {
    source: MetadataSource,
    namespace: Box<str>,
    path: Box<[Box<str>]>,
    /// Applies to text and to strings in JSON, not to other JSON values.
    max_len: Option<usize>,
}

impl MetadataOperator {
    pub fn new(source: MetadataSource, path: &str, max_len: Option<usize>) -> Self {
        let mut parts = path.split(':');
        Self {
            source,
            namespace: parts.next().unwrap_or_default().into(),
            path: parts.map(Box::from).collect(),
            max_len,
        }
    }

    /// `%METADATA(SOURCE:namespace:key…)%`.
    pub fn compile(command: &Command<'_>) -> Result<Self, ConfigError> {
        let argument = command.argument;
        let (kind, path) = argument.split_once(':').unwrap_or((argument, ""));
        let source = match kind {
            "DYNAMIC" => MetadataSource::Dynamic,
            "CLUSTER" => MetadataSource::Cluster,
            "ROUTE" => MetadataSource::Route,
            "UPSTREAM_HOST" => MetadataSource::UpstreamHost,
            "LISTENER" => MetadataSource::Listener,
            "LISTENER_FILTER_CHAIN" => MetadataSource::ListenerFilterChain,
            "VIRTUAL_HOST" => MetadataSource::VirtualHost,
            other => {
                return Err(ConfigError::new(format!(
                    "{other} is not supported type of metadata"
                )));
            }
        };
        Ok(Self::new(source, path, command.max_len))
    }

    pub fn text(&self, cx: &FormatContext<'_>, out: &mut Vec<u8>) -> Option<()> {
        let start = out.len();
        let metadata = self.source.of(cx)?;
        if self.path.is_empty() {
            put_struct(out, metadata.namespace(&self.namespace)?);
        } else {
            let value = metadata.get(&self.namespace, &self.path)?;
            match &value.kind {
                Some(Kind::StringValue(text)) => out.extend_from_slice(text.as_bytes()),
                _ if !put_value(out, value) => return None,
                _ => {}
            }
        }
        truncate(out, start, self.max_len);
        Some(())
    }

    pub fn json(&self, cx: &FormatContext<'_>, out: &mut Vec<u8>) -> Option<()> {
        let metadata = self.source.of(cx)?;
        if self.path.is_empty() {
            put_struct(out, metadata.namespace(&self.namespace)?);
            return Some(());
        }
        let value = metadata.get(&self.namespace, &self.path)?;
        match &value.kind {
            Some(Kind::StringValue(_)) => json_text::string_of(out, |out| self.text(cx, out)),
            _ => put_value(out, value).then_some(()),
        }
    }
}

/// Whose filter state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FilterStateSource {
    Downstream,
    Upstream,
}

/// How an object of the filter state is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Serialization {
    Plain,
    /// As the JSON of its message: a string stands in quotes.
    Typed,
    /// One field of it; only a map has any.
    Field,
}

/// `%FILTER_STATE(key:PLAIN|TYPED|FIELD:name):max_len%`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FilterStateOperator {
    source: FilterStateSource,
    key: Box<str>,
    serialization: Serialization,
    /// Of `FIELD`.
    field: Box<str>,
    max_len: Option<usize>,
}

impl FilterStateOperator {
    pub fn compile(command: &Command<'_>, source: FilterStateSource) -> Result<Self, ConfigError> {
        let mut parts = command.argument.splitn(3, ':');
        let key = parts.next().unwrap_or_default();
        if key.is_empty() {
            return Err(ConfigError::new(
                "Invalid filter state configuration, key cannot be empty.",
            ));
        }
        let (kind, field) = (parts.next(), parts.next());
        let serialization = match (kind, field) {
            (Some("PLAIN"), None) => Serialization::Plain,
            (None | Some("TYPED"), None) => Serialization::Typed,
            (Some("FIELD"), Some(_)) => Serialization::Field,
            (Some("FIELD"), None) | (Some("PLAIN" | "TYPED"), Some(_)) => {
                return Err(ConfigError::new(
                    "Invalid filter state serialize type, FIELD should be used with the field name.",
                ));
            }
            _ => {
                return Err(ConfigError::new(
                    "Invalid filter state serialize type, only support PLAIN/TYPED/FIELD.",
                ));
            }
        };
        Ok(Self {
            source,
            key: key.into(),
            serialization,
            field: field.unwrap_or_default().into(),
            max_len: command.max_len,
        })
    }

    fn get<'a>(&self, cx: &FormatContext<'a>) -> Option<&'a FilterState> {
        match self.source {
            FilterStateSource::Downstream => cx.info.filter_state.get(&*self.key),
            FilterStateSource::Upstream => cx.info.upstream.filter_state.get(&*self.key),
        }
    }

    pub fn text(&self, cx: &FormatContext<'_>, out: &mut Vec<u8>) -> Option<()> {
        let start = out.len();
        match (self.get(cx)?, self.serialization) {
            (FilterState::Map(fields), Serialization::Field) => {
                out.extend_from_slice(fields.get(&*self.field)?.as_bytes());
            }
            (_, Serialization::Field) | (FilterState::Headers(_), Serialization::Plain) => {
                return None;
            }
            (FilterState::String(text), Serialization::Plain) => {
                out.extend_from_slice(text.as_bytes());
            }
            (
                FilterState::GrpcMessages {
                    requests,
                    responses,
                },
                Serialization::Plain,
            ) => out.extend_from_slice(format!("{requests},{responses}").as_bytes()),
            (value, _) => put_state(out, value),
        }
        truncate(out, start, self.max_len);
        Some(())
    }

    pub fn json(&self, cx: &FormatContext<'_>, out: &mut Vec<u8>) -> Option<()> {
        match self.serialization {
            Serialization::Typed => put_state(out, self.get(cx)?),
            Serialization::Field | Serialization::Plain => {
                return json_text::string_of(out, |out| self.text(cx, out));
            }
        }
        Some(())
    }
}

fn put_state(out: &mut Vec<u8>, value: &FilterState) {
    match value {
        FilterState::String(text) => json_text::put_string(out, text.as_bytes()),
        FilterState::Number(number) => put_double(out, *number),
        FilterState::Bool(true) => out.extend_from_slice(b"true"),
        FilterState::Bool(false) => out.extend_from_slice(b"false"),
        FilterState::GrpcMessages {
            requests,
            responses,
        } => put_message_counts(out, *requests, *responses),
        FilterState::Map(fields) => put_map(out, fields),
        FilterState::Headers(headers) => put_headers(out, headers),
    }
}

/// The JSON of a `FilterObject`: what is zero is left out.
fn put_message_counts(out: &mut Vec<u8>, requests: u64, responses: u64) {
    let counts = [
        ("requestMessageCount", requests),
        ("responseMessageCount", responses),
    ];
    let mut separator = '{';
    for (name, count) in counts.iter().filter(|(_, count)| *count > 0) {
        out.extend_from_slice(format!("{separator}\"{name}\":\"{count}\"").as_bytes());
        separator = ',';
    }
    out.extend_from_slice(if separator == '{' { b"{}" } else { b"}" });
}

fn put_map(out: &mut Vec<u8>, fields: &BTreeMap<String, String>) {
    out.push(b'{');
    for (index, (name, text)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json_text::put_string(out, name.as_bytes());
        out.push(b':');
        json_text::put_string(out, text.as_bytes());
    }
    out.push(b'}');
}

/// The JSON of a `HeaderMap`: what is empty is left out.
fn put_headers(out: &mut Vec<u8>, headers: &[(String, String)]) {
    if headers.is_empty() {
        return out.extend_from_slice(b"{}");
    }
    let mut before: &[u8] = b"{\"headers\":[{\"key\":";
    for (name, value) in headers {
        out.extend_from_slice(before);
        json_text::put_string(out, name.as_bytes());
        if !value.is_empty() {
            out.extend_from_slice(b",\"value\":");
            json_text::put_string(out, value.as_bytes());
        }
        before = b"},{\"key\":";
    }
    out.extend_from_slice(b"}]}");
}
