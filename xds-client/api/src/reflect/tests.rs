//! The tables and the encoding against the library that reads descriptors at run time.
#![allow(clippy::unwrap_used)]

use prost::Message;
use prost_reflect::{DescriptorPool, ReflectMessage};
use serde_json::json;

use super::*;

fn library() -> DescriptorPool {
    let descriptors = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
    DescriptorPool::decode(descriptors.as_slice()).unwrap()
}

/// Config dumps show it, whichever name was read.
#[test]
fn the_first_name_of_a_number_in_the_file_counts() {
    let gzip = "envoy.extensions.compression.gzip.compressor.v3.Gzip";
    let gzip = MessageDescriptor::named(gzip).unwrap();
    let level = gzip.get_field_by_name("compression_level").unwrap();
    let Kind::Enum(level) = level.kind() else {
        unreachable!("{level:?}");
    };
    let names = [1, 9].map(|number| level.get_value(number).unwrap().name());
    assert_eq!(names, ["BEST_SPEED", "COMPRESSION_LEVEL_9"]);
}

#[test]
fn every_message_is_as_the_library_reads_it() {
    let library = library();
    assert_eq!(
        MessageDescriptor::all().count(),
        library.all_messages().count()
    );
    for theirs in library.all_messages() {
        let ours = MessageDescriptor::named(theirs.full_name()).unwrap();
        assert_eq!(ours.fields().count(), theirs.fields().count());
        for theirs in theirs.fields() {
            let ours = ours.get_field(theirs.number()).unwrap();
            assert_eq!(ours.full_name(), theirs.full_name());
            assert_eq!(ours.json_name(), theirs.json_name());
            assert_eq!(ours.is_list(), theirs.is_list());
            assert_eq!(ours.is_map(), theirs.is_map());
            assert_eq!(ours.is_packed(), theirs.is_packed() && theirs.is_list());
            assert_eq!(ours.supports_presence(), theirs.supports_presence());
            let oneof = theirs.containing_oneof().filter(|o| !o.is_synthetic());
            assert_eq!(
                ours.containing_oneof().map(|o| o.name()),
                oneof.as_ref().map(|o| o.name()),
            );
            match (ours.kind(), theirs.kind()) {
                (Kind::Message(ours), prost_reflect::Kind::Message(theirs)) => {
                    assert_eq!(ours.full_name(), theirs.full_name());
                }
                (Kind::Enum(ours), prost_reflect::Kind::Enum(theirs)) => {
                    assert_eq!(ours.full_name(), theirs.full_name());
                    let names = |number| ours.get_value(number).map(|v| v.name().to_owned());
                    for value in theirs.values() {
                        assert!(names(value.number()).is_some());
                    }
                }
                (ours, theirs) => {
                    assert_eq!(format!("{ours:?}").to_lowercase(), format!("{theirs:?}"))
                }
            }
        }
    }
}

#[test]
fn knows_envoys_messages_and_ours() {
    for name in [
        "envoy.config.bootstrap.v3.Bootstrap",
        "udpa.type.v1.TypedStruct",
        "xds.type.v3.TypedStruct",
    ] {
        assert!(MessageDescriptor::named(name).is_some(), "{name}");
    }
    assert_eq!(MessageDescriptor::named("envoy.Nothing"), None);
}

fn struct_of(json: serde_json::Value) -> DynamicMessage {
    let descriptor = MessageDescriptor::named("google.protobuf.Struct").unwrap();
    crate::json::read(&descriptor, &json.into()).0
}

