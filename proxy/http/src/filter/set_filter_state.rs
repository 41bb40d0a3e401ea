//! `envoy.filters.http.set_filter_state`: strings made of formats, for later filters and the log.

use super::Instance;
use crate::{route::FilterOverride, stream::ActiveStream};
use envoy_api::pb::envoy::extensions::filters::http::set_filter_state::v3::Config as Proto;
use outrigger_core::{
    ConfigError, error::ConfigResult, filter_state_value::FilterStateValue,
    formatter::FormatContext, stream_info::FilterState,
};
use std::sync::Arc;

/// The filter.
#[derive(Debug)]
pub struct SetFilterState {
    values: Values,
}

/// What the filter, or one level of the route configuration, sets.
#[derive(Debug)]
struct Values(Box<[FilterStateValue]>);

/// Compiles what one level of the route configuration sets.
pub fn compile_override(proto: &Proto) -> Result<FilterOverride, ConfigError> {
    Ok(Arc::new(Values::compile(proto)?))
}

impl Values {
    fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        let values = proto.on_request_headers.iter().enumerate();
        values
            .map(|(i, value)| {
                FilterStateValue::compile(value, &[]).at_index("on_request_headers", i)
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn set(&self, stream: &mut ActiveStream<'_>) {
        for value in &self.0 {
            let cx = FormatContext {
                request: Some(&stream.messages.request),
                ..FormatContext::new(&stream.info)
            };
            let Some(text) = value.render(&cx) else {
                continue;
            };
            let state = &mut stream.info.filter_state;
            state.insert(value.key.to_string(), FilterState::String(text));
        }
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
