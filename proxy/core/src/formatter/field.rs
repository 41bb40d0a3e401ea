//! Operators without an argument that read one field of the stream: numbers, and texts.

use super::{
    FormatContext,
    address::{put_address, put_ip},
    durations::millis,
};
use crate::{
    Address, HeaderId, HeaderMap,
    stream_info::{ClusterInfo, DetectedCloseType, HostInfo},
    uuid,
};
use std::{sync::OnceLock, time::Duration};

macro_rules! fields {
    ($(#[$meta:meta])* $name:ident { $($command:literal => $variant:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum $name { $(#[doc = $command] $variant),* }

        impl $name {
            pub fn named(command: &str) -> Option<Self> {
                match command { $($command => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

fields! {
    /// A number: it keeps its type in JSON.
    NumberField {
        "BYTES_RECEIVED" => BytesReceived,
        "BYTES_RETRANSMITTED" => BytesRetransmitted,
        "BYTES_SENT" => BytesSent,
        "CONNECTION_ID" => ConnectionId,
        "DOWNSTREAM_CX_RTT" => DownstreamRtt,
        "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED" => DownstreamDecompressedHeaderBytesReceived,
        "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT" => DownstreamDecompressedHeaderBytesSent,
        "DOWNSTREAM_HANDSHAKE_DURATION" => DownstreamHandshake,
        "DOWNSTREAM_HEADER_BYTES_RECEIVED" => DownstreamHeaderBytesReceived,
        "DOWNSTREAM_HEADER_BYTES_SENT" => DownstreamHeaderBytesSent,
        "DOWNSTREAM_WIRE_BYTES_RECEIVED" => DownstreamWireBytesReceived,
        "DOWNSTREAM_WIRE_BYTES_SENT" => DownstreamWireBytesSent,
        "DURATION" => Duration,
        "PACKETS_RETRANSMITTED" => PacketsRetransmitted,
        "REQUEST_DURATION" => RequestDuration,
        "REQUEST_HEADERS_BYTES" => RequestHeadersBytes,
        "REQUEST_TX_DURATION" => RequestTxDuration,
        "RESPONSE_CODE" => ResponseCode,
        "RESPONSE_DURATION" => ResponseDuration,
        "RESPONSE_HEADERS_BYTES" => ResponseHeadersBytes,
        "RESPONSE_TRAILERS_BYTES" => ResponseTrailersBytes,
        "RESPONSE_TX_DURATION" => ResponseTxDuration,
        "ROUTE_RESOLUTION_COUNT" => RouteResolutionCount,
        "ROUTE_RESOLUTION_TIME_US" => RouteResolutionTime,
        "UPSTREAM_CONNECTION_ID" => UpstreamConnectionId,
        "UPSTREAM_CONNECTION_POOL_READY_DURATION" => UpstreamPoolReady,
        "UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED" => UpstreamDecompressedHeaderBytesReceived,
        "UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT" => UpstreamDecompressedHeaderBytesSent,
        "UPSTREAM_HEADER_BYTES_RECEIVED" => UpstreamHeaderBytesReceived,
        "UPSTREAM_HEADER_BYTES_SENT" => UpstreamHeaderBytesSent,
        "UPSTREAM_REQUEST_ATTEMPT_COUNT" => UpstreamAttemptCount,
        "UPSTREAM_WIRE_BYTES_RECEIVED" => UpstreamWireBytesReceived,
        "UPSTREAM_WIRE_BYTES_SENT" => UpstreamWireBytesSent,
    }
}

fields! {
    /// A text: a string in JSON.
    TextField {
        "ACCESS_LOG_TYPE" => AccessLogType,
        "CONNECTION_TERMINATION_DETAILS" => ConnectionTerminationDetails,
        "CUSTOM_FLAGS" => CustomFlags,
        "DOWNSTREAM_DETECTED_CLOSE_TYPE" => DownstreamDetectedCloseType,
        "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID" => DownstreamDirectLocalEndpointId,
        "DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID" => DownstreamLocalEndpointId,
        "DOWNSTREAM_LOCAL_CLOSE_REASON" => DownstreamLocalCloseReason,
        "DOWNSTREAM_TRANSPORT_FAILURE_REASON" => DownstreamTransportFailureReason,
        "FILTER_CHAIN_NAME" => FilterChainName,
        "HOSTNAME" => Hostname,
        "LISTENER_NAME" => ListenerName,
        "LOCAL_REPLY_BODY" => LocalReplyBody,
        "PROTOCOL" => Protocol,
        "RESPONSE_FLAGS" => ResponseFlags,
        "RESPONSE_FLAGS_LONG" => ResponseFlagsLong,
        "ROUTE_NAME" => RouteName,
        "SPAN_ID" => SpanId,
        "STREAM_ID" => StreamId,
        "TLS_JA3_FINGERPRINT" => Ja3,
        "TLS_JA4_FINGERPRINT" => Ja4,
        "TRACE_ID" => TraceId,
        "UNIQUE_ID" => UniqueId,
        "UPSTREAM_CLUSTER" => UpstreamCluster,
        "UPSTREAM_CLUSTER_RAW" => UpstreamClusterRaw,
        "UPSTREAM_CONNECTION_IDS_ATTEMPTED" => UpstreamConnectionIdsAttempted,
        "UPSTREAM_DETECTED_CLOSE_TYPE" => UpstreamDetectedCloseType,
        "UPSTREAM_HOST" => UpstreamHost,
        "UPSTREAM_HOSTS_ATTEMPTED" => UpstreamHostsAttempted,
        "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT" => UpstreamHostsAttemptedWithoutPort,
        "UPSTREAM_HOST_NAME" => UpstreamHostName,
        "UPSTREAM_HOST_NAMES_ATTEMPTED" => UpstreamHostNamesAttempted,
        "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT" => UpstreamHostNamesAttemptedWithoutPort,
        "UPSTREAM_HOST_NAME_WITHOUT_PORT" => UpstreamHostNameWithoutPort,
        "UPSTREAM_LOCAL_CLOSE_REASON" => UpstreamLocalCloseReason,
        "UPSTREAM_PROTOCOL" => UpstreamProtocol,
        "UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID" => UpstreamRemoteEndpointId,
        "UPSTREAM_TRANSPORT_FAILURE_REASON" => UpstreamTransportFailureReason,
        "VIRTUAL_CLUSTER_NAME" => VirtualClusterName,
    }
}

impl NumberField {
    #[inline]
    pub fn get(self, cx: &FormatContext<'_>) -> Option<u64> {
        let info = cx.info;
        let timing = &info.timing;
        Some(match self {
            Self::BytesReceived => info.body_bytes_received,
            // Only QUIC retransmits above the kernel.
            Self::BytesRetransmitted | Self::PacketsRetransmitted => 0,
            Self::BytesSent => info.body_bytes_sent,
            Self::ConnectionId => info.connection.id,
            Self::DownstreamRtt => millis(info.downstream_rtt.unwrap_or_default()),
            Self::DownstreamDecompressedHeaderBytesReceived => {
                info.downstream_decompressed_header_bytes_received
            }
            Self::DownstreamDecompressedHeaderBytesSent => {
                info.downstream_decompressed_header_bytes_sent
            }
            Self::DownstreamHandshake => millis(info.connection.tls.as_ref()?.handshake?),
            Self::DownstreamHeaderBytesReceived => info.downstream_header_bytes_received,
            Self::DownstreamHeaderBytesSent => info.downstream_header_bytes_sent,
            Self::DownstreamWireBytesReceived => info.downstream_wire_bytes_received,
            Self::DownstreamWireBytesSent => info.downstream_wire_bytes_sent,
            // A stream that has not ended is measured up to now.
            Self::Duration => millis(timing.complete.unwrap_or_else(|| info.elapsed())),
            Self::RequestDuration => millis(timing.downstream_rx_end?),
            Self::RequestHeadersBytes => byte_size(cx.request),
            Self::RequestTxDuration => millis(timing.upstream_tx_end?),
            Self::ResponseCode => info.response_code.into(),
            Self::ResponseDuration => millis(timing.upstream_rx_begin?),
            Self::ResponseHeadersBytes => byte_size(cx.response),
            Self::ResponseTrailersBytes => byte_size(cx.trailers),
            Self::ResponseTxDuration => millis(
                timing
                    .downstream_tx_end?
                    .checked_sub(timing.upstream_rx_begin?)?,
            ),
            Self::RouteResolutionCount => info.route_resolutions.into(),
            Self::RouteResolutionTime if info.route_resolutions == 0 => return None,
            Self::RouteResolutionTime => micros(info.route_resolution_time),
            Self::UpstreamConnectionId => info.upstream.connection_id.unwrap_or(0),
            Self::UpstreamPoolReady => millis(info.upstream.pool_ready?),
            Self::UpstreamDecompressedHeaderBytesReceived => {
                info.upstream.decompressed_header_bytes_received
            }
            Self::UpstreamDecompressedHeaderBytesSent => {
                info.upstream.decompressed_header_bytes_sent
            }
            Self::UpstreamHeaderBytesReceived => info.upstream.header_bytes_received,
            Self::UpstreamHeaderBytesSent => info.upstream.header_bytes_sent,
            Self::UpstreamAttemptCount => info.attempt_count.into(),
            Self::UpstreamWireBytesReceived => info.upstream.wire_bytes_received,
            Self::UpstreamWireBytesSent => info.upstream.wire_bytes_sent,
        })
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn byte_size(headers: Option<&HeaderMap>) -> u64 {
    headers.map_or(0, |headers| headers.byte_size() as u64)
}

impl TextField {
    /// Appends the text; `None` if there is none.
    pub fn text(self, cx: &FormatContext<'_>, out: &mut Vec<u8>) -> Option<()> {
        let info = cx.info;
        let upstream = &info.upstream;
        let text: &str = match self {
            Self::AccessLogType => log_type(cx.log_type),
            Self::ConnectionTerminationDetails => present(&info.connection_termination_details)?,
            Self::CustomFlags => &info.custom_flags,
            Self::DownstreamDetectedCloseType => close_type(info.downstream_detected_close_type),
            // Only internal addresses have an endpoint id, and they are no sockets of ours.
            Self::DownstreamDirectLocalEndpointId | Self::DownstreamLocalEndpointId => "",
            Self::UpstreamRemoteEndpointId => {
                upstream.remote_address.as_ref()?;
                ""
            }
            Self::DownstreamLocalCloseReason => present(&info.downstream_local_close_reason)?,
            Self::DownstreamTransportFailureReason => {
                present(&info.downstream_transport_failure_reason)?
            }
            Self::FilterChainName => present(&info.connection.filter_chain.as_ref()?.name)?,
            Self::Hostname => hostname()?,
            Self::ListenerName => present(&info.connection.listener.name)?,
            Self::LocalReplyBody => {
                out.extend_from_slice(cx.local_reply_body);
                return Some(());
            }
            Self::Protocol => info.protocol?.as_str(),
            Self::ResponseFlags => return put_flags(cx, out, crate::ResponseFlag::short),
            Self::ResponseFlagsLong => return put_flags(cx, out, crate::ResponseFlag::long),
            Self::RouteName => present(&info.route.as_ref()?.name)?,
            Self::SpanId => info.span_id.as_deref()?,
            Self::StreamId => match &info.request_id {
                Some(id) => id,
                None => {
                    // A client's own id may be any bytes.
                    out.extend_from_slice(cx.request?.get(HeaderId::RequestId)?);
                    return Some(());
                }
            },
            Self::Ja3 => info.connection.client_hello.ja3.as_deref()?,
            Self::Ja4 => info.connection.client_hello.ja4.as_deref()?,
            Self::TraceId => info.trace_id.as_deref()?,
            Self::UniqueId => {
                out.extend(uuid::random().map(|c| c as u8));
                return Some(());
            }
            Self::UpstreamCluster => observability_name(info.cluster.as_ref()?),
            Self::UpstreamClusterRaw => present(&info.cluster.as_ref()?.name)?,
            Self::UpstreamConnectionIdsAttempted => {
                return put_list(out, &upstream.connection_ids_attempted, |out, id| {
                    super::operator::put_number(out, *id);
                });
            }
            Self::UpstreamDetectedCloseType => {
                let normal = || upstream.host.as_ref().map(|_| DetectedCloseType::Normal);
                close_type(upstream.detected_close_type.or_else(normal)?)
            }
            Self::UpstreamHost => {
                put_address(out, &upstream.host.as_ref()?.address);
                return Some(());
            }
            Self::UpstreamHostsAttempted => {
                return put_list(out, &upstream.hosts_attempted, |out, host| {
                    put_address(out, &host.address);
                });
            }
            Self::UpstreamHostsAttemptedWithoutPort => {
                return put_list(out, &upstream.hosts_attempted, |out, host| {
                    put_without_port(out, &host.address);
                });
            }
            Self::UpstreamHostName => {
                put_host_name(out, upstream.host.as_ref()?);
                return Some(());
            }
            Self::UpstreamHostNameWithoutPort => {
                put_host_name_without_port(out, upstream.host.as_ref()?);
                return Some(());
            }
            Self::UpstreamHostNamesAttempted => {
                return put_list(out, &upstream.hosts_attempted, |out, host| {
                    put_host_name(out, host);
                });
            }
            Self::UpstreamHostNamesAttemptedWithoutPort => {
                return put_list(out, &upstream.hosts_attempted, |out, host| {
                    put_host_name_without_port(out, host);
                });
            }
            Self::UpstreamLocalCloseReason => present(&upstream.local_close_reason)?,
            Self::UpstreamProtocol => upstream.protocol?.as_str(),
            Self::UpstreamTransportFailureReason => present(&upstream.transport_failure_reason)?,
            Self::VirtualClusterName => present(info.virtual_cluster.as_deref()?)?,
        };
        out.extend_from_slice(text.as_bytes());
        Some(())
    }
}

fn present(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn observability_name(cluster: &ClusterInfo) -> &str {
    present(&cluster.observability_name).unwrap_or(&cluster.name)
}

/// The endpoint's name, or its address if it has none.
fn put_host_name(out: &mut Vec<u8>, host: &HostInfo) {
    if host.hostname.is_empty() {
        put_address(out, &host.address);
    } else {
        out.extend_from_slice(host.hostname.as_bytes());
    }
}

fn put_host_name_without_port(out: &mut Vec<u8>, host: &HostInfo) {
    if host.hostname.is_empty() {
        put_without_port(out, &host.address);
        return;
    }
    let name: &str = &host.hostname;
    let name = match name.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => name,
    };
    out.extend_from_slice(name.as_bytes());
}

fn put_without_port(out: &mut Vec<u8>, address: &Address) {
    match address.ip() {
        Some(socket) => put_ip(out, socket.ip()),
        None => put_address(out, address),
    }
}

fn put_flags(
    cx: &FormatContext<'_>,
    out: &mut Vec<u8>,
    name: fn(crate::ResponseFlag) -> &'static str,
) -> Option<()> {
    let mut first = true;
    for flag in cx.info.flags.iter() {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        out.extend_from_slice(name(flag).as_bytes());
    }
    // No flag is a value, and not a missing one: it prints `-` in JSON and in headers too.
    if first {
        out.push(b'-');
    }
    Some(())
}

/// Items joined with a comma; no item, no value.
fn put_list<T>(out: &mut Vec<u8>, items: &[T], put: impl Fn(&mut Vec<u8>, &T)) -> Option<()> {
    let (first, rest) = items.split_first()?;
    put(out, first);
    for item in rest {
        out.push(b',');
        put(out, item);
    }
    Some(())
}

fn close_type(close_type: DetectedCloseType) -> &'static str {
    match close_type {
        DetectedCloseType::Normal => "Normal",
        DetectedCloseType::LocalReset => "LocalReset",
        DetectedCloseType::RemoteReset => "RemoteReset",
    }
}

fn log_type(log_type: envoy_api::pb::envoy::data::accesslog::v3::AccessLogType) -> &'static str {
    log_type.as_str_name()
}

/// The name of the machine, read once.
fn hostname() -> Option<&'static str> {
    static HOSTNAME: OnceLock<Option<String>> = OnceLock::new();
    HOSTNAME
        .get_or_init(|| {
            let name = rustix::system::uname();
            let name = name.nodename().to_str().ok()?;
            (!name.is_empty()).then(|| name.to_owned())
        })
        .as_deref()
}