/// Both read what the other wrote, every kind of field among it.
#[test]
fn encodes_as_the_library_does() {
    let library = library();
    let cases = [
        (
            "envoy.config.cluster.v3.Cluster",
            json!({
                "name": "c", "connect_timeout": "0.25s", "type": "STRICT_DNS", "respect_dns_ttl": true,
                "typed_extension_protocol_options": {"a": {"@type": "type.googleapis.com/google.protobuf.Empty"}},
                "dns_resolvers": [{"pipe": {"path": "/a"}}, {"pipe": {"path": "/b"}}],
                "upstream_connection_options": {"tcp_keepalive": {"keepalive_time": 7}},
                "metadata": {"filter_metadata": {"x": {"n": -1.5, "l": [null, true, "t"]}}},
            }),
        ),
        (
            "envoy.config.metrics.v3.HistogramBucketSettings",
            json!({"match": {"prefix": "x"}, "buckets": [0.5, 1, 250]}),
        ),
        ("google.protobuf.BytesValue", json!("AAECAw==")),
        ("google.protobuf.Int64Value", json!("-9223372036854775808")),
    ];
    for (name, value) in cases {
        let descriptor = MessageDescriptor::named(name).unwrap();
        let (ours, findings) = crate::json::read(&descriptor, &value.into());
        assert_eq!(findings, crate::Findings::default());
        let bytes = ours.encode_to_vec();
        assert_eq!(bytes.len(), ours.encoded_len());
        let known = library.get_message_by_name(name).unwrap();
        let theirs = prost_reflect::DynamicMessage::decode(known, bytes.as_slice()).unwrap();
        assert!(theirs.unknown_fields().next().is_none());
        assert_eq!(theirs.encoded_len(), bytes.len());
        let back = DynamicMessage::decode(descriptor, &theirs.encode_to_vec()).unwrap();
        assert_eq!(back, ours, "{name}");
        assert_eq!(theirs.descriptor().full_name(), name);
    }
}

#[test]
fn a_list_may_come_packed_or_not() {
    let name = "envoy.config.metrics.v3.HistogramBucketSettings";
    let descriptor = MessageDescriptor::named(name).unwrap();
    let mut apart = Vec::new();
    for bucket in [0.5, 2.0] {
        prost::encoding::double::encode(2, &bucket, &mut apart);
    }
    let message = DynamicMessage::decode(descriptor, &apart).unwrap();
    assert_eq!(
        message.get_field_by_name("buckets").unwrap().as_list(),
        Some([Value::F64(0.5), Value::F64(2.0)].as_slice())
    );
    assert_ne!(message.encode_to_vec(), apart);
    let packed = DynamicMessage::decode(descriptor, &message.encode_to_vec()).unwrap();
    assert_eq!(packed, message);
}

#[test]
fn keeps_what_it_does_not_know() {
    let mut node = crate::pb::envoy::config::core::v3::Node {
        id: "n".into(),
        ..Default::default()
    }
    .encode_to_vec();
    prost::encoding::string::encode(900, &"new".to_owned(), &mut node);
    prost::encoding::fixed32::encode(901, &7, &mut node);
    prost::encoding::fixed64::encode(902, &7, &mut node);
    prost::encoding::uint64::encode(903, &7, &mut node);
    let descriptor = MessageDescriptor::named("envoy.config.core.v3.Node").unwrap();
    let message = DynamicMessage::decode(descriptor, &node).unwrap();
    assert_eq!(message.encode_to_vec(), node);
    assert!(DynamicMessage::decode(descriptor, &[0x0a, 5, b'x']).is_err());
}

#[test]
fn one_member_of_a_oneof_at_a_time() {
    let value = struct_of(json!({"x": "text"}));
    let fields = value.get_field_by_number(1).unwrap();
    let entry = fields.as_map().unwrap().get(&MapKey::String("x".into()));
    let mut entry = entry.unwrap().as_message().unwrap().clone();
    assert_eq!(entry.fields().next().unwrap().0.name(), "string_value");
    entry.set_field_by_number(4, Value::Bool(false));
    let set: Vec<_> = entry.fields().map(|(field, _)| field.name()).collect();
    assert_eq!(set, ["bool_value"], "its default is a value all the same");
    entry.clear_field(&entry.descriptor().get_field(4).unwrap());
    assert!(entry.is_empty());
}
