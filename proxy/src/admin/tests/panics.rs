//! What a panic costs here: its connection, and nothing else.

use super::*;
use outrigger_core::{panics, runtime::RuntimeUint64};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

const READY: &[u8] = b"GET /ready HTTP/1.1\r\nhost: a\r\n\r\n";

/// Asks on a connection that stays.
async fn ready(client: &mut TcpStream) {
    client.write_all(READY).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"0\r\n\r\n") {
        assert_ne!(client.read_buf(&mut answer).await.unwrap(), 0);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn a_panic_in_a_request_ends_its_connection_alone() {
    let contained = Arc::new(AtomicU32::new(0));
    let seen = contained.clone();
    panics::hook(move |panic, contained| match contained {
        true => drop(seen.fetch_add(1, SeqCst)),
        false => eprintln!("{panic}"),
    });
    let two = RuntimeUint64::new(2, "two", &Default::default());
    let limit = Arc::new(ConnectionLimit::new(two));
    let admin = start_limited(&[], false, Some(limit.clone())).await;
    let mut beside = TcpStream::connect(admin.address).await.unwrap();
    ready(&mut beside).await;
    for round in 1..=3 {
        let mut client = TcpStream::connect(admin.address).await.unwrap();
        let post = "POST /runtime_modify?panic=1 HTTP/1.1\r\nhost: a\r\n\r\n";
        client.write_all(post.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await;
        assert!(answer.is_empty());
        assert_eq!(contained.load(SeqCst), round);
        ready(&mut beside).await;
    }
    assert_eq!(limit.open(), 1);
    let active = admin.get("/stats?filter=admin.*cx_active").await.body;
    assert_eq!(
        active,
        "http.admin.downstream_cx_active: 2\n\
         listener.admin.downstream_cx_active: 2\n\
         listener.admin.downstream_pre_cx_active: 0\n\
         listener.admin.main_thread.downstream_cx_active: 2\n"
    );
    let requests = admin.get("/stats?filter=admin.*rq_active").await.body;
    assert_eq!(requests, "http.admin.downstream_rq_active: 1\n");
}
