//! The table of endpoints: what there is, what it takes, whether it changes anything. `/help` is made from it.

use super::{
    clusters, config_dump, control, home, listeners, logging, memory, params::Params, profiling,
    recent_lookups, reply::Reply, runtime, server_info, state::AdminState, stats,
};

/// A parameter as `/help` explains it.
#[derive(Debug)]
pub struct Param {
    pub name: &'static str,
    pub help: &'static str,
    pub choices: &'static [&'static str],
    /// It says something by being there; its value does not matter.
    pub is_flag: bool,
}

/// One path. Paths match exactly.
pub struct Endpoint {
    pub path: &'static str,
    /// It changes something and wants POST.
    pub mutates: bool,
    pub help: &'static str,
    pub params: &'static [Param],
    pub handle: fn(&AdminState, &Params) -> Reply,
}

const fn param(name: &'static str, help: &'static str) -> Param {
    choice(name, help, &[])
}

const fn choice(name: &'static str, help: &'static str, choices: &'static [&'static str]) -> Param {
    Param {
        name,
        help,
        choices,
        is_flag: false,
    }
}

const fn flag(name: &'static str, help: &'static str) -> Param {
    Param {
        is_flag: true,
        ..param(name, help)
    }
}

type Handle = fn(&AdminState, &Params) -> Reply;

const fn read(
    path: &'static str,
    help: &'static str,
    params: &'static [Param],
    handle: Handle,
) -> Endpoint {
    Endpoint {
        path,
        mutates: false,
        help,
        params,
        handle,
    }
}

const fn write(
    path: &'static str,
    help: &'static str,
    params: &'static [Param],
    handle: Handle,
) -> Endpoint {
    Endpoint {
        path,
        mutates: true,
        help,
        params,
        handle,
    }
}

const USED_ONLY: Param = flag(
    "usedonly",
    "Only include stats that have been written by system since restart",
);
const FILTER: Param = param(
    "filter",
    "Regular expression (Google re2) for filtering stats",
);
const INVERT: Param = flag("invert_filter", "Invert the filter regex");

