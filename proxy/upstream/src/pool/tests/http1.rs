//! The HTTP/1 pool, and connections of the TCP proxy.

use super::*;

#[tokio::test]
async fn a_released_connection_is_used_again_last_first() {
    let (listener, address) = listener().await;
    let cluster = build(&proto(address));
    let (first, _peer1) = connection(&cluster, &listener).await;
    let (second, _peer2) = connection(&cluster, &listener).await;
    assert!(!first.reused);
    let id = second.info.id;
    first.release(time::Instant::now());
    second.release(time::Instant::now());
    let again = request(&cluster).await.unwrap();
    assert!(again.reused);
    assert_eq!(again.info.id, id);
    assert_eq!(cluster.stats.upstream_cx_total.get(), 2);
    assert_eq!(cluster.stats.upstream_rq_total.get(), 3);
    assert_eq!(cluster.stats.upstream_rq_active.get(), 1);
    assert_eq!(cluster.stats.upstream_rq_pending_total.get(), 2);
    assert_eq!(cluster.stats.upstream_rq_pending_active.get(), 0);
}

#[tokio::test]
async fn at_the_connection_limit_requests_wait_for_a_release() {
    let (listener, address) = listener().await;
    let cluster = build(&proto::Cluster {
        circuit_breakers: limits(Thresholds {
            max_connections: Some(1),
            ..Default::default()
        }),
        ..proto(address)
    });
    let (first, _peer) = connection(&cluster, &listener).await;
    let waiting = tokio::spawn(request(&cluster));
    yield_now().await;
    let id = first.info.id;
    first.release(time::Instant::now());
    let second = waiting.await.unwrap().unwrap();
    assert_eq!(second.info.id, id);
    assert_eq!(cluster.stats.upstream_cx_overflow.get(), 1);
    assert_eq!(cluster.stats.upstream_cx_total.get(), 1);
}

#[tokio::test]
async fn a_pool_without_connections_gets_one_beyond_the_limit() {
    let (listener, address) = listener().await;
    let cluster = build(&proto::Cluster {
        circuit_breakers: limits(Thresholds {
            max_connections: Some(0),
            ..Default::default()
        }),
        ..proto(address)
    });
    let (first, _peer) = connection(&cluster, &listener).await;
    let waiting = tokio::spawn(request(&cluster));
    yield_now().await;
    // Closing leaves the pool empty: the request that waits gets its connection now.
    first.close(CloseReason::Local);
    listener.accept().await.unwrap();
    waiting.await.unwrap().unwrap();
    let host = cluster.pick(&mut LbContext::new()).unwrap();
    let tcp = cluster
        .tcp_connect(&host, Priority::Default, &client(1))
        .await;
    assert_eq!(tcp.unwrap_err().reason, FailureReason::Overflow);
}

#[tokio::test]
async fn a_cancelled_request_leaves_its_connection_to_the_next() {
    let (listener, address) = listener().await;
    let cluster = build(&proto(address));
    let pending = request(&cluster);
    drop(pending);
    assert_eq!(cluster.stats.upstream_rq_cancelled.get(), 1);
    let _peer = listener.accept().await.unwrap();
    let next = request(&cluster).await.unwrap();
    assert!(!next.reused);
    assert_eq!(cluster.stats.upstream_cx_total.get(), 1);
}

#[tokio::test]
async fn a_refused_connection_fails_all_that_wait() {
    let address = closed_port().await;
    let cluster = build(&proto(address));
    let (first, second) = tokio::join!(request(&cluster), request(&cluster));
    let failure = first.unwrap_err();
    assert!(
        failure
            .reason
            .transport_failure()
            .contains("connect error: Connection refused")
    );
    assert!(second.is_err());
    until(|| cluster.stats.upstream_cx_active.get() == 0).await;
    let stats = &cluster.stats;
    assert_eq!(stats.upstream_cx_connect_fail.get(), 2);
    assert_eq!(stats.upstream_cx_destroy_remote.get(), 2);
    assert_eq!(stats.upstream_rq_pending_failure_eject.get(), 2);
    assert_eq!(stats.upstream_rq_total.get(), 0);
}

#[tokio::test]
async fn a_source_address_of_others_is_a_local_failure() {
    let (_listener, address) = listener().await;
    let cluster = build(&proto::Cluster {
        upstream_bind_config: Some(core::BindConfig {
            source_address: Some(source_address("192.0.2.1")),
            ..Default::default()
        }),
        ..proto(address)
    });
    let failure = request(&cluster).await.unwrap_err();
    assert_eq!(
        failure.reason,
        FailureReason::LocalConnectionFailure(
            "failed to bind to 192.0.2.1:0: Cannot assign requested address".into()
        )
    );
    assert_eq!(cluster.stats.bind_errors.get(), 1);
    assert_eq!(cluster.stats.upstream_cx_destroy_local.get(), 1);
}

