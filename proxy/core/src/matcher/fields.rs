//! The fields of the matcher messages that [`super`] compiles, with their fate.

use crate::field::{Fate, Message, USED};

const ENGINE: Fate =
    Fate::Ignored("RE2 is the only engine; its program size has no counterpart here");
const CUSTOM: Fate = Fate::Rejected("string matcher extensions are not supported");

/// Every matcher message.
pub const FIELDS: &[Message] = &[
    Message {
        name: "envoy.type.matcher.v3.RegexMatcher",
        fields: &[("google_re2", ENGINE), ("regex", USED)],
    },
    Message {
        name: "envoy.type.matcher.v3.RegexMatcher.GoogleRE2",
        fields: &[("max_program_size", ENGINE)],
    },
    Message {
        name: "envoy.type.matcher.v3.RegexMatchAndSubstitute",
        fields: &[("pattern", USED), ("substitution", USED)],
    },
    Message {
        name: "envoy.type.matcher.v3.StringMatcher",
        fields: &[
            ("exact", USED),
            ("prefix", USED),
            ("suffix", USED),
            ("safe_regex", USED),
            ("contains", USED),
            ("custom", CUSTOM),
            ("ignore_case", USED),
        ],
    },
    Message {
        name: "envoy.type.matcher.v3.ListStringMatcher",
        fields: &[("patterns", USED)],
    },
    Message {
        name: "xds.type.matcher.v3.RegexMatcher",
        fields: &[("google_re2", ENGINE), ("regex", USED)],
    },
    Message {
        name: "xds.type.matcher.v3.RegexMatcher.GoogleRE2",
        fields: &[],
    },
    Message {
        name: "xds.type.matcher.v3.StringMatcher",
        fields: &[
            ("exact", USED),
            ("prefix", USED),
            ("suffix", USED),
            ("safe_regex", USED),
            ("contains", USED),
            ("ignore_case", USED),
            ("custom", CUSTOM),
        ],
    },
    Message {
        name: "envoy.type.matcher.v3.PathMatcher",
        fields: &[("path", USED)],
    },
    Message {
        name: "envoy.config.route.v3.HeaderMatcher",
        fields: &[
            ("name", USED),
            ("exact_match", USED),
            ("safe_regex_match", USED),
            ("range_match", USED),
            ("present_match", USED),
            ("prefix_match", USED),
            ("suffix_match", USED),
            ("contains_match", USED),
            ("string_match", USED),
            ("invert_match", USED),
            ("treat_missing_header_as_empty", USED),
        ],
    },
    Message {
        name: "xds.core.v3.CidrRange",
        fields: &[("address_prefix", USED), ("prefix_len", USED)],
    },
    Message {
        name: "envoy.type.matcher.v3.AddressMatcher",
        fields: &[("ranges", USED), ("invert_match", USED)],
    },
    Message {
        name: "envoy.type.matcher.v3.FilterStateMatcher",
        fields: &[
            ("key", USED),
            ("string_match", USED),
            ("address_match", USED),
        ],
    },
    Message {
        name: "envoy.type.matcher.v3.MetadataMatcher",
        fields: &[
            ("filter", USED),
            ("path", USED),
            ("value", USED),
            ("invert", USED),
        ],
    },
    Message {
        name: "envoy.type.matcher.v3.MetadataMatcher.PathSegment",
        fields: &[("key", USED)],
    },
    Message {
        name: "envoy.type.matcher.v3.ValueMatcher",
        fields: &[
            ("null_match", USED),
            ("double_match", USED),
            ("string_match", USED),
            ("bool_match", USED),
            ("present_match", USED),
            ("list_match", USED),
            ("or_match", USED),
        ],
    },
    Message {
        name: "envoy.type.matcher.v3.ValueMatcher.NullMatch",
        fields: &[],
    },
    Message {
        name: "envoy.type.matcher.v3.DoubleMatcher",
        fields: &[("range", USED), ("exact", USED)],
    },
    Message {
        name: "envoy.type.matcher.v3.ListMatcher",
        fields: &[("one_of", USED)],
    },
    Message {
        name: "envoy.type.matcher.v3.OrMatcher",
        fields: &[("value_matchers", USED)],
    },
];
