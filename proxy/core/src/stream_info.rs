//! Everything known about one connection or one stream: what access logs, formatters and filters may ask.

use crate::{
    Address, Protocol, ResponseFlag, ResponseFlags,
    metadata::Metadata,
    tls_info::{ClientHelloFingerprints, TlsInfo},
};
use smallvec::SmallVec;
use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// What is known of the downstream connection; shared by all its streams.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// `%CONNECTION_ID%`, unique in the process.
    pub id: u64,
    pub start_time: SystemTime,
    pub start: Instant,
    /// Where the client connected to, original destination restored.
    pub local_address: Address,
    /// Where the listener's socket stands.
    pub direct_local_address: Address,
    /// The client, as a PROXY header or XFF-like source may say.
    pub remote_address: Address,
    /// The peer of the socket.
    pub direct_remote_address: Address,
    pub listener: Arc<ListenerInfo>,
    pub filter_chain: Option<Arc<FilterChainInfo>>,
    /// From a TLS ClientHello seen by `tls_inspector`.
    pub requested_server_name: Option<Arc<str>>,
    /// True when the original destination was restored.
    pub local_address_restored: bool,
    /// The handshake with the client; `None` on a plaintext connection.
    pub tls: Option<Arc<TlsInfo>>,
    pub client_hello: ClientHelloFingerprints,
    /// `None`: no filter has left anything, which is so for nearly every connection.
    pub state: Option<Arc<ConnectionState>>,
}

/// What listener filters and network filters have left with a connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConnectionState {
    /// Of the connection alone: its HTTP streams have metadata of their own.
    pub dynamic_metadata: Metadata,
    /// In its printed form; every stream of the connection begins with it.
    pub filter_state: BTreeMap<String, FilterState>,
    /// `%DOWNSTREAM_TRANSPORT_FAILURE_REASON%`, as far as a listener filter has seen it.
    pub transport_failure_reason: Cow<'static, str>,
    /// The TLVs of its PROXY header that may be passed upstream, types and values.
    pub proxy_protocol_tlvs: Vec<(u8, Box<[u8]>)>,
}

impl ConnectionInfo {
    /// A connection that begins now, of which nothing is known but its ends.
    pub fn new(id: u64, local: Address, remote: Address) -> Self {
        Self {
            id,
            start_time: SystemTime::now(),
            start: Instant::now(),
            local_address: local.clone(),
            direct_local_address: local,
            remote_address: remote.clone(),
            direct_remote_address: remote,
            listener: Arc::default(),
            filter_chain: None,
            requested_server_name: None,
            local_address_restored: false,
            tls: None,
            client_hello: ClientHelloFingerprints::default(),
            state: None,
        }
    }

    /// What filters have left, to be added to.
    pub fn state_mut(&mut self) -> &mut ConnectionState {
        Arc::make_mut(self.state.get_or_insert_default())
    }
}

/// The listener as logs and metadata operators see it.
#[derive(Clone, Debug, Default)]
pub struct ListenerInfo {
    pub name: Arc<str>,
    pub metadata: Metadata,
    pub traffic_direction: i32,
}

/// The filter chain as logs and metadata operators see it.
#[derive(Clone, Debug, Default)]
pub struct FilterChainInfo {
    pub name: Arc<str>,
    pub metadata: Metadata,
}

/// The route and its virtual host as logs see them.
#[derive(Clone, Debug, Default)]
pub struct RouteInfo {
    pub name: Arc<str>,
    pub metadata: Metadata,
    pub virtual_host_name: Arc<str>,
    pub virtual_host_metadata: Metadata,
}

/// The cluster as logs see it.
#[derive(Clone, Debug, Default)]
pub struct ClusterInfo {
    pub name: Arc<str>,
    /// `alt_stat_name` or the name: `%UPSTREAM_CLUSTER%`.
    pub observability_name: Arc<str>,
    pub metadata: Metadata,
}

/// The upstream host as logs see it.
#[derive(Clone, Debug)]
pub struct HostInfo {
    pub address: Address,
    /// `%UPSTREAM_HOST_NAME%`: the endpoint's hostname; empty if it has none.
    pub hostname: Arc<str>,
    pub metadata: Metadata,
    pub canary: bool,
}

