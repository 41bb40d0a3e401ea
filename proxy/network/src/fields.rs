//! The fate of every field of the network filters' messages.

use outrigger_core::field::{
    Fate::{self, Ignored, Rejected},
    Message, USED,
};

const SUBSETS: Fate =
    Ignored("only subset load balancing reads it, and clusters with subsets are refused");

/// All network filters but the HTTP connection manager.
pub const FIELDS: &[Message] = &[
    Message {
        name: "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
        fields: &[
            ("stat_prefix", USED),
            ("max_connections", USED),
            ("delay", USED),
            ("runtime_enabled", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.network.echo.v3.Echo",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit",
        fields: &[
            ("stat_prefix", USED),
            ("token_bucket", USED),
            ("runtime_enabled", USED),
            ("share_key", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.network.rbac.v3.RBAC",
        fields: &[
            ("rules", USED),
            ("matcher", USED),
            ("shadow_rules", USED),
            ("shadow_matcher", USED),
            ("shadow_rules_stat_prefix", USED),
            ("stat_prefix", USED),
            ("enforcement_type", USED),
            ("delay_deny", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.network.set_filter_state.v3.Config",
        fields: &[
            ("on_new_connection", USED),
            ("on_downstream_tls_handshake", USED),
            ("on_downstream_data", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.network.sni_cluster.v3.SniCluster",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.filters.network.direct_response.v3.Config",
        fields: &[("response", USED)],
    },
    Message {
        name: "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        fields: &[
            ("stat_prefix", USED),
            ("cluster", USED),
            ("weighted_clusters", USED),
            ("on_demand", Rejected("clusters are not fetched on demand")),
            ("metadata_match", SUBSETS),
            ("idle_timeout", USED),
            (
                "downstream_idle_timeout",
                Ignored("Envoy does not implement it either"),
            ),
            (
                "upstream_idle_timeout",
                Ignored("Envoy does not implement it either"),
            ),
            ("access_log", USED),
            ("max_connect_attempts", USED),
            ("backoff_options", USED),
            ("hash_policy", Rejected("hash policies are not supported")),
            ("tunneling_config", USED),
            ("max_downstream_connection_duration", USED),
            ("max_downstream_connection_duration_jitter_percentage", USED),
            ("access_log_flush_interval", USED),
            ("flush_access_log_on_connected", USED),
            ("access_log_options", USED),
            (
                "proxy_protocol_tlvs",
                Rejected("TLVs are those of the cluster and of the client"),
            ),
            (
                "proxy_protocol_tlv_merge_policy",
                Ignored("has no meaning without proxy_protocol_tlvs"),
            ),
            ("upstream_connect_mode", USED),
            (
                "max_early_data_bytes",
                Rejected("nothing is read before the upstream is connected"),
            ),
            (
                "check_drain_close",
                Ignored("connections are not asked to close while draining yet"),
            ),
        ],
    },
    Message {
        name: "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TunnelingConfig",
        fields: &[
            ("hostname", USED),
            ("use_post", USED),
            ("headers_to_add", USED),
            ("propagate_response_headers", USED),
            ("post_path", USED),
            ("propagate_response_trailers", USED),
            ("request_id_extension", USED),
            ("request_id_header", USED),
            ("request_id_metadata_key", USED),
            ("formatters", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TcpAccessLogOptions",
        fields: &[
            ("access_log_flush_interval", USED),
            ("flush_access_log_on_connected", USED),
            ("flush_access_log_on_start", USED),
        ],
    },
    Message {
        name: "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster",
        fields: &[("clusters", USED)],
    },
    Message {
        name: "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight",
        fields: &[
            ("name", USED),
            ("weight", USED),
            ("metadata_match", SUBSETS),
        ],
    },
];
