//! The example layers stood in Envoy 1.40's bootstrap; the texts are what its `/runtime` showed.
#![allow(clippy::unwrap_used)]

use super::*;
use envoy_api::pb::envoy::config::{
    bootstrap::v3::{
        RuntimeLayer,
        runtime_layer::{AdminLayer, DiskLayer},
    },
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
    Runtime::compile(
        Some(&LayeredRuntime { layers }),
        "cluster",
        &Store::default(),
    )
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

/// A directory of versions, and the link to the one in force.
struct Disk {
    root: tempfile::TempDir,
}

impl Disk {
    fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
        }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn link(&self) -> String {
        self.root.path().join("current").display().to_string()
    }

    /// Puts a link to a version in the place of the one before.
    fn publish(&self, version: &str) {
        let new = self.root.path().join("new");
        std::os::unix::fs::symlink(version, &new).unwrap();
        std::fs::rename(&new, self.link()).unwrap();
    }

    fn layer(&self, name: &str, subdirectory: &str, append_service_cluster: bool) -> RuntimeLayer {
        layer(
            name,
            LayerSpecifier::DiskLayer(DiskLayer {
                symlink_root: self.link(),
                subdirectory: subdirectory.to_owned(),
                append_service_cluster,
            }),
        )
    }
}

#[test]
fn files_are_values_and_directories_are_prefixes() {
    let disk = Disk::new();
    disk.write("v1/envoy/a/b", "12\n");
    disk.write("v1/envoy/c", "# comment\n  7  \n");
    disk.write("v1/envoy/d", "line1\n\nline2\n#x\nline3 \n\n");
    disk.write("v1/envoy/e", "1\n#c\n");
    disk.write("v1/envoy/f", "numerator: 5\ndenominator: TEN_THOUSAND\n");
    disk.write("v1/envoy/g", "{numerator: 3}");
    disk.write("v1/envoy/h", "true");
    disk.write("v1/cluster/a/b", "99");
    disk.publish("v1");
    let runtime = compile(vec![
        disk.layer("root", "envoy", false),
        disk.layer("override", "", true),
        disk.layer("missing", "none", false),
    ])
    .unwrap();
    let dump = runtime.dump();
    assert_eq!(dump.layers, ["root", "override"]);
    let shown = |key: &str| dump.entries[key].final_value.clone();
    assert_eq!(dump.entries["a.b"].layer_values, ["12", "99"]);
    assert_eq!(
        ["c", "d", "e", "h"].map(shown),
        ["  7", "line1\nline2\nline3", "1\n", "true"]
    );
    assert_eq!(shown("f"), "numerator: 5\ndenominator: TEN_THOUSAND");
    assert_eq!(runtime.get("c").unwrap().integer(), Some(7));
    assert_eq!(runtime.get("e").unwrap().integer(), Some(1));
    let fraction = |key: &str| runtime.get(key).unwrap().fraction().unwrap();
    assert_eq!(fraction("f").denominator, 10_000);
    assert_eq!(fraction("g"), Fraction::percent(3));
    assert_eq!(runtime.stats.override_dir_exists.get(), 2);
    assert_eq!(runtime.stats.num_layers.get(), 2);
}

#[test]
fn a_layer_that_cannot_be_read_is_none() {
    let disk = Disk::new();
    disk.write("v1/a", "1");
    std::os::unix::fs::symlink("nowhere", disk.root.path().join("v1/broken")).unwrap();
    disk.publish("v1");
    let runtime = compile(vec![disk.layer("root", "", false)]).unwrap();
    assert!(runtime.dump().layers.is_empty());
    assert_eq!(runtime.stats.load_error.get(), 2);
    assert_eq!(runtime.stats.load_success.get(), 0);
}

#[tokio::test]
async fn another_link_brings_other_values() {
    let disk = Disk::new();
    disk.write("v1/a", "1");
    disk.write("v2/a", "2");
    disk.publish("v1");
    let runtime = compile(vec![disk.layer("root", "", false)]).unwrap();
    let handle = RuntimeUint32::new(0, "a", &runtime);
    assert_eq!(handle.get(), 1);
    let changed = async {
        // A file beside the link is no news.
        disk.write("other", "");
        disk.publish("v2");
        while handle.get() == 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = runtime.watch() => panic!("the watch goes on"),
        () = changed => {}
    }
    assert_eq!(handle.get(), 2);
    assert_eq!(runtime.stats.load_success.get(), 3);
}

#[test]
fn a_link_without_a_directory_is_refused() {
    let error = |root: &str| {
        let disk = DiskLayer {
            symlink_root: root.to_owned(),
            ..Default::default()
        };
        let error = compile(vec![layer("disk", LayerSpecifier::DiskLayer(disk))]).unwrap_err();
        error.to_string()
    };
    assert_eq!(
        error("name"),
        "layers[0].disk_layer.symlink_root: invalid file path name"
    );
    assert_eq!(
        error("/no/such/link"),
        "layers[0].disk_layer.symlink_root: unable to add filesystem watch for file \
         /no/such/link: No such file or directory"
    );
}
