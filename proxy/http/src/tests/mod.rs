//! The connection manager over sockets of the same process: a client, one cluster of one host, and time that moves by hand.
#![allow(clippy::unwrap_used)]

mod downstream;
mod filters;
mod http2;
mod panics;
mod redirects;
mod timeouts;
mod tunnels;
mod upstream;

use crate::{HttpConnectionManager, ListenerContext};
use envoy_api::{
    Format, Message, MessageDescriptor, load,
    pb::envoy::{
        config::cluster::v3::Cluster as ClusterProto,
        extensions::filters::network::http_connection_manager::v3::HttpConnectionManager as Proto,
    },
    to_typed,
};
use outrigger_core::{Address, ConnectionInfo, Context, panics::contained};
use outrigger_transport::Stream;
use outrigger_upstream::{BuildContext, Cluster};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    task::{AbortHandle, yield_now},
    time,
};

/// A connection manager whose only route leads to one upstream, which the test plays.
struct Proxy {
    hcm: Arc<HttpConnectionManager>,
    cluster: Arc<Cluster>,
    listener: TcpListener,
}

/// One end of a connection, as the test holds it.
struct Peer<S> {
    stream: S,
    read: Vec<u8>,
}

fn proto<T: Message + Default>(name: &str, yaml: &str) -> T {
    let descriptor = MessageDescriptor::named(name).unwrap();
    let (message, _) = load(&descriptor, Format::Yaml, yaml.as_bytes()).unwrap();
    to_typed(&message).unwrap()
}

impl Proxy {
    /// `options` are lines of the connection manager, `route` further fields of the route action.
    async fn start(options: &str, route: &str) -> Self {
        Self::with_filters("", options, route).await
    }

    /// `filters` come before the router, each followed by a comma.
    async fn with_filters(filters: &str, options: &str, route: &str) -> Self {
        Self::build("", filters, options, route).await
    }

    /// `cluster` is further fields of the cluster.
    async fn with_cluster(cluster: &str, options: &str, route: &str) -> Self {
        Self::build(cluster, "", options, route).await
    }

    async fn build(cluster: &str, filters: &str, options: &str, route: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let build = BuildContext::new(Arc::new(Context::default()));
        let cluster: ClusterProto = proto(
            "envoy.config.cluster.v3.Cluster",
            &format!(
                "{{name: up, load_assignment: {{cluster_name: up, endpoints: [{{lb_endpoints: [{{endpoint: {{address: \
                 {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}}}]}}]}}, {cluster}}}"
            ),
        );
        build.clusters.add_static(&cluster).unwrap();
        let hcm: Proto = proto(
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            &format!(
                "stat_prefix: test\n{options}\nhttp_filters: [{filters}{{name: router, typed_config: {{\"@type\": \
                 type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}}]\nroute_config: {{virtual_hosts: \
                 [{{name: v, domains: ['*'], routes: [{{match: {{prefix: /}}, route: {{cluster: up, {route}}}}}]}}]}}\n"
            ),
        );
        let context = ListenerContext {
            stat_prefix: "listener.test.",
            buffer_limit: 1024 * 1024,
            drain: Default::default(),
            overload: build.context.overload.clone(),
            access_logs: &outrigger_core::access_log::AccessLogs::default(),
        };
        Self {
            hcm: HttpConnectionManager::compile(&hcm, &build, &context).unwrap(),
            cluster: build.clusters.get("up").unwrap(),
            listener,
        }
    }

    /// A client's connection, and the task that serves it.
    fn connect_aborting(&self) -> (Peer<UnixStream>, AbortHandle) {
        let (near, far) = UnixStream::pair().unwrap();
        let serving = self
            .hcm
            .clone()
            .serve(Stream::Unix(far), connection_info(), None);
        // As listeners do it.
        let task = tokio::spawn(contained(serving));
        (Peer::new(near), task.abort_handle())
    }

    fn connect(&self) -> Peer<UnixStream> {
        self.connect_aborting().0
    }

    /// The upstream's end of the next connection.
    async fn accept(&self) -> Peer<TcpStream> {
        Peer::new(self.listener.accept().await.unwrap().0)
    }

    /// With every connection gone, nothing counts as active any more.
    async fn assert_balanced(&self) {
        let (hcm, up) = (&self.hcm.stats, &self.cluster.stats);
        let gauges = || {
            [
                hcm.downstream_cx_active.get(),
                hcm.downstream_cx_http1_active.get(),
                hcm.downstream_rq_active.get(),
                up.upstream_rq_active.get(),
                up.upstream_rq_pending_active.get(),
            ]
        };
        until(|| gauges() == [0; 5]).await;
        assert_eq!(
            hcm.downstream_cx_destroy.get(),
            hcm.downstream_cx_total.get()
        );
        assert_eq!(
            hcm.downstream_cx_destroy.get(),
            hcm.downstream_cx_destroy_local.get() + hcm.downstream_cx_destroy_remote.get()
        );
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            read: Vec::new(),
        }
    }

    async fn send(&mut self, text: &str) {
        self.write(text.as_bytes()).await;
    }

    /// The next message: its head, and its body if it has a `content-length`.
    async fn receive(&mut self) -> String {
        loop {
            let text = String::from_utf8_lossy(&self.read);
            if let Some((head, rest)) = text.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .map_or(0, |length| length.parse().unwrap());
                if rest.len() >= length {
                    let message = self.read.drain(..head.len() + 4 + length).collect();
                    return String::from_utf8(message).unwrap();
                }
            }
            assert_ne!(self.fill().await, 0, "closed after {:?}", self.read);
        }
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    async fn fill(&mut self) -> usize {
        let read = self.stream.read_buf(&mut self.read);
        time::timeout(Duration::from_secs(20), read)
            .await
            .unwrap()
            .unwrap_or(0)
    }

    /// What still comes until the other side closes.
    async fn rest(&mut self) -> String {
        while self.fill().await != 0 {}
        String::from_utf8(std::mem::take(&mut self.read)).unwrap()
    }
}

fn connection_info() -> Arc<ConnectionInfo> {
    let address = Address::Ip("127.0.0.1:1".parse().unwrap());
    Arc::new(ConnectionInfo::new(1, address.clone(), address))
}

/// Lets the connection manager and the sockets run until they have nothing left to do.
async fn settle() {
    for _ in 0..50 {
        yield_now().await;
    }
}

async fn until(mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            yield_now().await;
        }
    };
    time::timeout(Duration::from_secs(20), wait).await.unwrap();
}

/// Time passes at once. Paused time throughout would run ahead of sockets that are only about to become ready.
async fn pass(seconds: u64) {
    settle().await;
    time::pause();
    // Timers fire at the next whole millisecond.
    let rounding = Duration::from_millis(2);
    time::advance(Duration::from_secs(seconds) + rounding).await;
    time::resume();
    settle().await;
}

const GET: &str = "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
