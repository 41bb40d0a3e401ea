//! Proto-JSON: what is read is the same after it was written.

use envoy_api::{
    Findings, Format, MessageDescriptor, Name, json, load,
    pb::envoy::config::bootstrap::v3::Bootstrap,
};

pub fn run(data: &[u8]) {
    let descriptor = MessageDescriptor::of::<Bootstrap>();
    let descriptor = descriptor.unwrap_or_else(|| panic!("{} is unknown", Bootstrap::full_name()));
    let Ok((message, findings)) = load(&descriptor, Format::Json, data) else {
        return;
    };
    let _ = envoy_api::validate(&message);
    if findings != Findings::default() {
        return;
    }
    let text = json::print(&json::write(&message));
    let (again, findings) = load(&descriptor, Format::Json, text.as_bytes())
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(findings, Findings::default(), "{text}");
    assert_eq!(json::print(&json::write(&again)), text);
}
