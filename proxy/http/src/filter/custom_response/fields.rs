//! The fate of every field of the custom response filter and of its policies.

use outrigger_core::field::{Fate, Message, USED};

const NO_ACTION: Fate = Fate::Rejected("no such action is known");

/// The messages.
pub const FIELDS: &[Message] = &[
    Message {
        name: "envoy.extensions.filters.http.custom_response.v3.CustomResponse",
        fields: &[("custom_response_matcher", USED)],
    },
    Message {
        name: "envoy.extensions.http.custom_response.local_response_policy.v3.LocalResponsePolicy",
        fields: &[
            ("body", USED),
            ("body_format", USED),
            ("status_code", USED),
            ("response_headers_to_add", USED),
            ("preserve_response_code_details", USED),
            ("response_code_details", USED),
        ],
    },
    Message {
        name: "envoy.extensions.http.custom_response.redirect_policy.v3.RedirectPolicy",
        fields: &[
            ("uri", USED),
            ("redirect_action", USED),
            ("status_code", USED),
            ("response_headers_to_add", USED),
            ("request_headers_to_add", USED),
            ("modify_request_headers_action", NO_ACTION),
        ],
    },
];
