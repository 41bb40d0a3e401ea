//! `envoy.filters.http.grpc_stats`: counts gRPC calls and their messages, and calls of the Connect protocol as well, by
//! cluster and, where it is told to, by method. It changes nothing.

mod counter;

pub use counter::MessageCounter;

use self::counter::EndFrame;
use super::{
    FilterState, Instance,
    grpc::{FrameCounter, is_grpc_response, service_and_method},
};
use crate::{
    local_reply::is_grpc,
    router,
    stream::{ActiveStream, Transform, Way},
};
use envoy_api::pb::envoy::{
    config::core::v3::GrpcMethodList,
    extensions::filters::http::grpc_stats::v3::{
        FilterConfig as Proto, filter_config::PerMethodStatSpecifier,
    },
};
use hashbrown::HashMap;
use outrigger_core::{HeaderId, HeaderMap, HeaderName, StreamInfo};
use outrigger_upstream::{
    Cluster,
    stats::{CallStats, GrpcProtocol},
};
use std::sync::Arc;

/// The filter.
#[derive(Debug)]
pub struct GrpcStats {
    emit_filter_state: bool,
    upstream_stats: bool,
    methods: Methods,
    connect_protocol_version: HeaderName,
}

type MethodNames = Box<[Box<[u8]>]>;

/// Which methods have stats of their own.
#[derive(Debug)]
enum Methods {
    None,
    All {
        replace_dots: bool,
    },
    /// By service.
    Listed(HashMap<Box<[u8]>, MethodNames>),
}

/// What is known of one call.
#[derive(Clone, Debug, Default)]
pub struct Call {
    grpc: bool,
    /// A call of the Connect protocol with one message each way.
    unary: bool,
    /// A call of the Connect protocol with any number of messages.
    streaming: bool,
    is_grpc_response: bool,
    emit_filter_state: bool,
    upstream_stats: bool,
    /// How it went is counted.
    tracked: bool,
    stats: Option<Arc<CallStats>>,
}

impl GrpcStats {
    pub fn compile(proto: &Proto) -> Self {
        let methods = match &proto.per_method_stat_specifier {
            Some(PerMethodStatSpecifier::StatsForAllMethods(true)) => Methods::All {
                replace_dots: proto.replace_dots_in_grpc_service_name,
            },
            Some(PerMethodStatSpecifier::IndividualMethodStatsAllowlist(list)) => {
                Methods::listed(list)
            }
            Some(PerMethodStatSpecifier::StatsForAllMethods(false)) | None => Methods::None,
        };
        Self {
            emit_filter_state: proto.emit_filter_state,
            upstream_stats: proto.enable_upstream_stats,
            methods,
            connect_protocol_version: "connect-protocol-version".into(),
        }
    }

    pub(crate) fn decode_headers(&self, at: &Instance, stream: &mut ActiveStream<'_>) {
        let request = &stream.messages.request;
        let mut call = self.new_call();
        if request.contains(HeaderId::Path) {
            call.grpc = is_grpc(request);
            let version = request.get_name(&self.connect_protocol_version);
            call.unary = version.is_some_and(|version| !version.is_empty());
            call.streaming = is_connect_stream(request);
        }
        if !(call.grpc || call.unary || call.streaming) {
            return;
        }
        if let Some(cluster) = router::cluster_of(stream) {
            let path = stream.messages.request.get(HeaderId::Path);
            let name = path.and_then(service_and_method);
            let found = self.methods.stats(&cluster, name);
            call.tracked = found.is_some();
            // Connect counts its messages whatever the path looks like.
            call.stats = match found {
                None if !call.grpc => Some(cluster.grpc.all(GrpcProtocol::Grpc)),
                found => found,
            };
        }
        if !stream.request_complete {
            let framed = call.grpc || call.streaming;
            let counter = MessageCounter::new(call.clone(), framed);
            let body = &mut stream.messages.request_body;
            body.add(Way::Request, at.place, counter.into());
        }
        let states = &mut stream.messages.filters;
        states.set(at.place, FilterState::GrpcCall(Box::new(call)));
    }

