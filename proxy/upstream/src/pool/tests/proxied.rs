//! Pools of connections that begin with a PROXY header.

use super::*;
use envoy_api::{
    pack,
    pb::envoy::extensions::transport_sockets::{
        proxy_protocol::v3::ProxyProtocolUpstreamTransport, raw_buffer::v3::RawBuffer,
    },
};

fn socket<M: envoy_api::Message + envoy_api::Name>(message: &M) -> core::TransportSocket {
    core::TransportSocket {
        name: "socket".into(),
        config_type: Some(core::transport_socket::ConfigType::TypedConfig(pack(
            message,
        ))),
    }
}

fn proxied(address: SocketAddr) -> proto::Cluster {
    proto::Cluster {
        transport_socket: Some(socket(&ProxyProtocolUpstreamTransport {
            transport_socket: Some(socket(&RawBuffer {})),
            ..Default::default()
        })),
        ..proto(address)
    }
}

async fn line(peer: &mut TcpStream, length: usize) -> String {
    let mut line = vec![0; length];
    peer.read_exact(&mut line).await.unwrap();
    String::from_utf8(line).unwrap()
}

#[tokio::test]
async fn a_connection_is_for_the_client_that_it_names() {
    let (listener, address) = listener().await;
    let cluster = build(&proxied(address));
    let host = cluster.pick(&mut LbContext::new()).unwrap();
    let mut peers = Vec::new();
    for port in [1, 2] {
        let from = client(port);
        let (connection, accepted) = tokio::join!(
            cluster.http1(&host, Priority::Default, &from),
            listener.accept()
        );
        let mut peer = accepted.unwrap().0;
        let expected = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {port} 80\r\n");
        assert_eq!(line(&mut peer, expected.len()).await, expected);
        connection.unwrap().release(time::Instant::now());
        peers.push(peer);
    }
    let again = cluster.http1(&host, Priority::Default, &client(1)).await;
    assert!(again.unwrap().reused);
    assert_eq!(cluster.stats.upstream_cx_total.get(), 2);
}

#[tokio::test]
async fn pools_of_clients_that_are_gone_are_forgotten() {
    let (listener, address) = listener().await;
    let cluster = build(&proxied(address));
    let host = cluster.pick(&mut LbContext::new()).unwrap();
    for port in 1..200 {
        let from = client(port);
        let (connection, _peer) = tokio::join!(
            cluster.http1(&host, Priority::Default, &from),
            listener.accept()
        );
        connection.unwrap().close(CloseReason::Local);
    }
    assert!(
        host.proxied_http1_pools() <= 64,
        "{}",
        host.proxied_http1_pools()
    );
}

#[test]
fn what_it_wraps_must_be_raw() {
    let (name, raw) = ("cluster", "envoy.transport_sockets.tls");
    let inner = core::TransportSocket {
        name: raw.into(),
        config_type: None,
    };
    let cluster = proto::Cluster {
        transport_socket: Some(socket(&ProxyProtocolUpstreamTransport {
            transport_socket: Some(inner),
            ..Default::default()
        })),
        ..proto(SocketAddr::from(([127, 0, 0, 1], 1)))
    };
    let build = BuildContext::new(Arc::new(Context::default()));
    let error = build.clusters.add_static(&cluster).unwrap_err().to_string();
    assert!(error.contains(name) && error.contains(raw), "{error}");
}