#[tokio::test]
async fn limits_on_requests_overflow() {
    let (listener, address) = listener().await;
    let cluster = build(&proto::Cluster {
        circuit_breakers: limits(Thresholds {
            max_requests: Some(1),
            max_pending_requests: Some(1),
            ..Default::default()
        }),
        ..proto(address)
    });
    let _waits = request(&cluster);
    let failure = request(&cluster).await.unwrap_err();
    assert_eq!(failure.reason, FailureReason::Overflow);
    assert!(failure.host.is_none());
    assert_eq!(cluster.stats.upstream_rq_pending_overflow.get(), 1);
    drop(_waits);
    let (_active, _peer) = connection(&cluster, &listener).await;
    // A connection comes, but the request may not use it.
    let failure = request(&cluster).await.unwrap_err();
    assert_eq!(failure.reason, FailureReason::Overflow);
    assert_eq!(cluster.stats.upstream_rq_active_overflow.get(), 1);
}

#[tokio::test]
async fn an_idle_connection_that_the_peer_closes_leaves_at_once() {
    let (listener, address) = listener().await;
    let cluster = build(&proto(address));
    let (first, peer) = connection(&cluster, &listener).await;
    first.release(time::Instant::now());
    drop(peer);
    until(|| cluster.stats.upstream_cx_active.get() == 0).await;
    assert_eq!(cluster.stats.upstream_cx_destroy_remote.get(), 1);
    assert_eq!(cluster.stats.upstream_cx_destroy_with_active_rq.get(), 0);
}

#[tokio::test]
async fn an_idle_connection_that_speaks_is_a_protocol_error() {
    let (listener, address) = listener().await;
    let cluster = build(&proto(address));
    let (first, mut peer) = connection(&cluster, &listener).await;
    first.release(time::Instant::now());
    peer.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        .await
        .unwrap();
    until(|| cluster.stats.upstream_cx_active.get() == 0).await;
    assert_eq!(cluster.stats.upstream_cx_protocol_error.get(), 1);
    assert_eq!(cluster.stats.upstream_cx_destroy_local.get(), 1);
}

#[tokio::test]
async fn an_idle_connection_goes_after_its_timeout() {
    let (listener, address) = listener().await;
    let cluster = build(&proto(address));
    let (first, _peer) = connection(&cluster, &listener).await;
    time::pause();
    first.release(time::Instant::now());
    yield_now().await;
    time::advance(Duration::from_secs(3599)).await;
    yield_now().await;
    assert_eq!(cluster.stats.upstream_cx_active.get(), 1);
    time::advance(Duration::from_secs(2)).await;
    yield_now().await;
    assert_eq!(cluster.stats.upstream_cx_idle_timeout.get(), 1);
    assert_eq!(cluster.stats.upstream_cx_active.get(), 0);
}

#[tokio::test]
async fn the_timeout_counts_from_the_last_release() {
    let (listener, address) = listener().await;
    let cluster = build(&proto(address));
    let (first, _peer) = connection(&cluster, &listener).await;
    time::pause();
    first.release(time::Instant::now());
    yield_now().await;
    time::advance(Duration::from_secs(3000)).await;
    request(&cluster)
        .await
        .unwrap()
        .release(time::Instant::now());
    time::advance(Duration::from_secs(3000)).await;
    yield_now().await;
    assert_eq!(cluster.stats.upstream_cx_active.get(), 1);
    time::advance(Duration::from_secs(601)).await;
    yield_now().await;
    assert_eq!(cluster.stats.upstream_cx_idle_timeout.get(), 1);
}

#[tokio::test]
#[allow(deprecated)]
async fn a_connection_ends_with_its_last_request() {
    let (listener, address) = listener().await;
    let cluster = build(&proto::Cluster {
        max_requests_per_connection: Some(2),
        ..proto(address)
    });
    let (first, mut peer) = connection(&cluster, &listener).await;
    first.release(time::Instant::now());
    request(&cluster)
        .await
        .unwrap()
        .release(time::Instant::now());
    assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(cluster.stats.upstream_cx_max_requests.get(), 1);
    assert_eq!(cluster.stats.upstream_cx_destroy_local.get(), 1);
    assert_eq!(cluster.stats.upstream_cx_destroy_with_active_rq.get(), 0);
}

#[tokio::test]
#[allow(deprecated)]
async fn max_connection_duration_ends_idle_and_busy_connections() {
    let (listener, address) = listener().await;
    let cluster = build(&proto::Cluster {
        common_http_protocol_options: Some(core::HttpProtocolOptions {
            max_connection_duration: Some(envoy_api::prost_types::Duration {
                seconds: 60,
                nanos: 0,
            }),
            ..Default::default()
        }),
        ..proto(address)
    });
    let (busy, _peer1) = connection(&cluster, &listener).await;
    let (idle, _peer2) = connection(&cluster, &listener).await;
    time::pause();
    idle.release(time::Instant::now());
    yield_now().await;
    time::advance(Duration::from_secs(61)).await;
    yield_now().await;
    assert_eq!(cluster.stats.upstream_cx_max_duration_reached.get(), 1);
    busy.release(time::Instant::now());
    assert_eq!(cluster.stats.upstream_cx_max_duration_reached.get(), 2);
    assert_eq!(cluster.stats.upstream_cx_active.get(), 0);
}

