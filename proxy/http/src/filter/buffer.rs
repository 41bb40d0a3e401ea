//! `envoy.filters.http.buffer`: a request goes on when it is whole, with its length, or is answered 413.

use super::{Decision, Instance, Pause};
use crate::{
    route::FilterOverride,
    stream::{ActiveStream, HeldBody},
};
use envoy_api::pb::envoy::extensions::filters::http::buffer::v3::{
    Buffer as Proto, BufferPerRoute, buffer_per_route::Override,
};
use outrigger_core::{
    ConfigError, HeaderId,
    error::{ConfigResult, required},
};
use std::sync::Arc;

/// The filter.
#[derive(Debug)]
pub struct Buffer {
    limit: Limit,
}

/// Bytes of a request body; `None`: requests are not held at all.
#[derive(Clone, Copy, Debug)]
struct Limit(Option<usize>);

impl Limit {
    fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        let bytes = required(proto.max_request_bytes, "max_request_bytes")?;
        Ok(Self(Some(usize::try_from(bytes).unwrap_or(usize::MAX))))
    }
}

/// Compiles what one level of the route configuration says.
pub fn compile_override(proto: &BufferPerRoute) -> Result<FilterOverride, ConfigError> {
    Ok(Arc::new(
        match required(proto.r#override.as_ref(), "override")? {
            Override::Disabled(_) => Limit(None),
            Override::Buffer(buffer) => Limit::compile(buffer).at("buffer")?,
        },
    ))
}

impl Buffer {
    pub fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        Ok(Self {
            limit: Limit::compile(proto)?,
        })
    }

    pub(crate) fn decode_headers(&self, at: &Instance, stream: &ActiveStream<'_>) -> Decision {
        let own = at.most_specific::<Limit>(stream.route.as_ref());
        match own.unwrap_or(&self.limit) {
            Limit(Some(limit)) if !stream.request_complete => {
                Decision::Pause(Pause::WholeRequest { limit: *limit })
            }
            _ => Decision::Continue,
        }
    }

    /// The request is whole: its length is known.
    pub(crate) fn resume(&self, stream: &mut ActiveStream<'_>) -> Decision {
        let messages = &mut *stream.messages;
        let held = messages.request_body.held().map_or(0, HeldBody::len);
        if !messages.request.contains(HeaderId::ContentLength) {
            let mut digits = itoa::Buffer::new();
            let length = digits.format(held).as_bytes();
            messages.request.set(HeaderId::ContentLength, length);
            messages.request.remove(HeaderId::TransferEncoding);
        }
        Decision::Continue
    }
}
