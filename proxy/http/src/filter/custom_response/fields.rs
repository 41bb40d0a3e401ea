//! The fate of every field of the custom response filter and of its policies.

use outrigger_core::field::{Fate, Message, USED};

const NO_REDIRECTS: Fate = Fate::Rejected("internal redirects are not supported by this version");

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
            ("uri", NO_REDIRECTS),
            ("redirect_action", NO_REDIRECTS),
            ("status_code", NO_REDIRECTS),
            ("response_headers_to_add", NO_REDIRECTS),
            ("request_headers_to_add", NO_REDIRECTS),
            ("modify_request_headers_action", NO_REDIRECTS),
        ],
    },
];
