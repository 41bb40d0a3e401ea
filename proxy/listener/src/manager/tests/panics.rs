//! What a panic costs: its connection, and nothing else.

use super::*;
use outrigger_core::panics;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// One connection ends, with all that it held; the next one is served.
#[tokio::test]
async fn a_panic_ends_its_connection_alone() {
    let setup = Setup::new(1).await;
    let filter = Filter {
        name: "f".into(),
        config_type: Some(ConfigType::TypedConfig(prost_types::Any {
            type_url: "type.googleapis.com/google.protobuf.Empty".into(),
            value: Vec::new(),
        })),
    };
    let broken = Proto {
        filter_chains: vec![chain(vec![filter])],
        ..listener("panics")
    };
    setup.manager.add_static(&broken).unwrap();
    setup.manager.add_static(&listener("good")).unwrap();
    let contained = Arc::new(AtomicUsize::new(0));
    let seen = contained.clone();
    panics::hook(move |panic, contained| match contained {
        true => drop(seen.fetch_add(1, SeqCst)),
        false => eprintln!("{panic}"),
    });
    let addresses = setup.start();
    for _ in 0..2 {
        let mut client = TcpStream::connect(addresses[0]).await.unwrap();
        assert!(closed(&mut client).await);
    }
    assert_eq!(contained.load(SeqCst), 2);
    let stats = setup.manager.listeners()[0].stats.clone();
    eventually(|| stats.downstream_cx_destroy.get() == 2).await;
    assert_eq!(stats.downstream_cx_active.get(), 0);
    setup.session(addresses[1]).await;
}
