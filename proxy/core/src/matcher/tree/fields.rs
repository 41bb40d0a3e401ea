//! The fate of every field of the unified matcher, of its inputs and of its custom matchers.

use crate::field::{Fate::Rejected, Message, USED};

/// The messages.
pub const FIELDS: &[Message] = &[
    Message {
        name: "xds.type.matcher.v3.Matcher",
        fields: &[
            ("matcher_list", USED),
            ("matcher_tree", USED),
            ("on_no_match", USED),
        ],
    },
    Message {
        name: "xds.type.matcher.v3.Matcher.OnMatch",
        fields: &[
            ("matcher", USED),
            ("action", USED),
            ("keep_matching", Rejected("not supported in this context")),
        ],
    },
    Message {
        name: "xds.type.matcher.v3.Matcher.MatcherList",
        fields: &[("matchers", USED)],
    },
    Message {
        name: "xds.type.matcher.v3.Matcher.MatcherList.FieldMatcher",
        fields: &[("predicate", USED), ("on_match", USED)],
    },
    Message {
        name: "xds.type.matcher.v3.Matcher.MatcherList.Predicate",
        fields: &[
            ("single_predicate", USED),
            ("or_matcher", USED),
            ("and_matcher", USED),
            ("not_matcher", USED),
        ],
    },
    Message {
        name: "xds.type.matcher.v3.Matcher.MatcherList.Predicate.SinglePredicate",
        fields: &[
            ("input", USED),
            ("value_match", USED),
            ("custom_match", USED),
        ],
    },
    Message {
        name: "xds.type.matcher.v3.Matcher.MatcherList.Predicate.PredicateList",
        fields: &[("predicate", USED)],
    },
    Message {
        name: "xds.type.matcher.v3.Matcher.MatcherTree",
        fields: &[
            ("input", USED),
            ("exact_match_map", USED),
            ("prefix_match_map", USED),
            (
                "custom_match",
                Rejected("use exact_match_map or prefix_match_map"),
            ),
        ],
    },
    Message {
        name: "xds.type.matcher.v3.Matcher.MatcherTree.MatchMap",
        fields: &[("map", USED)],
    },
    Message {
        name: "xds.core.v3.TypedExtensionConfig",
        fields: &[("name", USED), ("typed_config", USED)],
    },
    Message {
        name: "envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
        fields: &[("header_name", USED)],
    },
    Message {
        name: "envoy.type.matcher.v3.HttpResponseHeaderMatchInput",
        fields: &[("header_name", USED)],
    },
    Message {
        name: "envoy.type.matcher.v3.HttpResponseStatusCodeMatchInput",
        fields: &[],
    },
    Message {
        name: "envoy.type.matcher.v3.HttpResponseStatusCodeClassMatchInput",
        fields: &[],
    },
    Message {
        name: "envoy.type.matcher.v3.HttpResponseLocalReplyMatchInput",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.matching.common_inputs.network.v3.DestinationIPInput",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.matching.common_inputs.network.v3.DestinationPortInput",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.matching.common_inputs.network.v3.SourceIPInput",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.matching.common_inputs.network.v3.SourcePortInput",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.matching.common_inputs.network.v3.DirectSourceIPInput",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.matching.common_inputs.network.v3.SourceTypeInput",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.matching.common_inputs.network.v3.ServerNameInput",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.matching.common_inputs.ssl.v3.UriSanInput",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.matching.common_inputs.ssl.v3.DnsSanInput",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.matching.common_inputs.ssl.v3.SubjectInput",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.matching.common_inputs.network.v3.FilterStateInput",
        fields: &[
            ("key", USED),
            ("field", Rejected("only whole objects can be matched")),
        ],
    },
    Message {
        name: "envoy.extensions.matching.input_matchers.ip.v3.Ip",
        fields: &[("cidr_ranges", USED), ("stat_prefix", USED)],
    },
];
