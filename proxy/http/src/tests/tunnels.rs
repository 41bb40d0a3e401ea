//! Upgrades and TCP in the place of a request: bytes pass as they are, and no side makes us hold more than our buffers.

use super::*;

const ASK: &str = "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: foo\r\n\r\n";
const AGREE: &str =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: foo\r\n\r\n";
const UPGRADES: &str = "upgrade_configs: [{upgrade_type: foo}]";
/// More than the buffers of the proxy and of all sockets together.
const MUCH: usize = 64 * 1024 * 1024;

/// Writes as much as somebody takes; how much that was.
async fn write_until_full<S: AsyncWrite + Unpin>(stream: &mut S) -> usize {
    let piece = vec![b'x'; 64 * 1024];
    let mut written = 0;
    while written < MUCH {
        let wait = Duration::from_millis(200);
        match time::timeout(wait, stream.write(&piece)).await {
            Ok(length) => written += length.unwrap(),
            Err(_) => break,
        }
    }
    written
}

async fn read_all<S: AsyncRead + Unpin>(stream: &mut S, mut rest: usize) {
    let mut buffer = vec![0; 256 * 1024];
    while rest > 0 {
        let read = time::timeout(Duration::from_secs(20), stream.read(&mut buffer));
        let length = read.await.unwrap().unwrap();
        assert_ne!(length, 0, "{rest} bytes are missing");
        rest -= length;
    }
}

#[tokio::test]
async fn what_comes_before_the_answer_waits_for_it_within_limits() {
    let proxy = Proxy::start(UPGRADES, "").await;
    let mut client = proxy.connect();
    client.send(ASK).await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    let written = write_until_full(&mut client.stream).await;
    assert!(written < 8 * 1024 * 1024, "{written}");
    assert!(upstream.read.is_empty());
    upstream.send(AGREE).await;
    read_all(&mut upstream.stream, written).await;
    assert!(client.receive().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(proxy.hcm.stats.downstream_cx_upgrades_active.get(), 1);
    drop(client);
    assert_eq!(upstream.rest().await, "");
    proxy.assert_balanced().await;
    assert_eq!(proxy.hcm.stats.downstream_cx_upgrades_active.get(), 0);
    assert_eq!(proxy.hcm.stats.downstream_cx_upgrades_total.get(), 1);
}

#[tokio::test]
async fn a_tunnel_holds_back_whoever_is_faster() {
    let proxy = Proxy::start(UPGRADES, "").await;
    let mut client = proxy.connect();
    client.send(ASK).await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;
    upstream.send(AGREE).await;
    client.receive().await;
    let up = write_until_full(&mut client.stream).await;
    let down = write_until_full(&mut upstream.stream).await;
    assert!(up < MUCH && down < MUCH, "{up} {down}");
    read_all(&mut upstream.stream, up).await;
    read_all(&mut client.stream, down).await;
    upstream.send("last").await;
    drop(upstream);
    assert_eq!(client.rest().await, "last");
    proxy.assert_balanced().await;
}

#[tokio::test]
async fn a_refused_upgrade_reads_no_further_request() {
    let proxy = Proxy::start("", "").await;
    let mut client = proxy.connect();
    client.send(&format!("{ASK}{GET}")).await;
    let refusal = client.rest().await;
    assert!(refusal.starts_with("HTTP/1.1 403 "), "{refusal}");
    assert_eq!(refusal.matches("HTTP/1.1").count(), 1);
    proxy.assert_balanced().await;
    assert_eq!(proxy.cluster.stats.upstream_cx_total.get(), 0);
}

#[tokio::test]
async fn a_post_becomes_tcp_with_both_its_ends() {
    let route = "upgrade_configs: [{upgrade_type: CONNECT, connect_config: {allow_post: true}}]";
    let proxy = Proxy::start("", route).await;
    let mut client = proxy.connect();
    let post = "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n";
    client.send(&format!("{post}4\r\nping\r\n")).await;
    let mut upstream = proxy.accept().await;
    while !upstream.read.ends_with(b"ping") {
        assert_ne!(upstream.fill().await, 0);
    }
    assert!(client.receive().await.starts_with("HTTP/1.1 200 "));
    client.send("0\r\n\r\n").await;
    assert_eq!(upstream.rest().await, "ping");
    upstream.send("pong").await;
    drop(upstream);
    assert_eq!(client.rest().await, "4\r\npong\r\n0\r\n\r\n");
    let stats = &proxy.cluster.stats;
    until(|| stats.upstream_cx_destroy.get() == 1).await;
    assert_eq!(stats.upstream_cx_destroy_with_active_rq.get(), 0);
    proxy.assert_balanced().await;
}
