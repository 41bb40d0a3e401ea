//! The fate of every field of the connection manager and of the HTTP filters.

use outrigger_core::field::{Fate::Ignored, Fate::Rejected, Message, USED};

const NO_TLS: &str =
    "it reads a client certificate, and downstream TLS is not supported by this version";
const LATER: &str = "not supported by this version";

/// The tables of this floor: the connection manager, its filters and its routes.
pub fn fields() -> impl Iterator<Item = &'static Message> {
    FIELDS
        .iter()
        .chain(crate::filter::FIELDS)
        .chain(crate::filter::compression::FIELDS)
        .chain(crate::filter::custom_response::FIELDS)
        .chain(crate::filter::stateful_session::FIELDS)
        .chain(crate::route::FIELDS)
}

const FIELDS: &[Message] = &[
    Message {
        name: "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        fields: &[
            ("codec_type", USED),
            ("stat_prefix", USED),
            ("rds", Rejected(LATER)),
            ("route_config", USED),
            ("scoped_routes", Rejected(LATER)),
            ("http_filters", USED),
            ("add_user_agent", USED),
            ("tracing", Rejected(LATER)),
            ("common_http_protocol_options", USED),
            ("http1_safe_max_connection_duration", USED),
            ("http_protocol_options", USED),
            ("http2_protocol_options", USED),
            ("http3_protocol_options", Rejected(LATER)),
            ("server_name", USED),
            ("server_header_transformation", USED),
            ("scheme_header_transformation", USED),
            ("max_request_headers_kb", USED),
            ("stream_idle_timeout", USED),
            ("stream_flush_timeout", USED),
            ("request_timeout", USED),
            ("request_headers_timeout", USED),
            ("drain_timeout", USED),
            ("drain_timeout_jitter", USED),
            ("delayed_close_timeout", USED),
            ("access_log", USED),
            ("access_log_flush_interval", USED),
            ("flush_access_log_on_new_request", USED),
            ("access_log_options", USED),
            ("use_remote_address", USED),
            ("xff_num_trusted_hops", USED),
            ("original_ip_detection_extensions", USED),
            ("early_header_mutation_extensions", USED),
            ("internal_address_config", USED),
            ("skip_xff_append", USED),
            ("via", USED),
            ("generate_request_id", USED),
            ("preserve_external_request_id", USED),
            ("always_set_request_id_in_response", USED),
            ("forward_client_cert_details", USED),
            ("set_current_client_cert_details", Ignored(NO_TLS)),
            ("forward_client_cert_matcher", Rejected(LATER)),
            ("proxy_100_continue", USED),
            (
                "represent_ipv4_remote_address_as_ipv4_mapped_ipv6",
                Ignored("Envoy does not implement it either"),
            ),
            ("upgrade_configs", USED),
            ("normalize_path", USED),
            ("merge_slashes", USED),
            ("path_with_escaped_slashes_action", USED),
            ("request_id_extension", USED),
            ("local_reply_config", USED),
            ("strip_matching_host_port", USED),
            ("strip_any_host_port", USED),
            ("stream_error_on_invalid_http_message", USED),
            (
                "path_normalization_options",
                Ignored("Envoy does not implement it either"),
            ),
            ("strip_trailing_host_dot", USED),
            ("proxy_status_config", USED),
            (
                "typed_header_validation_config",
                Rejected("Envoy refuses it as well"),
            ),
            ("append_x_forwarded_port", USED),
            ("append_local_overload", USED),
            (
                "add_proxy_protocol_connection_state",
                Ignored("the PROXY header to an upstream always names the client"),
            ),
            ("forward_proto_config", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.network.http_connection_manager.v3.ForwardProtoConfig",
        fields: &[
            ("https_destination_ports", USED),
            (
                "http_destination_ports",
                Ignored("without TLS every other port means http"),
            ),
        ],
    },
    Message {
        name: "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.ProxyStatusConfig",
        fields: &[
            ("remove_details", USED),
            (
                "remove_connection_termination_details",
                Ignored("no termination is known of before the response"),
            ),
            ("remove_response_flags", USED),
            ("set_recommended_response_code", USED),
            ("use_node_id", USED),
            ("literal_proxy_name", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.network.http_connection_manager.v3.LocalReplyConfig",
        fields: &[("mappers", USED), ("body_format", USED)],
    },
    Message {
        name: "envoy.extensions.filters.network.http_connection_manager.v3.ResponseMapper",
        fields: &[
            ("filter", USED),
            ("status_code", USED),
            ("body", USED),
            ("body_format_override", USED),
            ("headers_to_add", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.InternalAddressConfig",
        fields: &[("unix_sockets", USED), ("cidr_ranges", USED)],
    },
    Message {
        name: "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig",
        fields: &[("upgrade_type", USED), ("filters", USED), ("enabled", USED)],
    },
    Message {
        name: "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.HcmAccessLogOptions",
        fields: &[
            ("access_log_flush_interval", USED),
            ("flush_access_log_on_new_request", USED),
            ("flush_log_on_tunnel_successfully_established", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.SetCurrentClientCertDetails",
        fields: &[
            ("subject", Ignored(NO_TLS)),
            ("cert", Ignored(NO_TLS)),
            ("chain", Ignored(NO_TLS)),
            ("dns", Ignored(NO_TLS)),
            ("uri", Ignored(NO_TLS)),
            ("issuer", Rejected(LATER)),
            ("format", Rejected(LATER)),
        ],
    },
    Message {
        name: "envoy.extensions.filters.network.http_connection_manager.v3.RequestIDExtension",
        fields: &[("typed_config", USED)],
    },
    Message {
        name: "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        fields: &[("mutations", USED)],
    },
    Message {
        name: "envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig",
        fields: &[
            ("header_name", USED),
            ("allow_extension_to_set_address_as_trusted", USED),
            ("reject_with_status", USED),
        ],
    },
    Message {
        name: "envoy.extensions.http.original_ip_detection.xff.v3.XffConfig",
        fields: &[
            ("xff_num_trusted_hops", USED),
            ("xff_trusted_cidrs", USED),
            ("skip_xff_append", USED),
        ],
    },
    Message {
        name: "envoy.extensions.http.original_ip_detection.xff.v3.XffTrustedCidrs",
        fields: &[("cidrs", USED)],
    },
    Message {
        name: "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
        fields: &[
            (
                "pack_trace_reason",
                Ignored("there is no tracing in this version"),
            ),
            (
                "use_request_id_for_trace_sampling",
                Ignored("there is no tracing in this version"),
            ),
        ],
    },
    Message {
        name: "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
        fields: &[
            ("name", USED),
            ("typed_config", USED),
            ("config_discovery", Rejected(LATER)),
            ("is_optional", USED),
            ("disabled", USED),
        ],
    },
    Message {
        name: "envoy.config.core.v3.Http1ProtocolOptions",
        fields: &[
            ("allow_absolute_url", USED),
            ("accept_http_10", USED),
            ("default_host_for_http_10", USED),
            ("header_key_format", USED),
            ("enable_trailers", USED),
            ("allow_chunked_length", USED),
            ("override_stream_error_on_invalid_http_message", USED),
            ("send_fully_qualified_url", USED),
            ("use_balsa_parser", Ignored("there is one HTTP/1 parser")),
            ("allow_custom_methods", USED),
            ("ignore_http_11_upgrade", USED),
        ],
    },
    Message {
        name: "envoy.config.core.v3.Http1ProtocolOptions.HeaderKeyFormat",
        fields: &[("proper_case_words", USED), ("stateful_formatter", USED)],
    },
    Message {
        name: "envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig",
        fields: &[
            ("forward_reason_phrase", USED),
            ("formatter_type_on_envoy_headers", USED),
        ],
    },
    Message {
        name: "envoy.config.core.v3.Http1ProtocolOptions.HeaderKeyFormat.ProperCaseWords",
        fields: &[],
    },
    Message {
        name: "envoy.config.core.v3.HttpProtocolOptions",
        fields: &[
            ("idle_timeout", USED),
            ("max_connection_duration", USED),
            ("max_connection_duration_jitter", USED),
            ("max_headers_count", USED),
            ("max_response_headers_kb", USED),
            ("max_stream_duration", USED),
            ("headers_with_underscores_action", USED),
            ("max_requests_per_connection", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.http.router.v3.Router",
        fields: &[
            ("dynamic_stats", USED),
            (
                "start_child_span",
                Ignored("there is no tracing in this version"),
            ),
            ("upstream_log", Rejected(LATER)),
            ("upstream_log_options", Rejected(LATER)),
            ("suppress_envoy_headers", USED),
            ("strict_check_headers", USED),
            ("respect_expected_rq_timeout", USED),
            ("suppress_grpc_request_failure_code_stats", USED),
            ("upstream_http_filters", Rejected(LATER)),
            ("reject_connect_request_early_data", USED),
        ],
    },
    Message {
        name: "envoy.config.core.v3.SchemeHeaderTransformation",
        fields: &[("scheme_to_overwrite", USED), ("match_upstream", USED)],
    },
];
