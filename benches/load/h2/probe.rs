//! One exchange by a complete implementation of HTTP/2, which looks at what the generator cannot read: the lines of
//! heads and trailers.

use super::{Exchange, GRPC_MESSAGE, GRPC_PATH};
use anyhow::{Result, ensure};
use bytes::Bytes;
use h2::client;
use http::{HeaderMap, Method, Request, Version, header::CONTENT_LENGTH};
use std::{net::SocketAddr, time::Duration};
use tokio::{net::TcpStream, time::timeout};

const LIMIT: Duration = Duration::from_secs(5);

/// Whether a subject answers, and rightly.
pub fn answers(address: SocketAddr, exchange: Exchange) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async { timeout(LIMIT, ask(address, exchange)).await? })
}

async fn ask(address: SocketAddr, exchange: Exchange) -> Result<()> {
    let socket = TcpStream::connect(address).await?;
    let (send, connection) = client::handshake(socket).await?;
    let connection = tokio::spawn(connection);
    let mut send = send.ready().await?;
    let (method, path) = match exchange {
        Exchange::Get => (Method::GET, "/"),
        Exchange::Grpc => (Method::POST, GRPC_PATH),
    };
    let mut request = Request::builder()
        .version(Version::HTTP_2)
        .method(method)
        .uri(format!("http://bench.test{path}"));
    if exchange == Exchange::Grpc {
        request = request
            .header("content-type", "application/grpc")
            .header("te", "trailers");
    }
    let no_body = exchange == Exchange::Get;
    let (response, mut body) = send.send_request(request.body(())?, no_body)?;
    if !no_body {
        body.send_data(Bytes::from_static(&GRPC_MESSAGE), true)?;
    }
    let (head, mut body) = response.await?.into_parts();
    ensure!(head.status == 200, "answered {}", head.status);
    let mut received = 0;
    while let Some(data) = body.data().await {
        let data = data?;
        received += data.len();
        body.flow_control().release_capacity(data.len())?;
    }
    let expected = exchange.response().data_length();
    ensure!(received == expected, "{received} bytes, not {expected}");
    let trailers = body.trailers().await?.unwrap_or_default();
    check(exchange, &head.headers, &trailers)?;
    drop(send);
    connection.abort();
    Ok(())
}

fn check(exchange: Exchange, head: &HeaderMap, trailers: &HeaderMap) -> Result<()> {
    let (fields, name, wanted) = match exchange {
        Exchange::Get => (
            head,
            CONTENT_LENGTH.as_str(),
            crate::backend::SMALL.to_string(),
        ),
        Exchange::Grpc => (trailers, "grpc-status", "0".to_owned()),
    };
    let said = fields.get(name);
    ensure!(
        said.is_some_and(|said| said.as_bytes() == wanted.as_bytes()),
        "{name} is {said:?}, not {wanted}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_backend_passes() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let backend = runtime.block_on(crate::backend::Backend::start()).unwrap();
        answers(backend.http2, Exchange::Get).unwrap();
        answers(backend.grpc, Exchange::Grpc).unwrap();
        assert!(answers(backend.http2, Exchange::Grpc).is_err());
    }
}
