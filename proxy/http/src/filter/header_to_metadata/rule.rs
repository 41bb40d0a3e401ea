//! One rule: a header or a cookie, and what is written when it is there or is not.

use crate::route::cookie_value;
use envoy_api::{
    Message,
    pb::envoy::extensions::filters::http::header_to_metadata::v3::config::{
        KeyValuePair as PairProto, Rule as Proto, ValueEncode, ValueType,
    },
    prost_types::{Value, value::Kind},
};
use outrigger_core::{
    ConfigError, HeaderId, HeaderMap, HeaderName, error::ConfigResult, matcher::RegexRewrite,
    metadata::Metadata,
};

/// Where a pair goes that names no namespace.
const NAMESPACE: &str = "envoy.filters.http.header_to_metadata";
/// A value of so many bytes is not written, as in Envoy.
const TOO_LONG: usize = 8 * 1024;

/// One `Config.Rule`.
#[derive(Debug)]
pub struct Rule {
    source: Source,
    present: Option<Pair>,
    missing: Option<Pair>,
    remove: bool,
}

#[derive(Debug)]
enum Source {
    Header(HeaderName),
    Cookie {
        name: Box<[u8]>,
        /// The header that holds cookies.
        header: HeaderName,
    },
}

/// `Config.KeyValuePair`
#[derive(Debug)]
struct Pair {
    namespace: Box<str>,
    key: Box<str>,
    /// In the place of the header's own, unless empty.
    value: Box<[u8]>,
    rewrite: Option<RegexRewrite>,
    kind: ValueType,
    encode: ValueEncode,
}

impl Rule {
    pub fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        let source = match (proto.header.as_str(), proto.cookie.as_str()) {
            ("", "") => {
                return Err(ConfigError::new(
                    "One of Cookie or Header option needs to be specified",
                ));
            }
            (header, "") => Source::Header(header.into()),
            ("", _) if proto.remove => {
                return Err(ConfigError::new("Cannot specify remove for cookie").at("remove"));
            }
            ("", cookie) => Source::Cookie {
                name: cookie.as_bytes().into(),
                header: HeaderId::Cookie.into(),
            },
            _ => {
                return Err(ConfigError::new(
                    "Cannot specify both header and cookie in the same rule",
                ));
            }
        };
        let (present, missing) = (&proto.on_header_present, &proto.on_header_missing);
        if present.is_none() && missing.is_none() {
            return Err(ConfigError::new(format!(
                "header to metadata filter: rule for header '{}' has neither `on_header_present` nor `on_header_missing` set",
                proto.header
            )));
        }
        if missing.as_ref().is_some_and(|pair| pair.value.is_empty()) {
            return Err(ConfigError::new(
                "Cannot specify on_header_missing rule with an empty value",
            )
            .at("on_header_missing"));
        }
        let pair = |pair: &Option<_>| pair.as_ref().map(Pair::compile).transpose();
        Ok(Self {
            source,
            present: pair(present).at("on_header_present")?,
            missing: pair(missing).at("on_header_missing")?,
            remove: proto.remove,
        })
    }

    pub fn apply(&self, headers: &mut HeaderMap, metadata: &mut Metadata) {
        let found = match &self.source {
            Source::Header(name) => joined(headers, name),
            Source::Cookie { name, header } => cookie_value(headers, header, name)
                .filter(|value| !value.is_empty())
                .map(<[u8]>::to_vec),
        };
        match (&found, &self.present, &self.missing) {
            (Some(value), Some(pair), _) => pair.write(value, metadata),
            (None, _, Some(pair)) => pair.write(b"", metadata),
            _ => {}
        }
        if let Source::Header(name) = &self.source
            && self.remove
            && found.is_some()
        {
            headers.remove_name(name);
        }
    }
}

/// All values of a header, with commas between.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let mut values = headers.get_all(name);
    let mut all = values.next()?.to_vec();
    for value in values {
        all.push(b',');
        all.extend_from_slice(value);
    }
    Some(all)
}

impl Pair {
    fn compile(proto: &PairProto) -> Result<Self, ConfigError> {
        if !proto.value.is_empty() && proto.regex_value_rewrite.is_some() {
            return Err(ConfigError::new(
                "Cannot specify both value and regex_value_rewrite",
            ));
        }
        let rewrite = proto.regex_value_rewrite.as_ref();
        Ok(Self {
            namespace: match proto.metadata_namespace.as_str() {
                "" => NAMESPACE.into(),
                namespace => namespace.into(),
            },
            key: proto.key.as_str().into(),
            value: proto.value.as_bytes().into(),
            rewrite: rewrite
                .map(RegexRewrite::compile)
                .transpose()
                .at("regex_value_rewrite")?,
            kind: proto.r#type(),
            encode: proto.encode(),
        })
    }

    fn write(&self, found: &[u8], metadata: &mut Metadata) {
        let mut rewritten = Vec::new();
        let value = match &self.rewrite {
            _ if !self.value.is_empty() => &*self.value,
            Some(rewrite) => {
                rewrite.replace_all(found, &mut rewritten);
                &rewritten
            }
            None => found,
        };
        if let Some(value) = self.value_of(value) {
            metadata.set(&self.namespace, &self.key, value);
        }
    }

    /// What is written for a text; nothing for one that is not what it should be.
    fn value_of(&self, text: &[u8]) -> Option<Value> {
        if text.is_empty() || text.len() >= TOO_LONG {
            return None;
        }
        let decoded;
        let bytes = match self.encode {
            ValueEncode::None => text,
            ValueEncode::Base64 => {
                decoded = outrigger_core::base64::decode(text).filter(|bytes| !bytes.is_empty())?;
                &decoded
            }
        };
        let kind = match self.kind {
            ValueType::String => Kind::StringValue(String::from_utf8_lossy(bytes).into_owned()),
            ValueType::Number => {
                let number: f64 = std::str::from_utf8(bytes).ok()?.trim().parse().ok()?;
                Kind::NumberValue(Some(number).filter(|n| n.is_finite())?)
            }
            ValueType::ProtobufValue => return Value::decode(bytes).ok(),
        };
        Some(Value { kind: Some(kind) })
    }
}
