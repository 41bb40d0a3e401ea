#![allow(clippy::unwrap_used)]

mod limits;
mod logs;
mod panics;

use super::*;
use crate::connection::{Incoming, serve};
use envoy_api::{
    Message, Name, pack,
    pb::envoy::{
        config::{
            cluster::v3::Cluster,
            core::v3::{
                Address as AddressProto, Pipe, SocketAddress, TransportSocket,
                address::Address as Specifier, socket_address::PortSpecifier,
            },
            endpoint::v3::{
                ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints,
                lb_endpoint::HostIdentifier,
            },
            listener::v3::{
                Filter, FilterChain, FilterChainMatch, ListenerFilter, filter::ConfigType,
                listener_filter,
            },
        },
        extensions::filters::{
            listener::http_inspector::v3::HttpInspector,
            network::tcp_proxy::v3::{TcpProxy, tcp_proxy::ClusterSpecifier},
        },
    },
    prost_types,
};
use outrigger_core::{Context, runtime::RuntimeUint64, worker};
use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::oneshot,
    time::{Instant, timeout},
};

/// Worker threads, which end with the test.
struct Threads {
    workers: Workers,
    _running: Vec<oneshot::Sender<()>>,
}

fn threads(count: usize) -> Threads {
    let mut handles = Vec::new();
    let mut running = Vec::new();
    for index in 0..count {
        let (sender, receiver) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        handles.push(runtime.handle().clone());
        running.push(sender);
        std::thread::spawn(move || {
            worker::set_current(index);
            runtime.block_on(receiver).ok();
        });
    }
    Threads {
        workers: Workers::new(handles),
        _running: running,
    }
}

fn ip(address: SocketAddr) -> AddressProto {
    AddressProto {
        address: Some(Specifier::SocketAddress(SocketAddress {
            address: address.ip().to_string(),
            port_specifier: Some(PortSpecifier::PortValue(address.port().into())),
            ..Default::default()
        })),
    }
}

fn any_port() -> AddressProto {
    ip("127.0.0.1:0".parse().unwrap())
}

