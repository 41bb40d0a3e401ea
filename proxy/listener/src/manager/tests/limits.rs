//! Limits on open connections, of a listener and of the process.

use super::*;
use envoy_api::pb::envoy::config::bootstrap::v3::{
    LayeredRuntime, RuntimeLayer, runtime_layer::LayerSpecifier,
};
use outrigger_core::{runtime::Runtime, stats::Store};

/// A runtime with one layer of numbers.
fn runtime(values: &[(&str, f64)]) -> Arc<Runtime> {
    let value = |number| prost_types::Value {
        kind: Some(prost_types::value::Kind::NumberValue(number)),
    };
    let fields = values
        .iter()
        .map(|(key, number)| ((*key).to_owned(), value(*number)));
    let layer = RuntimeLayer {
        name: "fixed".into(),
        layer_specifier: Some(LayerSpecifier::StaticLayer(prost_types::Struct {
            fields: fields.collect(),
        })),
    };
    let proto = LayeredRuntime {
        layers: vec![layer],
    };
    Arc::new(Runtime::compile(Some(&proto), "", &Store::default()).unwrap())
}

#[tokio::test]
async fn limits_close_what_is_too_much() {
    let runtime = runtime(&[
        ("global", 2.0),
        ("envoy.resource_limits.listener.one.connection_limit", 1.0),
    ]);
    let setup = Setup::with(Context {
        runtime,
        ..Default::default()
    })
    .await;
    setup.manager.add_static(&listener("one")).unwrap();
    setup.manager.add_static(&listener("many")).unwrap();
    let free = Proto {
        ignore_global_conn_limit: true,
        ..listener("free")
    };
    setup.manager.add_static(&free).unwrap();
    let addresses = setup.start();
    let listeners = setup.manager.listeners();
    let _first = setup.session(addresses[0]).await;
    let mut over = TcpStream::connect(addresses[0]).await.unwrap();
    assert!(closed(&mut over).await);
    assert_eq!(listeners[0].stats.downstream_cx_overflow.get(), 1);

    let second = setup.session(addresses[1]).await;
    let mut over = TcpStream::connect(addresses[1]).await.unwrap();
    assert!(closed(&mut over).await);
    assert_eq!(listeners[1].stats.downstream_global_cx_overflow.get(), 1);
    assert_eq!(listeners[1].stats.downstream_cx_total.get(), 1);
    let _free = setup.session(addresses[2]).await;

    drop(second);
    eventually(|| setup.manager.global_limit.open() == 1).await;
    let _again = setup.session(addresses[1]).await;
}
