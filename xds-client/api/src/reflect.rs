//! Messages known by description and not by a Rust type: what the JSON, validation and config-dump sides work on.
//!
//! The descriptions are constant tables that the build script wrote. Nothing is decoded at start and nothing is held
//! while the proxy serves, which is what descriptors from a library would cost: about 20 ms and 30 MB.

mod descriptor;
mod message;
mod tables;
#[cfg(test)]
mod tests;
mod value;
mod wire;

pub use descriptor::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, Oneof};
pub use message::DynamicMessage;
pub use value::{MapKey, Value};
