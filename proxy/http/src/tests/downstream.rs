//! What the client does: keep-alive, pipelining, leaving, and bytes that are no request.

use super::*;

#[tokio::test]
async fn requests_of_one_connection_share_the_upstream_connection() {
    let proxy = Proxy::start("", "").await;
    let mut client = proxy.connect();
    client.send(GET).await;
    let mut upstream = proxy.accept().await;
    for _ in 0..3 {
        assert!(upstream.receive().await.starts_with("GET / HTTP/1.1\r\n"));
        upstream.send(OK).await;
        let response = client.receive().await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        assert!(!response.contains("connection:"), "{response}");
        client.send(GET).await;
    }
    upstream.receive().await;
    assert_eq!(proxy.cluster.stats.upstream_cx_total.get(), 1);
    assert_eq!(proxy.hcm.stats.downstream_rq_total.get(), 4);
    drop(client);
    proxy.assert_balanced().await;
}

#[tokio::test]
async fn pipelined_requests_are_served_one_after_the_other() {
    let proxy = Proxy::start("", "").await;
    let mut client = proxy.connect();
    let two = format!("{GET}{}", GET.replace("GET /", "GET /second"));
    client.send(&two).await;
    let mut upstream = proxy.accept().await;
    assert!(upstream.receive().await.starts_with("GET / "));
    settle().await;
    assert!(upstream.read.is_empty());
    upstream.send(OK).await;
    assert!(upstream.receive().await.starts_with("GET /second "));
    upstream.send(&OK.replace("ok", "ko")).await;
    assert!(client.receive().await.ends_with("ok"));
    assert!(client.receive().await.ends_with("ko"));
    drop(client);
    proxy.assert_balanced().await;
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_upstream_request_along() {
    let proxy = Proxy::start("", "").await;
    let mut client = proxy.connect();
    client.send(GET).await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    drop(client);
    assert_eq!(upstream.rest().await, "");
    proxy.assert_balanced().await;
    let stats = &proxy.hcm.stats;
    assert_eq!(stats.downstream_rq_rx_reset.get(), 1);
    assert_eq!(stats.downstream_cx_destroy_remote_active_rq.get(), 1);
    assert_eq!(proxy.cluster.stats.upstream_rq_cancelled.get(), 0);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_a_response_stops_the_upstream() {
    let proxy = Proxy::start("", "").await;
    let mut client = proxy.connect();
    client.send(GET).await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    upstream
        .send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
        .await;
    while !client.read.ends_with(b"abc") {
        client.fill().await;
    }
    drop(client);
    assert_eq!(upstream.rest().await, "");
    proxy.assert_balanced().await;
}

#[tokio::test]
async fn a_connection_that_is_cut_off_leaves_nothing_active() {
    let proxy = Proxy::start("", "").await;
    let (mut client, serving) = proxy.connect_aborting();
    client.send(GET).await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    serving.abort();
    assert_eq!(upstream.rest().await, "");
    assert_eq!(client.rest().await, "");
    proxy.assert_balanced().await;
    let stats = &proxy.hcm.stats;
    assert_eq!(stats.downstream_cx_destroy_local_active_rq.get(), 1);
    assert_eq!(stats.downstream_rq_rx_reset.get(), 1);
}

#[tokio::test]
async fn a_body_that_is_none_is_answered_before_the_upstream_does() {
    let proxy = Proxy::start("delayed_close_timeout: 10s", "").await;
    let mut client = proxy.connect();
    client
        .send("POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
        .await;
    let mut upstream = proxy.accept().await;
    while !upstream.read.ends_with(b"hello\r\n") {
        upstream.fill().await;
    }
    client.send("zz\r\n").await;
    let response = client.receive().await;
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
    assert!(response.contains("connection: close\r\n"), "{response}");
    upstream.rest().await;
    pass(10).await;
    assert_eq!(client.rest().await, "");
    assert_eq!(proxy.hcm.stats.downstream_cx_delayed_close_timeout.get(), 1);
    proxy.assert_balanced().await;
}

#[tokio::test]
async fn a_response_before_the_end_of_the_request_closes_both_connections() {
    let proxy = Proxy::start("", "").await;
    let mut client = proxy.connect();
    client
        .send("POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 10\r\n\r\nabc")
        .await;
    let mut upstream = proxy.accept().await;
    while !upstream.read.ends_with(b"abc") {
        upstream.fill().await;
    }
    upstream.send(OK).await;
    let response = client.receive().await;
    assert!(response.contains("connection: close\r\n"), "{response}");
    upstream.rest().await;
    drop(client);
    proxy.assert_balanced().await;
    let stats = &proxy.hcm.stats;
    assert_eq!(stats.downstream_rq_response_before_rq_complete.get(), 1);
}

#[tokio::test]
async fn the_last_request_that_is_allowed_closes_the_connection() {
    let options = "common_http_protocol_options: {max_requests_per_connection: 2}";
    let proxy = Proxy::start(options, "").await;
    let mut client = proxy.connect();
    client.send(GET).await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    upstream.send(OK).await;
    assert!(!client.receive().await.contains("connection: close"));
    client.send(GET).await;
    upstream.receive().await;
    upstream.send(OK).await;
    assert!(client.receive().await.contains("connection: close\r\n"));
    assert_eq!(client.rest().await, "");
    assert_eq!(proxy.hcm.stats.downstream_cx_max_requests_reached.get(), 1);
    proxy.assert_balanced().await;
}
