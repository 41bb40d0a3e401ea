//! The example layers stood in Envoy 1.40's bootstrap; the texts are what its `/runtime` showed.
#![allow(clippy::unwrap_used)]

use super::*;
use envoy_api::pb::envoy::config::{
    bootstrap::v3::{RuntimeLayer, runtime_layer::AdminLayer},
    core::v3::RuntimeUInt32,
};
use prost_types::{Struct, Value as ProtoValue, value::Kind};

fn number(n: f64) -> Kind {
    Kind::NumberValue(n)
}

fn text(t: &str) -> Kind {
    Kind::StringValue(t.to_owned())
}

fn object<const N: usize>(fields: [(&str, Kind); N]) -> Struct {
    let fields = fields.map(|(k, kind)| (k.to_owned(), ProtoValue { kind: Some(kind) }));
    Struct {
        fields: fields.into(),
    }
}

fn layer(name: &str, specifier: LayerSpecifier) -> RuntimeLayer {
    RuntimeLayer {
        name: name.to_owned(),
        layer_specifier: Some(specifier),
    }
}

fn admin(name: &str) -> RuntimeLayer {
    layer(name, LayerSpecifier::AdminLayer(AdminLayer {}))
}

fn fixed<const N: usize>(name: &str, fields: [(&str, Kind); N]) -> RuntimeLayer {
    layer(name, LayerSpecifier::StaticLayer(object(fields)))
}

fn compile(layers: Vec<RuntimeLayer>) -> Result<Runtime, ConfigError> {
    Runtime::compile(Some(&LayeredRuntime { layers }), &Store::default())
}

fn example() -> Runtime {
    let fraction = object([
        ("numerator", number(5.0)),
        ("denominator", text("TEN_THOUSAND")),
    ]);
    let a = object([
        ("b", number(5.0)),
        ("c", number(1.5)),
        ("d", Kind::BoolValue(true)),
        ("s", text("str")),
        ("n", number(-3.0)),
        ("big", number(1e11)),
        ("f", Kind::StructValue(fraction)),
        ("x", number(1e30)),
        ("y", number(0.00001)),
    ]);
    compile(vec![
        fixed("st", [("a", Kind::StructValue(a))]),
        fixed("st2", [("a.b", number(9.0))]),
        admin("ad"),
    ])
    .unwrap()
}

#[test]
fn the_last_layer_wins_and_all_are_shown() {
    let runtime = example();
    runtime
        .modify([("a.b", "77"), ("new", "foo"), ("a.c", "")])
        .unwrap();
    let dump = runtime.dump();
    assert_eq!(dump.layers, ["st", "st2", "ad"]);
    for (key, final_value, layers) in [
        ("a.b", "77", ["5", "9", "77"]),
        ("a.c", "1.5", ["1.5", "", ""]),
        ("a.d", "true", ["true", "", ""]),
        ("a.s", "str", ["str", "", ""]),
        ("a.n", "-3", ["-3", "", ""]),
        ("a.big", "100000000000", ["100000000000", "", ""]),
        ("a.x", "1e30", ["1e30", "", ""]),
        ("a.y", "0.00001", ["0.00001", "", ""]),
        ("new", "foo", ["", "", "foo"]),
    ] {
        let entry = &dump.entries[key];
        assert_eq!(entry.final_value, final_value, "{key}");
        assert_eq!(entry.layer_values, layers, "{key}");
    }
    assert_eq!(runtime.stats.num_keys.get(), 10);
    assert_eq!(runtime.stats.admin_overrides_active.get(), 1);
    runtime.modify([("a.b", ""), ("new", "")]).unwrap();
    assert_eq!(runtime.stats.admin_overrides_active.get(), 0);
    assert_eq!(runtime.get("a.b").and_then(|v| v.integer()), Some(9));
    assert!(runtime.get("new").is_none());
}

#[test]
fn handles_follow_their_key() {
    let runtime = example();
    let proto = |key: &str| RuntimeUInt32 {
        default_value: 3,
        runtime_key: key.to_owned(),
    };
    let known = RuntimeUint32::compile(&proto("a.b"), &runtime);
    let later = RuntimeUint32::compile(&proto("later"), &runtime);
    let never = RuntimeUint32::compile(&proto(""), &runtime);
    let negative = RuntimeUint32::compile(&proto("a.n"), &runtime);
    assert_eq!((known.get(), later.get(), never.get()), (9, 3, 3));
    assert_eq!(negative.get(), 3);
    runtime.modify([("a.b", "1"), ("later", "2")]).unwrap();
    assert_eq!((known.get(), later.get()), (1, 2));
    runtime.modify([("later", "99999999999")]).unwrap();
    assert_eq!(later.get(), u32::MAX);
    let flag = RuntimeFlag::new(false, "a.d", &runtime);
    assert!(flag.get());
    runtime.modify([("a.d", "5")]).unwrap();
    assert!(!flag.get());
}

#[test]
fn a_fraction_counts_random_numbers() {
    let runtime = example();
    let fraction = RuntimeFraction::new(Fraction::percent(50), "a.f", &runtime);
    let hits = (0..10_000).filter(|n| fraction.enabled(*n)).count();
    assert_eq!(hits, 5);
    for (value, hits) in [("30", 30), ("0", 0), ("100", 100), ("1000", 100), ("x", 50)] {
        runtime.modify([("a.f", value)]).unwrap();
        let found = (0..100).filter(|n| fraction.enabled(*n)).count();
        assert_eq!(found, hits, "{value}");
    }
}

#[test]
fn layers_that_cannot_be() {
    for (layers, error) in [
        (
            vec![admin("a"), admin("b")],
            "Too many admin layers specified in LayeredRuntime, at most one may be specified",
        ),
        (vec![fixed("a", []), admin("a")], "Duplicate layer name: a"),
        (
            vec![fixed("a", [("k", Kind::NullValue(0))])],
            "Invalid runtime entry value for k",
        ),
        (
            vec![RuntimeLayer {
                name: "a".into(),
                layer_specifier: None,
            }],
            "is required",
        ),
    ] {
        assert_eq!(compile(layers).map(|_| ()).unwrap_err().reason(), error);
    }
    let none = Runtime::default();
    assert_eq!(none.modify([("a", "1")]), Err(NoAdminLayer));
}