fn cluster(name: &str, host: SocketAddr) -> Cluster {
    Cluster {
        name: name.into(),
        load_assignment: Some(ClusterLoadAssignment {
            cluster_name: name.into(),
            endpoints: vec![LocalityLbEndpoints {
                lb_endpoints: vec![LbEndpoint {
                    host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
                        address: Some(ip(host)),
                        ..Default::default()
                    })),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn tcp_proxy(cluster: &str) -> Filter {
    let proxy = TcpProxy {
        stat_prefix: "p".into(),
        cluster_specifier: Some(ClusterSpecifier::Cluster(cluster.into())),
        ..Default::default()
    };
    Filter {
        name: "tcp".into(),
        config_type: Some(ConfigType::TypedConfig(pack(&proxy))),
    }
}

fn chain(filters: Vec<Filter>) -> FilterChain {
    FilterChain {
        name: "fc".into(),
        filters,
        ..Default::default()
    }
}

fn listener(name: &str) -> Proto {
    Proto {
        name: name.into(),
        // Otherwise all that ask for any port would share their stats.
        stat_prefix: name.into(),
        address: Some(any_port()),
        filter_chains: vec![chain(vec![tcp_proxy("c")])],
        ..Default::default()
    }
}

fn listener_filter<M: Message + Name>(message: &M) -> ListenerFilter {
    ListenerFilter {
        name: "f".into(),
        config_type: Some(listener_filter::ConfigType::TypedConfig(pack(message))),
        ..Default::default()
    }
}

struct Setup {
    manager: ListenerManager,
    upstream: TcpListener,
    threads: Threads,
}

impl Setup {
    async fn new(workers: usize) -> Self {
        Self::with(Context {
            concurrency: workers,
            ..Default::default()
        })
        .await
    }

    async fn with(context: Context) -> Self {
        let workers = context.concurrency;
        let global = RuntimeUint64::new(u64::MAX, "global", &context.runtime);
        let build = BuildContext::new(Arc::new(context));
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = upstream.local_addr().unwrap();
        build.clusters.add_static(&cluster("c", host)).unwrap();
        Self {
            manager: ListenerManager::new(build, Arc::new(ConnectionLimit::new(global))),
            upstream,
            threads: threads(workers),
        }
    }

    fn start(&self) -> Vec<SocketAddr> {
        self.manager.start_workers(&self.threads.workers).unwrap();
        self.manager
            .addresses()
            .iter()
            .filter_map(|(_, addresses)| addresses.first()?.ip())
            .collect()
    }

    /// One listener that runs.
    fn serve(&self, proto: &Proto) -> (SocketAddr, Arc<Listener>) {
        self.manager.add_static(proto).unwrap();
        let addresses = self.start();
        (addresses[0], self.manager.listeners().remove(0))
    }

    fn refused(&self, proto: &Proto) -> String {
        self.manager.add_static(proto).unwrap_err().to_string()
    }

    /// A client and its connection at the upstream.
    async fn session(&self, address: SocketAddr) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(address).await.unwrap();
        let (upstream, _) = self.upstream.accept().await.unwrap();
        (client, upstream)
    }
}

/// Waits for what another thread is about to do.
async fn eventually(mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), wait).await.unwrap();
}

/// The proxy has closed: FIN or, if it had not read everything, RST.
async fn closed(client: &mut TcpStream) -> bool {
    matches!(client.read(&mut [0; 8]).await, Ok(0) | Err(_))
}

#[tokio::test]
async fn nobody_gets_in_before_the_workers_start_or_after_the_stop() {
    let setup = Setup::new(1).await;
    setup.manager.add_static(&listener("l")).unwrap();
    let address = setup.manager.addresses()[0].1[0].ip().unwrap();
    let refused = |result: io::Result<TcpStream>| {
        result.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
    };
    assert!(refused(TcpStream::connect(address).await));
    setup.start();
    let (mut client, mut upstream) = setup.session(address).await;
    client.write_all(b"ping").await.unwrap();
    upstream.read_exact(&mut [0; 4]).await.unwrap();

    setup.manager.stop_listeners(false);
    let wait = async { while !refused(TcpStream::connect(address).await) {} };
    timeout(Duration::from_secs(10), wait).await.unwrap();
    // Those who are in stay.
    upstream.write_all(b"pong").await.unwrap();
    client.read_exact(&mut [0; 4]).await.unwrap();
    assert_eq!(setup.manager.stats.listener_stopped.get(), 1);
}

#[tokio::test]
async fn whoever_has_connected_before_the_end_is_served() {
    let setup = Setup::new(1).await;
    let (address, listener) = setup.serve(&listener("l"));
    // More than the worker accepts meanwhile: the others wait in the queue.
    let connect = || std::net::TcpStream::connect(address).unwrap();
    let connected: Vec<_> = (0..100).map(|_| connect()).collect();
    setup.manager.finish_listeners();
    let mut open = Vec::new();
    for client in connected {
        client.set_nonblocking(true).unwrap();
        let mut client = TcpStream::from_std(client).unwrap();
        client.write_all(b"ping").await.unwrap();
        let (mut upstream, _) = setup.upstream.accept().await.unwrap();
        upstream.read_exact(&mut [0; 4]).await.unwrap();
        open.push((client, upstream));
    }
    let refused = || {
        let connected = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(1));
        connected.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
    };
    eventually(refused).await;
    assert_eq!(setup.manager.open_connections(), 100);
    assert!(!setup.manager.is_quiet());
    drop(open);
    eventually(|| setup.manager.is_quiet()).await;
    assert_eq!(listener.stats.downstream_cx_total.get(), 100);
}

#[tokio::test]
async fn connections_are_counted_from_chain_to_end() {
    let setup = Setup::new(1).await;
    let (address, listener) = setup.serve(&listener("l"));
    let (client, upstream) = setup.session(address).await;
    let stats = &listener.stats;
    let worker = &listener.worker_stats[0];
    assert_eq!(stats.downstream_cx_total.get(), 1);
    assert_eq!(stats.downstream_cx_active.get(), 1);
    assert_eq!(worker.downstream_cx_active.get(), 1);
    drop((client, upstream));
    eventually(|| stats.downstream_cx_destroy.get() == 1).await;
    eventually(|| worker.downstream_cx_active.get() == 0).await;
    assert_eq!(stats.downstream_cx_active.get(), 0);
    assert_eq!(worker.downstream_cx_total.get(), 1);
    for histogram in [
        &stats.connections_accepted_per_socket_event,
        &stats.downstream_cx_length_ms,
    ] {
        histogram.flush();
        assert!(histogram.used());
    }
    assert_eq!(setup.manager.stats.listener_create_success.get(), 1);
}

#[tokio::test]
async fn few_connections_are_shared_out_exactly() {
    let setup = Setup::new(2).await;
    let (address, listener) = setup.serve(&listener("l"));
    let mut sessions = Vec::new();
    for _ in 0..6 {
        sessions.push(setup.session(address).await);
    }
    for worker in &listener.worker_stats {
        assert_eq!(worker.downstream_cx_active.get(), 3);
    }
    for (client, upstream) in &mut sessions {
        client.write_all(b"x").await.unwrap();
        upstream.read_exact(&mut [0; 1]).await.unwrap();
    }
}

#[tokio::test]
async fn a_shared_socket_serves_all_workers() {
    let setup = Setup::new(2).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let pipe = Proto {
        address: Some(AddressProto {
            address: Some(Specifier::Pipe(Pipe {
                path: path.to_str().unwrap().into(),
                mode: 0o600,
            })),
        }),
        ..listener("l")
    };
    setup.manager.add_static(&pipe).unwrap();
    setup.start();
    let mut client = UnixStream::connect(&path).await.unwrap();
    let (mut upstream, _) = setup.upstream.accept().await.unwrap();
    client.write_all(b"x").await.unwrap();
    upstream.read_exact(&mut [0; 1]).await.unwrap();
}

#[tokio::test]
async fn the_inspector_chooses_the_chain() {
    let setup = Setup::new(1).await;
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let clusters = &setup.manager.build.clusters;
    let host = other.local_addr().unwrap();
    clusters.add_static(&cluster("http", host)).unwrap();
    let http = FilterChain {
        filter_chain_match: Some(FilterChainMatch {
            application_protocols: vec!["http/1.1".into()],
            ..Default::default()
        }),
        ..chain(vec![tcp_proxy("http")])
    };
    let proto = Proto {
        filter_chains: vec![chain(vec![tcp_proxy("c")]), http],
        listener_filters: vec![listener_filter(&HttpInspector {})],
        ..listener("l")
    };
    let (address, listener) = setup.serve(&proto);
    let mut client = TcpStream::connect(address).await.unwrap();
    eventually(|| listener.stats.downstream_pre_cx_active.get() == 1).await;
    client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let (mut upstream, _) = other.accept().await.unwrap();
    assert_eq!(listener.stats.downstream_pre_cx_active.get(), 0);
    let mut line = [0; 16];
    upstream.read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"GET / HTTP/1.1\r\n");

    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"\x16\x03\x01").await.unwrap();
    setup.upstream.accept().await.unwrap();
    drop(TcpStream::connect(address).await.unwrap());
    let left = &listener.stats.downstream_listener_filter_remote_close;
    eventually(|| left.get() == 1).await;
}