/// What is known of the upstream side of a stream: the last attempt's values.
#[derive(Clone, Debug, Default)]
pub struct UpstreamInfo {
    pub host: Option<Arc<HostInfo>>,
    pub hosts_attempted: SmallVec<[Arc<HostInfo>; 1]>,
    pub connection_id: Option<u64>,
    pub connection_ids_attempted: SmallVec<[u64; 1]>,
    pub local_address: Option<Address>,
    pub remote_address: Option<Address>,
    pub protocol: Option<Protocol>,
    /// `%UPSTREAM_TRANSPORT_FAILURE_REASON%`, spaces already replaced by `_`.
    pub transport_failure_reason: Cow<'static, str>,
    /// `None`: normal if there was a host, and nothing to tell otherwise.
    pub detected_close_type: Option<DetectedCloseType>,
    pub local_close_reason: Cow<'static, str>,
    /// Time from the request for a connection to having one.
    pub pool_ready: Option<Duration>,
    pub wire_bytes_sent: u64,
    pub wire_bytes_received: u64,
    pub header_bytes_sent: u64,
    pub header_bytes_received: u64,
    /// The same before header compression; equal to the above on HTTP/1.
    pub decompressed_header_bytes_sent: u64,
    pub decompressed_header_bytes_received: u64,
    /// The handshake with the host; `None` on a plaintext connection.
    pub tls: Option<Arc<TlsInfo>>,
    /// Filter state of the upstream side, in its printed form.
    pub filter_state: BTreeMap<String, FilterState>,
}

/// How a connection's end was seen (`%DOWNSTREAM_DETECTED_CLOSE_TYPE%`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DetectedCloseType {
    #[default]
    Normal,
    LocalReset,
    RemoteReset,
}

/// The points in time of a stream, each once at most, as durations since its start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timing {
    /// Last byte of the request received (`DS_RX_END`).
    pub downstream_rx_end: Option<Duration>,
    pub upstream_connect_begin: Option<Duration>,
    pub upstream_connect_end: Option<Duration>,
    pub upstream_handshake_end: Option<Duration>,
    /// First byte sent upstream (`US_TX_BEG`).
    pub upstream_tx_begin: Option<Duration>,
    pub upstream_tx_end: Option<Duration>,
    /// First byte of the response received (`US_RX_BEG`).
    pub upstream_rx_begin: Option<Duration>,
    pub upstream_rx_end: Option<Duration>,
    /// First byte of the response sent (`DS_TX_BEG`).
    pub downstream_tx_begin: Option<Duration>,
    pub downstream_tx_end: Option<Duration>,
    /// End of the stream (`%DURATION%`).
    pub complete: Option<Duration>,
}

/// One stream (an HTTP request, or a proxied TCP connection).
#[derive(Debug)]
pub struct StreamInfo {
    pub connection: Arc<ConnectionInfo>,
    pub start_time: SystemTime,
    pub start: Instant,
    pub timing: Timing,
    pub protocol: Option<Protocol>,
    /// 0 until a response has been chosen.
    pub response_code: u16,
    pub flags: ResponseFlags,
    /// `%RESPONSE_CODE_DETAILS%`. A borrowed empty text prints `-`; an owned one was meant, and prints nothing.
    pub details: Cow<'static, str>,
    /// `%CONNECTION_TERMINATION_DETAILS%`; empty prints `-`.
    pub connection_termination_details: Cow<'static, str>,
    pub downstream_transport_failure_reason: Cow<'static, str>,
    pub downstream_local_close_reason: Cow<'static, str>,
    pub downstream_detected_close_type: DetectedCloseType,
    /// The address that XFF or an IP-detection extension found; the connection's remote address otherwise.
    pub remote_address: Option<Address>,
    pub body_bytes_received: u64,
    pub body_bytes_sent: u64,
    pub downstream_wire_bytes_received: u64,
    pub downstream_wire_bytes_sent: u64,
    pub downstream_header_bytes_received: u64,
    pub downstream_header_bytes_sent: u64,
    /// The same before header compression; equal to the above on HTTP/1.
    pub downstream_decompressed_header_bytes_received: u64,
    pub downstream_decompressed_header_bytes_sent: u64,
    /// The kernel's smoothed round-trip time to the client, if it was asked.
    pub downstream_rtt: Option<Duration>,
    /// How often the route was resolved, and the time that this took in all.
    pub route_resolutions: u32,
    pub route_resolution_time: Duration,
    pub route: Option<Arc<RouteInfo>>,
    pub virtual_cluster: Option<Arc<str>>,
    pub cluster: Option<Arc<ClusterInfo>>,
    pub upstream: UpstreamInfo,
    /// Attempts made by the router (`%UPSTREAM_REQUEST_ATTEMPT_COUNT%`); 0 before the first.
    pub attempt_count: u32,
    pub dynamic_metadata: Metadata,
    /// Filter state by key, in its printed form.
    pub filter_state: BTreeMap<String, FilterState>,
    /// `%STREAM_ID%`: `x-request-id` of an HTTP stream, or an id that was [generated](Self::generate_id).
    pub request_id: Option<Box<str>>,
    /// Identifiers of the stream's span, in hexadecimal.
    pub trace_id: Option<Box<str>>,
    pub span_id: Option<Box<str>>,
    /// True when the request is a health check (`health_check` filter), which logs may leave out.
    pub health_check: bool,
    /// The tracing decision (`traceable_filter`).
    pub traced: bool,
    /// Flags set by extensions (`%CUSTOM_FLAGS%`), joined with a comma.
    pub custom_flags: String,
    /// A random number of this stream: routing decisions of one stream agree (Envoy's stable random).
    pub stream_id: u64,
}

