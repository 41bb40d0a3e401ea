//! `TunnelingConfig`: TCP over HTTP. A CONNECT or a POST asks an upstream for a tunnel; its codec carries the bytes.

mod stream;
#[cfg(test)]
mod tests;

use self::stream::TunnelStream;
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
    tunnel::{Opening, Tunnel, TunnelFailure, Tunneling as Opens},
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
        }))
    }

    /// The head of the request for a tunnel.
    fn head(&self, info: &StreamInfo) -> HeaderMap {
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
        self.headers.evaluate_request(&mut head, info);
        head
    }
}

impl Opens for Tunneling {
    fn open(&self, cluster: &Arc<Cluster>, host: &Arc<Host>, info: &StreamInfo) -> Opening {
        let (cluster, method, head) = (cluster.clone(), self.method, self.head(info));
        let connecting = Connecting::new(&cluster, host, Priority::Default, info, false);
        Box::pin(async move {
            match connecting.await {
                Ok(connection) => ask(connection, &cluster, method, &head).await,
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
) -> Result<Box<dyn Tunnel>, TunnelFailure> {
    let established = connection.info().clone();
    let limit = cluster.config.per_connection_buffer_limit as usize;
    let mut exchange = connection.exchange(&cluster.config, method, limit);
    let status = match exchange.send_head(head, false) {
        Ok(()) => match poll_fn(|cx| poll_answer(&mut exchange, cx)).await {
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
    if status.is_some_and(|status| (200..300).contains(&status)) {
        return Ok(Box::new(TunnelStream::new(exchange, established)));
    }
    exchange.close(CloseReason::Local);
    Err(TunnelFailure::Refused(established, status))
}

/// The status of the final response.
fn poll_answer(
    exchange: &mut ClientExchange,
    cx: &mut Context<'_>,
) -> Poll<Result<u16, ExchangeError>> {
    let _ = exchange.poll_flush(cx);
    let mut head = HeaderMap::new();
    loop {
        let response = ready!(exchange.poll_head(cx, &mut head))?;
        if response.status >= 200 {
            return Poll::Ready(Ok(response.status));
        }
        head.clear();
    }
}
