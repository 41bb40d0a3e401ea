//! What a panic in the codec costs: a connection with its streams, and nothing else.

use super::{
    http2::{connected, exchange, proto2, stream},
    *,
};
use outrigger_core::panics::{self, contained};
use std::{
    pin::Pin,
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    task::{Context, Wake, Waker},
};

/// The codec calls it where it knows of something new, in the task of the connection and under the codec's lock.
struct Bad;

impl Wake for Bad {
    fn wake(self: Arc<Self>) {
        std::panic::panic_any("a waker of a test");
    }
}

#[tokio::test]
async fn a_panic_ends_its_connection_alone() {
    let panicked = Arc::new(AtomicU32::new(0));
    let seen = panicked.clone();
    panics::hook(move |panic, contained| match contained {
        true => drop(seen.fetch_add(1, SeqCst)),
        false => eprintln!("{panic}"),
    });
    let (listener, address) = listener().await;
    let cluster = build(&proto2(address));
    let (mut broken, _peer) = connected(&cluster, &listener).await;
    let mut beside = stream(&cluster).await;
    let stats = &cluster.stats;
    assert_eq!(stats.upstream_cx_total.get(), 1);

    let request = http::Request::get("http://up.test/").body(()).unwrap();
    let (mut response, sending) = broken.send.send_request(request, true).unwrap();
    let waker = Waker::from(Arc::new(Bad));
    let waiting = tokio::spawn(contained(async move { exchange(&mut beside).await }));
    let first = Pin::new(&mut response).poll(&mut Context::from_waker(&waker));
    assert!(first.is_pending());
    until(|| stats.upstream_cx_active.get() == 0).await;
    assert_eq!(panicked.load(SeqCst), 1);
    assert_eq!(stats.upstream_cx_destroy.get(), 1);

    // The codec's lock is poisoned. Who asks it, or lets go of it, panics as well, and ends as alone.
    let dropped = tokio::spawn(contained(async move { drop((response, sending, broken)) }));
    assert!(dropped.await.unwrap_err().is_panic());
    // Nobody has told this one: it ends with its timeout or its client.
    assert!(!waiting.is_finished());
    waiting.abort();
    assert!(waiting.await.is_err());
    assert_eq!(panicked.load(SeqCst), 3);
    assert_eq!(stats.upstream_rq_active.get(), 0);

    // The next request gets a connection of its own.
    let (mut next, _peer) = connected(&cluster, &listener).await;
    exchange(&mut next).await;
    assert_eq!(stats.upstream_cx_total.get(), 2);
    drop(next);
    assert_eq!(stats.upstream_rq_active.get(), 0);
    assert_eq!(stats.upstream_rq_pending_active.get(), 0);
}
