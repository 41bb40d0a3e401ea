#![allow(clippy::unwrap_used)]
use super::*;
use crate::cli::{Command, parse};

fn options(args: &[&str]) -> Options {
    let args = ["outrigger"].iter().chain(args).map(Into::into);
    match parse(args).unwrap() {
        Command::Run(options) => *options,
        Command::Print(text) | Command::Tell(text) => panic!("{text}"),
    }
}

fn load_with(args: &[&str]) -> Result<Bootstrap, Rejection> {
    load(&options(args))
}

fn wrong(args: &[&str]) -> Vec<String> {
    load_with(args).unwrap_err().0
}

#[test]
fn the_text_is_merged_over_the_file_and_the_flags_over_both() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.yaml");
    std::fs::write(
        &path,
        "node: {id: a, cluster: b}\nstatic_resources: {clusters: [{name: x}]}",
    )
    .unwrap();
    let bootstrap = load_with(&[
        "-c",
        path.to_str().unwrap(),
        "--config-yaml",
        "{node: {cluster: c}, static_resources: {clusters: [{name: x2}]}}",
        "--service-node",
        "n",
        "--service-zone",
        "z",
    ])
    .unwrap();
    let node = bootstrap.proto.node.unwrap();
    assert_eq!((node.id.as_str(), node.cluster.as_str()), ("n", "c"));
    assert_eq!(node.locality.unwrap().zone, "z");
    assert_eq!(bootstrap.proto.static_resources.unwrap().clusters.len(), 2);
}

#[test]
fn what_cannot_be_read_is_named() {
    assert_eq!(
        wrong(&["-c", "/nonexistent"]),
        ["Invalid path: /nonexistent"]
    );
    assert!(wrong(&[])[0].starts_with("At least one of --config-path or --config-yaml"));
    assert_eq!(
        wrong(&["--config-yaml", "a"]),
        ["Unable to convert YAML as JSON"]
    );
}

#[test]
fn unknown_fields_are_refused_unless_allowed() {
    let yaml = "{node: {idd: x}}";
    let refused = wrong(&["--config-yaml", yaml]);
    assert_eq!(
        refused,
        [
            "Protobuf message (type envoy.config.bootstrap.v3.Bootstrap reason node.idd: no such field: 'idd') has \
          unknown fields"
        ]
    );
    let allowed = load_with(&["--config-yaml", yaml, "--allow-unknown-static-fields"]).unwrap();
    assert_eq!(allowed.unknown[0].path, "node.idd");
}

#[test]
fn everything_that_is_wrong_is_listed_with_its_path() {
    let yaml =
        "{hds_config: {}, watchdog: {}, static_resources: {clusters: [{connect_timeout: 1s}]}}";
    let wrong = wrong(&["--config-yaml", yaml]);
    assert!(
        wrong[0].starts_with("static_resources.clusters[0].name: "),
        "{wrong:?}"
    );
    assert!(
        wrong[1].starts_with("hds_config: field is not supported: "),
        "{wrong:?}"
    );
    assert_eq!(wrong.len(), 2);
}

#[test]
fn errors_name_the_resource_that_they_stand_in() {
    let yaml = "static_resources: {clusters: [{name: up, connect_timeout: 0s}], \
                listeners: [{name: in, enable_mptcp: true}]}";
    let wrong = wrong(&["--config-yaml", yaml]);
    assert!(
        wrong[0].starts_with("cluster 'up': static_resources.clusters[0].connect_timeout: "),
        "{wrong:?}"
    );
    assert!(
        wrong[1].starts_with("listener 'in': static_resources.listeners[0].enable_mptcp: "),
        "{wrong:?}"
    );
    assert_eq!(wrong.len(), 2);
}

#[test]
fn a_disabled_extension_does_not_exist() {
    let yaml = "static_resources: {listeners: [{name: in, listener_filters: [{name: od, typed_config: {\"@type\": \
                type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst}}]}]}";
    assert!(load_with(&["--config-yaml", yaml]).is_ok());
    let flag = "envoy.filters.listener/envoy.filters.listener.original_dst";
    let wrong = wrong(&["--config-yaml", yaml, "--disable-extensions", flag]);
    assert!(
        wrong[0].contains("Didn't find a registered implementation for 'od'"),
        "{wrong:?}"
    );
}

#[test]
fn ignored_fields_are_reported() {
    let bootstrap = load_with(&["--config-yaml", "{watchdog: {miss_timeout: 1s}}"]).unwrap();
    assert_eq!(
        bootstrap.ignored[0].field,
        "envoy.config.bootstrap.v3.Bootstrap.watchdog"
    );
}

#[test]
fn runtime_layers_are_accepted() {
    let yaml = "{layered_runtime: {layers: [{name: a, static_layer: {k: 1}}, {name: b, admin_layer: {}}, {name: c, disk_layer: {symlink_root: /x}}]}}";
    let bootstrap = load_with(&["--config-yaml", yaml]).unwrap();
    assert!(bootstrap.ignored.is_empty());
    assert_eq!(bootstrap.proto.layered_runtime.unwrap().layers.len(), 3);
    let rtds = "{layered_runtime: {layers: [{name: a, rtds_layer: {name: x}}]}}";
    assert!(wrong(&["--config-yaml", rtds])[0].contains("rtds_layer"));
}
