//! `FilterStateValue`: a string made of a format, for later filters and the log. Objects that would steer something that we do
//! not have are refused: nobody would read them.

use crate::{
    ConfigError,
    error::{ConfigResult, required},
    formatter::{FormatContext, SubstitutionFormat},
};
use envoy_api::pb::envoy::extensions::filters::common::set_filter_state::v3::{
    FilterStateValue as Proto,
    filter_state_value::{Key, Value},
};

/// The kind of object that means nothing to anybody by itself.
const STRING: &str = "envoy.string";

/// One `FilterStateValue`.
#[derive(Debug)]
pub struct FilterStateValue {
    pub key: Box<str>,
    format: SubstitutionFormat,
    skip_if_empty: bool,
}

impl FilterStateValue {
    /// `factories`: further kinds of objects that somebody reads where this is used.
    pub fn compile(proto: &Proto, factories: &[&str]) -> Result<Self, ConfigError> {
        let Key::ObjectKey(key) = required(proto.key.as_ref(), "object_key")?;
        let (field, factory) = match proto.factory_key.as_str() {
            "" => ("object_key", key.as_str()),
            factory => ("factory_key", factory),
        };
        if factory != STRING && !factories.contains(&factory) {
            let reason = format!("'{factory}' does not have an object factory; only {STRING} has");
            return Err(ConfigError::new(reason).at(field));
        }
        let Value::FormatString(format) = required(proto.value.as_ref(), "format_string")?;
        Ok(Self {
            key: key.as_str().into(),
            format: SubstitutionFormat::compile(format).at("format_string")?,
            skip_if_empty: proto.skip_if_empty,
        })
    }

    /// `None`: nothing is to be set.
    pub fn render(&self, cx: &FormatContext<'_>) -> Option<String> {
        let mut text = Vec::new();
        self.format.render(cx, &mut text);
        if text.is_empty() && self.skip_if_empty {
            return None;
        }
        Some(String::from_utf8_lossy(&text).into_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn objects_that_steer_something_are_refused() {
        let cluster = "envoy.tcp_proxy.cluster";
        let proto = Proto {
            key: Some(Key::ObjectKey(cluster.into())),
            ..Proto::default()
        };
        let error = FilterStateValue::compile(&proto, &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "object_key: 'envoy.tcp_proxy.cluster' does not have an object factory; only envoy.string has"
        );
        let error = FilterStateValue::compile(&proto, &[cluster]).unwrap_err();
        assert_eq!(error.path(), "format_string");
    }
}
