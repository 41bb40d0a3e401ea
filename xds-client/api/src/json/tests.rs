//! Messages through JSON and back. What is called measured was tried on Envoy 1.40 with `--mode validate` or read from
//! its `/config_dump`.

#![allow(clippy::unwrap_used)]

use crate::reflect::{DynamicMessage, MessageDescriptor};
use prost::Message;
use serde_json::{Value, json};

use super::{parse, read, write};
use crate::{Diagnostic, Findings};

const HCM: &str = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const TCP: &str = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
const BOOTSTRAP: &str = "envoy.config.bootstrap.v3.Bootstrap";
const CLUSTER: &str = "envoy.config.cluster.v3.Cluster";
const FILTER: &str = "envoy.config.listener.v3.Filter";
const NODE: &str = "envoy.config.core.v3.Node";

fn text(name: &str, text: &str) -> (DynamicMessage, Findings) {
    read(
        &MessageDescriptor::named(name).unwrap(),
        &parse(text).unwrap(),
    )
}

fn value(name: &str, value: Value) -> (DynamicMessage, Findings) {
    text(name, &value.to_string())
}

fn good(name: &str, json: Value) -> Value {
    let (message, findings) = value(name, json);
    assert_eq!(findings, Findings::default());
    write(&message)
}

fn lines(diagnostics: &[Diagnostic]) -> Vec<String> {
    diagnostics.iter().map(ToString::to_string).collect()
}

fn errors(name: &str, json: Value) -> Vec<String> {
    lines(&value(name, json).1.errors)
}

