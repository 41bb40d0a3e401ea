#![allow(clippy::unwrap_used)]
use super::*;
use envoy_api::{
    Message, Name, pack,
    pb::envoy::{
        config::listener::v3::{ListenerFilter as Proto, listener_filter::ConfigType},
        extensions::filters::listener::{
            http_inspector::v3::HttpInspector, original_dst::v3::OriginalDst,
        },
    },
};
use outrigger_core::Context;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

fn filter<M: Message + Name>(message: &M) -> (ListenerFilter, Arc<HttpInspectorStats>) {
    let context = Context::default();
    let proto = Proto {
        name: "f".into(),
        config_type: Some(ConfigType::TypedConfig(pack(message))),
        ..Default::default()
    };
    let filter = ListenerFilter::compile(&proto, &context).unwrap();
    let stats = context
        .stats
        .register("http_inspector.", HttpInspectorStats::default());
    (filter, stats)
}

fn port_80() -> Address {
    Address::Ip("127.0.0.1:80".parse().unwrap())
}

async fn pair() -> (TcpStream, Stream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, server) = tokio::join!(client, listener.accept());
    (client.unwrap(), Stream::Tcp(server.unwrap().0))
}

#[tokio::test]
async fn waits_for_a_whole_line_and_leaves_the_bytes() {
    let (mut client, mut server) = pair().await;
    let (filter, stats) = filter(&HttpInspector {});
    let mut found = Inspected::default();
    let filters = [filter];
    client.write_all(b"GET / HT").await.unwrap();
    {
        let local = port_80();
        let mut run = Box::pin(run(&filters, &server, &local, &mut found));
        // Until the first half has been looked at.
        for _ in 0..50 {
            assert!(futures_poll_once(run.as_mut()).await.is_none());
        }
        client.write_all(b"TP/1.1\r\n").await.unwrap();
        run.await.unwrap();
    }
    assert_eq!(found.application_protocols.as_slice(), ["http/1.1"]);
    assert_eq!(stats.http11_found.get(), 1);
    let mut bytes = [0; 16];
    server.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"GET / HTTP/1.1\r\n");
}

/// Polls once and gives the reactor a turn.
async fn futures_poll_once<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
    let polled = std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut future).poll(cx) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        })
    })
    .await;
    tokio::task::yield_now().await;
    polled
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_before_and_after_its_first_bytes() {
    for sent in [&b""[..], b"GET "] {
        let (mut client, server) = pair().await;
        let (filter, stats) = filter(&HttpInspector {});
        client.write_all(sent).await.unwrap();
        drop(client);
        let result = run(&[filter], &server, &port_80(), &mut Inspected::default()).await;
        assert_eq!(result, Err(InspectError::RemoteClose));
        assert_eq!(stats.http_not_found.get(), 0);
    }
}

#[tokio::test]
async fn a_disabled_filter_waits_for_nothing() {
    let (_client, server) = pair().await;
    let (mut filter, _) = filter(&HttpInspector {});
    filter.disabled = Some(Predicate::Port(80..81));
    let mut found = Inspected::default();
    run(&[filter], &server, &port_80(), &mut found)
        .await
        .unwrap();
    assert!(found.application_protocols.is_empty());
}

#[tokio::test]
async fn what_nobody_redirected_keeps_its_destination() {
    let (_client, server) = pair().await;
    let (filter, _) = filter(&OriginalDst {});
    let mut found = Inspected::default();
    run(&[filter], &server, &port_80(), &mut found)
        .await
        .unwrap();
    // Without connection tracking there is nothing to ask; with it the answer is where the client went.
    let local = server.local_address().unwrap().ip();
    assert!(found.original_dst.is_none() || found.original_dst == local);
}

#[test]
fn an_unknown_filter_is_refused() {
    let proto = Proto {
        name: "foo".into(),
        ..Default::default()
    };
    let error = ListenerFilter::compile(&proto, &Context::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Didn't find a registered implementation for 'foo' with type URL: ''"
    );
}
