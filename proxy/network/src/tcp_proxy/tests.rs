#![allow(clippy::unwrap_used)]
use super::*;
use envoy_api::pb::envoy::{
    config::{
        cluster::v3::{CircuitBreakers, Cluster as ClusterProto, circuit_breakers::Thresholds},
        core::v3::{self as core_proto, address, socket_address::PortSpecifier},
        endpoint::v3::{
            ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints,
            lb_endpoint::HostIdentifier,
        },
    },
    extensions::filters::network::tcp_proxy::v3::{
        TcpProxy as Proto,
        tcp_proxy::{ClusterSpecifier, TunnelingConfig},
    },
};
use outrigger_core::{Address, ConfigError, ConnectionInfo};
use outrigger_upstream::BuildContext;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::Instant,
};

fn no_tunnels(_: &TunnelingConfig) -> Result<Arc<dyn Tunneling>, ConfigError> {
    Err(ConfigError::new("there is no HTTP here"))
}

struct Setup {
    build: BuildContext,
    upstream: TcpListener,
}

fn cluster(name: &str, hosts: &[SocketAddr]) -> ClusterProto {
    let endpoint = |host: &SocketAddr| LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
            address: Some(core_proto::Address {
                address: Some(address::Address::SocketAddress(core_proto::SocketAddress {
                    address: host.ip().to_string(),
                    port_specifier: Some(PortSpecifier::PortValue(host.port().into())),
                    ..Default::default()
                })),
            }),
            ..Default::default()
        })),
        ..Default::default()
    };
    ClusterProto {
        name: name.into(),
        load_assignment: Some(ClusterLoadAssignment {
            cluster_name: name.into(),
            endpoints: vec![LocalityLbEndpoints {
                lb_endpoints: hosts.iter().map(endpoint).collect(),
                ..Default::default()
            }],
            ..Default::default()
        }),
        ..Default::default()
    }
}

async fn setup() -> Setup {
    let build = BuildContext::new(Arc::default());
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = upstream.local_addr().unwrap();
    build
        .clusters
        .add_static(&cluster("c", &[address]))
        .unwrap();
    Setup { build, upstream }
}

fn proto(cluster: &str) -> Proto {
    Proto {
        stat_prefix: "p".into(),
        cluster_specifier: Some(ClusterSpecifier::Cluster(cluster.into())),
        ..Default::default()
    }
}

/// A client whose connection is being served.
struct Session {
    client: TcpStream,
    served: JoinHandle<StreamInfo>,
    stats: Arc<TcpProxyStats>,
}

impl Setup {
    async fn session(&self, proto: &Proto, limit: u32) -> Session {
        let proxy = TcpProxy::compile(proto, &self.build, limit, no_tunnels).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let (stream, peer) = accepted.unwrap();
        let local = Address::Ip(listener.local_addr().unwrap());
        let connection = Arc::new(ConnectionInfo::new(1, local, Address::Ip(peer)));
        let stats = proxy.stats.clone();
        let served = tokio::spawn(async move {
            let (start_time, start) = (connection.start_time, connection.start);
            let mut info = StreamInfo::new(connection, start_time, start, 1);
            proxy.serve(Stream::Tcp(stream), &mut info, None).await;
            info
        });
        Session {
            client: client.unwrap(),
            served,
            stats,
        }
    }

    /// A session with its upstream connection.
    async fn connected(&self, proto: &Proto, limit: u32) -> (Session, TcpStream) {
        let session = self.session(proto, limit).await;
        let (upstream, _) = self.upstream.accept().await.unwrap();
        (session, upstream)
    }
}

fn flags(info: &StreamInfo) -> Vec<&'static str> {
    info.flags.iter().map(ResponseFlag::short).collect()
}

fn reset(stream: TcpStream) {
    Stream::Tcp(stream).reset();
}

async fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    bytes
}

async fn is_reset(stream: &mut TcpStream) -> bool {
    let error = stream.read(&mut [0; 8]).await.unwrap_err();
    error.kind() == io::ErrorKind::ConnectionReset
}

#[tokio::test]
async fn each_end_may_finish_first() {
    let setup = setup().await;
    for client_first in [true, false] {
        let (
            Session {
                mut client,
                served,
                stats,
            },
            mut upstream,
        ) = setup.connected(&proto("c"), 0).await;
        client.write_all(b"hello").await.unwrap();
        upstream.write_all(b"worldxx").await.unwrap();
        let (first, second) = if client_first {
            (&mut client, &mut upstream)
        } else {
            (&mut upstream, &mut client)
        };
        first.shutdown().await.unwrap();
        let heard = read_all(second).await;
        second.write_all(b"late").await.unwrap();
        second.shutdown().await.unwrap();
        let late = read_all(first).await;
        assert!(late.ends_with(b"late"));
        let info = served.await.unwrap();
        assert!(info.flags.is_empty());
        assert_eq!(
            info.downstream_wire_bytes_received,
            if client_first {
                heard.len()
            } else {
                late.len()
            } as u64
        );
        assert_eq!(info.body_bytes_sent, info.upstream.wire_bytes_received);
        assert_eq!(stats.downstream_cx_total.get(), 1);
        assert_eq!(
            stats.downstream_cx_rx_bytes_total.get(),
            info.body_bytes_received
        );
        assert_eq!(info.attempt_count, 1);
    }
    let cluster = setup.build.clusters.get("c").unwrap();
    assert_eq!(cluster.stats.upstream_cx_destroy_remote.get(), 1);
    assert_eq!(cluster.stats.upstream_cx_destroy_local.get(), 1);
    assert_eq!(cluster.stats.upstream_cx_tx_bytes_total.get(), 5 + 9);
    assert_eq!(cluster.stats.upstream_cx_rx_bytes_total.get(), 11 + 7);
}