#[test]
fn a_rich_bootstrap_comes_back_as_it_was() {
    let bootstrap = json!({
        "node": {"id": "n", "metadata": {"a": [1, "x", null, {"b": true}], "f": 0.5}, "locality": {"zone": "z"}},
        "static_resources": {
            "listeners": [{
                "name": "l",
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": 80}},
                "filter_chains": [{
                    "filter_chain_match": {"prefix_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]},
                    "filters": [{"name": "hcm", "typed_config": {
                        "@type": HCM,
                        "codec_type": "HTTP1",
                        "stat_prefix": "s",
                        "route_config": {"virtual_hosts": [{
                            "name": "v",
                            "domains": ["*"],
                            "routes": [{
                                "match": {"prefix": "/"},
                                "route": {"cluster": "c", "timeout": "1.500s", "weighted_clusters": null},
                                "typed_per_filter_config": {"f": {
                                    "@type": "type.googleapis.com/google.protobuf.Duration", "value": "5s",
                                }},
                            }],
                        }]},
                        "access_log": [{"name": "a", "typed_config": {
                            "@type": "type.googleapis.com/google.protobuf.Empty",
                        }}],
                    }}],
                }],
            }],
            "clusters": [{
                "name": "c",
                "type": "EDS",
                "connect_timeout": "0.250s",
                "per_connection_buffer_limit_bytes": 32768,
                "load_assignment": {"endpoints": [{"load_balancing_weight": 3}]},
                "common_lb_config": {"healthy_panic_threshold": {"value": 50}},
            }],
        },
        "stats_config": {"histogram_bucket_settings": [{"buckets": [0.5, 1, 25]}]},
    });
    let mut expected = bootstrap.clone();
    let route = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes/0/route";
    expected
        .pointer_mut(route)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .shift_remove("weighted_clusters");
    assert_eq!(good(BOOTSTRAP, bootstrap), expected);
}

#[test]
fn finds_everything_with_its_path() {
    let (_, findings) = value(
        BOOTSTRAP,
        json!({
            "bogus": 1,
            "node": {"id": 123, "metadata": {"k": "v"}},
            "static_resources": {"listeners": [{"filter_chains": [{"filters": [
                {"typed_config": {"codec_tipe": "AUTO", "@type": HCM, "codec_type": "BOGUS", "via": 1}},
                {"typed_config": {"@type": "type.googleapis.com/a.B"}},
            ]}]}]},
        }),
    );
    let filters = "static_resources.listeners[0].filter_chains[0].filters";
    assert_eq!(
        lines(&findings.errors),
        [
            "node.id: unexpected character: '1'; expected '\"'".to_owned(),
            format!("{filters}[0].typed_config.via: unexpected character: '1'; expected '\"'"),
            format!("{filters}[1].typed_config: could not find @type 'type.googleapis.com/a.B'"),
        ]
    );
    assert_eq!(
        lines(&findings.unknown),
        [
            "bogus: no such field: 'bogus'".to_owned(),
            format!("{filters}[0].typed_config.codec_tipe: no such field: 'codec_tipe'"),
            format!("{filters}[0].typed_config.codec_type: unknown enum value: 'BOGUS'"),
        ]
    );
}

/// Measured.
#[test]
fn enums() {
    for (written, read) in [
        (json!("STRICT_DNS"), "STRICT_DNS"),
        (json!("strict_dns"), "STRICT_DNS"),
        (json!(1), "STRICT_DNS"),
        (json!("1"), "STRICT_DNS"),
    ] {
        assert_eq!(good(CLUSTER, json!({"type": written}))["type"], read);
    }
    // What validation refuses, reading does not.
    assert_eq!(good(CLUSTER, json!({"type": 77})), json!({"type": 77}));
    for unknown in ["roundRobin", "round-robin"] {
        let (message, findings) = value(CLUSTER, json!({"lb_policy": unknown}));
        assert_eq!(
            lines(&findings.unknown),
            [format!("lb_policy: unknown enum value: '{unknown}'")]
        );
        assert_eq!(write(&message), json!({}));
    }
    assert_eq!(
        errors(CLUSTER, json!({"type": true})),
        ["type: expected number or string"]
    );
    assert_eq!(
        errors(CLUSTER, json!({"type": 1.5})),
        ["type: expected integer, but JSON number had fractional part"]
    );
}

/// Measured.
#[test]
fn nulls_and_arrays() {
    assert_eq!(
        good(
            NODE,
            json!({"id": null, "locality": null, "client_features": null})
        ),
        json!({})
    );
    assert_eq!(
        good(NODE, json!({"client_features": "a"})),
        json!({"client_features": ["a"]})
    );
    assert_eq!(
        good(NODE, json!({"client_features": [["a"], null]})),
        json!({"client_features": ["a", ""]})
    );
    assert_eq!(
        good(NODE, json!({"metadata": {"a": null}})),
        json!({"metadata": {"a": null}})
    );
    assert_eq!(
        errors(NODE, json!({"client_features": {"a": 1}})),
        ["client_features: unexpected character: '{'; expected '\"'"]
    );
    assert_eq!(
        errors(NODE, json!({"locality": []})),
        ["locality: unexpected character: '['; expected '{'"]
    );
}

/// Measured.
#[test]
fn oneofs_take_one() {
    let tcp = |more: Value| {
        let mut config = json!({"@type": TCP, "stat_prefix": "a", "cluster": "c"});
        config
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({"typed_config": config})
    };
    assert_eq!(
        errors(FILTER, tcp(json!({"weighted_clusters": {}}))),
        [
            "typed_config.weighted_clusters: 'weighted_clusters' has already been set (either directly or as part of a oneof)"
        ]
    );
    assert_eq!(
        errors(FILTER, tcp(json!({"weighted_clusters": null}))),
        [""; 0]
    );
}

/// Measured.
#[test]
fn repeated_keys_merge_messages_and_replace_the_rest() {
    let document = r#"{
        "node": {"id": "a", "id": "z", "metadata": {"a": 1}},
        "node": {"cluster": "c", "client_features": ["x"]},
        "flags_path": "a", "flagsPath": "b",
        "node": {"client_features": [["y"], null, "z"], "metadata": {"b": 2}}
    }"#;
    let (message, findings) = text(BOOTSTRAP, document);
    assert_eq!(findings, Findings::default());
    let node =
        json!({"id": "z", "cluster": "c", "client_features": ["y", "", "z"], "metadata": {"b": 2}});
    assert_eq!(write(&message), json!({"node": node, "flags_path": "b"}));
    let (_, findings) = text(NODE, r#"{"metadata":{"a":1,"a":2}}"#);
    assert_eq!(
        lines(&findings.errors),
        [r#"metadata["a"]: got unexpectedly-repeated repeated map key: 'a'"#]
    );
}

/// Measured.
#[test]
fn anys() {
    let any = |config: Value| json!({"typed_config": config});
    // The type may come last and from any host.
    let (message, _) = text(
        FILTER,
        &format!(r#"{{"typed_config":{{"stat_prefix":"a","@type":"{TCP}"}}}}"#),
    );
    assert_eq!(write(&message)["typed_config"]["stat_prefix"], "a");
    assert_eq!(
        errors(
            FILTER,
            any(json!({"@type": TCP.replace("type.googleapis.com", "a.b")}))
        ),
        [""; 0]
    );
    assert_eq!(good(FILTER, any(json!({}))), json!({"typed_config": {}}));
    assert_eq!(good(FILTER, any(Value::Null)), json!({}));
    assert_eq!(
        errors(FILTER, any(json!({"@type": "a.B"}))),
        ["typed_config: @type must contain at least one / and a nonempty host; got: a.B"]
    );
    assert_eq!(
        errors(FILTER, any(json!({"a": 1}))),
        ["typed_config: in legacy mode, missing @type in Any is only allowed for an empty object"]
    );
    assert_eq!(
        errors(FILTER, any(json!({"@type": 1}))),
        ["typed_config: unexpected character: '1'; expected '\"'"]
    );
    assert_eq!(
        errors(FILTER, any(json!([]))),
        ["typed_config: unexpected character: '['; expected '{'"]
    );
}

/// Measured.
#[test]
fn well_known_messages_also_come_as_plain_objects() {
    assert_eq!(
        good(CLUSTER, json!({"connect_timeout": {"seconds": 5}})),
        json!({"connect_timeout": "5s"})
    );
    for written in [json!(10), json!("10"), json!({"value": 10})] {
        assert_eq!(
            good(
                CLUSTER,
                json!({"per_connection_buffer_limit_bytes": written})
            ),
            json!({"per_connection_buffer_limit_bytes": 10})
        );
    }
    assert_eq!(
        errors(CLUSTER, json!({"connect_timeout": 5})),
        ["connect_timeout: unexpected character: '5'; expected '\"'"]
    );
}

#[test]
fn an_any_of_an_unknown_type_keeps_its_bytes() {
    let filter = crate::pb::envoy::config::listener::v3::Filter {
        name: "f".into(),
        config_type: Some(
            crate::pb::envoy::config::listener::v3::filter::ConfigType::TypedConfig(
                prost_types::Any {
                    type_url: "type.googleapis.com/a.B".into(),
                    value: b"xyz".to_vec(),
                },
            ),
        ),
    };
    let descriptor = MessageDescriptor::named(FILTER).unwrap();
    let message = DynamicMessage::decode(descriptor, &filter.encode_to_vec()).unwrap();
    assert_eq!(
        write(&message),
        json!({"name": "f", "typed_config": {"@type": "type.googleapis.com/a.B", "value": "eHl6"}})
    );
}

#[test]
fn secrets_are_redacted() {
    let secret = json!({
        "name": "s",
        "tls_certificate": {
            "certificate_chain": {"filename": "/cert"},
            "private_key": {"inline_bytes": "a2V5", "watched_directory": {"path": "/d"}},
            "password": {"inline_string": "hunter2"},
        },
    });
    assert_eq!(
        good("envoy.extensions.transport_sockets.tls.v3.Secret", secret),
        json!({
            "name": "s",
            "tls_certificate": {
                "certificate_chain": {"filename": "/cert"},
                "private_key": {"inline_bytes": "W3JlZGFjdGVkXQ==", "watched_directory": {"path": "[redacted]"}},
                "password": {"inline_string": "[redacted]"},
            },
        })
    );
}

#[test]
fn times_and_64_bit_integers_are_strings() {
    let time = |text: &str| json!({"last_update_attempt": text});
    assert_eq!(
        good(
            "envoy.admin.v3.UpdateFailureState",
            time("2024-02-29T12:00:00.25Z")
        ),
        time("2024-02-29T12:00:00.250Z")
    );
    assert_eq!(
        good("envoy.admin.v3.Memory", json!({"allocated": 7})),
        json!({"allocated": "7"})
    );
}

/// Measured.
#[test]
fn prints_as_the_admin_interface_does() {
    assert_eq!(
        super::print(&json!({"configs": [{"a": "<é>"}]})),
        "{\n \"configs\": [\n  {\n   \"a\": \"\\u003cé\\u003e\"\n  }\n ]\n}"
    );
}
