//! The fate of every field of the listener filters' messages.

use outrigger_core::field::{Message, USED};

/// All listener filters.
pub const FIELDS: &[Message] = &[
    Message {
        name: "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.filters.listener.local_ratelimit.v3.LocalRateLimit",
        fields: &[
            ("stat_prefix", USED),
            ("token_bucket", USED),
            ("runtime_enabled", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.listener.original_dst.v3.OriginalDst",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
        fields: &[
            ("rules", USED),
            ("allow_requests_without_proxy_protocol", USED),
            ("pass_through_tlvs", USED),
            ("disallowed_versions", USED),
            ("stat_prefix", USED),
            ("tlv_location", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol.Rule",
        fields: &[("tlv_type", USED), ("on_tlv_present", USED)],
    },
    Message {
        name: "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol.KeyValuePair",
        fields: &[
            ("metadata_namespace", USED),
            ("key", USED),
            ("value_string_encoding", USED),
        ],
    },
    Message {
        name: "envoy.config.core.v3.ProxyProtocolPassThroughTLVs",
        fields: &[("match_type", USED), ("tlv_type", USED)],
    },
    Message {
        name: "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
        fields: &[
            ("enable_ja3_fingerprinting", USED),
            ("enable_ja4_fingerprinting", USED),
            ("initial_read_buffer_size", USED),
            ("close_connection_on_client_hello_parsing_errors", USED),
            ("max_client_hello_size", USED),
        ],
    },
];
