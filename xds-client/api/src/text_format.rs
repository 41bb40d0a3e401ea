//! Protobuf's text format (`-c bootstrap.pb_text`), the one form that is left to a library: it is rare, so what the
//! library needs to know of the messages is decoded when such a file comes, and not before.

use prost::Message;
use prost_reflect::DescriptorPool;

use crate::reflect::{DynamicMessage, MessageDescriptor};

static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Reads `text` as a message of type `descriptor`; the error is the parser's.
pub(crate) fn read(descriptor: MessageDescriptor, text: &str) -> Result<DynamicMessage, String> {
    let pool = DescriptorPool::decode(DESCRIPTORS).map_err(|error| error.to_string())?;
    let known = pool
        .get_message_by_name(descriptor.full_name())
        .ok_or_else(|| format!("unknown message {}", descriptor.full_name()))?;
    let message = prost_reflect::DynamicMessage::parse_text_format(known, text)
        .map_err(|error| error.to_string())?;
    DynamicMessage::decode(descriptor, &message.encode_to_vec()).map_err(|error| error.to_string())
}
