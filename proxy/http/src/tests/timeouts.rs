//! Every timeout of a stream and of a connection, each at its moment and not before.

use super::*;

#[tokio::test]
async fn the_route_timeout_is_a_504() {
    let proxy = Proxy::start("", "timeout: 30s").await;
    let mut client = proxy.connect();
    client.send(GET).await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    pass(29).await;
    assert_eq!(proxy.cluster.stats.upstream_rq_timeout.get(), 0);
    pass(1).await;
    let response = client.receive().await;
    assert!(response.starts_with("HTTP/1.1 504 "), "{response}");
    assert!(response.ends_with("upstream request timeout"), "{response}");
    assert_eq!(upstream.rest().await, "");
    drop(client);
    proxy.assert_balanced().await;
}

#[tokio::test]
async fn a_try_that_takes_too_long_is_given_up_for_the_next() {
    let policy =
        "retry_policy: {retry_on: 5xx, num_retries: 1, per_try_timeout: 10s}, timeout: 60s";
    let proxy = Proxy::start("", policy).await;
    let mut client = proxy.connect();
    client.send(GET).await;
    let mut first = proxy.accept().await;
    first.receive().await;
    pass(10).await;
    assert_eq!(first.rest().await, "");
    let mut second = proxy.accept().await;
    second.receive().await;
    second.send(OK).await;
    assert!(client.receive().await.starts_with("HTTP/1.1 200 "));
    let stats = &proxy.cluster.stats;
    assert_eq!(stats.upstream_rq_per_try_timeout.get(), 1);
    drop(client);
    proxy.assert_balanced().await;
}

#[tokio::test]
async fn an_idle_connection_drains_and_closes() {
    let options = "common_http_protocol_options: {idle_timeout: 60s}\ndrain_timeout: 20s\ndelayed_close_timeout: 10s";
    let proxy = Proxy::start(options, "").await;
    let mut client = proxy.connect();
    client.send(GET).await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    upstream.send(OK).await;
    client.receive().await;
    pass(59).await;
    assert_eq!(proxy.hcm.stats.downstream_cx_idle_timeout.get(), 0);
    pass(1).await;
    assert_eq!(proxy.hcm.stats.downstream_cx_idle_timeout.get(), 1);
    pass(20).await;
    pass(10).await;
    assert_eq!(client.rest().await, "");
    proxy.assert_balanced().await;
}

#[tokio::test]
async fn a_stream_on_which_nothing_moves_ends() {
    let proxy = Proxy::start("stream_idle_timeout: 30s", "timeout: 0s").await;
    let mut client = proxy.connect();
    client
        .send("POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 10\r\n\r\nabc")
        .await;
    let mut upstream = proxy.accept().await;
    while !upstream.read.ends_with(b"abc") {
        upstream.fill().await;
    }
    pass(20).await;
    client.send("d").await;
    while !upstream.read.ends_with(b"abcd") {
        upstream.fill().await;
    }
    pass(20).await;
    assert_eq!(proxy.hcm.stats.downstream_rq_idle_timeout.get(), 0);
    pass(10).await;
    let response = client.receive().await;
    assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
    assert!(response.ends_with("stream timeout"), "{response}");
    drop(client);
    proxy.assert_balanced().await;
}

#[tokio::test]
async fn a_head_that_does_not_end_is_a_408() {
    let proxy = Proxy::start("request_headers_timeout: 30s", "").await;
    let mut client = proxy.connect();
    client.send("GET / HT").await;
    pass(29).await;
    assert_eq!(proxy.hcm.stats.downstream_rq_header_timeout.get(), 0);
    pass(1).await;
    let response = client.receive().await;
    assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
    drop(client);
    proxy.assert_balanced().await;
}

/// That the upstream has more is no activity while the client takes nothing, although the deadline itself wakes the stream.
#[tokio::test]
async fn a_client_that_takes_nothing_is_idle() {
    let proxy = Proxy::start("stream_idle_timeout: 30s", "timeout: 0s").await;
    let mut client = proxy.connect();
    client.send(GET).await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
    upstream.send(head).await;
    let piece = vec![b'x'; 64 * 1024];
    let mut stuck = 0;
    while stuck < 3 {
        match upstream.stream.try_write(&piece) {
            Ok(_) => stuck = 0,
            Err(_) => {
                stuck += 1;
                settle().await;
            }
        }
    }
    // What the sockets have taken may still be on its way. The buffer limit is sixteen looks away.
    let idle = || proxy.hcm.stats.downstream_rq_idle_timeout.get();
    assert_eq!(idle(), 0);
    for _ in 0..5 {
        if idle() == 0 {
            pass(30).await;
        }
    }
    assert_eq!(idle(), 1);
    assert_eq!(upstream.rest().await, "");
    drop(client);
    proxy.assert_balanced().await;
}