#[tokio::test]
async fn a_silent_client_is_closed_or_let_through() {
    for go_on in [false, true] {
        let setup = Setup::new(1).await;
        let proto = Proto {
            listener_filters: vec![listener_filter(&HttpInspector {})],
            listener_filters_timeout: Some(prost_types::Duration {
                seconds: 0,
                nanos: 1_000_000,
            }),
            continue_on_listener_filters_timeout: go_on,
            ..listener("l")
        };
        let (address, listener) = setup.serve(&proto);
        let mut client = TcpStream::connect(address).await.unwrap();
        if go_on {
            setup.upstream.accept().await.unwrap();
        } else {
            assert!(closed(&mut client).await);
        }
        assert_eq!(listener.stats.downstream_pre_cx_timeout.get(), 1);
        assert_eq!(listener.stats.downstream_cx_total.get(), u64::from(go_on));
    }
}

#[tokio::test]
async fn without_a_chain_or_a_filter_it_closes() {
    let setup = Setup::new(1).await;
    let unmatched = FilterChain {
        filter_chain_match: Some(FilterChainMatch {
            destination_port: Some(1),
            ..Default::default()
        }),
        ..chain(vec![tcp_proxy("c")])
    };
    let none = Proto {
        filter_chains: vec![unmatched.clone()],
        ..listener("none")
    };
    let default = Proto {
        filter_chains: vec![unmatched],
        default_filter_chain: Some(chain(vec![])),
        ..listener("default")
    };
    setup.manager.add_static(&none).unwrap();
    setup.manager.add_static(&default).unwrap();
    let addresses = setup.start();
    let listeners = setup.manager.listeners();
    for address in addresses {
        let mut client = TcpStream::connect(address).await.unwrap();
        assert!(closed(&mut client).await);
    }
    assert_eq!(listeners[0].stats.no_filter_chain_match.get(), 1);
    assert_eq!(listeners[0].stats.downstream_cx_total.get(), 0);
    assert_eq!(listeners[1].stats.no_filter_chain_match.get(), 0);
    eventually(|| listeners[1].stats.downstream_cx_destroy.get() == 1).await;
}

#[tokio::test]
async fn an_original_destination_finds_its_listener() {
    let setup = Setup::new(1).await;
    for (name, address) in [
        ("exact", "10.0.0.1:80"),
        ("all", "0.0.0.0:80"),
        ("all6", "[::]:80"),
    ] {
        let proto = Proto {
            address: Some(ip(address.parse().unwrap())),
            bind_to_port: Some(false),
            ..listener(name)
        };
        setup.manager.add_static(&proto).unwrap();
    }
    let found = |address: &str| {
        let listener = setup.manager.directory.find(address.parse().unwrap())?;
        Some(listener.name().to_string())
    };
    assert_eq!(found("10.0.0.1:80").as_deref(), Some("exact"));
    assert_eq!(found("10.0.0.2:80").as_deref(), Some("all"));
    assert_eq!(found("[fd00::1]:80").as_deref(), Some("all6"));
    assert_eq!(found("10.0.0.1:81"), None);
}