/// One value of the filter state.
#[derive(Clone, Debug, PartialEq)]
pub enum FilterState {
    String(String),
    Number(f64),
    Bool(bool),
    /// What `grpc_stats` has counted so far.
    GrpcMessages {
        requests: u64,
        responses: u64,
    },
    /// Strings by name, which `FIELD` asks for.
    Map(BTreeMap<String, String>),
    /// Names and values of a message, in its order.
    Headers(Arc<[(String, String)]>),
}

impl StreamInfo {
    /// A stream that starts now on this connection.
    pub fn new(
        connection: Arc<ConnectionInfo>,
        start_time: SystemTime,
        start: Instant,
        stream_id: u64,
    ) -> Self {
        let state = connection.state.as_ref();
        let filter_state = state.map_or_else(BTreeMap::new, |state| state.filter_state.clone());
        Self {
            connection,
            start_time,
            start,
            timing: Timing::default(),
            protocol: None,
            response_code: 0,
            flags: ResponseFlags::default(),
            details: Cow::Borrowed(""),
            connection_termination_details: Cow::Borrowed(""),
            downstream_transport_failure_reason: Cow::Borrowed(""),
            downstream_local_close_reason: Cow::Borrowed(""),
            downstream_detected_close_type: DetectedCloseType::Normal,
            remote_address: None,
            body_bytes_received: 0,
            body_bytes_sent: 0,
            downstream_wire_bytes_received: 0,
            downstream_wire_bytes_sent: 0,
            downstream_header_bytes_received: 0,
            downstream_header_bytes_sent: 0,
            downstream_decompressed_header_bytes_received: 0,
            downstream_decompressed_header_bytes_sent: 0,
            downstream_rtt: None,
            route_resolutions: 0,
            route_resolution_time: Duration::ZERO,
            route: None,
            virtual_cluster: None,
            cluster: None,
            upstream: UpstreamInfo::default(),
            attempt_count: 0,
            dynamic_metadata: Metadata::default(),
            filter_state,
            request_id: None,
            trace_id: None,
            span_id: None,
            health_check: false,
            traced: false,
            custom_flags: String::new(),
            stream_id,
        }
    }

    /// A connection that is one stream of its own: what filters have left with the connection is the stream's.
    pub fn of_connection(connection: Arc<ConnectionInfo>) -> Self {
        let (start_time, start, id) = (connection.start_time, connection.start, connection.id);
        let state = connection.state.clone();
        let mut info = Self::new(connection, start_time, start, id);
        if let Some(state) = state {
            info.dynamic_metadata = state.dynamic_metadata.clone();
            info.downstream_transport_failure_reason = state.transport_failure_reason.clone();
        }
        info
    }

    /// The client's address: what XFF said, or the connection's.
    pub fn remote_address(&self) -> &Address {
        self.remote_address
            .as_ref()
            .unwrap_or(&self.connection.remote_address)
    }

    /// Time since the start of the stream, for [`Timing`].
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Gives a stream that has no request id one of its own, as Envoy's TCP proxy does.
    pub fn generate_id(&mut self) {
        self.request_id = Some(crate::uuid::random().collect::<String>().into());
    }

    pub fn set_flag(&mut self, flag: ResponseFlag) {
        self.flags.set(flag);
    }
}
