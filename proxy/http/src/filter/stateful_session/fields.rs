//! The fate of every field of the stateful session filter and of the states that it knows.

use outrigger_core::field::{Message, USED};

/// The messages.
pub const FIELDS: &[Message] = &[
    Message {
        name: "envoy.extensions.filters.http.stateful_session.v3.StatefulSession",
        fields: &[
            ("session_state", USED),
            ("strict", USED),
            ("stat_prefix", USED),
            ("status_on_strict_destination_not_found", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute",
        fields: &[("disabled", USED), ("stateful_session", USED)],
    },
    Message {
        name: "envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState",
        fields: &[("cookie", USED)],
    },
    Message {
        name: "envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState",
        fields: &[("name", USED)],
    },
    Message {
        name: "envoy.extensions.http.stateful_session.envelope.v3.EnvelopeSessionState",
        fields: &[("header", USED)],
    },
    Message {
        name: "envoy.extensions.http.stateful_session.envelope.v3.EnvelopeSessionState.Header",
        fields: &[("name", USED)],
    },
    Message {
        name: "envoy.type.http.v3.Cookie",
        fields: &[
            ("name", USED),
            ("ttl", USED),
            ("path", USED),
            ("attributes", USED),
        ],
    },
    Message {
        name: "envoy.type.http.v3.CookieAttribute",
        fields: &[("name", USED), ("value", USED)],
    },
];
