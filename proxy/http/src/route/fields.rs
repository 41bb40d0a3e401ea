//! The fields of the routing messages, with their fate.

use outrigger_core::field::{Fate, Message, USED};

const LATER: Fate = Fate::Rejected("not supported yet");
const NO_VHDS: Fate = Fate::Rejected("virtual host discovery is not supported");
const PLUGIN: Fate = Fate::Rejected("cluster specifier plugins are not supported");
const CORS: Fate = Fate::Rejected("set the policy in typed_per_filter_config of the cors filter");
const EXTENSION: Fate = Fate::Rejected("this extension point has no implementations");
const SUBSETS: Fate =
    Fate::Ignored("only subset load balancing reads it, and clusters with subsets are refused");
const TRACING: Fate = Fate::Ignored("only spans are concerned");
const HTTP3: Fate = Fate::Ignored("early data exists in HTTP/3 only");
const SUM: Fate = Fate::Ignored("weights need no given sum");
const HEDGE: Fate = Fate::Ignored("Envoy does not act on it either");

/// Every routing message.
pub const FIELDS: &[Message] = &[
    Message {
        name: "envoy.config.route.v3.RouteConfiguration",
        fields: &[
            ("name", USED),
            ("virtual_hosts", USED),
            ("vhds", NO_VHDS),
            ("internal_only_headers", USED),
            ("response_headers_to_add", USED),
            ("response_headers_to_remove", USED),
            ("request_headers_to_add", USED),
            ("request_headers_to_remove", USED),
            ("most_specific_header_mutations_wins", USED),
            ("validate_clusters", USED),
            ("max_direct_response_body_size_bytes", USED),
            ("cluster_specifier_plugins", PLUGIN),
            ("request_mirror_policies", LATER),
            ("ignore_port_in_host_matching", USED),
            ("ignore_path_parameters_in_path_matching", USED),
            ("typed_per_filter_config", USED),
            ("metadata", USED),
            ("vhost_header", USED),
            ("route_specifiers", EXTENSION),
        ],
    },
    Message {
        name: "envoy.config.route.v3.VirtualHost",
        fields: &[
            ("name", USED),
            ("domains", USED),
            ("routes", USED),
            ("matcher", USED),
            ("require_tls", USED),
            ("virtual_clusters", USED),
            ("rate_limits", USED),
            ("request_headers_to_add", USED),
            ("request_headers_to_remove", USED),
            ("response_headers_to_add", USED),
            ("response_headers_to_remove", USED),
            ("cors", CORS),
            ("typed_per_filter_config", USED),
            ("include_request_attempt_count", USED),
            ("include_attempt_count_in_response", USED),
            ("retry_policy", USED),
            ("retry_policy_typed_config", EXTENSION),
            ("hedge_policy", USED),
            ("include_is_timeout_retry_header", USED),
            ("per_request_buffer_limit_bytes", USED),
            ("request_body_buffer_limit", USED),
            ("request_mirror_policies", LATER),
            ("metadata", USED),
            ("route_specifiers", EXTENSION),
        ],
    },
    Message {
        name: "envoy.config.route.v3.VirtualCluster",
        fields: &[("headers", USED), ("name", USED)],
    },
    Message {
        name: "envoy.config.route.v3.Route",
        fields: &[
            ("name", USED),
            ("match", USED),
            ("route", USED),
            ("redirect", USED),
            ("direct_response", USED),
            ("filter_action", LATER),
            ("non_forwarding_action", USED),
            ("metadata", USED),
            ("decorator", TRACING),
            ("typed_per_filter_config", USED),
            ("request_headers_to_add", USED),
            ("request_headers_to_remove", USED),
            ("response_headers_to_add", USED),
            ("response_headers_to_remove", USED),
            ("tracing", TRACING),
            ("per_request_buffer_limit_bytes", USED),
            ("stat_prefix", USED),
            ("request_body_buffer_limit", USED),
            ("route_specifiers", EXTENSION),
        ],
    },
    Message {
        name: "envoy.config.route.v3.FilterConfig",
        fields: &[("config", USED), ("is_optional", USED), ("disabled", USED)],
    },
    Message {
        name: "envoy.config.route.v3.RouteList",
        fields: &[("routes", USED)],
    },
    Message {
        name: "envoy.config.route.v3.NonForwardingAction",
        fields: &[],
    },
    Message {
        name: "envoy.config.route.v3.Decorator",
        fields: &[("operation", TRACING), ("propagate", TRACING)],
    },
    Message {
        name: "envoy.config.route.v3.RouteMatch",
        fields: &[
            ("prefix", USED),
            ("path", USED),
            ("safe_regex", USED),
            ("connect_matcher", USED),
            ("path_separated_prefix", USED),
            ("path_match_policy", USED),
            ("case_sensitive", USED),
            ("runtime_fraction", USED),
            ("headers", USED),
            ("query_parameters", USED),
            ("cookies", USED),
            ("grpc", USED),
            ("tls_context", USED),
            ("dynamic_metadata", USED),
            ("filter_state", USED),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RouteMatch.GrpcRouteMatchOptions",
        fields: &[],
    },
    Message {
        name: "envoy.config.route.v3.RouteMatch.ConnectMatcher",
        fields: &[],
    },
    Message {
        name: "envoy.config.route.v3.RouteMatch.TlsContextMatchOptions",
        fields: &[("presented", USED), ("validated", USED)],
    },
    Message {
        name: "envoy.config.route.v3.QueryParameterMatcher",
        fields: &[
            ("name", USED),
            ("string_match", USED),
            ("present_match", USED),
        ],
    },
    Message {
        name: "envoy.config.route.v3.CookieMatcher",
        fields: &[
            ("name", USED),
            ("string_match", USED),
            ("invert_match", USED),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RouteAction",
        fields: &[
            ("cluster", USED),
            ("cluster_header", USED),
            ("weighted_clusters", USED),
            ("cluster_specifier_plugin", PLUGIN),
            ("inline_cluster_specifier_plugin", PLUGIN),
            ("cluster_not_found_response_code", USED),
            ("metadata_match", SUBSETS),
            ("prefix_rewrite", USED),
            ("regex_rewrite", USED),
            ("path_rewrite_policy", USED),
            ("path_rewrite", USED),
            ("host_rewrite_literal", USED),
            ("auto_host_rewrite", USED),
            ("host_rewrite_header", USED),
            ("host_rewrite_path_regex", USED),
            ("host_rewrite", USED),
            ("append_x_forwarded_host", USED),
            ("timeout", USED),
            ("idle_timeout", USED),
            ("flush_timeout", USED),
            ("early_data_policy", HTTP3),
            ("retry_policy", USED),
            ("retry_policy_typed_config", EXTENSION),
            ("request_mirror_policies", LATER),
            ("priority", USED),
            ("rate_limits", USED),
            ("include_vh_rate_limits", USED),
            ("hash_policy", LATER),
            ("cors", CORS),
            ("max_grpc_timeout", USED),
            ("grpc_timeout_offset", USED),
            ("upgrade_configs", USED),
            ("internal_redirect_policy", USED),
            ("internal_redirect_action", USED),
            ("max_internal_redirects", USED),
            ("hedge_policy", USED),
            ("max_stream_duration", USED),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RouteAction.UpgradeConfig",
        fields: &[
            ("upgrade_type", USED),
            ("enabled", USED),
            ("connect_config", USED),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RouteAction.UpgradeConfig.ConnectConfig",
        fields: &[("proxy_protocol_config", USED), ("allow_post", USED)],
    },
    Message {
        name: "envoy.config.route.v3.RouteAction.MaxStreamDuration",
        fields: &[
            ("max_stream_duration", USED),
            ("grpc_timeout_header_max", USED),
            ("grpc_timeout_header_offset", USED),
        ],
    },
    Message {
        name: "envoy.config.route.v3.WeightedCluster",
        fields: &[
            ("clusters", USED),
            ("total_weight", SUM),
            ("runtime_key_prefix", USED),
            ("header_name", USED),
            ("use_hash_policy", LATER),
        ],
    },
    Message {
        name: "envoy.config.route.v3.WeightedCluster.ClusterWeight",
        fields: &[
            ("name", USED),
            ("cluster_header", USED),
            ("weight", USED),
            ("metadata_match", SUBSETS),
            ("request_headers_to_add", USED),
            ("request_headers_to_remove", USED),
            ("response_headers_to_add", USED),
            ("response_headers_to_remove", USED),
            ("typed_per_filter_config", USED),
            ("host_rewrite_literal", USED),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RetryPolicy",
        fields: &[
            ("retry_on", USED),
            ("num_retries", USED),
            ("per_try_timeout", USED),
            ("per_try_idle_timeout", USED),
            ("retry_priority", USED),
            ("retry_host_predicate", USED),
            ("retry_options_predicates", EXTENSION),
            ("host_selection_retry_max_attempts", USED),
            ("retriable_status_codes", USED),
            ("retry_back_off", USED),
            ("rate_limited_retry_back_off", USED),
            ("retriable_headers", USED),
            ("retriable_request_headers", USED),
            ("refresh_cluster_on_retry", LATER),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RetryPolicy.RetryHostPredicate",
        fields: &[("name", USED), ("typed_config", USED)],
    },
    Message {
        name: "envoy.config.route.v3.RetryPolicy.RetryPriority",
        fields: &[("name", USED), ("typed_config", USED)],
    },
    Message {
        name: "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.retry.host.omit_host_metadata.v3.OmitHostMetadataConfig",
        fields: &[("metadata_match", USED)],
    },
    Message {
        name: "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
        fields: &[("update_frequency", USED)],
    },
    Message {
        name: "envoy.config.route.v3.InternalRedirectPolicy",
        fields: &[
            ("max_internal_redirects", USED),
            ("redirect_response_codes", USED),
            ("predicates", USED),
            ("allow_cross_scheme_redirect", USED),
            ("response_headers_to_copy", USED),
        ],
    },
    Message {
        name: "envoy.extensions.internal_redirect.allow_listed_routes.v3.AllowListedRoutesConfig",
        fields: &[("allowed_route_names", USED)],
    },
    Message {
        name: "envoy.extensions.internal_redirect.previous_routes.v3.PreviousRoutesConfig",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.internal_redirect.safe_cross_scheme.v3.SafeCrossSchemeConfig",
        fields: &[],
    },
    Message {
        name: "envoy.config.route.v3.HedgePolicy",
        fields: &[
            ("initial_requests", HEDGE),
            ("additional_request_chance", HEDGE),
            ("hedge_on_per_try_timeout", USED),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RetryPolicy.RetryBackOff",
        fields: &[("base_interval", USED), ("max_interval", USED)],
    },
    Message {
        name: "envoy.config.route.v3.RetryPolicy.RateLimitedRetryBackOff",
        fields: &[("reset_headers", USED), ("max_interval", USED)],
    },
    Message {
        name: "envoy.config.route.v3.RetryPolicy.ResetHeader",
        fields: &[("name", USED), ("format", USED)],
    },
    Message {
        name: "envoy.config.route.v3.RedirectAction",
        fields: &[
            ("https_redirect", USED),
            ("scheme_redirect", USED),
            ("host_redirect", USED),
            ("port_redirect", USED),
            ("path_redirect", USED),
            ("prefix_rewrite", USED),
            ("regex_rewrite", USED),
            ("path_rewrite", USED),
            ("response_code", USED),
            ("strip_query", USED),
        ],
    },
    Message {
        name: "envoy.config.route.v3.DirectResponseAction",
        fields: &[("status", USED), ("body", USED), ("body_format", USED)],
    },
    Message {
        name: "envoy.config.core.v3.DataSource",
        fields: &[
            ("filename", USED),
            ("inline_bytes", USED),
            ("inline_string", USED),
            ("environment_variable", USED),
            ("watched_directory", LATER),
        ],
    },
    Message {
        name: "envoy.config.core.v3.HeaderValueOption",
        fields: &[
            ("header", USED),
            ("append", USED),
            ("append_action", USED),
            ("keep_empty_value", USED),
        ],
    },
    Message {
        name: "envoy.config.core.v3.HeaderValue",
        fields: &[
            ("key", USED),
            ("value", USED),
            ("raw_value", Fate::Ignored("Envoy does not read it either")),
        ],
    },
    Message {
        name: "envoy.config.common.mutation_rules.v3.HeaderMutation",
        fields: &[
            ("remove", USED),
            ("append", USED),
            ("remove_on_match", USED),
        ],
    },
    Message {
        name: "envoy.config.common.mutation_rules.v3.HeaderMutation.RemoveOnMatch",
        fields: &[("key_matcher", USED)],
    },
    Message {
        name: "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
        fields: &[("path_template", USED)],
    },
    Message {
        name: "envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig",
        fields: &[("path_template_rewrite", USED)],
    },
];
