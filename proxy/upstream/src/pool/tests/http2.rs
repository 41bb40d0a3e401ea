//! The HTTP/2 pool.

use super::*;
use crate::pool::{Http2Request, Http2Stream};
use bytes::Bytes;
use h2::server;
use tokio::task::JoinHandle;

/// A cluster that speaks HTTP/2 with at most so many streams on a connection.
#[allow(deprecated)]
fn of_streams(address: SocketAddr, max: u32) -> proto::Cluster {
    proto::Cluster {
        http2_protocol_options: Some(core::Http2ProtocolOptions {
            max_concurrent_streams: Some(max),
            ..Default::default()
        }),
        ..proto(address)
    }
}

/// The default of such a cluster.
pub(super) fn proto2(address: SocketAddr) -> proto::Cluster {
    of_streams(address, 100)
}

fn common(options: core::HttpProtocolOptions, address: SocketAddr) -> proto::Cluster {
    #[allow(deprecated)]
    proto::Cluster {
        common_http_protocol_options: Some(options),
        ..proto2(address)
    }
}

fn seconds(seconds: i64) -> Option<envoy_api::prost_types::Duration> {
    Some(envoy_api::prost_types::Duration { seconds, nanos: 0 })
}

fn request2(cluster: &Arc<Cluster>) -> Http2Request {
    let host = cluster.pick(&mut LbContext::new()).unwrap();
    cluster.http2(&host, Priority::Default, &client(1))
}

pub(super) async fn stream(cluster: &Arc<Cluster>) -> Box<Http2Stream> {
    request2(cluster).await.unwrap()
}

/// What a test tells the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// GOAWAY, then the end when the streams have ended.
    GoAway,
    Close,
}

/// An upstream connection that answers every request with 200.
pub(super) struct Peer {
    task: JoinHandle<()>,
    orders: tokio::sync::mpsc::UnboundedSender<Order>,
}

impl Peer {
    async fn accept(listener: &TcpListener, max_streams: u32) -> Self {
        let (socket, _) = listener.accept().await.unwrap();
        let (orders, mut received) = tokio::sync::mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut builder = server::Builder::new();
            builder.max_concurrent_streams(max_streams);
            let mut connection = builder.handshake::<_, Bytes>(socket).await.unwrap();
            loop {
                tokio::select! {
                    request = connection.accept() => match request {
                        Some(Ok((_, mut respond))) => {
                            respond.send_response(http::Response::new(()), true).unwrap();
                        }
                        _ => return,
                    },
                    Some(order) = received.recv() => match order {
                        Order::GoAway => connection.graceful_shutdown(),
                        Order::Close => return,
                    },
                }
            }
        });
        Self { task, orders }
    }

    fn order(&self, order: Order) {
        self.orders.send(order).unwrap();
    }

    /// Waits for the end of the connection.
    async fn ended(self) {
        time::timeout(Duration::from_secs(10), self.task)
            .await
            .unwrap()
            .unwrap();
    }
}

/// One stream and the upstream's side of its connection.
pub(super) async fn connected(
    cluster: &Arc<Cluster>,
    listener: &TcpListener,
) -> (Box<Http2Stream>, Peer) {
    tokio::join!(stream(cluster), Peer::accept(listener, 100))
}

/// Sends a request on a stream and waits for the answer.
pub(super) async fn exchange(stream: &mut Http2Stream) {
    let request = http::Request::get("http://up.test/").body(()).unwrap();
    let (response, _) = stream.send.send_request(request, true).unwrap();
    assert_eq!(response.await.unwrap().status(), 200);
}