#[tokio::test]
async fn dropping_closes_and_counts_the_active_request() {
    let (listener, address) = listener().await;
    let cluster = build(&proto(address));
    let (first, mut peer) = connection(&cluster, &listener).await;
    drop(first);
    assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
    let stats = &cluster.stats;
    assert_eq!(stats.upstream_cx_destroy_local_with_active_rq.get(), 1);
    assert_eq!(stats.upstream_rq_active.get(), 0);
    let (second, _peer) = connection(&cluster, &listener).await;
    second.close(CloseReason::Remote);
    assert_eq!(stats.upstream_cx_destroy_remote_with_active_rq.get(), 1);
    assert_eq!(stats.upstream_cx_active.get(), 0);
    assert_eq!(
        cluster.breakers.of(Priority::Default).active_connections(),
        0
    );
}

#[tokio::test]
async fn a_pool_without_connections_makes_room_for_another() {
    let (listener1, address1) = listener().await;
    let (_listener2, address2) = listener().await;
    let mut proto = proto::Cluster {
        circuit_breakers: limits(Thresholds {
            max_connection_pools: Some(1),
            ..Default::default()
        }),
        ..proto(address1)
    };
    let hosts = proto.load_assignment.iter_mut();
    for locality in hosts.flat_map(|assignment| &mut assignment.endpoints) {
        locality.lb_endpoints.push(lb_endpoint(address2));
    }
    let cluster = build(&proto);
    let first = cluster.hosts().hosts()[0].clone();
    let second = cluster.hosts().hosts()[1].clone();
    let (connection, peer) = tokio::join!(
        cluster.http1(&first, Priority::Default, &client(1)),
        listener1.accept()
    );
    connection.unwrap().release(time::Instant::now());
    let failure = cluster
        .http1(&second, Priority::Default, &client(1))
        .await
        .unwrap_err();
    assert_eq!(failure.reason, FailureReason::Overflow);
    assert_eq!(cluster.stats.upstream_cx_pool_overflow.get(), 1);
    drop(peer);
    until(|| cluster.stats.upstream_cx_active.get() == 0).await;
    cluster
        .http1(&second, Priority::Default, &client(1))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_host_that_leaves_drains_its_pool() {
    let (listener, address) = listener().await;
    let cluster = build(&proto(address));
    let (busy, mut peer1) = connection(&cluster, &listener).await;
    let (idle, mut peer2) = connection(&cluster, &listener).await;
    idle.release(time::Instant::now());
    cluster.update_hosts(Default::default());
    assert_eq!(peer2.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(cluster.stats.upstream_cx_active.get(), 1);
    busy.release(time::Instant::now());
    assert_eq!(peer1.read(&mut [0]).await.unwrap(), 0);
    assert!(cluster.pick(&mut LbContext::new()).is_none());
    assert_eq!(cluster.stats.upstream_cx_none_healthy.get(), 1);
    assert_eq!(cluster.stats.membership_change.get(), 2);
}

#[tokio::test]
async fn tcp_sessions_count_and_never_wait_for_requests() {
    let (listener, address) = listener().await;
    let cluster = build(&proto::Cluster {
        circuit_breakers: limits(Thresholds {
            max_requests: Some(0),
            ..Default::default()
        }),
        ..proto(address)
    });
    let host = cluster.pick(&mut LbContext::new()).unwrap();
    let from = client(1);
    let (session, _peer) = tokio::join!(
        cluster.tcp_connect(&host, Priority::Default, &from),
        listener.accept()
    );
    let session = session.unwrap();
    assert_eq!(cluster.stats.upstream_rq_total.get(), 1);
    assert_eq!(host.stats.rq_active.get(), 1);
    session.close(CloseReason::Remote);
    assert_eq!(host.stats.cx_active.get(), 0);
    assert_eq!(cluster.stats.upstream_cx_http1_total.get(), 0);
}

#[tokio::test]
async fn a_tcp_session_that_is_given_up_is_cancelled() {
    let (_listener, address) = listener().await;
    let cluster = build(&proto(address));
    let host = cluster.pick(&mut LbContext::new()).unwrap();
    let from = client(1);
    let mut connecting = Box::pin(cluster.tcp_connect(&host, Priority::Default, &from));
    assert!(poll_once(connecting.as_mut()).await.is_pending());
    assert_eq!(cluster.stats.upstream_cx_active.get(), 1);
    drop(connecting);
    assert_eq!(cluster.stats.upstream_rq_cancelled.get(), 1);
    assert_eq!(cluster.stats.upstream_cx_active.get(), 0);
    assert_eq!(cluster.stats.upstream_rq_pending_active.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn connect_timeout_is_told_and_counted() {
    let deaf = Deaf::start();
    let cluster = build(&proto(deaf.address));
    let begin = time::Instant::now();
    let failure = request(&cluster).await.unwrap_err();
    assert_eq!(failure.reason, FailureReason::Timeout);
    assert_eq!(begin.elapsed().as_secs(), 5);
    let stats = &cluster.stats;
    assert_eq!(stats.upstream_cx_connect_timeout.get(), 1);
    assert_eq!(stats.upstream_cx_destroy_local.get(), 1);
}
