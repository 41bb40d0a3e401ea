//! `TunnelingConfig`: TCP over HTTP. A CONNECT or a POST asks an upstream for a tunnel; its codec carries the bytes.

mod kept;
mod request_id;
mod stream;
#[cfg(test)]
mod tests;

use self::{kept::Kept, request_id::TunnelRequestId, stream::TunnelStream};
use crate::{
    codec::{ClientExchange, h1::ExchangeError},
    route::HeaderParser,
    router::connection::{Connecting, Connection},
};
use envoy_api::pb::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::TunnelingConfig as Proto;
use outrigger_core::{
    ConfigError, HeaderId, HeaderMap, Method, StreamInfo,
    error::ConfigResult,
    formatter::{Commands, FormatContext, Formatter},
};
use outrigger_upstream::{
    CloseReason, Cluster, Host, Priority,
    tunnel::{Opening, Refusal, Tunnel, TunnelFailure, Tunneling as Opens},
};
use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// A compiled `tunneling_config`.
#[derive(Debug)]
pub struct Tunneling {
    /// The authority of the request.
    hostname: Formatter,
    method: Method,
    /// Of a POST.
    path: Box<[u8]>,
    headers: HeaderParser,
    request_id: Option<TunnelRequestId>,
    kept: Kept,
}

impl Tunneling {
    pub fn compile(proto: &Proto) -> Result<Arc<dyn Opens>, ConfigError> {
        if proto.hostname.is_empty() {
            let error = ConfigError::new("value length must be at least 1 characters");
            return Err(error.at("hostname"));
        }
        if !proto.post_path.is_empty() && !proto.use_post {
            return Err(ConfigError::new(
                "Can't set a post path when POST method isn't used",
            ));
        }
        let path = match proto.post_path.as_str() {
            "" => "/",
            path => path,
        };
        let commands = Commands::compile_extensions(&proto.formatters)?;
        Ok(Arc::new(Self {
            hostname: Formatter::compile_with(&proto.hostname, &commands, false).at("hostname")?,
            method: match proto.use_post {
                true => Method::Post,
                false => Method::Connect,
            },
            path: path.as_bytes().into(),
            headers: HeaderParser::compile(&proto.headers_to_add, &[], "headers")?,
            request_id: TunnelRequestId::compile(proto)?,
            kept: Kept::compile(proto),
        }))
    }

    /// The head of the request for a tunnel.
    fn head(&self, info: &mut StreamInfo) -> HeaderMap {
        let mut hostname = Vec::new();
        self.hostname
            .render(&FormatContext::new(info), &mut hostname);
        let mut head = HeaderMap::new();
        head.append(HeaderId::Authority, &hostname);
        if self.method == Method::Post {
            head.append(HeaderId::Method, b"POST");
            head.append(HeaderId::Path, &self.path);
            head.append(HeaderId::Scheme, b"http");
        } else {
            head.append(HeaderId::Method, b"CONNECT");
        }
        if let Some(request_id) = &self.request_id {
            request_id.set(&mut head, info);
        }
        self.headers.evaluate(&mut head, info);
        head
    }
}

impl Opens for Tunneling {
    fn open(&self, cluster: &Arc<Cluster>, host: &Arc<Host>, info: &mut StreamInfo) -> Opening {
        let (cluster, method, head) = (cluster.clone(), self.method, self.head(info));
        let kept = self.kept;
        let connecting = Connecting::new(&cluster, host, Priority::Default, info, false);
        Box::pin(async move {
            match connecting.await {
                Ok(connection) => ask(connection, &cluster, method, &head, kept).await,
                Err(failure) => Err(TunnelFailure::Pool(failure)),
            }
        })
    }
}

/// Sends the request on a connection and waits for what the host has to say.
async fn ask(
    connection: Connection,
    cluster: &Cluster,
    method: Method,
    head: &HeaderMap,
    kept: Kept,
) -> Result<Box<dyn Tunnel>, TunnelFailure> {
    let established = connection.info().clone();
    let limit = cluster.config.per_connection_buffer_limit as usize;
    let mut exchange = connection.exchange(&cluster.config, method, limit);
    let mut answer = HeaderMap::new();
    let status = match exchange.send_head(head, false) {
        Ok(()) => match poll_fn(|cx| poll_answer(&mut exchange, &mut answer, cx)).await {
            Ok(status) => Some(status),
            Err(error) => {
                if matches!(error, ExchangeError::Protocol(_)) {
                    cluster.stats.upstream_cx_protocol_error.inc();
                }
                None
            }
        },
        // What the formats made is no head.
        Err(_) => None,
    };
    let headers = status.and_then(|status| kept.headers(status, &answer));
    if status.is_some_and(|status| (200..300).contains(&status)) {
        let stream = TunnelStream::new(exchange, established, headers, kept);
        return Ok(Box::new(stream));
    }
    exchange.close(CloseReason::Local);
    Err(TunnelFailure::Refused(Refusal {
        connection: established,
        status,
        headers,
    }))
}

/// The status and the headers of the final response.
fn poll_answer(
    exchange: &mut ClientExchange,
    head: &mut HeaderMap,
    cx: &mut Context<'_>,
) -> Poll<Result<u16, ExchangeError>> {
    let _ = exchange.poll_flush(cx);
    loop {
        let response = ready!(exchange.poll_head(cx, head))?;
        if response.status >= 200 {
            return Poll::Ready(Ok(response.status));
        }
        head.clear();
    }
}