#[tokio::test]
async fn requests_share_a_connection_up_to_its_limit() {
    let (listener, address) = listener().await;
    let cluster = build(&of_streams(address, 2));
    let (first, _peer) = connected(&cluster, &listener).await;
    let second = stream(&cluster).await;
    assert_eq!(first.info.id, second.info.id);
    let stats = &cluster.stats;
    assert_eq!(stats.upstream_cx_total.get(), 1);

    let (third, _peer2) = connected(&cluster, &listener).await;
    assert_ne!(first.info.id, third.info.id);
    assert_eq!(stats.upstream_cx_http2_total.get(), 2);
    assert_eq!(stats.upstream_rq_active.get(), 3);
    let active = |stream: &Http2Stream| stream.codec_stats().streams_active.get();
    assert_eq!(active(&second), 3);

    // A place that is free again is taken before there is a third connection.
    let id = first.info.id;
    drop(first);
    assert_eq!(active(&second), 2);
    assert_eq!(stream(&cluster).await.info.id, id);
    assert_eq!(stats.upstream_cx_total.get(), 2);
}

#[tokio::test]
async fn requests_that_come_together_make_as_many_connections_as_they_need() {
    let (listener, address) = listener().await;
    let cluster = build(&of_streams(address, 2));
    let waiting: Vec<_> = (0..3).map(|_| request2(&cluster)).collect();
    assert_eq!(cluster.stats.upstream_cx_total.get(), 2);
    assert_eq!(cluster.stats.upstream_rq_pending_active.get(), 3);
    let _peers = tokio::join!(Peer::accept(&listener, 100), Peer::accept(&listener, 100));
    let mut streams = Vec::new();
    for request in waiting {
        streams.push(request.await.unwrap());
    }
    assert_eq!(cluster.stats.upstream_rq_pending_active.get(), 0);
    assert_eq!(cluster.stats.upstream_cx_total.get(), 2);
}

#[tokio::test]
async fn the_limit_of_the_upstream_holds_too() {
    let (listener, address) = listener().await;
    let cluster = build(&proto2(address));
    let (mut first, _peer) = tokio::join!(stream(&cluster), Peer::accept(&listener, 1));
    // The answer comes after the upstream's settings.
    exchange(&mut first).await;
    let (second, _peer2) = connected(&cluster, &listener).await;
    assert_ne!(first.info.id, second.info.id);
}

#[tokio::test]
async fn a_goaway_retires_the_connection_and_cuts_nobody_off() {
    let (listener, address) = listener().await;
    let cluster = build(&proto2(address));
    let (mut first, peer) = connected(&cluster, &listener).await;
    exchange(&mut first).await;
    peer.order(Order::GoAway);
    let stats = &cluster.stats;
    until(|| stats.upstream_cx_close_notify.get() == 1).await;
    assert_eq!(stats.upstream_cx_active.get(), 1);
    let (second, _peer2) = connected(&cluster, &listener).await;
    assert_ne!(first.info.id, second.info.id);
    drop(first);
    peer.ended().await;
    until(|| stats.upstream_cx_active.get() == 1).await;
    assert_eq!(stats.upstream_cx_destroy_with_active_rq.get(), 0);
}

#[tokio::test]
async fn an_upstream_that_closes_takes_its_streams_along() {
    let (listener, address) = listener().await;
    let cluster = build(&proto2(address));
    let (mut first, peer) = connected(&cluster, &listener).await;
    exchange(&mut first).await;
    peer.order(Order::Close);
    let stats = &cluster.stats;
    until(|| stats.upstream_cx_active.get() == 0).await;
    assert_eq!(
        stats.upstream_cx_destroy_remote_with_active_rq.get()
            + stats.upstream_cx_destroy_local_with_active_rq.get(),
        1
    );
    drop(first);
    assert_eq!(stats.upstream_rq_active.get(), 0);
    let (_second, _peer) = connected(&cluster, &listener).await;
}

