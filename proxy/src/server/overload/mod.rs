//! Envoy's overload manager: looks at resources at an interval and tells the data path what to give up.

mod action;
mod monitor;
mod timers;

use action::{Action, Resources};
use envoy_api::pb::envoy::config::overload::v3::OverloadManager;
use monitor::Monitor;
use outrigger_core::{
    ConfigError,
    error::ConfigResult,
    overload::OverloadState,
    stat_group,
    stats::{Histogram, Store, Unit},
};
use outrigger_listener::ConnectionLimit;
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use timers::Timers;
use tokio::time::{Instant, sleep};

/// Envoy's `refresh_interval` unless it is set.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);
/// A shorter interval would do nothing but measure.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

stat_group! {
    /// `overload.<resource>.`
    struct MonitorStats {
        counter failed_updates,
        gauge pressure,
    }
}

/// A resource and what it showed last.
#[derive(Debug)]
struct Resource {
    name: String,
    monitor: Monitor,
    stats: Arc<MonitorStats>,
}

/// The manager, compiled.
#[derive(Debug)]
pub struct Overload {
    /// `global_downstream_max_connections`
    pub limit: Option<Arc<ConnectionLimit>>,
    refresh_interval: Duration,
    parts: Mutex<Parts>,
    state: Arc<OverloadState>,
    refresh_interval_delay: Arc<Histogram>,
}

#[derive(Debug)]
struct Parts {
    resources: Vec<Resource>,
    /// `None`: never measured.
    pressures: Vec<Option<f64>>,
    actions: Vec<Action>,
}

impl Overload {
    /// `None` if nothing is configured.
    pub fn compile(
        proto: Option<&OverloadManager>,
        store: &Store,
        state: &Arc<OverloadState>,
    ) -> Result<Option<Self>, ConfigError> {
        let compile = |proto| Self::compile_proto(proto, store, state).at("overload_manager");
        proto.map(compile).transpose()
    }

    fn compile_proto(
        proto: &OverloadManager,
        store: &Store,
        state: &Arc<OverloadState>,
    ) -> Result<Self, ConfigError> {
        let refresh_interval = match proto.refresh_interval {
            Some(interval) => Duration::try_from(interval)
                .map_err(|_| ConfigError::new("Invalid duration: Expected positive duration"))
                .at("refresh_interval")?,
            None => REFRESH_INTERVAL,
        };
        let mut resources: Vec<Resource> = Vec::new();
        let mut names = Resources::new();
        for (index, monitor) in proto.resource_monitors.iter().enumerate() {
            let name = &monitor.name;
            if names.insert(name.clone(), index).is_some() {
                return Err(ConfigError::new(format!(
                    "Duplicate resource monitor {name}"
                )));
            }
            let compiled = Monitor::compile(monitor).at_index("resource_monitors", index)?;
            resources.push(Resource::new(name, compiled, store));
        }
        let mut known = Vec::new();
        let mut actions = Vec::new();
        let mut timers = Timers::new(&state.timers);
        for (index, action) in proto.actions.iter().enumerate() {
            if known.contains(&&action.name) {
                return Err(ConfigError::new(format!(
                    "Duplicate overload action {}",
                    action.name
                )));
            }
            known.push(&action.name);
            let action =
                Action::compile(action, &names, store, &mut timers).at_index("actions", index)?;
            actions.push(action);
        }
        for (index, point) in proto.loadshed_points.iter().enumerate() {
            if known.contains(&&point.name) {
                return Err(ConfigError::new(format!(
                    "Duplicate loadshed point {}",
                    point.name
                )));
            }
            known.push(&point.name);
            let (name, triggers) = (&point.name, &point.triggers);
            let point = Action::compile_point(name, triggers, &names, store, state)
                .at_index("loadshed_points", index)?;
            actions.push(point);
        }
        Ok(Self {
            limit: resources.iter().find_map(|r| match &r.monitor {
                Monitor::Connections(limit) => Some(limit.clone()),
                _ => None,
            }),
            refresh_interval: refresh_interval.max(SHORTEST_INTERVAL),
            parts: Mutex::new(Parts {
                pressures: vec![None; resources.len()],
                resources,
                actions,
            }),
            state: state.clone(),
            refresh_interval_delay: store
                .histogram("overload.refresh_interval_delay", Unit::Milliseconds),
        })
    }

    /// Keeps measuring for as long as the future is polled.
    pub async fn run(&self) {
        let mut last = Instant::now();
        loop {
            sleep(self.refresh_interval).await;
            let delay = last.elapsed().as_millis();
            self.refresh_interval_delay
                .record(u64::try_from(delay).unwrap_or(u64::MAX));
            last = Instant::now();
            self.refresh();
        }
    }

    /// Measures everything once and acts upon it.
    fn refresh(&self) {
        let mut parts = self.parts.lock();
        let Parts {
            resources,
            pressures,
            actions,
        } = &mut *parts;
        for (resource, pressure) in resources.iter_mut().zip(pressures.iter_mut()) {
            // What cannot be measured now is as it was.
            *pressure = resource.measure().or(*pressure);
        }
        let mut changed = false;
        for action in &mut *actions {
            changed |= action.update(pressures);
        }
        if changed {
            self.state.set_active(actions.iter().any(Action::is_active));
            for action in &*actions {
                action.apply(&self.state);
            }
        }
    }
}

impl Resource {
    fn new(name: &str, monitor: Monitor, store: &Store) -> Self {
        let prefix = format!("overload.{name}.");
        let stats = store.register(&prefix, MonitorStats::default());
        stats.pressure.set(0);
        if !matches!(monitor, Monitor::Connections(_)) {
            // Shown, and never moved: a measurement is done at once.
            store.counter(&format!("{prefix}skipped_updates"));
        }
        Self {
            name: name.to_owned(),
            monitor,
            stats,
        }
    }

    fn measure(&mut self) -> Option<f64> {
        match self.monitor.measure() {
            Ok(pressure) => {
                self.stats.pressure.set((pressure * 100.0) as u64);
                Some(pressure)
            }
            Err(error) => {
                self.stats.failed_updates.inc();
                tracing::info!(target: "main", "Failed to update resource {}: {error}", self.name);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
