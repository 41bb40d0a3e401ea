//! Filters that make a request wait.

use super::{GET, OK, Proxy, pass, settle, until};
use tokio::io::AsyncWriteExt;

const DELAY: &str = "{name: fault, typed_config: {\"@type\": \
    type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault, \
    delay: {fixed_delay: 60s, percentage: {numerator: 100}}, max_active_faults: 1}},";
const BUFFER: &str = "{name: buffer, typed_config: {\"@type\": \
    type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer, max_request_bytes: 4}},";

#[tokio::test]
async fn a_delayed_request_goes_on_in_time() {
    let proxy = Proxy::with_filters(DELAY, "", "timeout: 0s").await;
    let mut client = proxy.connect();
    client.send(GET).await;
    settle().await;
    assert_eq!(proxy.cluster.stats.upstream_rq_total.get(), 0);
    pass(60).await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    upstream.send(OK).await;
    assert!(client.receive().await.ends_with("ok"));
    drop((client, upstream));
    proxy.assert_balanced().await;
}

#[tokio::test]
async fn a_client_that_goes_during_its_delay_makes_room_for_another() {
    let proxy = Proxy::with_filters(DELAY, "", "timeout: 0s").await;
    let mut client = proxy.connect();
    client.send(GET).await;
    settle().await;
    drop(client);
    until(|| proxy.hcm.stats.downstream_rq_active.get() == 0).await;
    let mut client = proxy.connect();
    client.send(GET).await;
    settle().await;
    assert_eq!(
        proxy.cluster.stats.upstream_rq_total.get(),
        0,
        "the second request is delayed as well: the first counts no more"
    );
    drop(client);
    proxy.assert_balanced().await;
}

#[tokio::test]
async fn a_body_is_held_until_it_is_whole_or_too_large() {
    let proxy = Proxy::with_filters(BUFFER, "", "timeout: 0s").await;
    let mut client = proxy.connect();
    let chunked = "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n";
    client.send(chunked).await;
    client.send("3\r\nabc\r\n").await;
    settle().await;
    assert_eq!(proxy.cluster.stats.upstream_rq_total.get(), 0);
    client.send("1\r\nd\r\n0\r\n\r\n").await;
    let mut upstream = proxy.accept().await;
    let request = upstream.receive().await;
    assert!(request.contains("content-length: 4\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\nabcd"), "{request}");
    upstream.send(OK).await;
    client.receive().await;
    client.send(chunked).await;
    client.send("5\r\nabcde\r\n").await;
    let answer = client.receive().await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    client.stream.shutdown().await.ok();
    drop((client, upstream));
    proxy.assert_balanced().await;
}
