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

const COMPRESS: &str = "{name: gz, typed_config: {\"@type\": \
    type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor, compressor_library: {name: x, \
    typed_config: {\"@type\": type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip}}}},";
const DECOMPRESS: &str = "{name: un, typed_config: {\"@type\": \
    type.googleapis.com/envoy.extensions.filters.http.decompressor.v3.Decompressor, decompressor_library: {name: x, \
    typed_config: {\"@type\": type.googleapis.com/envoy.extensions.compression.gzip.decompressor.v3.Gzip, \
    max_inflate_ratio: 1032}}}},";

/// Undoes gzip as far as it has come.
fn unzip(body: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 1 << 20];
    let mut inflate = zlib_rs::Inflate::new(true, 31);
    let _ = inflate.decompress(body, &mut out, zlib_rs::InflateFlush::NoFlush);
    out.truncate(usize::try_from(inflate.total_out()).unwrap());
    out
}

#[tokio::test]
async fn a_compressed_response_does_not_wait_for_its_end() {
    let proxy = Proxy::with_filters(COMPRESS, "", "timeout: 0s").await;
    let mut client = proxy.connect();
    client
        .send("GET / HTTP/1.1\r\nhost: a.test\r\naccept-encoding: gzip\r\n\r\n")
        .await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    upstream
        .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
        .await;
    let head = client.receive().await;
    assert!(head.contains("content-encoding: gzip\r\n"), "{head}");
    while !client.read.contains(&b'\n') || client.read.len() < 15 {
        client.fill().await;
    }
    let at = client.read.windows(2).position(|w| w == b"\r\n").unwrap() + 2;
    assert_eq!(unzip(&client.read[at..]), b"hello");
    drop((client, upstream));
    proxy.assert_balanced().await;
}

#[tokio::test]
async fn a_body_that_expands_waits_for_whoever_reads_it() {
    let filters = format!("{DECOMPRESS}{COMPRESS}");
    let proxy = Proxy::with_filters(&filters, "", "timeout: 0s").await;
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nhost: a.test\r\n\r\n").await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    let mut bomb = vec![0; 1 << 20];
    let mut deflate = zlib_rs::Deflate::new_with_config(zlib_rs::DeflateConfig {
        window_bits: 31,
        ..zlib_rs::DeflateConfig::default()
    });
    let zeros = vec![0; 48 << 20];
    deflate
        .compress(&zeros, &mut bomb, zlib_rs::DeflateFlush::Finish)
        .unwrap();
    bomb.truncate(usize::try_from(deflate.total_out()).unwrap());
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        bomb.len()
    );
    upstream.send(&head).await;
    upstream.stream.write_all(&bomb).await.unwrap();
    client.receive().await;
    settle().await;
    let buffered = proxy.hcm.stats.downstream_cx_tx_bytes_buffered.get();
    assert!(
        buffered < 4 << 20,
        "{buffered} bytes are held for a client that reads nothing"
    );
    assert!(proxy.hcm.stats.downstream_rq_active.get() == 1);
    drop((client, upstream));
    proxy.assert_balanced().await;
}

const BRIDGE: &str = "{name: bridge, typed_config: {\"@type\": \
    type.googleapis.com/envoy.extensions.filters.http.grpc_http1_bridge.v3.Config}},";

#[tokio::test]
async fn a_client_that_goes_while_its_response_is_held_ends_it() {
    let proxy = Proxy::with_filters(BRIDGE, "", "timeout: 0s").await;
    let mut client = proxy.connect();
    client
        .send("POST /a/b HTTP/1.1\r\nhost: a.test\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n\r\n")
        .await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    upstream
        .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
        .await;
    settle().await;
    assert!(client.read.is_empty());
    drop(client);
    assert_eq!(
        upstream.rest().await,
        "",
        "the upstream's work is of no use"
    );
    proxy.assert_balanced().await;
}

const CUSTOM: &str = "{name: custom, typed_config: {\"@type\": \
    type.googleapis.com/envoy.extensions.filters.http.custom_response.v3.CustomResponse, custom_response_matcher: \
    {matcher_tree: {input: {name: code, typed_config: {\"@type\": \
    type.googleapis.com/envoy.type.matcher.v3.HttpResponseStatusCodeMatchInput}}, exact_match_map: {map: {'500': {action: \
    {name: a, typed_config: {\"@type\": \
    type.googleapis.com/envoy.extensions.http.custom_response.local_response_policy.v3.LocalResponsePolicy, status_code: \
    299, body: {inline_string: sorry}}}}}}}}}},";

#[tokio::test]
async fn a_replaced_response_does_not_wait_for_its_body() {
    let proxy = Proxy::with_filters(CUSTOM, "", "timeout: 0s").await;
    let mut client = proxy.connect();
    client.send(GET).await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    upstream
        .send("HTTP/1.1 500 X\r\ncontent-length: 1000000\r\n\r\nhalf")
        .await;
    let answer = client.receive().await;
    assert!(answer.starts_with("HTTP/1.1 299 "), "{answer}");
    assert!(answer.ends_with("sorry"), "{answer}");
    // What still comes of the body is of no use to anybody.
    assert_eq!(upstream.rest().await, "");
    client.send(GET).await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    upstream.send(OK).await;
    assert!(client.receive().await.ends_with("ok"));
    drop((client, upstream));
    proxy.assert_balanced().await;
}

#[tokio::test]
async fn a_replaced_response_without_a_body_leaves_its_connection_in_use() {
    let proxy = Proxy::with_filters(CUSTOM, "", "timeout: 0s").await;
    let mut client = proxy.connect();
    client.send(GET).await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    upstream
        .send("HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n")
        .await;
    assert!(client.receive().await.ends_with("sorry"));
    client.send(GET).await;
    upstream.receive().await;
    upstream.send(OK).await;
    assert!(client.receive().await.ends_with("ok"));
    assert_eq!(proxy.cluster.stats.upstream_cx_total.get(), 1);
    drop((client, upstream));
    proxy.assert_balanced().await;
}