#[tokio::test]
async fn a_reset_goes_through() {
    let setup = setup().await;
    let (mut session, upstream) = setup.connected(&proto("c"), 0).await;
    // A round trip, so that the upstream connection counts as established.
    let mut upstream = upstream;
    upstream.write_all(b"x").await.unwrap();
    session.client.read_exact(&mut [0; 1]).await.unwrap();
    reset(upstream);
    assert!(is_reset(&mut session.client).await);
    let info = session.served.await.unwrap();
    assert_eq!(flags(&info), ["UR"]);
    assert_eq!(
        info.upstream.detected_close_type,
        Some(DetectedCloseType::RemoteReset)
    );
    assert_eq!(
        info.downstream_detected_close_type,
        DetectedCloseType::LocalReset
    );

    let (session, mut upstream) = setup.connected(&proto("c"), 0).await;
    reset(session.client);
    assert!(is_reset(&mut upstream).await);
    let info = session.served.await.unwrap();
    assert!(info.flags.is_empty());
    assert_eq!(
        info.downstream_detected_close_type,
        DetectedCloseType::RemoteReset
    );
}

#[tokio::test]
async fn says_why_there_is_no_upstream() {
    let setup = setup().await;
    let nobody = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let mut full = cluster("full", &[setup.upstream.local_addr().unwrap()]);
    full.circuit_breakers = Some(CircuitBreakers {
        thresholds: vec![Thresholds {
            max_connections: Some(0),
            ..Default::default()
        }],
        ..Default::default()
    });
    for proto in [cluster("refused", &[nobody]), cluster("empty", &[]), full] {
        setup.build.clusters.add_static(&proto).unwrap();
    }
    for (name, expected, code, attempts) in [
        (
            "refused",
            &["UF", "URX"][..],
            "tcp_initializion_failure:0",
            2,
        ),
        ("empty", &["UH"], "tcp_initializion_failure:1", 0),
        ("full", &["UO"], "tcp_initializion_failure:2", 0),
        ("missing", &["NC"], "tcp_initializion_failure:3", 0),
    ] {
        let proto = Proto {
            max_connect_attempts: Some(2),
            ..proto(name)
        };
        let mut session = setup.session(&proto, 0).await;
        assert!(read_all(&mut session.client).await.is_empty());
        let info = session.served.await.unwrap();
        assert_eq!(flags(&info), expected, "{name}");
        assert_eq!(info.downstream_local_close_reason, code);
        assert_eq!(info.attempt_count, attempts);
        assert_eq!(info.cluster.is_some(), name != "missing");
        assert_eq!(
            session.stats.downstream_cx_no_route.get(),
            u64::from(name == "missing")
        );
    }
    let refused = setup.build.clusters.get("refused").unwrap();
    assert_eq!(refused.stats.upstream_cx_connect_attempts_exceeded.get(), 1);
    assert_eq!(refused.stats.upstream_cx_connect_fail.get(), 2);
}

#[tokio::test]
async fn idle_and_long_sessions_end() {
    let setup = setup().await;
    let ms = envoy_api::prost_types::Duration {
        seconds: 0,
        nanos: 1_000_000,
    };
    let idle = Proto {
        idle_timeout: Some(ms),
        ..proto("c")
    };
    let (mut session, mut upstream) = setup.connected(&idle, 0).await;
    assert!(read_all(&mut session.client).await.is_empty());
    assert!(read_all(&mut upstream).await.is_empty());
    let info = session.served.await.unwrap();
    assert!(info.flags.is_empty());
    assert_eq!(info.downstream_local_close_reason, IDLE_TIMEOUT);
    assert_eq!(info.upstream.local_close_reason, IDLE_TIMEOUT);
    assert_eq!(session.stats.idle_timeout.get(), 1);

    let long = Proto {
        max_downstream_connection_duration: Some(ms),
        ..proto("c")
    };
    let mut session = setup.session(&long, 0).await;
    assert!(read_all(&mut session.client).await.is_empty());
    let info = session.served.await.unwrap();
    assert_eq!(flags(&info), ["DT"]);
    assert_eq!(info.downstream_local_close_reason, MAX_DURATION);
    assert_eq!(session.stats.max_downstream_connection_duration.get(), 1);
}

