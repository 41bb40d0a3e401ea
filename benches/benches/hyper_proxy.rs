//! A bare proxy on hyper: the peer of the whole-request bench. It routes, counts, logs and retries nothing.

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
    server::conn::http1::Builder,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Mutex,
};

/// Serves for as long as the runtime lives; one upstream connection for each downstream connection.
pub async fn serve(listener: TcpListener, upstream: SocketAddr) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        client.set_nodelay(true).unwrap();
        tokio::spawn(async move {
            let server = TcpStream::connect(upstream).await.unwrap();
            server.set_nodelay(true).unwrap();
            let (sender, connection) = handshake(TokioIo::new(server)).await.unwrap();
            tokio::spawn(connection);
            let sender = Arc::new(Mutex::new(sender));
            let service = service_fn(move |request| forward(sender.clone(), request));
            // The client's close is an error to hyper at most.
            drop(
                Builder::new()
                    .serve_connection(TokioIo::new(client), service)
                    .await,
            );
        });
    }
}

async fn forward(
    sender: Arc<Mutex<SendRequest<Incoming>>>,
    request: Request<Incoming>,
) -> hyper::Result<Response<Incoming>> {
    let mut sender = sender.lock().await;
    sender.ready().await?;
    sender.send_request(request).await
}
