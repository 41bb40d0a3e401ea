//! The access log of the admin interface: one line for each request, as Envoy's admin connection manager writes it. Sizes
//! of heads and bytes on the wire are not known here and read as 0.

use envoy_api::pb::envoy::data::accesslog::v3::AccessLogType;
use http::{Version, request};
use outrigger_core::{
    Address, ConnectionInfo, HeaderId, HeaderMap, Protocol, ResponseFlag, StreamInfo,
    access_log::AccessLogs, formatter::FormatContext, stream_info::ListenerInfo,
};
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// What a request's line is made from. The line is written when this is dropped, with the answer.
#[derive(Debug)]
pub struct Record {
    logs: AccessLogs,
    info: StreamInfo,
    request: HeaderMap,
    response: HeaderMap,
}

/// An accepted connection as its lines show it.
pub fn connection(id: u64, local: Address, remote: Address) -> Arc<ConnectionInfo> {
    Arc::new(ConnectionInfo {
        listener: Arc::new(ListenerInfo {
            name: "admin".into(),
            ..ListenerInfo::default()
        }),
        ..ConnectionInfo::new(id, local, remote)
    })
}

impl Record {
    /// Of a request whose head has arrived. `address` stands for this machine where the peer's would say nothing; `details` say
    /// what becomes of the request.
    pub fn new(
        logs: AccessLogs,
        connection: Arc<ConnectionInfo>,
        head: &request::Parts,
        address: Option<IpAddr>,
        details: &'static str,
    ) -> Self {
        let mut info = StreamInfo::new(
            connection,
            SystemTime::now(),
            Instant::now(),
            fastrand::u64(..),
        );
        info.protocol = Some(Protocol::Http11);
        let mut request = HeaderMap::new();
        if head.version == Version::HTTP_10 {
            // Envoy's codec refuses it before there are headers.
            info.flags.set(ResponseFlag::DownstreamProtocolError);
            info.details = "low_version".into();
        } else {
            info.details = details.into();
            fill(&mut request, head, &info.connection, address);
        }
        Self {
            logs,
            info,
            request,
            response: HeaderMap::new(),
        }
    }

    /// The size of the request's body.
    pub fn received(&mut self, bytes: usize) {
        self.info.body_bytes_received = bytes as u64;
        self.info.timing.downstream_rx_end = Some(self.info.elapsed());
    }

    /// The head of the answer is on its way.
    pub fn answered<B>(&mut self, response: &http::Response<B>) {
        self.info.response_code = response.status().as_u16();
        self.info.timing.downstream_tx_begin = Some(self.info.elapsed());
        for (name, value) in response.headers() {
            self.response
                .append_raw(name.as_str().as_bytes(), value.as_bytes());
        }
    }

    /// A piece of the answer's body.
    pub fn sent(&mut self, bytes: usize) {
        self.info.body_bytes_sent += bytes as u64;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let elapsed: Duration = self.info.elapsed();
        self.info.timing.downstream_tx_end = Some(elapsed);
        self.info.timing.complete = Some(elapsed);
        self.logs.log(&FormatContext {
            request: Some(&self.request),
            response: Some(&self.response),
            trailers: None,
            info: &self.info,
            local_reply_body: b"",
            log_type: AccessLogType::DownstreamEnd,
        });
    }
}

/// The headers of the request as the admin connection manager completes them.
fn fill(
    request: &mut HeaderMap,
    head: &request::Parts,
    connection: &ConnectionInfo,
    address: Option<IpAddr>,
) {
    if let Some(host) = head.headers.get(http::header::HOST) {
        request.set(HeaderId::Authority, host.as_bytes());
    }
    let path = match head.uri.scheme() {
        // Refused as it stands.
        Some(_) => head.uri.to_string(),
        None => {
            let path = head
                .uri
                .path_and_query()
                .map_or("/", |target| target.as_str());
            super::server::merge_slashes(path)
        }
    };
    request.set(HeaderId::Path, path.as_bytes());
    request.set(HeaderId::Method, head.method.as_str().as_bytes());
    request.set(HeaderId::Scheme, b"http");
    for (name, value) in &head.headers {
        if name != http::header::HOST {
            request.append_raw(name.as_str().as_bytes(), value.as_bytes());
        }
    }
    if let Some(peer) = connection.remote_address.ip() {
        let shown = match peer.ip() {
            ip if ip.is_loopback() => address.unwrap_or(ip),
            ip => ip,
        };
        let value = match request.get_str(HeaderId::ForwardedFor) {
            Some(before) if !before.is_empty() => format!("{before},{shown}"),
            _ => shown.to_string(),
        };
        request.set(HeaderId::ForwardedFor, value.as_bytes());
    }
    request.set(HeaderId::ForwardedProto, b"http");
}
