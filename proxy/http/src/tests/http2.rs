//! HTTP/2 frame by frame: what a client may send that no client library would.

use super::*;
use outrigger_upstream::frames::{GOAWAY, HEADERS, PING, SETTINGS};

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// The head of a POST whose body is still to come.
pub(super) fn post(stream: u32, path: &str) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "a.test"),
        (":path", path),
    ];
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    frame(HEADERS, 4, stream, &block)
}

impl Peer<UnixStream> {
    /// Type, flags and stream of the next frame.
    pub(super) async fn frame(&mut self) -> (u8, u8, u32) {
        loop {
            if let Some((head, rest)) = self.read.split_first_chunk::<9>() {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                if rest.len() >= length {
                    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                    let found = (head[3], head[4], stream);
                    self.read.drain(..9 + length);
                    return found;
                }
            }
            assert_ne!(self.fill().await, 0, "closed after {:?}", self.read);
        }
    }
}

pub(super) async fn start(proxy: &Proxy) -> Peer<UnixStream> {
    let mut client = proxy.connect();
    client.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    client.write(&frame(SETTINGS, 0, 0, &[])).await;
    client
}

#[tokio::test]
async fn data_behind_early_responses_ends_no_connection() {
    // Every request is answered before its body.
    let proxy = Proxy::start("normalize_path: true", "").await;
    let mut client = start(&proxy).await;
    let streams: Vec<u32> = (0..200).map(|i| 2 * i + 1).collect();
    for &stream in &streams {
        client.write(&post(stream, "/%00")).await;
    }
    let mut answered = 0;
    while answered < streams.len() {
        let (kind, _, stream) = client.frame().await;
        assert_ne!(kind, GOAWAY);
        answered += usize::from(kind == HEADERS && stream > 0);
    }
    for &stream in &streams {
        client.write(&frame(0, 1, stream, b"late")).await;
    }
    client.write(&frame(PING, 0, 0, b"01234567")).await;
    loop {
        match client.frame().await {
            (PING, 1, _) => break,
            (kind, ..) => assert_ne!(kind, GOAWAY),
        }
    }
    assert_eq!(proxy.hcm.stats.downstream_rq_4xx.get(), 200);
    assert_eq!(proxy.hcm.stats.downstream_cx_http2_active.get(), 1);
    drop(client);
    proxy.assert_balanced().await;
    assert_eq!(proxy.hcm.stats.downstream_cx_http2_active.get(), 0);
}

#[tokio::test]
async fn a_preface_may_come_in_pieces() {
    let proxy = Proxy::start("normalize_path: true", "").await;
    let mut client = proxy.connect();
    for piece in [&b"PRI * H"[..], b"TTP/2.0\r\n\r\n", b"SM\r\n\r\n"] {
        client.write(piece).await;
        settle().await;
    }
    client.write(&frame(SETTINGS, 0, 0, &[])).await;
    client.write(&post(1, "/%00")).await;
    while client.frame().await.0 != HEADERS {}
    assert_eq!(proxy.hcm.stats.downstream_rq_http2_total.get(), 1);
    assert_eq!(proxy.hcm.stats.downstream_cx_http1_total.get(), 0);
}

#[tokio::test]
async fn a_client_that_goes_away_may_still_send_pings() {
    let proxy = Proxy::start("normalize_path: true", "").await;
    let mut client = start(&proxy).await;
    client.write(&frame(GOAWAY, 0, 0, &[0; 8])).await;
    while client.frame().await.0 != GOAWAY {}
    settle().await;
    client.write(&frame(PING, 0, 0, b"01234567")).await;
    let stats = proxy.hcm.stats.clone();
    assert_eq!(stats.downstream_cx_active.get(), 1);
    drop(client);
    proxy.assert_balanced().await;
    assert_eq!(stats.downstream_cx_destroy_remote.get(), 1);
    assert_eq!(stats.downstream_cx_delayed_close_timeout.get(), 0);
}
