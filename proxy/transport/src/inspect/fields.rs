//! The fate of every field of the listener filters' messages.

use outrigger_core::field::Message;

/// `original_dst` and `http_inspector`.
pub const FIELDS: &[Message] = &[
    Message {
        name: "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.filters.listener.original_dst.v3.OriginalDst",
        fields: &[],
    },
];
