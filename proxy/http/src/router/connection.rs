//! The connection of one attempt: asked of the pool for the cluster's protocol, then given to that protocol's codec.

use super::Forwarding;
use crate::codec::{
    ClientExchange, TcpExchange,
    h1::{self, Http1Settings},
    h2::{ClientStream, Http2Settings},
};
use outrigger_core::{Method, Protocol, StreamInfo, stream_info::UpstreamInfo};
use outrigger_upstream::{
    Cluster, ClusterConfig, Host, Http1Connection, Http1Request, Http2Request, Http2Stream,
    PoolFailure, Priority, TcpConnection, UpstreamConnectionInfo,
    config::Protocol as UpstreamProtocol,
};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// The wait for a connection. HTTP/1 pays nothing for what the others need.
pub(crate) enum Connecting {
    Http1(Http1Request),
    Http2(Box<Http2Request>),
    Tcp(Pin<Box<dyn Future<Output = Result<TcpConnection, PoolFailure>> + Send>>),
}

impl Connecting {
    pub(crate) fn new(
        cluster: &Cluster,
        host: &Arc<Host>,
        priority: Priority,
        info: &StreamInfo,
        tcp: bool,
    ) -> Self {
        if tcp {
            let connecting = cluster.tcp_connect(host, priority, &info.connection);
            return Self::Tcp(Box::pin(connecting));
        }
        let http2 = match cluster.config.protocol {
            UpstreamProtocol::Http1 => false,
            UpstreamProtocol::Http2 => true,
            UpstreamProtocol::Downstream => info.protocol == Some(Protocol::Http2),
        };
        if http2 {
            Self::Http2(Box::new(cluster.http2(host, priority, &info.connection)))
        } else {
            Self::Http1(cluster.http1(host, priority, &info.connection))
        }
    }
}

impl Future for Connecting {
    type Output = Result<Connection, PoolFailure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Http1(request) => Pin::new(request).poll(cx).map_ok(Connection::Http1),
            Self::Http2(request) => Pin::new(request).poll(cx).map_ok(Connection::Http2),
            Self::Tcp(connecting) => connecting.as_mut().poll(cx).map_ok(Connection::Tcp),
        }
    }
}

/// A connection that waits for its request.
pub(crate) enum Connection {
    Http1(Http1Connection),
    Http2(Box<Http2Stream>),
    Tcp(TcpConnection),
}

impl Connection {
    pub(crate) fn info(&self) -> &Arc<UpstreamConnectionInfo> {
        match self {
            Self::Http1(connection) => &connection.info,
            Self::Http2(stream) => &stream.info,
            Self::Tcp(connection) => &connection.info,
        }
    }

    /// None is spoken over TCP.
    pub(super) fn protocol(&self) -> Option<Protocol> {
        match self {
            Self::Http1(_) => Some(Protocol::Http11),
            Self::Http2(_) => Some(Protocol::Http2),
            Self::Tcp(_) => None,
        }
    }

    /// It has been idle: the upstream may have closed it meanwhile. HTTP/2 says so itself.
    pub(super) fn is_reused(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.reused,
            Self::Http2(_) | Self::Tcp(_) => false,
        }
    }

    /// Begins the exchange.
    pub(crate) fn exchange(
        self,
        config: &ClusterConfig,
        method: Method,
        buffer_limit: usize,
    ) -> ClientExchange {
        let limits = settings(config);
        match self {
            Self::Http1(connection) => ClientExchange::Http1(h1::ClientExchange::new(
                connection,
                limits,
                method,
                buffer_limit,
            )),
            Self::Http2(stream) => {
                let settings = Http2Settings::new(config.http2, &limits, false);
                let stream = ClientStream::new(*stream, settings, buffer_limit);
                ClientExchange::Http2(Box::new(stream))
            }
            Self::Tcp(connection) => {
                ClientExchange::Tcp(Box::new(TcpExchange::new(connection, buffer_limit)))
            }
        }
    }
}

impl Forwarding {
    /// Begins the bytes of a tunnel with the header that the route asks for.
    pub(super) fn send_proxy_header(&self, exchange: &mut ClientExchange, info: &StreamInfo) {
        let upgrades = self.forward().and_then(|forward| forward.upgrades.as_ref());
        let header = upgrades.and_then(|upgrades| upgrades.proxy_header(&info.connection));
        if let Some(header) = header {
            exchange.send_data(header.into());
        }
    }
}

/// What a cluster's options say to the codec.
fn settings(config: &ClusterConfig) -> Http1Settings {
    let options = &config.http1;
    Http1Settings {
        enable_trailers: options.enable_trailers,
        allow_chunked_length: options.allow_chunked_length,
        send_fully_qualified_url: options.send_fully_qualified_url,
        max_head_bytes: config.max_response_headers_kb as usize * 1024,
        max_headers_count: config.max_headers_count as usize,
        header_key_format: options.header_key_format,
        ..Http1Settings::default()
    }
}

/// The stream shows its last attempt alone; only the lists of what was attempted grow, and the wire bytes.
pub(super) fn forget_last_attempt(info: &mut StreamInfo) {
    if info.upstream.host.is_none() {
        return;
    }
    let last = std::mem::take(&mut info.upstream);
    info.upstream = UpstreamInfo {
        hosts_attempted: last.hosts_attempted,
        connection_ids_attempted: last.connection_ids_attempted,
        wire_bytes_sent: last.wire_bytes_sent,
        wire_bytes_received: last.wire_bytes_received,
        filter_state: last.filter_state,
        ..UpstreamInfo::default()
    };
    let timing = &mut info.timing;
    timing.upstream_connect_end = None;
    timing.upstream_tx_begin = None;
    timing.upstream_tx_end = None;
    timing.upstream_rx_begin = None;
}