#[tokio::test]
async fn refuses_in_envoys_words() {
    let setup = Setup::new(1).await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = taken.local_addr().map(|address| (taken, address)).unwrap();
    let at = |name: &str, address| Proto {
        address: Some(ip(address)),
        ..listener(name)
    };
    assert_eq!(
        setup.refused(&at("l", taken.1)),
        format!("cannot bind '{}': Address already in use", taken.1)
    );
    drop(taken.0);
    let unbound = Proto {
        bind_to_port: Some(false),
        ..at("l1", taken.1)
    };
    setup.manager.add_static(&unbound).unwrap();
    assert_eq!(
        setup.refused(&Proto {
            name: "l2".into(),
            ..unbound
        }),
        format!(
            "error adding listener: 'l2' has duplicate address '{}' as existing listener, to check if the listener \
             has duplicated addresses with other listeners or 'enable_reuse_port' is set to 'false' for the listener",
            taken.1
        )
    );
    assert_eq!(
        setup.refused(&Proto {
            address: None,
            ..listener("l")
        }),
        "error adding listener named 'l': address is necessary"
    );
    assert_eq!(
        setup.refused(&Proto {
            filter_chains: vec![],
            ..listener("l")
        }),
        "filter_chains: error adding listener '127.0.0.1:0': no filter chains specified"
    );
    assert_eq!(
        setup.refused(&Proto {
            filter_chains: vec![chain(vec![tcp_proxy("c"), tcp_proxy("c")])],
            ..listener("l")
        }),
        "filter_chains[0].filters[0]: Error: terminal filter named tcp of type envoy.filters.network.tcp_proxy must \
         be the last filter in a network filter chain."
    );
    assert_eq!(
        setup.refused(&Proto {
            filter_chains: vec![chain(vec![Filter {
                name: "foo".into(),
                config_type: None
            }])],
            ..listener("l")
        }),
        "filter_chains[0].filters[0]: Didn't find a registered implementation for 'foo' with type URL: ''"
    );
    let tls = FilterChain {
        transport_socket: Some(TransportSocket {
            name: "envoy.transport_sockets.tls".into(),
            config_type: None,
        }),
        ..chain(vec![tcp_proxy("c")])
    };
    let error = setup.refused(&Proto {
        filter_chains: vec![tls],
        ..listener("l")
    });
    assert!(
        error.starts_with("filter_chains[0].transport_socket: "),
        "{error}"
    );
}

#[tokio::test]
async fn udp_and_odd_addresses_are_refused() {
    let setup = Setup::new(1).await;
    let socket = |change: fn(&mut SocketAddress)| {
        let mut socket = SocketAddress {
            address: "127.0.0.1".into(),
            port_specifier: Some(PortSpecifier::PortValue(0)),
            ..Default::default()
        };
        change(&mut socket);
        setup.refused(&Proto {
            address: Some(AddressProto {
                address: Some(Specifier::SocketAddress(socket)),
            }),
            ..listener("l")
        })
    };
    assert!(socket(|s| s.protocol = 1).starts_with("address.socket_address.protocol: "));
    assert_eq!(
        socket(|s| s.ipv4_compat = true),
        "address.socket_address.ipv4_compat: Only IPv6 address '::' or valid IPv4-mapped IPv6 address can set \
         ipv4_compat: 127.0.0.1:0"
    );
    let pipe = |path: &str| {
        setup.refused(&Proto {
            address: Some(AddressProto {
                address: Some(Specifier::Pipe(Pipe {
                    path: path.into(),
                    mode: 0o600,
                })),
            }),
            ..listener("l")
        })
    };
    assert_eq!(
        pipe("@x"),
        "address.pipe.mode: Cannot set mode for Abstract AF_UNIX sockets"
    );
    let long = format!("/{}", "a".repeat(107));
    assert_eq!(
        pipe(&long),
        format!(
            "address.pipe.path: Path \"{long}\" exceeds maximum UNIX domain socket path size of 108."
        )
    );
}

#[tokio::test]
async fn the_future_of_a_connection_is_small() {
    let setup = Setup::new(1).await;
    let (_, listener) = setup.serve(&listener("l"));
    let (stream, _other) = UnixStream::pair().unwrap();
    let remote = Address::Pipe(Arc::default());
    let stream = outrigger_transport::Stream::Unix(stream);
    let incoming = Incoming {
        accepted: outrigger_transport::accept::Accepted::from_stream(stream, remote.clone())
            .unwrap(),
        bound: remote,
        permits: [None, None],
        start_time: SystemTime::now(),
        start: Instant::now(),
    };
    let workers = Arc::new(setup.threads.workers.clone());
    let size = size_of_val(&serve(listener, incoming, None, workers));
    assert!(size <= 900, "{size}");
}
