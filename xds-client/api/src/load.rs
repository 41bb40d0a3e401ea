//! Reads a message from the texts and files that Envoy's command line takes (`-c`, `--config-yaml`).

use std::fmt;
use std::path::Path;

use prost::{DecodeError, Message};

use crate::diagnostic::Findings;
use crate::json::{self, Json, SyntaxError};
use crate::reflect::{DynamicMessage, MessageDescriptor};
use crate::text_format;
use crate::yaml::{self, YamlError};

/// How a configuration is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YAML, and with it most JSON.
    Yaml,
    /// JSON with protobuf's liberties.
    Json,
    /// The protobuf wire encoding.
    Binary,
    /// Protobuf's text format.
    Text,
}

impl Format {
    /// Envoy's rule: the extension decides, in whatever case it is written, and what it does not know is JSON.
    pub fn of(path: &Path) -> Self {
        let extension = path.extension().and_then(|extension| extension.to_str());
        match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("yaml" | "yml") => Self::Yaml,
            Some("pb") => Self::Binary,
            Some("pb_text") => Self::Text,
            _ => Self::Json,
        }
    }
}

/// Why there is no message at all; what is wrong inside one is among its [`Findings`].
#[derive(Clone, Debug, PartialEq)]
pub enum LoadError {
    /// The bytes are not UTF-8.
    NotText,
    /// Not JSON.
    Json(SyntaxError),
    /// Not YAML.
    Yaml(YamlError),
    /// YAML, but neither a mapping nor a sequence.
    YamlScalar,
    /// Not the wire encoding of the message.
    Binary(DecodeError),
    /// Not the text format of the message.
    Text(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotText => f.write_str("Invalid UTF-8 string"),
            Self::Json(error) => write!(
                f,
                "Unable to parse JSON as proto (INVALID_ARGUMENT: {error})"
            ),
            Self::Yaml(error) => error.fmt(f),
            Self::YamlScalar => f.write_str("Unable to convert YAML as JSON"),
            Self::Binary(error) => write!(f, "Unable to parse as a binary protobuf: {error}"),
            Self::Text(error) => write!(f, "Unable to parse as a text protobuf: {error}"),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Json(error) => Some(error),
            Self::Yaml(error) => Some(error),
            Self::Binary(error) => Some(error),
            Self::NotText | Self::YamlScalar | Self::Text(_) => None,
        }
    }
}

/// Reads `content` as a message of type `descriptor`, as it is written: TypedStructs are not resolved, so that a
/// config dump can show them.
pub fn load(
    descriptor: &MessageDescriptor,
    format: Format,
    content: &[u8],
) -> Result<(DynamicMessage, Findings), LoadError> {
    if format == Format::Binary {
        let message = DynamicMessage::decode(*descriptor, content).map_err(LoadError::Binary)?;
        return Ok((message, Findings::default()));
    }
    let text = std::str::from_utf8(content).map_err(|_| LoadError::NotText)?;
    match format {
        Format::Text => {
            let message = text_format::read(*descriptor, text);
            message
                .map(|m| (m, Findings::default()))
                .map_err(LoadError::Text)
        }
        Format::Yaml => match yaml::parse(text).map_err(LoadError::Yaml)? {
            value @ (Json::Object(_) | Json::Array(_)) => Ok(json::read(descriptor, &value)),
            _ => Err(LoadError::YamlScalar),
        },
        Format::Json | Format::Binary => {
            let value = json::parse(text).map_err(LoadError::Json)?;
            Ok(json::read(descriptor, &value))
        }
    }
}

/// Protobuf's `MergeFrom`: what `from` sets replaces scalars, adds to lists and maps, merges into messages.
///
/// Both must be of the same type; only then can this not fail.
pub fn merge(into: &mut DynamicMessage, from: &DynamicMessage) -> Result<(), DecodeError> {
    // Decoding onto a message is the same operation, by the definition of the encoding.
    into.merge(from.encode_to_vec().as_slice())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::pb::envoy::config::bootstrap::v3::Bootstrap;

    fn bootstrap() -> MessageDescriptor {
        MessageDescriptor::named("envoy.config.bootstrap.v3.Bootstrap").unwrap()
    }

    fn read(format: Format, content: &[u8]) -> DynamicMessage {
        let (message, findings) = load(&bootstrap(), format, content).unwrap();
        assert_eq!(findings, Findings::default());
        message
    }

    #[test]
    fn extension_decides_the_format() {
        for (name, format) in [
            ("a.yaml", Format::Yaml),
            ("a.yml", Format::Yaml),
            ("a.YAML", Format::Yaml),
            ("a.Pb_Text", Format::Text),
            ("a.pb", Format::Binary),
            ("a.pb_text", Format::Text),
            ("a.json", Format::Json),
            ("a.conf", Format::Json),
            ("a", Format::Json),
        ] {
            assert_eq!(Format::of(Path::new(name)), format, "{name}");
        }
    }

    #[test]
    fn every_format_gives_the_same_message() {
        let yaml = read(Format::Yaml, b"node: {id: a}\nflags_path: /f\n");
        let json = read(Format::Json, br#"{"node":{"id":"a",},"flagsPath":"/f"}"#);
        let text = read(Format::Text, br#"node { id: "a" } flags_path: "/f""#);
        let binary = read(Format::Binary, &yaml.encode_to_vec());
        assert_eq!(yaml, json);
        assert_eq!(yaml, text);
        assert_eq!(yaml, binary);
        let typed: Bootstrap = crate::to_typed(&yaml).unwrap();
        assert_eq!(typed.node.unwrap().id, "a");
    }

    #[test]
    fn refuses_what_is_no_message() {
        let error =
            |format, content: &[u8]| load(&bootstrap(), format, content).unwrap_err().to_string();
        assert_eq!(
            error(Format::Json, b"node: {}"),
            "Unable to parse JSON as proto (INVALID_ARGUMENT: invalid JSON near 1:1: expected 'null')"
        );
        assert_eq!(error(Format::Yaml, b""), "Unable to convert YAML as JSON");
        assert_eq!(
            error(Format::Yaml, b"abc"),
            "Unable to convert YAML as JSON"
        );
        assert_eq!(error(Format::Json, b"\xff"), "Invalid UTF-8 string");
        assert!(error(Format::Binary, b"\xff").starts_with("Unable to parse as a binary protobuf"));
        assert!(error(Format::Text, b"node").starts_with("Unable to parse as a text protobuf"));
        let (_, findings) = load(&bootstrap(), Format::Yaml, b"[1]").unwrap();
        assert_eq!(
            findings.errors.first().unwrap().message,
            "unexpected character: '['; expected '{'"
        );
    }

    /// The order of `-c` and `--config-yaml`.
    #[test]
    fn merges_as_protobuf_does() {
        let mut message = read(
            Format::Yaml,
            b"node: {id: a, cluster: c, metadata: {x: 1, y: {z: 1}}}\nstatic_resources: {clusters: [{name: one}]}",
        );
        let over = read(
            Format::Yaml,
            b"node: {id: b, metadata: {y: 2}}\nstatic_resources: {clusters: [{name: two}]}",
        );
        merge(&mut message, &over).unwrap();
        assert_eq!(
            crate::json::write(&message),
            json!({
                "node": {"id": "b", "cluster": "c", "metadata": {"x": 1, "y": 2}},
                "static_resources": {"clusters": [{"name": "one"}, {"name": "two"}]},
            })
        );
    }
}
