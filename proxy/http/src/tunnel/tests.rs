//! Tunnels through one upstream, which the test plays.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::route::tests::info;
use envoy_api::pb::envoy::config::{
    cluster::v3::Cluster as ClusterProto,
    core::v3::{Address, SocketAddress, address, socket_address::PortSpecifier},
    endpoint::v3::{
        ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints,
        lb_endpoint::HostIdentifier,
    },
};
use outrigger_core::{Context as ProcessContext, stream_info::FilterState};
use outrigger_upstream::{BuildContext, LbContext};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A cluster of one host, and where that listens.
async fn upstream() -> (Arc<Cluster>, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = address::Address::SocketAddress(SocketAddress {
        address: "127.0.0.1".into(),
        port_specifier: Some(PortSpecifier::PortValue(
            listener.local_addr().unwrap().port().into(),
        )),
        ..Default::default()
    });
    let endpoint = LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
            address: Some(Address {
                address: Some(address),
            }),
            ..Default::default()
        })),
        ..Default::default()
    };
    let build = BuildContext::new(Arc::new(ProcessContext::default()));
    let proto = ClusterProto {
        name: "up".into(),
        per_connection_buffer_limit_bytes: Some(1024),
        load_assignment: Some(ClusterLoadAssignment {
            cluster_name: "up".into(),
            endpoints: vec![LocalityLbEndpoints {
                lb_endpoints: vec![endpoint],
                ..Default::default()
            }],
            ..Default::default()
        }),
        ..Default::default()
    };
    build.clusters.add_static(&proto).unwrap();
    (build.clusters.get("up").unwrap(), listener)
}

fn config(use_post: bool) -> Proto {
    Proto {
        hostname: "host.test:443".into(),
        use_post,
        ..Default::default()
    }
}

/// Asks for a tunnel; the upstream gives this answer.
async fn open(
    proto: &Proto,
    answer: &str,
) -> (Result<Box<dyn Tunnel>, TunnelFailure>, TcpStream, String) {
    let (cluster, listener) = upstream().await;
    let tunneling = Tunneling::compile(proto).unwrap();
    let host = cluster.pick(&mut LbContext::new()).unwrap();
    let opening = tunneling.open(&cluster, &host, &mut info(0));
    let plays = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 1000];
        let n = stream.read(&mut head).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        (stream, String::from_utf8(head[..n].to_vec()).unwrap())
    };
    let (tunnel, (stream, head)) = tokio::join!(opening, plays);
    (tunnel, stream, head)
}

#[tokio::test]
async fn a_connect_carries_bytes_both_ways() {
    let answer = "HTTP/1.1 200 OK\r\n\r\nhello";
    let (tunnel, mut upstream, head) = open(&config(false), answer).await;
    assert_eq!(
        head,
        "CONNECT host.test:443 HTTP/1.1\r\nhost: host.test:443\r\n\r\n"
    );
    let mut tunnel = tunnel.unwrap();
    let mut bytes = [0; 5];
    tunnel.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"hello");
    tunnel.write_all(b"world").await.unwrap();
    upstream.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"world");
    drop(upstream);
    let error = tunnel.read(&mut bytes).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    tunnel.close();
}

#[tokio::test]
async fn the_end_of_a_response_is_the_end_of_what_is_read() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\npong";
    let (tunnel, mut upstream, head) = open(&config(true), answer).await;
    assert!(
        head.starts_with("POST / HTTP/1.1\r\nhost: host.test:443\r\n"),
        "{head}"
    );
    let mut tunnel = tunnel.unwrap();
    let mut bytes = Vec::new();
    tunnel.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, b"pong");
    tunnel.write_all(b"ping").await.unwrap();
    let mut chunk = [0; 9];
    upstream.read_exact(&mut chunk).await.unwrap();
    assert_eq!(&chunk, b"4\r\nping\r\n");
    tunnel.close();
}

#[tokio::test]
async fn the_headers_of_an_answer_are_kept() {
    let proto = Proto {
        propagate_response_headers: true,
        ..config(false)
    };
    let answer = "HTTP/1.1 200 OK\r\nX-Up: 1\r\n\r\n";
    let (tunnel, _upstream, _) = open(&proto, answer).await;
    let mut tunnel = tunnel.unwrap();
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers: Arc<[_]> = Arc::new([field(":status", "200"), field("x-up", "1")]);
    assert_eq!(tunnel.headers(), Some(FilterState::Headers(headers)));
    assert_eq!(tunnel.trailers(), None);
    tunnel.close();
}

#[tokio::test]
async fn a_refusal_tells_its_status() {
    for (answer, wanted) in [
        ("HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n", Some(403)),
        ("no HTTP at all\r\n\r\n", None),
    ] {
        let (refused, ..) = open(&config(false), answer).await;
        let Err(TunnelFailure::Refused(refusal)) = refused else {
            unreachable!("{refused:?}");
        };
        assert_eq!(refusal.status, wanted);
        assert_eq!(refusal.headers, None);
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_read_holds_the_writer_back() {
    let (tunnel, _upstream, _) = open(&config(false), "HTTP/1.1 200 OK\r\n\r\n").await;
    let mut tunnel = tunnel.unwrap();
    let piece = [0; 64 * 1024];
    let mut written = 0;
    let stopped = poll_fn(|cx| {
        while written < 1 << 30 {
            match std::pin::Pin::new(&mut tunnel).poll_write(cx, &piece) {
                Poll::Ready(n) => written += n.unwrap(),
                Poll::Pending => return Poll::Ready(true),
            }
        }
        Poll::Ready(false)
    });
    assert!(stopped.await, "{written} bytes were taken");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let error = |proto: Proto| {
        Tunneling::compile(&proto)
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error(Proto::default()),
        "hostname: value length must be at least 1 characters"
    );
    let path = Proto {
        post_path: "/x".into(),
        ..config(false)
    };
    let header = Proto {
        request_id_extension: Some(Default::default()),
        request_id_header: "a b".into(),
        ..config(false)
    };
    assert_eq!(
        error(header),
        "request_id_header: 'a b' is no name of a header that may be set"
    );
    assert_eq!(
        error(path),
        "Can't set a post path when POST method isn't used"
    );
}
