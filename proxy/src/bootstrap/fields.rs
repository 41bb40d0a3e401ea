//! The fate of every field of the bootstrap itself, and the tables of all crates together.

use outrigger_core::field::{
    Fate::{Ignored, Rejected},
    Message, USED,
};

const NO_XDS: &str = "xDS is not supported in this version; list the resources in static_resources";
const NO_GRPC: &str = "the proxy makes no gRPC calls of its own in this version";
const NO_TLS: &str = "TLS is not supported in this version";
const ONLY_MEMORY: &str = "it only saves memory";
const NO_SHRINKING: &str = "the allocator gives memory back on its own";
const NO_WATCHDOG: &str = "there is no watchdog; a worker that panics ends the process";

/// Everything that a bootstrap may hold.
pub fn all() -> impl Iterator<Item = &'static Message> {
    let tables: [&'static [Message]; 12] = [
        FIELDS,
        crate::admin::FIELDS,
        outrigger_core::access_log::FIELDS,
        outrigger_core::field::common::FIELDS,
        outrigger_core::matcher::fields::FIELDS,
        outrigger_core::matcher::tree::FIELDS,
        outrigger_core::runtime::FIELDS,
        outrigger_core::stats::FIELDS,
        outrigger_listener::fields::FIELDS,
        outrigger_network::fields::FIELDS,
        outrigger_transport::inspect::fields::FIELDS,
        outrigger_upstream::FIELDS,
    ];
    let tables = tables.into_iter().flatten();
    tables.chain(outrigger_http::fields::fields())
}

