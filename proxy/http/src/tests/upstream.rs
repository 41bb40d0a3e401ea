//! What the upstream does: leaving before, in and between responses, and failing until it is tried again.

use super::*;

const POST: &str = "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 5\r\n\r\nhello";

#[tokio::test]
async fn an_upstream_that_leaves_before_the_response_is_a_503() {
    let proxy = Proxy::start("", "").await;
    let mut client = proxy.connect();
    client.send(GET).await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    drop(upstream);
    let response = client.receive().await;
    assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
    assert!(response.ends_with("reset reason: connection termination"));
    // The client's connection lives on.
    client.send(GET).await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    upstream.send(OK).await;
    assert!(client.receive().await.starts_with("HTTP/1.1 200 "));
    drop(client);
    proxy.assert_balanced().await;
}

#[tokio::test]
async fn an_upstream_that_leaves_in_a_response_ends_the_connection() {
    let proxy = Proxy::start("delayed_close_timeout: 10s", "").await;
    let mut client = proxy.connect();
    client.send(GET).await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    upstream
        .send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
        .await;
    drop(upstream);
    while !client.read.ends_with(b"abc") {
        assert_ne!(client.fill().await, 0);
    }
    pass(10).await;
    assert!(client.rest().await.ends_with("\r\n\r\nabc"));
    let stats = &proxy.cluster.stats;
    assert_eq!(stats.upstream_cx_protocol_error.get(), 1);
    assert_eq!(stats.upstream_cx_destroy_remote_with_active_rq.get(), 1);
    proxy.assert_balanced().await;
}

/// Serves one request, then reads a second one on the same connection and leaves without an answer.
async fn go_stale(proxy: &Proxy, client: &mut Peer<UnixStream>, second: &str) {
    client.send(GET).await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    upstream.send(OK).await;
    client.receive().await;
    client.send(second).await;
    upstream.receive().await;
}

#[tokio::test]
async fn a_stale_connection_is_replaced_for_an_idempotent_request() {
    let proxy = Proxy::start("", "").await;
    let mut client = proxy.connect();
    go_stale(&proxy, &mut client, GET).await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    upstream.send(OK).await;
    assert!(client.receive().await.starts_with("HTTP/1.1 200 "));
    let stats = &proxy.cluster.stats;
    assert_eq!(stats.upstream_rq_retry.get(), 0);
    assert_eq!(stats.upstream_rq_retry_success.get(), 0);
    drop(client);
    proxy.assert_balanced().await;
}

#[tokio::test]
async fn a_stale_connection_fails_a_request_that_must_not_be_sent_twice() {
    let proxy = Proxy::start("", "").await;
    let mut client = proxy.connect();
    go_stale(&proxy, &mut client, POST).await;
    assert!(client.receive().await.starts_with("HTTP/1.1 503 "));
    drop(client);
    proxy.assert_balanced().await;
}

#[tokio::test]
async fn a_retry_sends_the_same_request_again() {
    let proxy = Proxy::start("", "retry_policy: {retry_on: 5xx, num_retries: 1}").await;
    let mut client = proxy.connect();
    client.send(POST).await;
    let mut upstream = proxy.accept().await;
    let first = upstream.receive().await;
    assert!(first.ends_with("hello"), "{first}");
    upstream
        .send("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")
        .await;
    let again = upstream.receive().await;
    assert!(again.ends_with("hello"), "{again}");
    upstream.send(OK).await;
    assert!(client.receive().await.starts_with("HTTP/1.1 200 "));
    let stats = &proxy.cluster.stats;
    assert_eq!(stats.upstream_rq_retry.get(), 1);
    assert_eq!(stats.upstream_rq_retry_success.get(), 1);
    drop(client);
    proxy.assert_balanced().await;
}

#[tokio::test]
async fn retries_end_with_the_last_response() {
    let proxy = Proxy::start("", "retry_policy: {retry_on: 5xx, num_retries: 2}").await;
    let mut client = proxy.connect();
    client.send(GET).await;
    for _ in 0..3 {
        let mut upstream = proxy.accept().await;
        upstream.receive().await;
    }
    let response = client.receive().await;
    assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
    assert!(
        response.contains("retried and the latest reset reason"),
        "{response}"
    );
    assert_eq!(
        proxy.cluster.stats.upstream_rq_retry_limit_exceeded.get(),
        1
    );
    drop(client);
    proxy.assert_balanced().await;
}
