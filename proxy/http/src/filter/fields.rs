//! The fate of every field of the HTTP filters, and of what only they read.

use outrigger_core::field::{Fate::Ignored, Fate::Rejected, Message, USED};

const LATER: &str = "not supported by this version";
const NO_CEL: &str = "CEL is not supported by this version";
const NO_FORMAT: &str = "descriptor_value is no format, as it is in Envoy by default";

/// The filters' messages.
pub const FIELDS: &[Message] = &[
    Message {
        name: "envoy.extensions.filters.http.buffer.v3.Buffer",
        fields: &[("max_request_bytes", USED)],
    },
    Message {
        name: "envoy.extensions.filters.http.buffer.v3.BufferPerRoute",
        fields: &[("disabled", USED), ("buffer", USED)],
    },
    Message {
        name: "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.filters.http.grpc_http1_bridge.v3.Config",
        fields: &[
            ("upgrade_protobuf_to_grpc", Rejected(LATER)),
            ("ignore_query_parameters", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
        fields: &[
            ("emit_filter_state", USED),
            ("individual_method_stats_allowlist", USED),
            ("stats_for_all_methods", USED),
            ("enable_upstream_stats", USED),
            ("replace_dots_in_grpc_service_name", USED),
        ],
    },
    Message {
        name: "envoy.config.core.v3.GrpcMethodList",
        fields: &[("services", USED)],
    },
    Message {
        name: "envoy.config.core.v3.GrpcMethodList.Service",
        fields: &[("name", USED), ("method_names", USED)],
    },
    Message {
        name: "envoy.extensions.filters.http.csrf.v3.CsrfPolicy",
        fields: &[
            ("filter_enabled", USED),
            ("shadow_enabled", USED),
            ("additional_origins", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.http.header_to_metadata.v3.Config",
        fields: &[
            ("request_rules", USED),
            ("response_rules", USED),
            ("stat_prefix", Rejected(LATER)),
        ],
    },
    Message {
        name: "envoy.extensions.filters.http.header_to_metadata.v3.Config.Rule",
        fields: &[
            ("header", USED),
            ("cookie", USED),
            ("on_header_present", USED),
            ("on_header_missing", USED),
            ("remove", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.http.header_to_metadata.v3.Config.KeyValuePair",
        fields: &[
            ("metadata_namespace", USED),
            ("key", USED),
            ("value", USED),
            ("regex_value_rewrite", USED),
            ("type", USED),
            ("encode", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.http.set_filter_state.v3.Config",
        fields: &[
            ("on_request_headers", USED),
            ("clear_route_cache", Rejected("a route is chosen once")),
        ],
    },
    Message {
        name: "envoy.extensions.filters.common.set_filter_state.v3.FilterStateValue",
        fields: &[
            ("object_key", USED),
            ("factory_key", USED),
            ("format_string", USED),
            ("read_only", Ignored("it has no effect in Envoy either")),
            (
                "shared_with_upstream",
                Ignored("there are no internal connections"),
            ),
            ("skip_if_empty", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.http.set_metadata.v3.Config",
        fields: &[
            ("metadata_namespace", USED),
            ("value", USED),
            ("metadata", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.http.set_metadata.v3.Metadata",
        fields: &[
            ("metadata_namespace", USED),
            ("allow_overwrite", USED),
            ("value", USED),
            ("typed_value", Rejected("use value")),
        ],
    },
    Message {
        name: "envoy.extensions.filters.http.health_check.v3.HealthCheck",
        fields: &[
            ("pass_through_mode", USED),
            ("cache_time", USED),
            ("cluster_min_healthy_percentages", USED),
            ("headers", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.http.cors.v3.Cors",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.filters.http.cors.v3.CorsPolicy",
        fields: &[
            ("allow_origin_string_match", USED),
            ("allow_methods", USED),
            ("allow_headers", USED),
            ("expose_headers", USED),
            ("max_age", USED),
            ("allow_credentials", USED),
            ("filter_enabled", USED),
            ("shadow_enabled", USED),
            ("allow_private_network_access", USED),
            ("forward_not_matching_preflights", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.http.fault.v3.HTTPFault",
        fields: &[
            ("delay", USED),
            ("abort", USED),
            ("upstream_cluster", USED),
            ("headers", USED),
            ("downstream_nodes", USED),
            ("max_active_faults", USED),
            ("response_rate_limit", USED),
            ("delay_percent_runtime", USED),
            ("abort_percent_runtime", USED),
            ("delay_duration_runtime", USED),
            ("abort_http_status_runtime", USED),
            ("max_active_faults_runtime", USED),
            ("response_rate_limit_percent_runtime", USED),
            ("abort_grpc_status_runtime", USED),
            ("disable_downstream_cluster_stats", USED),
            ("filter_metadata", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.http.fault.v3.FaultAbort",
        fields: &[
            ("http_status", USED),
            ("grpc_status", USED),
            ("header_abort", USED),
            ("percentage", USED),
            ("response_body", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.http.fault.v3.FaultAbort.HeaderAbort",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.filters.common.fault.v3.FaultDelay",
        fields: &[
            ("fixed_delay", USED),
            ("header_delay", USED),
            ("percentage", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.common.fault.v3.FaultDelay.HeaderDelay",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.filters.common.fault.v3.FaultRateLimit",
        fields: &[
            ("fixed_limit", USED),
            ("header_limit", USED),
            ("percentage", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.common.fault.v3.FaultRateLimit.FixedLimit",
        fields: &[("limit_kbps", USED)],
    },
    Message {
        name: "envoy.extensions.filters.common.fault.v3.FaultRateLimit.HeaderLimit",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
        fields: &[
            ("mutations", USED),
            ("most_specific_header_mutations_wins", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute",
        fields: &[("mutations", USED)],
    },
    Message {
        name: "envoy.extensions.filters.http.header_mutation.v3.Mutations",
        fields: &[
            ("request_mutations", USED),
            ("query_parameter_mutations", USED),
            ("response_mutations", USED),
            ("response_trailers_mutations", USED),
            ("request_trailers_mutations", USED),
        ],
    },
    Message {
        name: "envoy.config.core.v3.KeyValueMutation",
        fields: &[("append", USED), ("remove", USED)],
    },
    Message {
        name: "envoy.config.core.v3.KeyValueAppend",
        fields: &[
            ("record", USED),
            ("entry", Rejected("use record")),
            ("action", USED),
        ],
    },
    Message {
        name: "envoy.config.core.v3.KeyValuePair",
        fields: &[("key", USED), ("value", USED)],
    },
    Message {
        name: "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        fields: &[
            ("stat_prefix", USED),
            ("status", USED),
            ("token_bucket", USED),
            ("filter_enabled", USED),
            ("filter_enforced", USED),
            ("request_headers_to_add_when_not_enforced", USED),
            ("response_headers_to_add", USED),
            ("descriptors", USED),
            ("stage", USED),
            ("local_rate_limit_per_downstream_connection", USED),
            (
                "local_cluster_rate_limit",
                Rejected("there is no local cluster without zone aware routing"),
            ),
            ("enable_x_ratelimit_headers", USED),
            ("vh_rate_limits", USED),
            ("always_consume_default_token_bucket", USED),
            ("rate_limited_as_resource_exhausted", USED),
            ("rate_limits", USED),
            ("max_dynamic_descriptors", USED),
            ("enable_retry_after_header", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.http.rbac.v3.RBAC",
        fields: &[
            ("rules", USED),
            ("rules_stat_prefix", USED),
            ("matcher", USED),
            ("shadow_rules", USED),
            ("shadow_matcher", USED),
            ("shadow_rules_stat_prefix", USED),
            ("track_per_rule_stats", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.http.rbac.v3.RBACPerRoute",
        fields: &[("rbac", USED)],
    },
    Message {
        name: "envoy.config.rbac.v3.RBAC",
        fields: &[
            ("action", USED),
            ("policies", USED),
            ("audit_logging_options", Rejected(LATER)),
        ],
    },
    Message {
        name: "envoy.config.rbac.v3.Action",
        fields: &[("name", USED), ("action", USED)],
    },
    Message {
        name: "envoy.config.rbac.v3.Policy",
        fields: &[
            ("permissions", USED),
            ("principals", USED),
            ("condition", Rejected(NO_CEL)),
            ("checked_condition", Rejected(NO_CEL)),
            ("cel_config", Rejected(NO_CEL)),
        ],
    },
    Message {
        name: "envoy.config.rbac.v3.SourcedMetadata",
        fields: &[("metadata_matcher", USED), ("metadata_source", USED)],
    },
    Message {
        name: "envoy.config.rbac.v3.Permission",
        fields: &[
            ("and_rules", USED),
            ("or_rules", USED),
            ("any", USED),
            ("header", USED),
            ("url_path", USED),
            ("destination_ip", USED),
            ("destination_port", USED),
            ("destination_port_range", USED),
            ("metadata", USED),
            ("not_rule", USED),
            ("requested_server_name", USED),
            ("matcher", Rejected(LATER)),
            ("uri_template", USED),
            ("sourced_metadata", USED),
        ],
    },
    Message {
        name: "envoy.config.rbac.v3.Permission.Set",
        fields: &[("rules", USED)],
    },
    Message {
        name: "envoy.config.rbac.v3.Principal",
        fields: &[
            ("and_ids", USED),
            ("or_ids", USED),
            ("any", USED),
            ("authenticated", USED),
            ("source_ip", USED),
            ("direct_remote_ip", USED),
            ("remote_ip", USED),
            ("header", USED),
            ("url_path", USED),
            ("metadata", USED),
            ("filter_state", USED),
            ("not_id", USED),
            ("sourced_metadata", USED),
            ("custom", Rejected(LATER)),
        ],
    },
    Message {
        name: "envoy.config.rbac.v3.Principal.Set",
        fields: &[("ids", USED)],
    },
    Message {
        name: "envoy.config.rbac.v3.Principal.Authenticated",
        fields: &[("principal_name", USED)],
    },
    Message {
        name: "envoy.type.v3.HttpStatus",
        fields: &[("code", USED)],
    },
    Message {
        name: "envoy.type.v3.TokenBucket",
        fields: &[
            ("max_tokens", USED),
            ("tokens_per_fill", USED),
            ("fill_interval", USED),
        ],
    },
    Message {
        name: "envoy.extensions.common.ratelimit.v3.LocalRateLimitDescriptor",
        fields: &[
            ("entries", USED),
            ("token_bucket", USED),
            ("shadow_mode", USED),
        ],
    },
    Message {
        name: "envoy.extensions.common.ratelimit.v3.RateLimitDescriptor.Entry",
        fields: &[("key", USED), ("value", USED)],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit",
        fields: &[
            ("stage", USED),
            ("disable_key", USED),
            ("actions", USED),
            ("limit", Rejected(LATER)),
            ("hits_addend", USED),
            ("apply_on_stream_done", USED),
            ("x_ratelimit_option", USED),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit.HitsAddend",
        fields: &[
            ("number", USED),
            ("format", USED),
            ("is_negative_hits", USED),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit.Action",
        fields: &[
            ("source_cluster", USED),
            ("destination_cluster", USED),
            ("request_headers", USED),
            ("query_parameters", USED),
            ("remote_address", USED),
            ("generic_key", USED),
            ("header_value_match", USED),
            ("dynamic_metadata", Rejected("use metadata")),
            ("metadata", USED),
            ("extension", Rejected(LATER)),
            ("masked_remote_address", USED),
            ("query_parameter_value_match", USED),
            ("remote_address_match", USED),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit.Action.SourceCluster",
        fields: &[],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit.Action.DestinationCluster",
        fields: &[],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit.Action.RemoteAddress",
        fields: &[],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit.Action.RequestHeaders",
        fields: &[
            ("header_name", USED),
            ("descriptor_key", USED),
            ("skip_if_absent", USED),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit.Action.QueryParameters",
        fields: &[
            ("query_parameter_name", USED),
            ("descriptor_key", USED),
            ("skip_if_absent", USED),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit.Action.MaskedRemoteAddress",
        fields: &[("v4_prefix_mask_len", USED), ("v6_prefix_mask_len", USED)],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit.Action.RemoteAddressMatch",
        fields: &[
            ("descriptor_value", USED),
            ("default_value", Ignored(NO_FORMAT)),
            ("descriptor_key", USED),
            ("address_matcher", USED),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit.Action.GenericKey",
        fields: &[
            ("descriptor_value", USED),
            ("default_value", Ignored(NO_FORMAT)),
            ("descriptor_key", USED),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit.Action.HeaderValueMatch",
        fields: &[
            ("descriptor_value", USED),
            ("default_value", Ignored(NO_FORMAT)),
            ("descriptor_key", USED),
            ("expect_match", USED),
            ("headers", USED),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit.Action.QueryParameterValueMatch",
        fields: &[
            ("descriptor_value", USED),
            ("default_value", Ignored(NO_FORMAT)),
            ("descriptor_key", USED),
            ("expect_match", USED),
            ("query_parameters", USED),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit.Action.MetaData",
        fields: &[
            ("descriptor_key", USED),
            ("metadata_key", USED),
            ("default_value", USED),
            ("source", USED),
            ("skip_if_absent", USED),
        ],
    },
    Message {
        name: "envoy.type.metadata.v3.MetadataKey",
        fields: &[("key", USED), ("path", USED)],
    },
    Message {
        name: "envoy.type.metadata.v3.MetadataKey.PathSegment",
        fields: &[
            ("key", USED),
            ("index", Rejected("only keys lead on in metadata")),
        ],
    },
];
