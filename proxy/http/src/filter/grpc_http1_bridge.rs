//! `envoy.filters.http.grpc_http1_bridge`: lets clients of HTTP/1, which see no trailers, call gRPC methods. A response
//! waits for its trailers, and its head says what they say.

use super::{FilterState, HoldHead, Instance, Overflow};
use crate::{
    local_reply::is_grpc,
    stream::{ActiveStream, HeldBody},
};
use envoy_api::pb::envoy::extensions::filters::http::grpc_http1_bridge::v3::Config as Proto;
use outrigger_core::{HeaderId, Protocol};

/// The filter.
#[derive(Debug)]
pub struct GrpcHttp1Bridge {
    ignore_query_parameters: bool,
}

impl GrpcHttp1Bridge {
    pub fn compile(proto: &Proto) -> Self {
        Self {
            ignore_query_parameters: proto.ignore_query_parameters,
        }
    }

    pub(crate) fn decode_headers(&self, at: &Instance, stream: &mut ActiveStream<'_>) {
        let request = &mut stream.messages.request;
        if stream.info.protocol == Some(Protocol::Http2) || !is_grpc(request) {
            return;
        }
        if self.ignore_query_parameters
            && let Some(path) = request.get(HeaderId::Path)
            && let Some(at) = path.iter().position(|byte| *byte == b'?')
        {
            let path = path.get(..at).unwrap_or_default().to_vec();
            request.set(HeaderId::Path, &path);
        }
        let states = &mut stream.messages.filters;
        states.set(at.place, FilterState::GrpcBridge);
    }

    /// `end`: there is no body, and so there are no trailers.
    pub(crate) fn encode_headers(
        &self,
        at: &Instance,
        stream: &mut ActiveStream<'_>,
        end: bool,
    ) -> Option<HoldHead> {
        let bridges = stream.messages.filters.take(at.place).is_some();
        (bridges && !end).then_some(HoldHead {
            place: at.place,
            limit: stream.hcm.buffer_limit,
            overflow: Overflow::Refuse,
        })
    }

    /// The response is whole.
    pub(crate) fn encode_whole(&self, stream: &mut ActiveStream<'_>) {
        let messages = &mut *stream.messages;
        if !messages.response_body.has_trailers() {
            return;
        }
        let (head, trailers) = (&mut messages.response, &messages.response_trailers);
        if let Some(status) = trailers.get(HeaderId::GrpcStatus) {
            let number = std::str::from_utf8(status).ok();
            if number.and_then(|text| text.parse::<u64>().ok()) != Some(0) {
                head.set(HeaderId::Status, b"503");
            }
            head.set(HeaderId::GrpcStatus, status);
        }
        if let Some(message) = trailers.get(HeaderId::GrpcMessage) {
            head.set(HeaderId::GrpcMessage, message);
        }
        let length = messages.response_body.held().map_or(0, HeldBody::len);
        let mut digits = itoa::Buffer::new();
        head.set(HeaderId::ContentLength, digits.format(length).as_bytes());
    }
}