    /// `end`: there is no body.
    pub(crate) fn encode_headers(&self, at: &Instance, stream: &mut ActiveStream<'_>, end: bool) {
        let state = stream.messages.filters.take(at.place);
        let mut call = match state {
            Some(FilterState::GrpcCall(call)) => *call,
            _ => self.new_call(),
        };
        let head = &stream.messages.response;
        call.is_grpc_response = is_grpc_response(head, end);
        if call.tracked
            && let Some(stats) = &call.stats
        {
            let ok = head.get(HeaderId::Status) == Some(b"200");
            if call.unary {
                stats.record(ok);
            } else if !(ok && is_connect_stream(head))
                && let Some(status) = head.get(HeaderId::GrpcStatus)
            {
                stats.record_status(status);
            }
            if end {
                call.record_time(&stream.info);
            }
        }
        let framed = call.is_grpc_response || call.streaming;
        if !end && (framed || call.unary || call.grpc && call.tracked) {
            let counter = MessageCounter::new(call, framed);
            let body = &mut stream.messages.response_body;
            body.add(Way::Response, at.place, counter.into());
        }
    }

    fn new_call(&self) -> Call {
        Call {
            emit_filter_state: self.emit_filter_state,
            upstream_stats: self.upstream_stats,
            ..Call::default()
        }
    }
}

impl Methods {
    fn listed(list: &GrpcMethodList) -> Self {
        let services = list.services.iter().map(|service| {
            let methods = service.method_names.iter();
            let methods = methods.map(|name| name.as_bytes().into()).collect();
            (service.name.as_bytes().into(), methods)
        });
        Self::Listed(services.collect())
    }

    /// Where a call of this name counts, if it does.
    fn stats(&self, cluster: &Cluster, name: Option<(&[u8], &[u8])>) -> Option<Arc<CallStats>> {
        let (service, method) = name?;
        let stats = &cluster.grpc;
        let named = match self {
            Self::None => false,
            Self::All { replace_dots: true } => {
                let mut service = service.to_vec();
                for byte in service.iter_mut().filter(|byte| **byte == b'.') {
                    *byte = b'_';
                }
                return Some(stats.method(GrpcProtocol::Grpc, &service, method));
            }
            Self::All { .. } => true,
            Self::Listed(services) => services
                .get(service)
                .is_some_and(|methods| methods.iter().any(|listed| **listed == *method)),
        };
        Some(match named {
            true => stats.method(GrpcProtocol::Grpc, service, method),
            false => stats.all(GrpcProtocol::Grpc),
        })
    }
}

impl Call {
    fn record_messages(&self, way: Way, count: u64) {
        let Some(stats) = &self.stats else { return };
        match way {
            Way::Request => stats.request_message_count.add(count),
            Way::Response => stats.response_message_count.add(count),
        }
    }

    /// From the last byte to the upstream to the last one from it.
    fn record_time(&self, info: &StreamInfo) {
        let timing = &info.timing;
        let end = timing.upstream_rx_end.or(timing.upstream_rx_begin);
        if let (Some(end), Some(start)) = (end, timing.upstream_tx_end)
            && let Some(stats) = self.stats.as_ref().filter(|_| self.upstream_stats)
        {
            let millis = end.saturating_sub(start).as_millis();
            stats.record_time(u64::try_from(millis).unwrap_or(u64::MAX));
        }
    }
}

impl MessageCounter {
    fn new(call: Call, framed: bool) -> Self {
        Self {
            call,
            framed,
            frames: FrameCounter::default(),
            end_frame: EndFrame::None,
        }
    }
}

impl From<MessageCounter> for Transform {
    fn from(counter: MessageCounter) -> Self {
        Self::GrpcMessages(Box::new(counter))
    }
}

fn is_connect_stream(head: &HeaderMap) -> bool {
    let content_type = head.get(HeaderId::ContentType);
    content_type.is_some_and(|value| value.starts_with(b"application/connect+"))
}
