//! Pools against listeners of the same process.

#![allow(clippy::unwrap_used)]

mod addresses;
mod http1;
mod http2;
mod panics;
mod proxied;

use super::{CloseReason, FailureReason};
use crate::{BuildContext, Cluster, LbContext, Priority, pool::Http1Connection};
use envoy_api::pb::envoy::config::{
    cluster::v3 as proto,
    cluster::v3::{CircuitBreakers, circuit_breakers::Thresholds},
    core::v3 as core,
    endpoint::v3 as endpoint,
};
use outrigger_core::{Address, ConnectionInfo, Context};
use socket2::{Domain, Socket, Type};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::yield_now,
    time,
};

/// A downstream connection from this port.
fn client(port: u16) -> ConnectionInfo {
    let address = |port| Address::Ip(SocketAddr::new([127, 0, 0, 1].into(), port));
    ConnectionInfo::new(1, address(80), address(port))
}

/// A STATIC cluster of one host.
fn proto(address: SocketAddr) -> proto::Cluster {
    of_host(lb_endpoint(address))
}

fn of_host(host: endpoint::LbEndpoint) -> proto::Cluster {
    proto::Cluster {
        name: "up".into(),
        load_assignment: Some(endpoint::ClusterLoadAssignment {
            cluster_name: "up".into(),
            endpoints: vec![endpoint::LocalityLbEndpoints {
                lb_endpoints: vec![host],
                ..Default::default()
            }],
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn socket_address(address: SocketAddr) -> core::Address {
    core::Address {
        address: Some(core::address::Address::SocketAddress(core::SocketAddress {
            port_specifier: Some(core::socket_address::PortSpecifier::PortValue(
                address.port().into(),
            )),
            ..source_address(&address.ip().to_string())
        })),
    }
}

fn source_address(ip: &str) -> core::SocketAddress {
    core::SocketAddress {
        address: ip.into(),
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(0)),
        ..Default::default()
    }
}

fn lb_endpoint(address: SocketAddr) -> endpoint::LbEndpoint {
    endpoint::LbEndpoint {
        host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(
            endpoint::Endpoint {
                address: Some(socket_address(address)),
                ..Default::default()
            },
        )),
        ..Default::default()
    }
}

fn limits(limits: Thresholds) -> Option<CircuitBreakers> {
    Some(CircuitBreakers {
        thresholds: vec![limits],
        ..Default::default()
    })
}

fn build(proto: &proto::Cluster) -> Arc<Cluster> {
    let build = BuildContext::new(Arc::new(Context::default()));
    build.clusters.add_static(proto).unwrap();
    build.clusters.get("up").unwrap()
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn closed_port() -> SocketAddr {
    listener().await.1
}

/// A port on which connections neither succeed nor fail: nobody accepts, and the queue is full.
struct Deaf {
    address: SocketAddr,
    _listener: Socket,
    _queue: Vec<Socket>,
}

impl Deaf {
    fn start() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener
            .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let queue = (0..4).map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).unwrap();
            // Most of them stay in progress.
            socket.connect(&address).ok();
            socket
        });
        Self {
            _queue: queue.collect(),
            address: address.as_socket().unwrap(),
            _listener: listener,
        }
    }
}

fn request(cluster: &Arc<Cluster>) -> super::Http1Request {
    let host = cluster.pick(&mut LbContext::new()).unwrap();
    cluster.http1(&host, Priority::Default, &client(1))
}

async fn connection(
    cluster: &Arc<Cluster>,
    listener: &TcpListener,
) -> (Http1Connection, TcpStream) {
    let (connection, peer) = tokio::join!(request(cluster), listener.accept());
    (connection.unwrap(), peer.unwrap().0)
}

/// Lets other tasks and the reactor run until it holds.
async fn until(mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            yield_now().await;
        }
    };
    time::timeout(Duration::from_secs(10), wait).await.unwrap();
}

/// One poll.
async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx))).await
}
