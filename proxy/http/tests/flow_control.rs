//! Bodies far beyond the buffer limits pass whole, in both directions and in both at once.
#![allow(clippy::unwrap_used)]

use envoy_api::{
    Format, Message, MessageDescriptor, Name, load,
    pb::envoy::{
        config::cluster::v3::Cluster,
        extensions::filters::network::http_connection_manager::v3::HttpConnectionManager as Proto,
    },
    to_typed,
};
use outrigger_core::{Address, ConnectionInfo, Context, access_log::AccessLogs, stats::Metric};
use outrigger_http::{HttpConnectionManager, ListenerContext};
use outrigger_transport::Stream;
use outrigger_upstream::BuildContext;
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// More than sockets and buffers hold together.
const BODY: usize = 32 * 1024 * 1024;
/// A stalled transfer never ends by itself.
const STALLED: Duration = Duration::from_secs(60);

fn proto<T: Message + Name + Default>(yaml: &str) -> T {
    let descriptor = MessageDescriptor::of::<T>().unwrap();
    let (message, _) = load(&descriptor, Format::Yaml, yaml.as_bytes()).unwrap();
    to_typed(&message).unwrap()
}

fn connection_info() -> Arc<ConnectionInfo> {
    let address = Address::Ip(([127, 0, 0, 1], 1).into());
    Arc::new(ConnectionInfo::new(1, address.clone(), address))
}

/// A connection through a connection manager, the listener of its upstream, and what counts its stats.
async fn proxied(buffer_limit: u32) -> (TcpStream, TcpListener, Arc<Context>) {
    let upstream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let context = Arc::new(Context::default());
    let build = BuildContext::new(context.clone());
    let cluster: Cluster = proto(&format!(
        "{{name: c, type: STATIC, per_connection_buffer_limit_bytes: {buffer_limit}, load_assignment: {{cluster_name: c, \
         endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {}}}}}}}}}]}}]}}}}",
        upstream.local_addr().unwrap().port()
    ));
    build.clusters.add_static(&cluster).unwrap();
    let manager: Proto = proto(
        "{stat_prefix: p, http_filters: [{name: r, typed_config: {\"@type\": \
         type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}], route_config: {virtual_hosts: \
         [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: c}}]}]}}",
    );
    let listener = ListenerContext {
        stat_prefix: "listener.test.",
        buffer_limit,
        drain: Default::default(),
        overload: Default::default(),
        access_logs: &AccessLogs::default(),
    };
    let manager = HttpConnectionManager::compile(&manager, &build, &listener).unwrap();
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address: SocketAddr = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = socket.accept().await.unwrap();
        Box::pin(manager.serve(Stream::Tcp(stream), connection_info(), None)).await;
    });
    let client = TcpStream::connect(address).await.unwrap();
    (client, upstream, context)
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn read_body(stream: &mut TcpStream) {
    let mut buffer = vec![0; 64 * 1024];
    let mut rest = BODY;
    while rest != 0 {
        let length = stream.read(&mut buffer).await.unwrap();
        assert!(length != 0, "{rest} bytes are missing");
        rest -= length;
    }
}

/// How the upstream behaves.
#[derive(Clone, Copy)]
enum Upstream {
    /// Answers once it has the whole body, with a body as long.
    After,
    /// As `After`, and both ends read only when data is held back.
    Stuck,
    /// Sends its head at once and its body when it has the whole request.
    Meanwhile,
}

/// Waits until a counter moves, if it is to.
async fn held_back(context: &Context, how: Upstream, counter: &str) {
    while matches!(how, Upstream::Stuck) && value(context, counter) == 0 {
        tokio::task::yield_now().await;
    }
}

/// Moves the bodies; how often each of the counters of back-pressure moved.
async fn exchange(buffer_limit: u32, how: Upstream) -> [u64; 6] {
    let (client, listener, context) = proxied(buffer_limit).await;
    let body = vec![b'x'; BODY];
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {BODY}\r\n\r\n");
        match how {
            Upstream::After | Upstream::Stuck => {
                held_back(&context, how, COUNTERS[0]).await;
                read_body(&mut stream).await;
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(&body).await.unwrap();
            }
            Upstream::Meanwhile => {
                stream.write_all(head.as_bytes()).await.unwrap();
                read_body(&mut stream).await;
                stream.write_all(&body).await.unwrap();
            }
        }
    };
    let client = async {
        let mut client = client;
        let head = format!("POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: {BODY}\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        if matches!(how, Upstream::Meanwhile) {
            assert!(read_head(&mut client).await.starts_with("HTTP/1.1 200"));
        }
        client.write_all(&body).await.unwrap();
        if !matches!(how, Upstream::Meanwhile) {
            held_back(&context, how, COUNTERS[4]).await;
            assert!(read_head(&mut client).await.starts_with("HTTP/1.1 200"));
        }
        read_body(&mut client).await;
    };
    let both = async { tokio::join!(server, client) };
    timeout(STALLED, both).await.unwrap();
    for gauge in GAUGES {
        assert_eq!(value(&context, gauge), 0, "{gauge}");
    }
    COUNTERS.map(|name| value(&context, name))
}

/// The value of a counter or a gauge.
fn value(context: &Context, name: &str) -> u64 {
    let mut value = None;
    context.stats.visit(&mut |found, metric| match metric {
        Metric::Counter(counter) if found == name => value = Some(counter.get()),
        Metric::Gauge(gauge) if found == name => value = Some(gauge.get()),
        _ => {}
    });
    value.unwrap()
}

/// Show what is held back, and nothing at the end.
const GAUGES: [&str; 4] = [
    "cluster.c.upstream_cx_rx_bytes_buffered",
    "cluster.c.upstream_cx_tx_bytes_buffered",
    "http.p.downstream_cx_rx_bytes_buffered",
    "http.p.downstream_cx_tx_bytes_buffered",
];

/// In pairs: data is held back, and goes on again.
const COUNTERS: [&str; 6] = [
    "cluster.c.upstream_flow_control_backed_up_total",
    "cluster.c.upstream_flow_control_drained_total",
    "http.p.downstream_flow_control_paused_reading_total",
    "http.p.downstream_flow_control_resumed_reading_total",
    "cluster.c.upstream_flow_control_paused_reading_total",
    "cluster.c.upstream_flow_control_resumed_reading_total",
];

#[tokio::test]
async fn bodies_beyond_the_default_limit_pass() {
    exchange(1024 * 1024, Upstream::After).await;
}

#[tokio::test]
async fn bodies_beyond_a_limit_below_one_read_pass() {
    exchange(4 * 1024, Upstream::After).await;
}

#[tokio::test]
async fn back_pressure_is_counted_where_it_begins_and_ends() {
    let counts = exchange(4 * 1024, Upstream::Stuck).await;
    for pair in counts.chunks(2) {
        assert!(pair[0] > 0, "{COUNTERS:?}: {counts:?}");
        assert_eq!(pair[0], pair[1], "{COUNTERS:?}: {counts:?}");
    }
    assert_eq!(counts[0], counts[2]);
}

#[tokio::test]
async fn a_request_goes_on_after_the_head_of_its_response() {
    exchange(4 * 1024, Upstream::Meanwhile).await;
}

#[tokio::test]
async fn a_limit_of_zero_is_no_limit() {
    assert_eq!(exchange(0, Upstream::After).await, [0; 6]);
}
