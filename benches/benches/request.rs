//! A whole request over loopback sockets in one process and one thread: client, connection manager, router, pool, upstream.
//!
//! The time holds the work of client and upstream and all system calls; compare it with the bare hyper proxy and with no
//! proxy at all, which are measured with the same client and upstream.

use crate::{
    hyper_proxy,
    support::{connection_info, proto},
};
use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use envoy_api::pb::envoy::{
    config::cluster::v3::Cluster,
    extensions::filters::network::http_connection_manager::v3::HttpConnectionManager as Proto,
};
use outrigger_core::{Context, access_log::AccessLogs};
use outrigger_http::{HttpConnectionManager, ListenerContext};
use outrigger_transport::Stream;
use outrigger_upstream::BuildContext;
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Instant,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

const REQUEST: &[u8] =
    b"GET /service HTTP/1.1\r\nhost: bench.test\r\nuser-agent: bench\r\naccept: */*\r\n\r\n";
const BODY: usize = 1024;
/// Connections that are busy at once, in the bench that spreads the cost of a wake-up.
const CONNECTIONS: usize = 32;

/// Envoy's name of the log that is written nowhere: rendering is in the figure, the disk is not.
const HCM: &str = r#"
stat_prefix: ingress
access_log:
- name: envoy.access_loggers.file
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
    path: /dev/null
http_filters:
- name: envoy.filters.http.router
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
route_config:
  name: local
  virtual_hosts:
  - name: all
    domains: ["*"]
    routes:
    - match: {prefix: /}
      route: {cluster: upstream, retry_policy: {retry_on: connect-failure, num_retries: 2}}
"#;

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn start_upstream() -> SocketAddr {
    let (listener, address) = listen().await;
    let mut response = format!("HTTP/1.1 200 OK\r\ncontent-length: {BODY}\r\n\r\n").into_bytes();
    response.resize(response.len() + BODY, b'x');
    let response: Arc<[u8]> = response.into();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let response = response.clone();
            tokio::spawn(async move {
                let mut head = vec![0; 4096];
                // Each head comes in one piece: it is small and the sender writes it at once.
                while let Ok(1..) = stream.read(&mut head).await {
                    stream.write_all(&response).await.unwrap();
                }
            });
        }
    });
    address
}

async fn start_outrigger(upstream: SocketAddr) -> SocketAddr {
    let build = BuildContext::new(Arc::new(Context::default()));
    let cluster = format!(
        "{{name: upstream, type: STATIC, connect_timeout: 1s, load_assignment: {{cluster_name: upstream, endpoints: \
         [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {}}}}}}}}}]}}]}}}}",
        upstream.port()
    );
    build
        .clusters
        .add_static(&proto::<Cluster>(&cluster))
        .unwrap();
    let listener_context = ListenerContext {
        stat_prefix: "listener.bench.",
        buffer_limit: 1024 * 1024,
        drain: Default::default(),
        overload: Default::default(),
        access_logs: &AccessLogs::default(),
    };
    let hcm =
        HttpConnectionManager::compile(&proto::<Proto>(HCM), &build, &listener_context).unwrap();
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(Box::pin(hcm.clone().serve(
                Stream::Tcp(stream),
                connection_info(),
                None,
            )));
        }
    });
    address
}

async fn start_hyper(upstream: SocketAddr) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(hyper_proxy::serve(listener, upstream));
    address
}

struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    async fn connect(target: SocketAddr) -> Self {
        let stream = TcpStream::connect(target).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: vec![0; 16 * 1024],
        }
    }

    async fn requests(&mut self, count: u64) {
        for _ in 0..count {
            self.request().await;
        }
    }

    async fn request(&mut self) {
        self.stream.write_all(REQUEST).await.unwrap();
        let mut filled = 0;
        let end = loop {
            let length = self.stream.read(&mut self.buffer[filled..]).await.unwrap();
            assert!(length != 0, "connection closed");
            filled += length;
            if let Some(end) = memchr::memmem::find(&self.buffer[..filled], b"\r\n\r\n") {
                break end + 4;
            }
        };
        assert!(self.buffer.starts_with(b"HTTP/1.1 200"));
        while filled < end + BODY {
            filled += self.stream.read(&mut self.buffer[filled..]).await.unwrap();
        }
    }
}

/// `count` requests, spread over connections that are all busy at once.
async fn drive(clients: &mut Vec<Client>, count: u64) {
    let each = count.div_ceil(clients.len() as u64);
    let tasks: Vec<_> = clients
        .drain(..)
        .map(|mut client| {
            tokio::spawn(async move {
                client.requests(each).await;
                client
            })
        })
        .collect();
    for task in tasks {
        clients.push(task.await.unwrap());
    }
}

fn bench(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    name: &str,
    target: SocketAddr,
) {
    let mut client = runtime.block_on(Client::connect(target));
    group.bench_function(format!("{name}/1 connection"), |b| {
        b.iter_custom(|count| {
            runtime.block_on(async {
                let begin = Instant::now();
                client.requests(count).await;
                begin.elapsed()
            })
        });
    });
    let mut clients = runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            clients.push(Client::connect(target).await);
        }
        clients
    });
    group.bench_function(format!("{name}/{CONNECTIONS} connections"), |b| {
        b.iter_custom(|count| {
            runtime.block_on(async {
                let begin = Instant::now();
                drive(&mut clients, count).await;
                let rounded_up = count.div_ceil(CONNECTIONS as u64) * CONNECTIONS as u64;
                begin.elapsed().mul_f64(count as f64 / rounded_up as f64)
            })
        });
    });
}

pub fn benches(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut group = c.benchmark_group("request");
    group.throughput(Throughput::Elements(1));
    let upstream = runtime.block_on(start_upstream());
    bench(&mut group, &runtime, "no proxy", upstream);
    let outrigger = runtime.block_on(start_outrigger(upstream));
    bench(&mut group, &runtime, "outrigger", outrigger);
    let hyper = runtime.block_on(start_hyper(upstream));
    bench(&mut group, &runtime, "bare hyper proxy", hyper);
    group.finish();
}