#[tokio::test]
async fn bulk_arrives_whole_through_a_small_buffer_and_a_slow_reader() {
    const TOTAL: usize = 8 << 20;
    let setup = setup().await;
    for limit in [1000, 0] {
        let (session, mut upstream) = setup.connected(&proto("c"), limit).await;
        let Session {
            mut client,
            served,
            stats,
        } = session;
        let sent: Vec<u8> = (0..TOTAL).map(|i| (i % 251) as u8).collect();
        let expected = sent.clone();
        let writer = tokio::spawn(async move {
            client.write_all(&sent).await.unwrap();
            client.shutdown().await.unwrap();
            read_all(&mut client).await
        });
        // Nothing is read until the proxy has stopped reading for want of room.
        while stats.downstream_flow_control_paused_reading_total.get() == 0 {
            tokio::task::yield_now().await;
        }
        let cluster = setup.build.clusters.get("c").unwrap();
        let waiting = &cluster.stats.upstream_cx_tx_bytes_buffered;
        assert!(waiting.get() > 0);
        assert_eq!(read_all(&mut upstream).await, expected);
        drop(upstream);
        assert!(writer.await.unwrap().is_empty());
        let info = served.await.unwrap();
        assert_eq!(info.body_bytes_received, TOTAL as u64);
        assert_eq!(info.upstream.wire_bytes_sent, TOTAL as u64);
        assert!(stats.downstream_flow_control_resumed_reading_total.get() > 0);
        assert_eq!(waiting.get(), 0);
        // Bulk went through a pipe, if the buffer limit had room for one.
        assert_eq!(crate::splice::spare(), usize::from(limit == 0));
    }
}

#[tokio::test]
async fn weights_share_out_connections() {
    use envoy_api::pb::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::{
        WeightedCluster as Weighted, weighted_cluster::ClusterWeight,
    };
    let setup = setup().await;
    let proto = Proto {
        cluster_specifier: Some(ClusterSpecifier::WeightedClusters(Weighted {
            clusters: [("c", 3), ("missing", 1)]
                .map(|(name, weight)| ClusterWeight {
                    name: name.into(),
                    weight,
                    ..Default::default()
                })
                .into(),
        })),
        ..proto("c")
    };
    let proxy = TcpProxy::compile(&proto, &setup.build, 0, no_tunnels).unwrap();
    let found = (0..4000).filter(|_| proxy.route.pick().is_some()).count();
    assert!((2700..3300).contains(&found), "{found}");
}

#[tokio::test]
async fn refuses_what_it_cannot_do() {
    let setup = setup().await;
    let error = |proto: Proto| {
        TcpProxy::compile(&proto, &setup.build, 0, no_tunnels)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error(Proto::default()),
        "stat_prefix: value length must be at least 1 characters"
    );
    assert_eq!(
        error(Proto {
            tunneling_config: Some(Default::default()),
            ..proto("c")
        }),
        "tunneling_config: there is no HTTP here"
    );
    assert_eq!(
        error(Proto {
            cluster_specifier: None,
            ..proto("c")
        }),
        "cluster_specifier: is required"
    );
}

#[tokio::test]
async fn the_future_of_a_session_is_small() {
    let setup = setup().await;
    let Session {
        mut client, served, ..
    } = setup.session(&proto("missing"), 0).await;
    assert!(read_all(&mut client).await.is_empty());
    let mut info = served.await.unwrap();
    let proxy = TcpProxy::compile(&proto("c"), &setup.build, 0, no_tunnels).unwrap();
    let size = size_of_val(&proxy.serve(Stream::Tcp(client), &mut info, None));
    assert!(size <= 2048, "{size}");
}

#[test]
fn a_backoff_doubles_up_to_its_limit() {
    let backoff = Backoff {
        base: Duration::from_millis(100),
        max: Duration::from_millis(350),
    };
    for (failures, limit) in [(1, 100), (2, 200), (3, 350), (90, 350)] {
        let longest = (0..1000).map(|_| backoff.wait(failures)).max().unwrap();
        assert!(longest < Duration::from_millis(limit), "{longest:?}");
        assert!(longest > Duration::from_millis(limit / 2), "{longest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_wait_for_the_backoff() {
    let setup = setup().await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refuses = nobody.local_addr().unwrap();
    drop(nobody);
    let dead = cluster("dead", &[refuses]);
    setup.build.clusters.add_static(&dead).unwrap();
    let minutes = |minutes: i64| envoy_api::prost_types::Duration {
        seconds: minutes * 60,
        nanos: 0,
    };
    let proto = Proto {
        max_connect_attempts: Some(3),
        backoff_options: Some(core_proto::BackoffStrategy {
            base_interval: Some(minutes(10)),
            max_interval: Some(minutes(15)),
        }),
        ..proto("dead")
    };
    let begin = Instant::now();
    let session = setup.session(&proto, 0).await;
    let info = session.served.await.unwrap();
    assert_eq!(info.attempt_count, 3);
    // Both waits are random: below 10 and 15 minutes, and hardly ever both below one second.
    assert!(begin.elapsed() < Duration::from_secs(25 * 60));
    assert!(begin.elapsed() > Duration::from_secs(1));
}
