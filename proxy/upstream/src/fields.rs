//! The fate of every field of the messages that this crate compiles.

use outrigger_core::field::{
    Fate::{Ignored, Rejected},
    Message, USED,
};

const NOT_YET: &str = "not supported in this version";
const EDS: &str = "EDS is not supported in this version";
const TLS: &str = "TLS to upstreams is not supported in this version";
const NO_ZONE_ROUTING: &str =
    "acts only where the bootstrap names a local cluster, which is refused";

/// Clusters, their endpoints and their policies.
pub const FIELDS: &[Message] = &[
    Message {
        name: "envoy.config.cluster.v3.Cluster",
        fields: &[
            ("transport_socket_matches", Rejected(NOT_YET)),
            ("transport_socket_matcher", Rejected(NOT_YET)),
            ("name", USED),
            ("alt_stat_name", USED),
            (
                "stats_matcher",
                Rejected("use the bootstrap's stats_config.stats_matcher"),
            ),
            ("type", USED),
            ("cluster_type", USED),
            ("eds_cluster_config", Rejected(EDS)),
            ("connect_timeout", USED),
            ("per_connection_buffer_limit_bytes", USED),
            (
                "per_connection_buffer_high_watermark_timeout",
                Rejected(NOT_YET),
            ),
            ("lb_policy", USED),
            ("load_assignment", USED),
            ("health_checks", Rejected(NOT_YET)),
            ("max_requests_per_connection", USED),
            ("circuit_breakers", USED),
            ("upstream_http_protocol_options", Rejected(TLS)),
            ("common_http_protocol_options", USED),
            ("http_protocol_options", USED),
            ("http2_protocol_options", USED),
            ("typed_extension_protocol_options", USED),
            ("dns_refresh_rate", USED),
            ("dns_jitter", USED),
            ("dns_failure_refresh_rate", USED),
            ("respect_dns_ttl", USED),
            ("dns_lookup_family", USED),
            ("dns_resolvers", USED),
            ("use_tcp_for_dns_lookups", USED),
            ("dns_resolution_config", USED),
            ("typed_dns_resolver_config", USED),
            ("wait_for_warm_on_init", USED),
            ("outlier_detection", Rejected(NOT_YET)),
            (
                "cleanup_interval",
                Ignored("only ORIGINAL_DST clusters clean up, and they are refused"),
            ),
            ("upstream_bind_config", USED),
            ("lb_subset_config", Rejected(NOT_YET)),
            ("ring_hash_lb_config", Rejected(NOT_YET)),
            ("maglev_lb_config", Rejected(NOT_YET)),
            ("original_dst_lb_config", Rejected(NOT_YET)),
            ("least_request_lb_config", USED),
            ("round_robin_lb_config", USED),
            ("common_lb_config", USED),
            ("transport_socket", USED),
            ("metadata", USED),
            ("protocol_selection", USED),
            ("upstream_connection_options", USED),
            (
                "close_connections_on_host_health_failure",
                Rejected(NOT_YET),
            ),
            (
                "ignore_health_on_host_removal",
                Ignored("only tells removals by active health checks apart, which are refused"),
            ),
            ("filters", Rejected(NOT_YET)),
            ("load_balancing_policy", USED),
            ("lrs_server", Rejected("load reports are not supported")),
            (
                "lrs_report_endpoint_metrics",
                Rejected("load reports are not supported"),
            ),
            ("track_timeout_budgets", Rejected(NOT_YET)),
            ("upstream_config", Rejected(NOT_YET)),
            ("track_cluster_stats", Rejected(NOT_YET)),
            ("preconnect_policy", Rejected(NOT_YET)),
            (
                "connection_pool_per_downstream_connection",
                Rejected(NOT_YET),
            ),
            ("queuing_policies", Rejected(NOT_YET)),
        ],
    },
    Message {
        name: "envoy.config.cluster.v3.Cluster.CustomClusterType",
        fields: &[("name", USED), ("typed_config", USED)],
    },
    Message {
        name: "envoy.config.cluster.v3.Cluster.RefreshRate",
        fields: &[("base_interval", USED), ("max_interval", USED)],
    },
    Message {
        name: "envoy.config.cluster.v3.Cluster.LeastRequestLbConfig",
        fields: &[
            ("choice_count", USED),
            ("active_request_bias", USED),
            ("slow_start_config", Rejected(NOT_YET)),
        ],
    },
    Message {
        name: "envoy.config.cluster.v3.Cluster.RoundRobinLbConfig",
        fields: &[("slow_start_config", Rejected(NOT_YET))],
    },
    Message {
        name: "envoy.config.cluster.v3.Cluster.CommonLbConfig",
        fields: &[
            ("healthy_panic_threshold", USED),
            ("zone_aware_lb_config", USED),
            ("locality_weighted_lb_config", USED),
            (
                "update_merge_window",
                Ignored("updates take effect at once, which is what the window delays"),
            ),
            (
                "ignore_new_hosts_until_first_hc",
                Ignored("health checks are refused, and without them it does nothing"),
            ),
            ("close_connections_on_host_set_change", Rejected(NOT_YET)),
            ("consistent_hashing_lb_config", Rejected(NOT_YET)),
            ("override_host_status", USED),
        ],
    },
    Message {
        name: "envoy.config.core.v3.HealthStatusSet",
        fields: &[("statuses", USED)],
    },
    Message {
        name: "envoy.config.cluster.v3.Cluster.CommonLbConfig.ZoneAwareLbConfig",
        fields: &[
            ("routing_enabled", Ignored(NO_ZONE_ROUTING)),
            ("min_cluster_size", Ignored(NO_ZONE_ROUTING)),
            ("fail_traffic_on_panic", USED),
        ],
    },
    Message {
        name: "envoy.config.cluster.v3.Cluster.CommonLbConfig.LocalityWeightedLbConfig",
        fields: &[],
    },
    Message {
        name: "envoy.config.cluster.v3.LoadBalancingPolicy",
        fields: &[("policies", USED)],
    },
    Message {
        name: "envoy.config.cluster.v3.LoadBalancingPolicy.Policy",
        fields: &[("typed_extension_config", USED)],
    },
    Message {
        name: "envoy.config.cluster.v3.CircuitBreakers",
        fields: &[("thresholds", USED), ("per_host_thresholds", USED)],
    },
    Message {
        name: "envoy.config.cluster.v3.CircuitBreakers.Thresholds",
        fields: &[
            ("priority", USED),
            ("max_connections", USED),
            ("max_pending_requests", USED),
            ("max_requests", USED),
            ("max_retries", USED),
            ("retry_budget", USED),
            ("track_remaining", USED),
            ("max_connection_pools", USED),
        ],
    },
    Message {
        name: "envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget",
        fields: &[
            ("budget_percent", USED),
            ("budget_interval", Rejected(NOT_YET)),
            ("min_retry_concurrency", USED),
        ],
    },
    Message {
        name: "envoy.config.cluster.v3.UpstreamConnectionOptions",
        fields: &[
            ("tcp_keepalive", USED),
            (
                "set_local_interface_name_on_upstream_connections",
                Ignored("no extension here asks for the name"),
            ),
            ("happy_eyeballs_config", USED),
        ],
    },
    Message {
        name: "envoy.config.core.v3.BindConfig",
        fields: &[
            ("source_address", USED),
            ("freebind", USED),
            ("socket_options", USED),
            ("extra_source_addresses", USED),
            ("additional_source_addresses", USED),
            ("local_address_selector", USED),
            ("validate_network_namespaces", Rejected(NOT_YET)),
        ],
    },
    Message {
        name: "envoy.config.upstream.local_address_selector.v3.DefaultLocalAddressSelector",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.upstreams.tcp.v3.TcpProtocolOptions",
        fields: &[(
            "idle_timeout",
            Ignored("no connection waits to be used by the TCP proxy"),
        )],
    },
    Message {
        name: "envoy.config.core.v3.ExtraSourceAddress",
        fields: &[("address", USED), ("socket_options", USED)],
    },
    Message {
        name: "envoy.config.core.v3.SocketOptionsOverride",
        fields: &[("socket_options", USED)],
    },
    Message {
        name: "envoy.config.cluster.v3.UpstreamConnectionOptions.HappyEyeballsConfig",
        fields: &[
            ("first_address_family_version", USED),
            ("first_address_family_count", USED),
        ],
    },
    Message {
        name: "envoy.config.endpoint.v3.Endpoint.AdditionalAddress",
        fields: &[("address", USED)],
    },
    Message {
        name: "envoy.config.core.v3.DnsResolutionConfig",
        fields: &[("resolvers", USED), ("dns_resolver_options", USED)],
    },
    Message {
        name: "envoy.config.core.v3.DnsResolverOptions",
        fields: &[
            ("use_tcp_for_dns_lookups", USED),
            ("no_default_search_domain", USED),
        ],
    },
    Message {
        name: "envoy.config.endpoint.v3.ClusterLoadAssignment",
        fields: &[
            // Required, and compared with nothing outside of EDS: no reason to warn of it.
            ("cluster_name", USED),
            ("endpoints", USED),
            ("named_endpoints", Rejected("list them in lb_endpoints")),
            ("policy", USED),
        ],
    },
    Message {
        name: "envoy.config.endpoint.v3.ClusterLoadAssignment.Policy",
        fields: &[
            ("drop_overloads", Rejected(NOT_YET)),
            ("overprovisioning_factor", USED),
            ("endpoint_stale_after", Rejected(EDS)),
            ("weighted_priority_health", USED),
        ],
    },
    Message {
        name: "envoy.config.endpoint.v3.LocalityLbEndpoints",
        fields: &[
            ("locality", USED),
            (
                "metadata",
                Ignored("no log or matcher of this version can ask for it"),
            ),
            ("lb_endpoints", USED),
            ("load_balancer_endpoints", Rejected("use lb_endpoints")),
            ("leds_cluster_locality_config", Rejected(EDS)),
            ("load_balancing_weight", USED),
            ("priority", USED),
            (
                "proximity",
                Ignored("Envoy's balancers do not use it either"),
            ),
        ],
    },
    Message {
        name: "envoy.config.endpoint.v3.LbEndpoint",
        fields: &[
            ("endpoint", USED),
            ("endpoint_name", Rejected("use endpoint")),
            ("health_status", USED),
            ("metadata", USED),
            ("load_balancing_weight", USED),
        ],
    },
    Message {
        name: "envoy.config.endpoint.v3.Endpoint",
        fields: &[
            ("address", USED),
            (
                "health_check_config",
                Ignored("only active health checks use it, and they are refused"),
            ),
            ("hostname", USED),
            ("additional_addresses", USED),
            ("observability_name", Rejected(NOT_YET)),
        ],
    },
    Message {
        name: "envoy.extensions.clusters.dns.v3.DnsCluster",
        fields: &[
            ("dns_refresh_rate", USED),
            ("dns_failure_refresh_rate", USED),
            ("respect_dns_ttl", USED),
            ("dns_jitter", USED),
            ("typed_dns_resolver_config", USED),
            ("dns_lookup_family", USED),
            ("all_addresses_in_single_endpoint", USED),
            ("dns_min_refresh_rate", USED),
        ],
    },
    Message {
        name: "envoy.extensions.clusters.dns.v3.DnsCluster.RefreshRate",
        fields: &[("base_interval", USED), ("max_interval", USED)],
    },
    Message {
        name: "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
        fields: &[
            ("resolvers", USED),
            ("use_resolvers_as_fallback", USED),
            ("filter_unroutable_families", Rejected(NOT_YET)),
            ("dns_resolver_options", USED),
            (
                "udp_max_queries",
                Ignored("every query has a socket of its own"),
            ),
            ("query_timeout_seconds", USED),
            ("query_tries", USED),
            ("rotate_nameservers", USED),
            (
                "max_udp_channel_duration",
                Ignored("every query has a socket of its own"),
            ),
            (
                "reinit_channel_on_timeout",
                Ignored("every query has a socket of its own"),
            ),
            (
                "edns0_max_payload_size",
                Ignored("the size is negotiated; larger answers come over TCP"),
            ),
            (
                "qcache_max_ttl",
                Ignored("answers are not kept beyond a refresh"),
            ),
        ],
    },
    Message {
        name: "envoy.extensions.network.dns_resolver.getaddrinfo.v3.GetAddrInfoDnsResolverConfig",
        fields: &[
            ("num_retries", Ignored("a refresh that failed comes again")),
            ("num_resolver_threads", Ignored("no thread waits for names")),
        ],
    },
    Message {
        name: "envoy.extensions.network.dns_resolver.hickory.v3.HickoryDnsResolverConfig",
        fields: &[
            ("resolvers", USED),
            ("dns_over_tls", Rejected(NOT_YET)),
            ("dns_over_https", Rejected(NOT_YET)),
            ("enable_dnssec", Rejected(NOT_YET)),
            (
                "cache_size",
                Ignored("answers are not kept beyond a refresh"),
            ),
            ("num_resolver_threads", Ignored("no thread waits for names")),
            ("use_system_config", Rejected(NOT_YET)),
            ("query_timeout", USED),
            ("query_tries", USED),
        ],
    },
    Message {
        name: "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin",
        fields: &[
            ("slow_start_config", Rejected(NOT_YET)),
            ("locality_lb_config", USED),
        ],
    },
    Message {
        name: "envoy.extensions.load_balancing_policies.random.v3.Random",
        fields: &[("locality_lb_config", USED)],
    },
    Message {
        name: "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest",
        fields: &[
            ("choice_count", USED),
            ("active_request_bias", USED),
            ("slow_start_config", Rejected(NOT_YET)),
            ("locality_lb_config", USED),
            ("enable_full_scan", USED),
            ("selection_method", USED),
        ],
    },
    Message {
        name: "envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality",
        fields: &[("endpoint_picking_policy", USED)],
    },
    Message {
        name: "envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig",
        fields: &[
            ("zone_aware_lb_config", USED),
            ("locality_weighted_lb_config", USED),
        ],
    },
    Message {
        name: "envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.LocalityWeightedLbConfig",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.ZoneAwareLbConfig",
        fields: &[
            ("routing_enabled", Ignored(NO_ZONE_ROUTING)),
            ("min_cluster_size", Ignored(NO_ZONE_ROUTING)),
            ("fail_traffic_on_panic", USED),
            ("force_locality_direct_routing", Ignored(NO_ZONE_ROUTING)),
            ("force_local_zone", Ignored(NO_ZONE_ROUTING)),
            ("locality_basis", Ignored(NO_ZONE_ROUTING)),
        ],
    },
    Message {
        name: "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        fields: &[
            ("common_http_protocol_options", USED),
            ("upstream_http_protocol_options", Rejected(TLS)),
            ("explicit_http_config", USED),
            ("use_downstream_protocol_config", USED),
            (
                "auto_config",
                Rejected(
                    "ALPN needs a transport socket that speaks it, and TLS comes in a later version",
                ),
            ),
            (
                "http_filters",
                Rejected("upstream HTTP filters are not supported in this version"),
            ),
            ("header_validation_config", Rejected(NOT_YET)),
            ("outlier_detection", Rejected(NOT_YET)),
            ("request_mirror_policies", Rejected("set it on the routes")),
            ("hash_policy", Rejected("set it on the routes")),
            ("retry_policy", Rejected("set it on the routes")),
        ],
    },
    Message {
        name: "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig",
        fields: &[
            ("http_protocol_options", USED),
            ("http2_protocol_options", USED),
            (
                "http3_protocol_options",
                Rejected("HTTP/3 is not supported"),
            ),
        ],
    },
    Message {
        name: "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig",
        fields: &[
            ("http_protocol_options", USED),
            ("http2_protocol_options", USED),
            (
                "http3_protocol_options",
                Rejected("HTTP/3 is not supported"),
            ),
        ],
    },
    Message {
        name: "envoy.config.core.v3.Http2ProtocolOptions",
        fields: &[
            ("hpack_table_size", USED),
            ("max_concurrent_streams", USED),
            ("initial_stream_window_size", USED),
            ("initial_connection_window_size", USED),
            ("allow_connect", USED),
            ("allow_metadata", Rejected(NOT_YET)),
            ("max_outbound_frames", USED),
            ("max_outbound_control_frames", USED),
            ("max_consecutive_inbound_frames_with_empty_payload", USED),
            ("max_inbound_priority_frames_per_stream", USED),
            ("max_inbound_window_update_frames_per_data_frame_sent", USED),
            ("stream_error_on_invalid_http_messaging", USED),
            ("override_stream_error_on_invalid_http_message", USED),
            ("custom_settings_parameters", Rejected(NOT_YET)),
            ("connection_keepalive", USED),
            ("disallow_obs_text", Rejected(NOT_YET)),
            ("stream_reset_burst", Rejected(NOT_YET)),
            ("stream_reset_rate", Rejected(NOT_YET)),
            ("use_oghttp2_codec", Ignored("there is one HTTP/2 codec")),
            (
                "max_metadata_size",
                Ignored("metadata frames are never allowed"),
            ),
            (
                "enable_huffman_encoding",
                Ignored("strings are always encoded"),
            ),
            (
                "max_header_field_size_kb",
                Ignored("the limit of all headers holds for each of them"),
            ),
        ],
    },
    Message {
        name: "envoy.config.core.v3.KeepaliveSettings",
        fields: &[
            ("interval", USED),
            ("timeout", USED),
            ("interval_jitter", USED),
            ("connection_idle_interval", Rejected(NOT_YET)),
        ],
    },
];