const FIELDS: &[Message] = &[
    Message {
        name: "envoy.config.bootstrap.v3.Bootstrap",
        fields: &[
            ("node", USED),
            ("node_context_params", Ignored("only xDS sends them")),
            ("static_resources", USED),
            ("dynamic_resources", Rejected(NO_XDS)),
            ("cluster_manager", USED),
            ("hds_config", Rejected(NO_GRPC)),
            ("flags_path", Ignored("Envoy does not read it either")),
            (
                "stats_sinks",
                Rejected("scrape /stats/prometheus of the admin interface"),
            ),
            ("deferred_stat_options", Ignored(ONLY_MEMORY)),
            ("stats_config", USED),
            ("stats_flush_interval", USED),
            ("stats_flush_on_admin", USED),
            ("stats_eviction_interval", Ignored(ONLY_MEMORY)),
            ("watchdog", Ignored(NO_WATCHDOG)),
            ("watchdogs", Ignored(NO_WATCHDOG)),
            (
                "tracing",
                Rejected("tracing is not supported in this version"),
            ),
            ("layered_runtime", USED),
            ("admin", USED),
            ("overload_manager", USED),
            (
                "enable_dispatcher_stats",
                Ignored("there is no dispatcher of which there could be stats"),
            ),
            ("header_prefix", Rejected("the headers are x-envoy-*")),
            ("stats_server_version_override", USED),
            ("use_tcp_for_dns_lookups", USED),
            ("dns_resolution_config", USED),
            ("typed_dns_resolver_config", USED),
            (
                "bootstrap_extensions",
                Rejected("there are no bootstrap extensions in this version"),
            ),
            (
                "fatal_actions",
                Rejected("there are no fatal actions in this version"),
            ),
            ("config_sources", Rejected(NO_XDS)),
            ("default_config_source", Rejected(NO_XDS)),
            (
                "default_socket_interface",
                Rejected("the kernel's sockets are the only ones"),
            ),
            ("certificate_provider_instances", Rejected(NO_TLS)),
            (
                "inline_headers",
                Rejected("headers of one name are never merged"),
            ),
            (
                "perf_tracing_file_path",
                Ignored("Envoy's releases do not write it either"),
            ),
            ("default_regex_engine", USED),
            ("xds_delegate_extension", Rejected(NO_XDS)),
            ("xds_config_tracker_extension", Rejected(NO_XDS)),
            (
                "listener_manager",
                Rejected("there is one listener manager"),
            ),
            ("application_log_config", USED),
            ("grpc_async_client_manager_config", Ignored(NO_GRPC)),
            (
                "memory_allocator_manager",
                Ignored("the allocator gives memory back on its own"),
            ),
            (
                "enable_worker_cpu_affinity",
                Ignored("workers are placed by the kernel"),
            ),
        ],
    },
    Message {
        name: "envoy.config.bootstrap.v3.Bootstrap.StaticResources",
        fields: &[
            ("listeners", USED),
            ("clusters", USED),
            ("secrets", Rejected(NO_TLS)),
        ],
    },
    Message {
        name: "envoy.config.bootstrap.v3.Bootstrap.ApplicationLogConfig",
        fields: &[("log_format", USED)],
    },
    Message {
        name: "envoy.config.bootstrap.v3.Bootstrap.ApplicationLogConfig.LogFormat",
        fields: &[("json_format", USED), ("text_format", USED)],
    },
    Message {
        name: "envoy.config.bootstrap.v3.ClusterManager",
        fields: &[
            (
                "local_cluster_name",
                Rejected("zone aware routing is not supported in this version"),
            ),
            (
                "outlier_detection",
                Rejected("outlier detection is not supported in this version"),
            ),
            ("upstream_bind_config", USED),
            ("load_stats_config", Rejected(NO_GRPC)),
            ("enable_deferred_cluster_creation", Ignored(ONLY_MEMORY)),
        ],
    },
    Message {
        name: "envoy.extensions.regex_engines.v3.GoogleRE2",
        fields: &[],
    },
    Message {
        name: "envoy.config.overload.v3.OverloadManager",
        fields: &[
            ("refresh_interval", USED),
            ("resource_monitors", USED),
            ("actions", USED),
            ("loadshed_points", USED),
            (
                "buffer_factory_config",
                Ignored("only reset_high_memory_stream needs it, and it is refused"),
            ),
        ],
    },
    Message {
        name: "envoy.config.overload.v3.OverloadAction",
        fields: &[("name", USED), ("triggers", USED), ("typed_config", USED)],
    },
    Message {
        name: "envoy.config.overload.v3.LoadShedPoint",
        fields: &[("name", USED), ("triggers", USED)],
    },
    Message {
        name: "envoy.config.overload.v3.Trigger",
        fields: &[("name", USED), ("threshold", USED), ("scaled", USED)],
    },
    Message {
        name: "envoy.config.overload.v3.ThresholdTrigger",
        fields: &[("value", USED)],
    },
    Message {
        name: "envoy.config.overload.v3.ScaledTrigger",
        fields: &[("scaling_threshold", USED), ("saturation_threshold", USED)],
    },
    Message {
        name: "envoy.config.overload.v3.ScaleTimersOverloadActionConfig",
        fields: &[("timer_scale_factors", USED)],
    },
    Message {
        name: "envoy.config.overload.v3.ScaleTimersOverloadActionConfig.ScaleTimer",
        fields: &[("timer", USED), ("min_timeout", USED), ("min_scale", USED)],
    },
    Message {
        name: "envoy.config.overload.v3.ShrinkHeapConfig",
        fields: &[
            ("timer_interval", Ignored(NO_SHRINKING)),
            ("max_unfreed_memory_bytes", Ignored(NO_SHRINKING)),
        ],
    },
    Message {
        name: "envoy.extensions.resource_monitors.cpu_utilization.v3.CpuUtilizationConfig",
        fields: &[("mode", USED)],
    },
    Message {
        name: "envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
        fields: &[
            ("max_heap_size_bytes", USED),
            (
                "max_heap_size_bytes_runtime",
                Rejected("give max_heap_size_bytes"),
            ),
        ],
    },
    Message {
        name: "envoy.extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig",
        fields: &[("filename", USED)],
    },
    Message {
        name: "envoy.config.overload.v3.ResourceMonitor",
        fields: &[("name", USED), ("typed_config", USED)],
    },
    Message {
        name: "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        fields: &[("max_active_downstream_connections", USED)],
    },
];

#[cfg(test)]
mod tests;
