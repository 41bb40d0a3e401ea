//! `envoy.filters.http.set_filter_state`: strings made of formats, for later filters and the log. Objects that would steer
//! something else are refused: nobody would read them.

use super::Instance;
use crate::{route::FilterOverride, stream::ActiveStream};
use envoy_api::pb::envoy::extensions::filters::{
    common::set_filter_state::v3::{
        FilterStateValue as ValueProto,
        filter_state_value::{Key, Value},
    },
    http::set_filter_state::v3::Config as Proto,
};
use outrigger_core::{
    ConfigError,
    error::{ConfigResult, required},
    formatter::{FormatContext, SubstitutionFormat},
    stream_info::FilterState,
};
use std::sync::Arc;

/// The only kind of object that means nothing to anybody by itself.
const STRING: &str = "envoy.string";

/// The filter.
#[derive(Debug)]
pub struct SetFilterState {
    values: Values,
}

/// What the filter, or one level of the route configuration, sets.
#[derive(Debug)]
struct Values(Box<[StateValue]>);

/// One `FilterStateValue`.
#[derive(Debug)]
struct StateValue {
    key: Box<str>,
    format: SubstitutionFormat,
    skip_if_empty: bool,
}

/// Compiles what one level of the route configuration sets.
pub fn compile_override(proto: &Proto) -> Result<FilterOverride, ConfigError> {
    Ok(Arc::new(Values::compile(proto)?))
}

impl Values {
    fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        let values = proto.on_request_headers.iter().enumerate();
        values
            .map(|(i, value)| StateValue::compile(value).at_index("on_request_headers", i))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn set(&self, stream: &mut ActiveStream<'_>) {
        for value in &self.0 {
            let cx = FormatContext {
                request: Some(&stream.messages.request),
                ..FormatContext::new(&stream.info)
            };
            let mut text = Vec::new();
            value.format.render(&cx, &mut text);
            if text.is_empty() && value.skip_if_empty {
                continue;
            }
            let text = String::from_utf8_lossy(&text).into_owned();
            let state = &mut stream.info.filter_state;
            state.insert(value.key.to_string(), FilterState::String(text));
        }
    }
}

impl StateValue {
    fn compile(proto: &ValueProto) -> Result<Self, ConfigError> {
        let Key::ObjectKey(key) = required(proto.key.as_ref(), "object_key")?;
        let (field, factory) = match proto.factory_key.as_str() {
            "" => ("object_key", key.as_str()),
            factory => ("factory_key", factory),
        };
        if factory != STRING {
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
}

impl SetFilterState {
    pub fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        Ok(Self {
            values: Values::compile(proto)?,
        })
    }

    /// The filter's own values, then those of the route's levels, the most specific last.
    pub(crate) fn decode_headers(&self, at: &Instance, stream: &mut ActiveStream<'_>) {
        self.values.set(stream);
        let Some(found) = stream.route.clone() else {
            return;
        };
        for level in found.route.per_filter.all(&at.name) {
            if let Some(values) = level.downcast_ref::<Values>() {
                values.set(stream);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn objects_that_steer_something_are_refused() {
        let error = StateValue::compile(&ValueProto {
            key: Some(Key::ObjectKey("envoy.tcp_proxy.cluster".into())),
            ..ValueProto::default()
        })
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "object_key: 'envoy.tcp_proxy.cluster' does not have an object factory; only envoy.string has"
        );
    }
}
