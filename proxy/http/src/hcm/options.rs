//! The options of `HttpConnectionManager` that are plain values: timeouts, extra log lines, canonical paths.

use envoy_api::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::PathWithEscapedSlashesAction;
use outrigger_core::runtime::RuntimeFlag;
use std::time::Duration;

/// Every timeout of the connection manager; `None` is off.
#[derive(Debug, Clone, Default)]
pub struct Timeouts {
    pub connection_idle: Option<Duration>,
    pub max_connection_duration: Option<Duration>,
    /// Percent of it that is added at random.
    pub max_connection_duration_jitter: f64,
    /// `http1_safe_max_connection_duration`: its end asks the client to close with the next response.
    pub safe_max_connection_duration: bool,
    pub max_stream_duration: Option<Duration>,
    pub stream_idle: Option<Duration>,
    /// Zero is none; `None` is not set.
    pub stream_flush: Option<Duration>,
    pub request: Option<Duration>,
    pub request_headers: Option<Duration>,
    pub delayed_close: Option<Duration>,
    pub drain: Option<Duration>,
    /// Percent of it that is added at random.
    pub drain_jitter: f64,
}

impl Timeouts {
    /// `max_connection_duration` of one connection.
    pub fn connection_duration(&self) -> Option<Duration> {
        jittered(
            self.max_connection_duration,
            self.max_connection_duration_jitter,
        )
    }

    /// `drain_timeout` of one connection.
    pub fn drain_period(&self) -> Option<Duration> {
        jittered(self.drain, self.drain_jitter)
    }
}

fn jittered(duration: Option<Duration>, percent: f64) -> Option<Duration> {
    if percent == 0.0 {
        return duration;
    }
    duration.map(|duration| duration.mul_f64(1.0 + fastrand::f64() * percent / 100.0))
}

/// `access_log_options`: lines beside the one at the end of a stream.
#[derive(Debug, Clone, Default)]
pub struct AccessLogOptions {
    pub on_new_request: bool,
    pub on_tunnel_established: bool,
    pub flush_interval: Option<Duration>,
}

/// How path and host are made canonical.
#[derive(Debug, Clone)]
pub struct PathOptions {
    pub normalize: bool,
    pub merge_slashes: bool,
    pub escaped_slashes: PathWithEscapedSlashesAction,
    pub strip_matching_host_port: bool,
    pub strip_any_host_port: bool,
    pub strip_trailing_host_dot: bool,
    /// `envoy.reloadable_features.http_reject_path_with_fragment`; off: the fragment is cut off instead.
    pub reject_fragment: RuntimeFlag,
}
