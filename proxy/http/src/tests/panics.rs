//! What a panic costs here: its stream, or the connection to an upstream that it comes from, and nothing else.

use super::{
    http2::{frame, post, start},
    *,
};
use outrigger_core::panics;
use outrigger_upstream::frames::{DATA, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE};
use std::{cell::Cell, fmt};
use tracing::{Event, Metadata, Subscriber, field, span, subscriber::DefaultGuard};

thread_local! {
    /// Panics that were contained, and others: of one test, as each has a thread to itself.
    static CONTAINED: Cell<u32> = const { Cell::new(0) };
    static OTHERS: Cell<u32> = const { Cell::new(0) };
}

/// Whoever logs a line that holds this text panics.
struct Panics(&'static str);

impl Panics {
    fn at(text: &'static str) -> DefaultGuard {
        panics::hook(|panic, contained| match contained {
            true => CONTAINED.set(CONTAINED.get() + 1),
            false => {
                OTHERS.set(OTHERS.get() + 1);
                eprintln!("{panic}");
            }
        });
        tracing::subscriber::set_default(Self(text))
    }
}

impl Subscriber for Panics {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        assert!(!line.0.contains(self.0), "a panic of a test");
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Line(String);

impl field::Visit for Line {
    fn record_debug(&mut self, _: &field::Field, value: &dyn fmt::Debug) {
        self.0 += &format!("{value:?} ");
    }
}

/// The next frame that belongs to a stream.
async fn of_a_stream(client: &mut Peer<UnixStream>) -> (u8, u8, u32) {
    loop {
        match client.frame().await {
            (WINDOW_UPDATE, ..) | (_, _, 0) => {}
            frame => return frame,
        }
    }
}

#[tokio::test]
async fn a_panic_in_a_stream_leaves_the_others_alive() {
    let _panics = Panics::at("'/panic'");
    let proxy = Proxy::start("normalize_path: true", "").await;
    let mut client = start(&proxy).await;
    client.write(&post(1, "/before")).await;
    let mut upstream = proxy.accept().await;
    assert!(upstream.receive().await.starts_with("POST /before "));
    client.write(&post(3, "/panic")).await;
    assert_eq!(of_a_stream(&mut client).await, (RST_STREAM, 0, 3));
    assert_eq!(CONTAINED.get(), 1);

    // The stream that was open goes on, and so does the connection.
    client.write(&frame(0, 1, 1, b"")).await;
    upstream.receive().await;
    upstream.send(OK).await;
    assert_eq!(of_a_stream(&mut client).await, (HEADERS, 4, 1));
    assert_eq!(of_a_stream(&mut client).await, (DATA, 1, 1));
    client.write(&post(5, "/%00")).await;
    assert_eq!(of_a_stream(&mut client).await, (HEADERS, 5, 5));
    assert_eq!(proxy.hcm.stats.downstream_cx_http2_active.get(), 1);
    drop((client, upstream));
    proxy.assert_balanced().await;
    assert_eq!(CONTAINED.get(), 1);
}

#[tokio::test]
async fn a_panic_in_an_upstreams_connection_ends_its_streams_alone() {
    // The codec logs what it has received.
    let _panics = Panics::at("[116, 111, 32, 112, 97, 110, 105, 99]");
    let http2 = "typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {\"@type\": \
        type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: \
        {http2_protocol_options: {}}}}";
    let proxy = Proxy::with_cluster(http2, "", "").await;
    let mut clients = [proxy.connect(), proxy.connect()];
    for client in &mut clients {
        client.send(GET).await;
    }
    let mut upstream = proxy.accept().await;
    until(|| proxy.cluster.stats.upstream_rq_active.get() == 2).await;
    upstream.write(&frame(SETTINGS, 0, 0, b"")).await;
    upstream.write(&frame(PING, 0, 0, b"to panic")).await;
    for client in &mut clients {
        let answer = client.receive().await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    }
    assert_eq!(CONTAINED.get(), 1);
    while upstream.fill().await != 0 {}
    let stats = &proxy.cluster.stats;
    assert_eq!(stats.upstream_cx_active.get(), 0);

    // The same clients get another connection.
    clients[0].send(GET).await;
    let mut upstream = proxy.accept().await;
    upstream.write(&frame(SETTINGS, 0, 0, b"")).await;
    // `:status: 200` of the static table.
    upstream.write(&frame(HEADERS, 5, 1, &[0x88])).await;
    let answer = clients[0].receive().await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(stats.upstream_cx_total.get(), 2);
    drop((clients, upstream));
    proxy.assert_balanced().await;
}

#[tokio::test]
async fn a_panic_in_the_codec_ends_its_connection_alone() {
    // The codec holds a lock then, on which its other streams panic as they end.
    let _panics = Panics::at("recv_headers; stream=StreamId(3)");
    let proxy = Proxy::start("", "").await;
    let mut beside = start(&proxy).await;
    beside.write(&post(1, "/beside")).await;
    let mut upstream = proxy.accept().await;
    upstream.receive().await;

    let mut client = start(&proxy).await;
    client.write(&post(1, "/x")).await;
    let mut other = proxy.accept().await;
    other.receive().await;
    client.write(&post(3, "/x")).await;
    while client.fill().await != 0 {}
    let stats = &proxy.hcm.stats;
    until(|| stats.downstream_rq_active.get() == 1).await;
    assert!(CONTAINED.get() > 1);
    assert_eq!(OTHERS.get(), 0);

    beside.write(&frame(0, 1, 1, b"")).await;
    upstream.receive().await;
    upstream.send(OK).await;
    assert_eq!(of_a_stream(&mut beside).await, (HEADERS, 4, 1));
    assert_eq!(stats.downstream_cx_active.get(), 1);
    drop((beside, upstream, other));
    proxy.assert_balanced().await;
}
