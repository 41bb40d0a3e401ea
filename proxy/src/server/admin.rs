//! What the admin interface may see and do of the process.

use super::stats::ProcessStats;
use crate::{
    admin::{
        DrainRequest, Lifecycle as AdminLifecycle, ListenerStatus, Listeners, Logging,
        NoAdminLayer, Runtime, RuntimeEntry, ServerState, UnknownLogger,
    },
    cli::LogLevel,
    lifecycle::{Lifecycle, State},
    logging::Loggers,
};
use outrigger_core::{
    drain::{DrainDirection, DrainManager},
    runtime::{self, DumpEntry},
};
use outrigger_listener::ListenerManager;
use std::sync::Arc;

/// The server behind the interfaces that the endpoints ask.
pub struct Process {
    pub life: Arc<Lifecycle>,
    pub listeners: Arc<ListenerManager>,
    pub loggers: Arc<Loggers>,
    pub stats: Arc<ProcessStats>,
    pub runtime: Arc<runtime::Runtime>,
    pub drain: Arc<DrainManager>,
}

impl AdminLifecycle for Process {
    fn state(&self) -> ServerState {
        match self.life.state() {
            State::Live => ServerState::Live,
            State::Draining => ServerState::Draining,
            State::PreInitializing => ServerState::PreInitializing,
            State::Initializing => ServerState::Initializing,
        }
    }

    fn shutdown(&self) {
        self.life.shutdown();
    }

    fn fail_health_checks(&self, fail: bool) {
        self.life.fail_health_checks(fail);
        self.drain.fail_health_checks(fail);
        self.stats.show_state(&self.life);
    }

    fn drain_listeners(&self, request: DrainRequest) {
        let direction = match request.inbound_only {
            true => DrainDirection::InboundOnly,
            false => DrainDirection::All,
        };
        let begun = self.drain.start(direction);
        if request.skip_exit {
            return;
        }
        let listeners = self.listeners.clone();
        if !request.graceful {
            return listeners.stop_listeners(request.inbound_only);
        }
        // Whoever drained them first has said whether they stop.
        if begun {
            let time = self.drain.time();
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                listeners.stop_listeners(request.inbound_only);
            });
        }
    }

    fn reopen_logs(&self) {
        self.life.reopen_logs();
    }
}

impl Listeners for Process {
    fn statuses(&self) -> Vec<ListenerStatus> {
        let status = |(name, addresses): (Arc<str>, _)| ListenerStatus {
            name: name.to_string(),
            addresses,
        };
        self.listeners.addresses().into_iter().map(status).collect()
    }
}

impl Logging for Process {
    fn levels(&self) -> Vec<(&'static str, &'static str)> {
        let levels = self.loggers.levels();
        levels.map(|(name, level)| (name, level.as_str())).collect()
    }

    fn set(&self, logger: &str, level: &'static str) -> Result<(), UnknownLogger> {
        let level = LogLevel::parse(level).ok_or(UnknownLogger)?;
        match self.loggers.set(logger, level) {
            true => Ok(()),
            false => Err(UnknownLogger),
        }
    }

    fn set_all(&self, level: &'static str) {
        if let Some(level) = LogLevel::parse(level) {
            self.loggers.set_all(level);
        }
    }
}

impl Runtime for Process {
    fn layers(&self) -> Vec<String> {
        self.runtime.dump().layers
    }

    fn entries(&self) -> Vec<RuntimeEntry> {
        let entries = self.runtime.dump().entries.into_iter();
        let entry = |(key, values): (String, DumpEntry)| RuntimeEntry {
            key,
            final_value: values.final_value,
            layer_values: values.layer_values,
        };
        entries.map(entry).collect()
    }

    fn modify(&self, values: &[(String, String)]) -> Result<(), NoAdminLayer> {
        let values = values
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        self.runtime.modify(values).map_err(|_| NoAdminLayer)
    }
}
