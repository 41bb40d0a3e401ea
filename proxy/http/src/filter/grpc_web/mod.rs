//! `envoy.filters.http.grpc_web`: lets browsers call gRPC methods. Requests become gRPC; of responses the trailers become
//! a last message, and those that are no gRPC become an error that gRPC-Web can tell.

mod body;

pub use body::{FromText, ToWeb};

use super::{
    FilterState, HoldHead, Instance, Overflow,
    grpc::{is_grpc_response, service_and_method},
};
use crate::{
    local_reply::{grpc_status, percent_encode},
    router,
    stream::{ActiveStream, Transform, Way},
};
use outrigger_core::{HeaderId, HeaderMap};
use outrigger_upstream::stats::{CallStats, GrpcProtocol};
use std::sync::Arc;

/// Bytes of a response that is no gRPC that go into `grpc-message`.
const MAX_MESSAGE: usize = 16 * 1024;

/// The filter.
#[derive(Debug)]
pub struct GrpcWeb;

/// What is known of one call.
#[derive(Debug)]
pub struct WebCall {
    /// The client takes text alone.
    text: bool,
    stats: Option<Arc<CallStats>>,
}

impl GrpcWeb {
    pub(crate) fn decode_headers(&self, at: &Instance, stream: &mut ActiveStream<'_>) {
        let request = &stream.messages.request;
        let text_request = match request.get(HeaderId::ContentType) {
            Some(b"application/grpc-web" | b"application/grpc-web+proto") => false,
            Some(b"application/grpc-web-text" | b"application/grpc-web-text+proto") => true,
            _ => return,
        };
        let name = request.get(HeaderId::Path).and_then(service_and_method);
        let stats = name.and_then(|(service, method)| {
            let cluster = router::cluster_of(stream)?;
            Some(cluster.grpc.method(GrpcProtocol::GrpcWeb, service, method))
        });
        let accepted = request.get_name(&"accept".into());
        let text = matches!(
            accepted,
            Some(b"application/grpc-web-text" | b"application/grpc-web-text+proto")
        );
        let request = &mut stream.messages.request;
        request.remove(HeaderId::ContentLength);
        request.set(HeaderId::ContentType, b"application/grpc");
        request.set(HeaderId::Te, b"trailers");
        if !request.contains(HeaderId::GrpcAcceptEncoding) {
            request.set(HeaderId::GrpcAcceptEncoding, b"identity");
        }
        if text_request && !stream.request_complete {
            let body = Transform::FromText(Box::default());
            let pipeline = &mut stream.messages.request_body;
            pipeline.add(Way::Request, at.place, body);
        }
        let state = FilterState::GrpcWeb(WebCall { text, stats });
        stream.messages.filters.set(at.place, state);
    }

    /// `end`: there is no body.
    pub(crate) fn encode_headers(
        &self,
        at: &Instance,
        stream: &mut ActiveStream<'_>,
        end: bool,
    ) -> Option<HoldHead> {
        let state = stream.messages.filters.take(at.place);
        let Some(FilterState::GrpcWeb(call)) = state else {
            return None;
        };
        let head = &mut stream.messages.response;
        if let (Some(stats), Some(status)) = (&call.stats, head.get(HeaderId::GrpcStatus)) {
            stats.record_status(status);
        }
        let readable = is_grpc_response(head, end) || is_web_response(head);
        head.remove(HeaderId::ContentLength);
        let content_type: &[u8] = match call.text {
            true => b"application/grpc-web-text+proto",
            false => b"application/grpc-web+proto",
        };
        head.set(HeaderId::ContentType, content_type);
        if end {
            return None;
        }
        if !readable {
            return Some(HoldHead {
                place: at.place,
                limit: MAX_MESSAGE,
                overflow: Overflow::Drop,
            });
        }
        let body = Transform::ToWeb(Box::new(ToWeb::new(call.text, call.stats)));
        let pipeline = &mut stream.messages.response_body;
        pipeline.add(Way::Response, at.place, body);
        None
    }

    /// A response that is no gRPC is whole: it becomes a message in the head.
    pub(crate) fn encode_whole(&self, stream: &mut ActiveStream<'_>) {
        let messages = &mut *stream.messages;
        let body = messages.response_body.take_held();
        let head = &mut messages.response;
        head.set(HeaderId::GrpcMessage, &percent_encode(&body));
        let code = head.get_str(HeaderId::Status).and_then(|s| s.parse().ok());
        let mut digits = itoa::Buffer::new();
        let status = digits.format(grpc_status(code.unwrap_or_default()));
        head.set(HeaderId::GrpcStatus, status.as_bytes());
        head.set(HeaderId::ContentLength, b"0");
    }
}

/// A response that is gRPC-Web already.
fn is_web_response(head: &HeaderMap) -> bool {
    let Some(value) = head.get(HeaderId::ContentType) else {
        return false;
    };
    let value = value.split(|byte| *byte == b';').next();
    let value = value.unwrap_or_default().trim_ascii_end();
    head.get(HeaderId::Status) == Some(b"200")
        && (value.eq_ignore_ascii_case(b"application/grpc-web+proto")
            || value.eq_ignore_ascii_case(b"application/grpc-web"))
}
