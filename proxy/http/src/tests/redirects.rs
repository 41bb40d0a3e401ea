//! Redirects of the upstream that are followed in the client's place.

use super::*;

const POLICY: &str = "internal_redirect_policy: {redirect_response_codes: [303, 307]}";
const POST: &str = "POST /first HTTP/1.1\r\nhost: a.test\r\ncontent-length: 5\r\n\r\nhello";

fn redirect(status: u16) -> String {
    format!("HTTP/1.1 {status} X\r\nlocation: http://b.test/next\r\ncontent-length: 0\r\n\r\n")
}

#[tokio::test]
async fn a_body_is_sent_again() {
    let proxy = Proxy::start("", POLICY).await;
    let mut client = proxy.connect();
    client.send(POST).await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    upstream.send(&redirect(307)).await;
    let next = upstream.receive().await;
    assert!(
        next.starts_with("POST /next HTTP/1.1\r\nhost: b.test\r\n"),
        "{next}"
    );
    assert!(
        next.contains("x-envoy-original-url: http://a.test/first\r\n"),
        "{next}"
    );
    assert!(next.ends_with("\r\n\r\nhello"), "{next}");
    upstream.send(OK).await;
    assert!(client.receive().await.starts_with("HTTP/1.1 200 "));
    // Another request is another stream, with redirects of its own.
    client.send(POST).await;
    upstream.receive().await;
    upstream.send(&redirect(303)).await;
    let next = upstream.receive().await;
    assert!(next.starts_with("GET /next HTTP/1.1\r\n"), "{next}");
    assert!(
        next.ends_with("\r\n\r\n") && !next.contains("content-length"),
        "{next}"
    );
    upstream.send(OK).await;
    assert!(client.receive().await.starts_with("HTTP/1.1 200 "));
    let stats = &proxy.cluster.stats;
    assert_eq!(stats.upstream_internal_redirect_succeeded_total.get(), 2);
    drop(client);
    proxy.assert_balanced().await;
}

#[tokio::test]
async fn the_second_redirect_reaches_the_client() {
    let proxy = Proxy::start("", POLICY).await;
    let mut client = proxy.connect();
    client.send(POST).await;
    let mut upstream = proxy.accept().await;
    for _ in 0..2 {
        upstream.receive().await;
        upstream.send(&redirect(307)).await;
    }
    let response = client.receive().await;
    assert!(response.starts_with("HTTP/1.1 307 "), "{response}");
    let stats = &proxy.hcm.router_stats;
    assert_eq!(
        stats.passthrough_internal_redirect_too_many_redirects.get(),
        1
    );
    assert_eq!(proxy.hcm.stats.downstream_rq_total.get(), 2);
    assert_eq!(proxy.hcm.stats.downstream_rq_completed.get(), 1);
    drop(client);
    proxy.assert_balanced().await;
}

#[tokio::test]
async fn a_client_that_leaves_after_a_redirect_leaves_nothing() {
    let proxy = Proxy::start("", POLICY).await;
    let mut client = proxy.connect();
    client.send(POST).await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    upstream.send(&redirect(307)).await;
    upstream.receive().await;
    drop(client);
    assert_eq!(upstream.fill().await, 0);
    proxy.assert_balanced().await;
}

const CUSTOM: &str = "{name: custom, typed_config: {\"@type\": \
    type.googleapis.com/envoy.extensions.filters.http.custom_response.v3.CustomResponse, custom_response_matcher: \
    {matcher_tree: {input: {name: code, typed_config: {\"@type\": \
    type.googleapis.com/envoy.type.matcher.v3.HttpResponseStatusCodeMatchInput}}, exact_match_map: {map: {'500': {action: \
    {name: a, typed_config: {\"@type\": \
    type.googleapis.com/envoy.extensions.http.custom_response.redirect_policy.v3.RedirectPolicy, \
    uri: 'http://b.test/sorry'}}}}}}}}},";
const ERROR: &str = "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn a_custom_response_comes_from_elsewhere() {
    let proxy = Proxy::with_filters(CUSTOM, "", "").await;
    let mut client = proxy.connect();
    client.send(POST).await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    upstream.send(ERROR).await;
    let next = upstream.receive().await;
    assert!(
        next.starts_with("GET /sorry HTTP/1.1\r\nhost: b.test\r\n") && next.ends_with("\r\n\r\n"),
        "{next}"
    );
    upstream.send(OK).await;
    let response = client.receive().await;
    assert!(
        response.starts_with("HTTP/1.1 500 ") && response.ends_with("\r\n\r\nok"),
        "{response}"
    );
    // What is in the place of a response is not replaced again.
    client.send(GET).await;
    for _ in 0..2 {
        upstream.receive().await;
        upstream.send(ERROR).await;
    }
    assert!(client.receive().await.starts_with("HTTP/1.1 500 "));
    drop(client);
    proxy.assert_balanced().await;
}

#[tokio::test]
async fn a_head_gets_no_body_from_elsewhere() {
    let proxy = Proxy::with_filters(CUSTOM, "", "").await;
    let mut client = proxy.connect();
    client.send("HEAD / HTTP/1.1\r\nhost: a.test\r\n\r\n").await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    upstream.send(ERROR).await;
    assert!(upstream.receive().await.starts_with("HEAD /sorry "));
    upstream
        .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n")
        .await;
    while !client.read.ends_with(b"\r\n\r\n") {
        assert_ne!(client.fill().await, 0);
    }
    drop(client);
    proxy.assert_balanced().await;
}

#[tokio::test]
async fn a_request_that_is_not_complete_stays_what_it_is() {
    let proxy = Proxy::with_filters(CUSTOM, "delayed_close_timeout: 0s", "").await;
    let mut client = proxy.connect();
    client
        .send("POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 5\r\n\r\nhel")
        .await;
    let mut upstream = proxy.accept().await;
    while !upstream.read.ends_with(b"hel") {
        assert_ne!(upstream.fill().await, 0);
    }
    upstream.send(ERROR).await;
    assert!(client.receive().await.starts_with("HTTP/1.1 500 "));
    assert_eq!(proxy.hcm.stats.downstream_rq_total.get(), 1);
    drop(client);
    proxy.assert_balanced().await;
}
