//! The fate of every field of the messages that this crate compiles.

use outrigger_core::field::{
    Fate::{Ignored, Rejected},
    Message, USED,
};

/// Listeners, filter chains and their matches.
pub const FIELDS: &[Message] = &[
    Message {
        name: "envoy.config.listener.v3.Listener",
        fields: &[
            ("name", USED),
            ("address", USED),
            ("additional_addresses", USED),
            ("stat_prefix", USED),
            (
                "stats_matcher",
                Rejected("use the bootstrap's stats_config.stats_matcher"),
            ),
            ("filter_chains", USED),
            (
                "fcds_config",
                Rejected("list the filter chains in filter_chains"),
            ),
            (
                "filter_chain_matcher",
                Rejected("use filter_chain_match in the filter chains"),
            ),
            ("use_original_dst", USED),
            ("default_filter_chain", USED),
            ("per_connection_buffer_limit_bytes", USED),
            (
                "per_connection_buffer_high_watermark_timeout",
                Rejected("use the idle timeouts of the network filters"),
            ),
            ("metadata", USED),
            ("deprecated_v1", USED),
            ("drain_type", USED),
            ("listener_filters", USED),
            ("listener_filters_timeout", USED),
            ("continue_on_listener_filters_timeout", USED),
            ("transparent", USED),
            ("freebind", USED),
            ("socket_options", USED),
            (
                "tcp_fast_open_queue_length",
                Ignored("only saves a round trip; clients fall back to the usual handshake"),
            ),
            ("traffic_direction", USED),
            (
                "udp_listener_config",
                Rejected("only TCP and Unix domain sockets are supported"),
            ),
            (
                "api_listener",
                Rejected("API listeners are for Envoy Mobile and gRPC clients"),
            ),
            ("connection_balance_config", USED),
            ("reuse_port", USED),
            ("enable_reuse_port", USED),
            ("access_log", USED),
            ("tcp_backlog_size", USED),
            ("max_connections_to_accept_per_socket_event", USED),
            ("bind_to_port", USED),
            ("enable_mptcp", Rejected("multipath TCP is not supported")),
            ("ignore_global_conn_limit", USED),
            ("bypass_overload_manager", USED),
            ("tcp_keepalive", USED),
            (
                "internal_listener",
                Rejected("internal listeners are not supported"),
            ),
        ],
    },
    Message {
        name: "envoy.config.listener.v3.Listener.DeprecatedV1",
        fields: &[("bind_to_port", USED)],
    },
    Message {
        name: "envoy.config.listener.v3.Listener.ConnectionBalanceConfig",
        fields: &[
            ("exact_balance", USED),
            (
                "extend_balance",
                Rejected("use exact_balance, which is also the default"),
            ),
            (
                "cpu_locality_balance",
                Rejected("use exact_balance, which is also the default"),
            ),
        ],
    },
    Message {
        name: "envoy.config.listener.v3.Listener.ConnectionBalanceConfig.ExactBalance",
        fields: &[],
    },
    Message {
        name: "envoy.config.listener.v3.AdditionalAddress",
        fields: &[
            ("address", USED),
            ("socket_options", USED),
            ("tcp_keepalive", USED),
        ],
    },
    Message {
        name: "envoy.config.core.v3.SocketOptionsOverride",
        fields: &[("socket_options", USED)],
    },
    Message {
        name: "envoy.config.listener.v3.ListenerFilter",
        fields: &[
            ("name", USED),
            ("filter_disabled", USED),
            ("typed_config", USED),
            (
                "config_discovery",
                Rejected("give the configuration in typed_config"),
            ),
        ],
    },
    Message {
        name: "envoy.config.listener.v3.ListenerFilterChainMatchPredicate",
        fields: &[
            ("or_match", USED),
            ("and_match", USED),
            ("not_match", USED),
            ("any_match", USED),
            ("destination_port_range", USED),
        ],
    },
    Message {
        name: "envoy.config.listener.v3.ListenerFilterChainMatchPredicate.MatchSet",
        fields: &[("rules", USED)],
    },
    Message {
        name: "envoy.config.listener.v3.FilterChain",
        fields: &[
            ("filter_chain_match", USED),
            ("filters", USED),
            (
                "use_proxy_proto",
                Rejected("use the proxy_protocol listener filter"),
            ),
            ("metadata", USED),
            ("transport_socket", USED),
            (
                "transport_socket_connect_timeout",
                Ignored("a raw buffer has no handshake that could take long"),
            ),
            ("name", USED),
        ],
    },
    Message {
        name: "envoy.config.listener.v3.FilterChainMatch",
        fields: &[
            ("destination_port", USED),
            ("prefix_ranges", USED),
            (
                "address_suffix",
                Rejected("Envoy does not implement it either"),
            ),
            ("suffix_len", Rejected("Envoy does not implement it either")),
            ("direct_source_prefix_ranges", USED),
            ("source_type", USED),
            ("source_prefix_ranges", USED),
            ("source_ports", USED),
            ("server_names", USED),
            ("transport_protocol", USED),
            ("application_protocols", USED),
        ],
    },
    Message {
        name: "envoy.config.listener.v3.Filter",
        fields: &[
            ("name", USED),
            ("typed_config", USED),
            (
                "config_discovery",
                Rejected("give the configuration in typed_config"),
            ),
        ],
    },
];