#[tokio::test]
async fn a_host_that_leaves_ends_its_connections_with_their_streams() {
    let (listener, address) = listener().await;
    let cluster = build(&of_streams(address, 1));
    let (idle, idle_peer) = connected(&cluster, &listener).await;
    let (busy, busy_peer) = connected(&cluster, &listener).await;
    drop(idle);
    cluster.update_hosts(Default::default());
    idle_peer.ended().await;
    until(|| cluster.stats.upstream_cx_active.get() == 1).await;
    drop(busy);
    busy_peer.ended().await;
    until(|| cluster.stats.upstream_cx_active.get() == 0).await;
    assert_eq!(cluster.stats.upstream_cx_destroy_local.get(), 2);
    assert_eq!(cluster.stats.upstream_cx_destroy_with_active_rq.get(), 0);
}

#[tokio::test]
async fn a_refused_connection_fails_all_that_wait_for_it() {
    let cluster = build(&proto2(closed_port().await));
    let (first, second) = tokio::join!(request2(&cluster), request2(&cluster));
    for failure in [first.unwrap_err(), second.unwrap_err()] {
        assert!(matches!(
            failure.reason,
            FailureReason::RemoteConnectionFailure(_)
        ));
        assert!(failure.host.is_some());
    }
    let stats = &cluster.stats;
    until(|| stats.upstream_cx_active.get() == 0).await;
    assert_eq!(stats.upstream_cx_connect_fail.get(), 1);
    assert_eq!(stats.upstream_rq_pending_failure_eject.get(), 2);
    assert_eq!(stats.upstream_rq_total.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn connect_timeout_fails_all_that_wait() {
    let deaf = Deaf::start();
    let cluster = build(&proto2(deaf.address));
    let begin = time::Instant::now();
    let (first, second) = tokio::join!(request2(&cluster), request2(&cluster));
    assert_eq!(first.unwrap_err().reason, FailureReason::Timeout);
    assert_eq!(second.unwrap_err().reason, FailureReason::Timeout);
    assert_eq!(begin.elapsed().as_secs(), 5);
    assert_eq!(cluster.stats.upstream_cx_connect_timeout.get(), 1);
}

#[tokio::test]
async fn a_cancelled_request_leaves_its_connection_to_the_next() {
    let (listener, address) = listener().await;
    let cluster = build(&proto2(address));
    let pending = request2(&cluster);
    drop(pending);
    assert_eq!(cluster.stats.upstream_rq_cancelled.get(), 1);
    assert_eq!(cluster.stats.upstream_rq_pending_active.get(), 0);
    let (_stream, _peer) = connected(&cluster, &listener).await;
    assert_eq!(cluster.stats.upstream_cx_total.get(), 1);
}

#[tokio::test]
async fn a_stream_that_comes_for_a_cancelled_request_is_given_back() {
    let (listener, address) = listener().await;
    let cluster = build(&of_streams(address, 1));
    let pending = request2(&cluster);
    let _peer = Peer::accept(&listener, 100).await;
    until(|| cluster.stats.upstream_rq_active.get() == 1).await;
    drop(pending);
    let stats = &cluster.stats;
    assert_eq!(stats.upstream_rq_active.get(), 0);
    assert_eq!(stats.upstream_rq_cancelled.get(), 0);
    stream(&cluster).await;
    assert_eq!(stats.upstream_cx_total.get(), 1);
}

#[tokio::test]
async fn limits_overflow() {
    let (listener, address) = listener().await;
    let cluster = build(&proto::Cluster {
        circuit_breakers: limits(Thresholds {
            max_requests: Some(1),
            max_pending_requests: Some(1),
            ..Default::default()
        }),
        ..proto2(address)
    });
    let stats = &cluster.stats;
    let waits = request2(&cluster);
    let failure = request2(&cluster).await.unwrap_err();
    assert_eq!(failure.reason, FailureReason::Overflow);
    assert!(failure.host.is_none());
    assert_eq!(stats.upstream_rq_pending_overflow.get(), 1);

    let (stream, _peer) = tokio::join!(waits, Peer::accept(&listener, 100));
    let _stream = stream.unwrap();
    // There is a connection, but the request may not use it.
    let failure = request2(&cluster).await.unwrap_err();
    assert_eq!(failure.reason, FailureReason::Overflow);
    assert!(failure.host.is_some());
    assert_eq!(stats.upstream_rq_active_overflow.get(), 1);
}

#[tokio::test]
async fn the_limit_of_connections_makes_requests_wait() {
    let (listener, address) = listener().await;
    let cluster = build(&proto::Cluster {
        circuit_breakers: limits(Thresholds {
            max_connections: Some(1),
            ..Default::default()
        }),
        ..of_streams(address, 1)
    });
    let (first, _peer) = connected(&cluster, &listener).await;
    let second = request2(&cluster);
    assert_eq!(cluster.stats.upstream_cx_overflow.get(), 1);
    let id = first.info.id;
    drop(first);
    assert_eq!(second.await.unwrap().info.id, id);
}

#[tokio::test]
async fn a_connection_ends_with_its_last_request() {
    let (listener, address) = listener().await;
    let options = core::HttpProtocolOptions {
        max_requests_per_connection: Some(1),
        ..Default::default()
    };
    let cluster = build(&common(options, address));
    let (first, peer) = connected(&cluster, &listener).await;
    let (second, _peer2) = connected(&cluster, &listener).await;
    assert_ne!(first.info.id, second.info.id);
    assert_eq!(cluster.stats.upstream_cx_max_requests.get(), 2);
    drop(first);
    peer.ended().await;
}

#[tokio::test]
async fn an_idle_connection_goes_after_its_timeout() {
    let (listener, address) = listener().await;
    let cluster = build(&proto2(address));
    let (mut first, _peer) = connected(&cluster, &listener).await;
    exchange(&mut first).await;
    time::pause();
    // A connection in use is never idle.
    time::advance(Duration::from_secs(4000)).await;
    yield_now().await;
    drop(first);
    yield_now().await;
    time::advance(Duration::from_secs(3599)).await;
    yield_now().await;
    let stats = &cluster.stats;
    assert_eq!(stats.upstream_cx_active.get(), 1);
    time::advance(Duration::from_secs(2)).await;
    until(|| stats.upstream_cx_active.get() == 0).await;
    assert_eq!(stats.upstream_cx_idle_timeout.get(), 1);
}

#[tokio::test]
async fn max_connection_duration_retires_the_connection() {
    let (listener, address) = listener().await;
    let options = core::HttpProtocolOptions {
        max_connection_duration: seconds(60),
        ..Default::default()
    };
    let cluster = build(&common(options, address));
    let (mut first, _peer) = connected(&cluster, &listener).await;
    exchange(&mut first).await;
    time::pause();
    time::advance(Duration::from_secs(61)).await;
    let stats = &cluster.stats;
    until(|| stats.upstream_cx_max_duration_reached.get() == 1).await;
    assert_eq!(stats.upstream_cx_active.get(), 1);
    drop(first);
    until(|| stats.upstream_cx_active.get() == 0).await;
    assert_eq!(stats.upstream_cx_destroy_with_active_rq.get(), 0);
}

#[tokio::test]
#[allow(deprecated)]
async fn a_ping_without_an_answer_ends_the_connection() {
    let (listener, address) = listener().await;
    let mut proto = proto2(address);
    if let Some(options) = &mut proto.http2_protocol_options {
        options.connection_keepalive = Some(core::KeepaliveSettings {
            interval: seconds(10),
            timeout: seconds(5),
            ..Default::default()
        });
    }
    let cluster = build(&proto);
    // A socket that nobody reads.
    let (stream, _peer) = tokio::join!(stream(&cluster), listener.accept());
    time::pause();
    yield_now().await;
    time::advance(Duration::from_secs(14)).await;
    yield_now().await;
    assert_eq!(cluster.stats.upstream_cx_active.get(), 1);
    time::advance(Duration::from_secs(6)).await;
    until(|| cluster.stats.upstream_cx_active.get() == 0).await;
    assert_eq!(
        cluster.stats.upstream_cx_destroy_local_with_active_rq.get(),
        1
    );
    drop(stream);
}
