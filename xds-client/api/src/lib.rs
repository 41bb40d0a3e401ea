//! Envoy's configuration API: its protobuf messages as Rust types and as descriptors. It must never interpret a
//! message; what a field means is the business of the crate that compiles it.
//!
//! `google.protobuf.*` messages in the generated types are those of [`prost_types`], re-exported here:
//! an extension's `typed_config` is a [`prost_types::Any`].

mod convert;
mod diagnostic;
pub mod json;
mod load;
mod reflect;
mod text_format;
mod typed_struct;
mod validate;
pub mod yaml;

pub use convert::{TYPE_URL_PREFIX, UnpackError, pack, to_dynamic, to_typed, type_name, unpack};
pub use diagnostic::{Diagnostic, Findings};
pub use load::{Format, LoadError, load, merge};
pub use prost::{Message, Name};
pub use prost_types;
pub use reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor, Oneof, Value,
};
pub use typed_struct::{open_any, resolve_typed_structs};
pub use validate::validate;

/// Generated types, in modules named after the proto packages: `pb::envoy::config::listener::v3::Listener`.
#[allow(clippy::all, deprecated, rustdoc::all)]
pub mod pb {
    include!(concat!(env!("OUT_DIR"), "/pb.rs"));
}
