//! `envoy.filters.network.connection_limit`: no more than so many connections at a time. One that is turned away may be made
//! to wait first, and counts as long as it lives.

use envoy_api::pb::envoy::extensions::filters::network::connection_limit::v3::ConnectionLimit as Proto;
use outrigger_core::{
    ConfigError, Context, StreamInfo,
    error::{ConfigResult, required},
    network_filter::Verdict,
    runtime::RuntimeFlag,
    stat_group,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

stat_group! {
    /// `connection_limit.<stat_prefix>.`
    pub struct ConnectionLimitStats {
        counter limited_connections,
        gauge active_connections,
    }
}

/// The compiled filter.
#[derive(Debug)]
pub struct ConnectionLimit {
    stats: Arc<ConnectionLimitStats>,
    connections: AtomicU64,
    max: u64,
    delay: Option<Duration>,
    enabled: Option<RuntimeFlag>,
}

/// The place of one connection.
#[derive(Debug)]
pub struct Permit(Arc<ConnectionLimit>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
        self.0.stats.active_connections.dec();
    }
}

impl ConnectionLimit {
    pub fn compile(proto: &Proto, context: &Context) -> Result<Arc<Self>, ConfigError> {
        let prefix = super::rbac::stat_prefix(&proto.stat_prefix)?;
        let max = match *required(proto.max_connections.as_ref(), "max_connections")? {
            0 => {
                let error = ConfigError::new("value must be greater than or equal to 1");
                return Err(error.at("max_connections"));
            }
            max => max,
        };
        let delay = proto.delay.map(Duration::try_from).transpose();
        let delay = delay.map_err(|_| {
            ConfigError::new("Invalid duration: Expected positive duration").at("delay")
        })?;
        let enabled = proto.runtime_enabled.as_ref();
        let enabled = enabled.map(|flag| RuntimeFlag::compile(flag, &context.runtime));
        let prefix = format!("connection_limit.{prefix}.");
        Ok(Arc::new(Self {
            stats: context
                .stats
                .register(&prefix, ConnectionLimitStats::default()),
            connections: AtomicU64::new(0),
            max,
            delay,
            enabled: enabled.transpose().at("runtime_enabled")?,
        }))
    }

    pub fn on_new_connection(
        self: &Arc<Self>,
        info: &mut StreamInfo,
        permits: &mut Vec<Permit>,
    ) -> Verdict {
        if !self.enabled.as_ref().is_none_or(RuntimeFlag::get) {
            return Verdict::Continue;
        }
        self.stats.active_connections.inc();
        permits.push(Permit(self.clone()));
        if self.connections.fetch_add(1, Relaxed) < self.max {
            return Verdict::Continue;
        }
        self.stats.limited_connections.inc();
        Verdict::close("over_connection_limit", self.delay, info)
    }
}