/// In alphabetical order, with Envoy's texts.
pub static ENDPOINTS: &[Endpoint] = &[
    read("/", "Admin home page", &[], home::home),
    write(
        "/allocprofiler",
        "enable/disable the allocation profiler (if supported)",
        &[choice(
            "enable",
            "enable/disable the allocation profiler",
            &["y", "n"],
        )],
        profiling::allocations,
    ),
    read("/certs", "print certs on machine", &[], server_info::certs),
    read(
        "/clusters",
        "upstream cluster status",
        &[param(
            "filter",
            "Regular expression (Google re2) for filtering clusters by name",
        )],
        clusters::clusters,
    ),
    read(
        "/config_dump",
        "dump current Envoy configs",
        &[
            param("resource", "The resource to dump"),
            param(
                "mask",
                "The mask to apply. When both resource and mask are specified, the mask is applied to every element in the desired repeated field so that only a subset of fields are returned. The mask is parsed as a Protobuf::FieldMask",
            ),
            param(
                "name_regex",
                "Dump only the currently loaded configurations whose names match the specified regex. Can be used with both resource and mask query parameters.",
            ),
            flag(
                "include_eds",
                "Dump currently loaded configuration including EDS. See the response definition for more information",
            ),
        ],
        config_dump::config_dump,
    ),
    read(
        "/contention",
        "dump current Envoy mutex contention stats (if enabled)",
        &[],
        profiling::contention,
    ),
    write(
        "/cpuprofiler",
        "enable/disable the CPU profiler",
        &[choice("enable", "enables the CPU profiler", &["y", "n"])],
        profiling::cpu,
    ),
    write(
        "/drain_listeners",
        "drain listeners",
        &[
            flag(
                "graceful",
                "When draining listeners, enter a graceful drain period prior to closing listeners. This behaviour and duration is configurable via server options or CLI",
            ),
            flag(
                "skip_exit",
                "When draining listeners, drain the connections but never stop the listeners. The graceful parameter has no effect when this is set, since the drain period only delays stopping the listeners",
            ),
            flag(
                "inboundonly",
                "Drains all inbound listeners. traffic_direction field in envoy_v3_api_msg_config.listener.v3.Listener is used to determine whether a listener is inbound or outbound.",
            ),
        ],
        control::drain_listeners,
    ),
    write(
        "/healthcheck/fail",
        "cause the server to fail health checks",
        &[],
        control::fail_health_checks,
    ),
    write(
        "/healthcheck/ok",
        "cause the server to pass health checks",
        &[],
        control::pass_health_checks,
    ),
    read(
        "/heap_dump",
        "dump current Envoy heap (if supported)",
        &[],
        profiling::heap_dump,
    ),
    write(
        "/heapprofiler",
        "enable/disable the heap profiler",
        &[choice(
            "enable",
            "enable/disable the heap profiler",
            &["y", "n"],
        )],
        profiling::heap,
    ),
    read("/help", "print out list of admin commands", &[], home::help),
    read(
        "/hot_restart_version",
        "print the hot restart compatibility version",
        &[],
        server_info::hot_restart_version,
    ),
    read(
        "/init_dump",
        "dump current Envoy init manager information (experimental)",
        &[param(
            "mask",
            "The desired component to dump unready targets. The mask is parsed as a Protobuf::FieldMask. For example, get the unready targets of all listeners with /init_dump?mask=listener`",
        )],
        server_info::init_dump,
    ),
    read(
        "/listeners",
        "print listener info",
        &[choice("format", "File format to use", &["text", "json"])],
        listeners::listeners,
    ),
    write(
        "/logging",
        "query/change logging levels",
        &[
            param(
                "paths",
                "Change multiple logging levels by setting to <logger_name1>:<desired_level1>,<logger_name2>:<desired_level2>. If fine grain logging is enabled, use __FILE__ or a glob experision as the logger name. For example, source/common*:warning",
            ),
            param(
                "group",
                "Change given logger group to desired level, set to <logger_group_name>:<desired_level>. logger_group_name must be a logger name.",
            ),
            choice(
                "level",
                "desired logging level, this will change all loggers's level",
                &[
                    "", "trace", "debug", "info", "warning", "error", "critical", "off",
                ],
            ),
        ],
        logging::logging,
    ),
    read(
        "/memory",
        "print current allocation/heap usage",
        &[],
        memory::memory,
    ),
    read(
        "/memory/tcmalloc",
        "print TCMalloc stats",
        &[],
        memory::tcmalloc,
    ),
    read(
        "/peak_heap_dump",
        "dump peak Envoy heap (if supported)",
        &[],
        profiling::heap_dump,
    ),
    write("/quitquitquit", "exit the server", &[], control::quit),
    read(
        "/ready",
        "print server state, return 200 if LIVE, otherwise return 503",
        &[],
        server_info::ready,
    ),
    write(
        "/reopen_logs",
        "reopen access logs",
        &[],
        control::reopen_logs,
    ),
    write(
        "/reset_counters",
        "reset all counters to zero",
        &[],
        control::reset_counters,
    ),
    read("/runtime", "print runtime values", &[], runtime::runtime),
    write(
        "/runtime_modify",
        "Adds or modifies runtime values as passed in query parameters. To delete a previously added key, use an empty string as the value. Note that deletion only applies to overrides added via this endpoint; values loaded from disk can be modified via override but not deleted. E.g. ?key1=value1&key2=value2...",
        &[],
        runtime::modify,
    ),
    read(
        "/server_info",
        "print server version/status information",
        &[],
        server_info::server_info,
    ),
    read(
        "/stats",
        "print server stats",
        &[
            USED_ONLY,
            FILTER,
            INVERT,
            choice(
                "format",
                "Format to use",
                &["html", "active-html", "text", "json"],
            ),
            choice(
                "type",
                "Stat types to include.",
                &["All", "Counters", "Histograms", "Gauges", "TextReadouts"],
            ),
            choice(
                "histogram_buckets",
                "Histogram bucket display mode",
                &["cumulative", "disjoint", "detailed", "summary"],
            ),
        ],
        stats::stats,
    ),
    read(
        "/stats/prometheus",
        "print server stats in prometheus format",
        &[
            USED_ONLY,
            flag(
                "text_readouts",
                "Render text_readouts as new gaugues with value 0 (increases Prometheus data size)",
            ),
            FILTER,
            INVERT,
            choice(
                "histogram_buckets",
                "Histogram bucket display mode",
                &["cumulative", "summary"],
            ),
        ],
        stats::prometheus,
    ),
    read(
        "/stats/recentlookups",
        "Show recent stat-name lookups",
        &[],
        recent_lookups::show,
    ),
    write(
        "/stats/recentlookups/clear",
        "clear list of stat-name lookups and counter",
        &[],
        recent_lookups::clear,
    ),
    write(
        "/stats/recentlookups/disable",
        "disable recording of reset stat-name lookup names",
        &[],
        recent_lookups::disable,
    ),
    write(
        "/stats/recentlookups/enable",
        "enable recording of reset stat-name lookup names",
        &[],
        recent_lookups::enable,
    ),
];
