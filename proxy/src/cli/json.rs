//! The command line as `/server_info` shows it.

use super::{DEFAULT_LOG_FORMAT, DrainStrategy, IpVersion, Mode, Options};
use serde_json::{Value, json};
use std::time::Duration;

impl Options {
    /// `command_line_options`: every option, in the words of `envoy.admin.v3.CommandLineOptions`.
    pub fn to_json(&self) -> Value {
        json!({
            "base_id": self.base_id.to_string(),
            "use_dynamic_base_id": self.shown.use_dynamic_base_id,
            "skip_hot_restart_on_no_parent": self.shown.skip_hot_restart_on_no_parent,
            "skip_hot_restart_parent_stats": self.shown.skip_hot_restart_parent_stats,
            "base_id_path": self.shown.base_id_path,
            "concurrency": self.concurrency,
            "config_path": self.config_path,
            "config_yaml": self.config_yaml,
            "allow_unknown_static_fields": self.allow_unknown_static_fields,
            "reject_unknown_dynamic_fields": self.reject_unknown_dynamic_fields,
            "ignore_unknown_dynamic_fields": self.ignore_unknown_dynamic_fields,
            "skip_deprecated_logs": self.skip_deprecated_logs,
            "admin_address_path": self.admin_address_path,
            "local_address_ip_version": match self.local_address_ip_version {
                IpVersion::V4 => "v4",
                IpVersion::V6 => "v6",
            },
            "log_level": self.log_level.as_str(),
            "component_log_level": self.component_log_level_text,
            "log_format": self.log_format.as_deref().unwrap_or(DEFAULT_LOG_FORMAT),
            "log_format_escaped": self.log_format_escaped,
            "log_path": self.log_path,
            "log_stacktrace_single_entry": self.shown.log_stacktrace_single_entry,
            "service_cluster": self.service_cluster,
            "service_node": self.service_node,
            "service_zone": self.service_zone,
            "drain_strategy": match self.drain_strategy {
                DrainStrategy::Gradual => "Gradual",
                DrainStrategy::Immediate => "Immediate",
            },
            "drain_time": duration(self.drain_time),
            "parent_shutdown_time": duration(self.parent_shutdown_time),
            "file_flush_interval": duration(self.file_flush_interval),
            "file_flush_min_size": self.file_flush_min_size_kb,
            "mode": match self.mode {
                Mode::Serve => "Serve",
                Mode::Validate => "Validate",
                Mode::InitOnly => "InitOnly",
            },
            "disable_hot_restart": self.disable_hot_restart,
            "enable_mutex_tracing": self.shown.enable_mutex_tracing,
            "restart_epoch": self.restart_epoch,
            "cpuset_threads": self.cpuset_threads,
            "disabled_extensions": self.disabled_extensions,
            "enable_fine_grain_logging": self.fine_grain_logging,
            "socket_path": self.shown.socket_path,
            // Envoy shows neither this nor `enable_core_dump` as it was given.
            "socket_mode": 0,
            "enable_core_dump": false,
            "stats_tag": self.stats_tags.iter().map(|(n, v)| format!("{n}:{v}")).collect::<Vec<_>>(),
        })
    }
}

/// Protobuf's JSON form: seconds with none or three decimals.
fn duration(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        millis => format!("{}.{millis:03}s", duration.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_protobuf_writes_them() {
        assert_eq!(duration(Duration::from_secs(10)), "10s");
        assert_eq!(duration(Duration::from_millis(50)), "0.050s");
    }
}
