//! Envoy's `server.` stats, and what stands at 0 here: its watchdogs, its own HTTP client.

use crate::{
    cli::{Options, build_version},
    lifecycle::Lifecycle,
};
use outrigger_core::{
    panics, stat_group,
    stats::{Counter, Histogram, Store, Unit},
};
use outrigger_http::stats::RouterStats;
use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

stat_group! {
    /// `server.`
    pub struct ServerStats {
        counter debug_assertion_failures,
        counter dropped_stat_flushes,
        counter dynamic_unknown_fields,
        counter envoy_bug_failures,
        counter envoy_notifications,
        counter static_unknown_fields,
        counter wip_protos,
        gauge compilation_settings_fips_mode = "compilation_settings.fips_mode",
        gauge concurrency,
        gauge days_until_first_cert_expiring,
        gauge hot_restart_epoch,
        gauge live,
        gauge memory_allocated,
        gauge memory_heap_size,
        gauge memory_physical_size,
        gauge parent_connections,
        gauge seconds_until_first_ocsp_response_expiring,
        gauge state,
        gauge stats_recent_lookups,
        gauge total_connections,
        gauge uptime,
        gauge version,
        histogram(Milliseconds) initialization_time_ms,
    }
}

stat_group! {
    /// `<thread>.`
    struct WatchdogStats {
        counter watchdog_mega_miss,
        counter watchdog_miss,
    }
}

stat_group! {
    /// What Envoy shows of its overload manager in any case.
    struct OverloadStats {
        counter reset_high_memory_stream = "envoy.overload_actions.reset_high_memory_stream.count",
    }
}

/// The stats of the process as a whole.
pub struct ProcessStats {
    pub server: Arc<ServerStats>,
    /// `config.ignored_fields`: ours, not Envoy's.
    pub ignored_fields: Arc<Counter>,
    _watchdogs: Vec<Arc<WatchdogStats>>,
    _overload: Arc<OverloadStats>,
    /// Moved by the overload manager, if there is one.
    _refresh_interval_delay: Arc<Histogram>,
    /// The router of the requests that Envoy makes itself.
    _async_client: Arc<RouterStats>,
    /// Of connections, as far as `server.envoy_bug_failures` counts them.
    panics: AtomicU64,
    started: Instant,
}

impl ProcessStats {
    pub fn register(
        store: &Store,
        options: &Options,
        started: Instant,
        version: Option<u64>,
    ) -> Self {
        let server = store.register("server.", ServerStats::default());
        server.live.set(1);
        server.concurrency.set(options.concurrency as u64);
        // Envoy's value while there is no certificate.
        server.days_until_first_cert_expiring.set(u32::MAX.into());
        server.compilation_settings_fips_mode.set(0);
        server.stats_recent_lookups.set(0);
        if options.restart_epoch > 0 {
            server.hot_restart_epoch.set(options.restart_epoch.into());
        }
        server.version.set(version.unwrap_or_else(revision));
        let mut threads = vec![
            "main_thread.".to_owned(),
            "workers.".to_owned(),
            "server.main_thread.".to_owned(),
        ];
        threads.extend((0..options.concurrency).map(|worker| format!("server.worker_{worker}.")));
        Self {
            server,
            ignored_fields: store.counter("config.ignored_fields"),
            _watchdogs: threads
                .iter()
                .map(|prefix| store.register(prefix, WatchdogStats::default()))
                .collect(),
            _overload: store.register("", OverloadStats::default()),
            _refresh_interval_delay: store
                .histogram("overload.refresh_interval_delay", Unit::Milliseconds),
            _async_client: store.register("http.async-client.", RouterStats::default()),
            panics: AtomicU64::new(0),
            started,
        }
    }

    /// The workers accept: `initialization_time_ms`.
    pub fn started(&self) {
        let took = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.server.initialization_time_ms.record(took);
    }

    /// Brings the gauges up to date that nobody else does; each flush asks for it.
    pub fn update(&self, life: &Lifecycle, connections: u64) {
        let server = &self.server;
        server.uptime.set(self.started.elapsed().as_secs());
        server.total_connections.set(connections);
        // Envoy counts here what should not have happened and has not ended the process.
        let panics = panics::count();
        let known = self.panics.swap(panics, Relaxed);
        server.envoy_bug_failures.add(panics.saturating_sub(known));
        self.show_state(life);
        // Unreadable where there is no /proc; then they stay at 0.
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            let anonymous = bytes(&status, "RssAnon:");
            server.memory_allocated.set(anonymous);
            server.memory_heap_size.set(anonymous);
            server.memory_physical_size.set(bytes(&status, "VmRSS:"));
        }
    }

    /// `server.state` and `server.live`: a process that still starts is alive to Envoy.
    pub fn show_state(&self, life: &Lifecycle) {
        let state = life.state();
        self.server.state.set(state as u64);
        let live = !life.health_checks_fail();
        self.server.live.set(live.into());
    }
}

/// As Envoy: the first three bytes of the revision as a number.
fn revision() -> u64 {
    let version = build_version();
    let digits = version.get(..6).unwrap_or_default();
    u64::from_str_radix(digits, 16).unwrap_or(0)
}

/// The value of a line such as `VmRSS:   1234 kB`.
fn bytes(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        cli::{Command, parse},
        lifecycle::State,
    };

    #[test]
    fn shows_what_the_process_is() {
        let store = Store::default();
        let args = ["outrigger", "--concurrency", "2"].map(Into::into);
        let Command::Run(options) = parse(args).unwrap() else {
            return;
        };
        let stats = ProcessStats::register(&store, &options, Instant::now(), Some(7));
        let life = Lifecycle::default();
        life.enter(State::Live);
        stats.update(&life, 3);
        let mut seen = std::collections::BTreeMap::new();
        store.visit(&mut |name, metric| {
            if let outrigger_core::stats::Metric::Gauge(gauge) = metric {
                seen.insert(name.to_owned(), gauge.get());
            }
        });
        for (name, value) in [
            ("server.concurrency", 2),
            ("server.version", 7),
            ("server.live", 1),
            ("server.state", 0),
            ("server.total_connections", 3),
        ] {
            assert_eq!(seen[name], value, "{name}");
        }
        assert!(seen["server.memory_physical_size"] > 0);
        life.fail_health_checks(true);
        stats.show_state(&life);
        assert_eq!((stats.server.state.get(), stats.server.live.get()), (1, 0));
    }
}
