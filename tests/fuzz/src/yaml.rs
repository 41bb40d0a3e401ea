//! YAML: any text is a value or an error, and soon.

use envoy_api::{
    Format, MessageDescriptor, load, pb::envoy::config::bootstrap::v3::Bootstrap, yaml,
};

pub fn run(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = yaml::parse(text);
    }
    if let Some(descriptor) = MessageDescriptor::of::<Bootstrap>() {
        let _ = load(&descriptor, Format::Yaml, data);
    }
}
