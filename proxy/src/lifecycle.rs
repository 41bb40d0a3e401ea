//! The life of the process: the state that `/ready` shows, the end, and the signals that bring it about.

use parking_lot::Mutex;
use std::{
    io,
    sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// Envoy's `ServerInfo.State`; the numbers are those of the gauge `server.state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Live = 0,
    /// Health checks are failed on purpose.
    Draining = 1,
    /// Clusters are warming.
    PreInitializing = 2,
    /// Listeners are warming.
    Initializing = 3,
}

/// How the process has been asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    No,
    /// With what is in flight.
    Gracefully,
    Now,
}

/// Shared by the server, the admin interface and the signal handlers.
pub struct Lifecycle {
    state: AtomicU8,
    health_checks_fail: AtomicBool,
    end: watch::Sender<End>,
    /// What runs when log files are to be opened anew.
    reopen: Mutex<Vec<Box<dyn Fn() + Send>>>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            state: AtomicU8::new(State::PreInitializing as u8),
            health_checks_fail: AtomicBool::new(false),
            end: watch::Sender::new(End::No),
            reopen: Mutex::default(),
        }
    }
}

impl Lifecycle {
    pub fn state(&self) -> State {
        match self.state.load(Relaxed) {
            0 if self.health_checks_fail.load(Relaxed) => State::Draining,
            0 => State::Live,
            3 => State::Initializing,
            _ => State::PreInitializing,
        }
    }

    pub fn enter(&self, state: State) {
        self.state.store(state as u8, Relaxed);
    }

    /// `/healthcheck/fail` and `/healthcheck/ok`.
    pub fn fail_health_checks(&self, fail: bool) {
        self.health_checks_fail.store(fail, Relaxed);
    }

    /// Whether `/healthcheck/fail` was the last of the two.
    pub fn health_checks_fail(&self) -> bool {
        self.health_checks_fail.load(Relaxed)
    }

    /// Asks the process to end, at once and with exit code 0.
    pub fn shutdown(&self) {
        self.end.send_replace(End::Now);
    }

    /// Asks the process to end with what is in flight; at once if it has been asked before.
    pub fn finish(&self) {
        self.end.send_modify(|end| {
            *end = match end {
                End::No => End::Gracefully,
                End::Gracefully | End::Now => End::Now,
            };
        });
    }

    /// Ends when the process shall.
    pub async fn ended(&self) {
        self.asked(End::Now).await;
    }

    /// Ends when the process shall, now or with what is in flight.
    pub async fn ending(&self) {
        self.asked(End::Gracefully).await;
    }

    async fn asked(&self, how: End) {
        // The sender lives as long as self does.
        let _ = self.end.subscribe().wait_for(|end| *end >= how).await;
    }

    pub fn on_reopen_logs(&self, action: impl Fn() + Send + 'static) {
        self.reopen.lock().push(Box::new(action));
    }

    pub fn reopen_logs(&self) {
        for action in self.reopen.lock().iter() {
            action();
        }
    }

    /// Acts on signals as Envoy does, until the process ends; but with `drain_on_sigterm` that signal ends it gracefully.
    /// Must be polled from the start: a signal that arrives earlier would kill the process.
    pub async fn handle_signals(&self, drain_on_sigterm: bool) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut reopen = signal(SignalKind::user_defined1())?;
        let mut hangup = signal(SignalKind::hangup())?;
        loop {
            tokio::select! {
                _ = terminate.recv() => {
                    tracing::warn!(target: "main", "caught ENVOY_SIGTERM");
                    match drain_on_sigterm {
                        true => self.finish(),
                        false => self.shutdown(),
                    }
                }
                _ = interrupt.recv() => {
                    tracing::warn!(target: "main", "caught SIGINT");
                    self.shutdown();
                }
                _ = reopen.recv() => {
                    tracing::info!(target: "main", "caught SIGUSR1. Reopening access logs.");
                    self.reopen_logs();
                }
                _ = hangup.recv() => {
                    tracing::warn!(target: "main", "caught and eating SIGHUP. See documentation for how to hot restart.");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    };

    #[test]
    fn failed_health_checks_show_only_while_live() {
        let life = Lifecycle::default();
        assert_eq!(life.state(), State::PreInitializing);
        life.fail_health_checks(true);
        life.enter(State::Initializing);
        assert_eq!(life.state(), State::Initializing);
        life.enter(State::Live);
        assert_eq!(life.state(), State::Draining);
        life.fail_health_checks(false);
        assert_eq!(life.state(), State::Live);
    }

    #[tokio::test]
    async fn the_end_is_seen_by_those_who_ask_later() {
        let life = Lifecycle::default();
        life.shutdown();
        life.ended().await;
    }

    #[tokio::test]
    async fn who_is_asked_to_finish_twice_ends() {
        let life = Lifecycle::default();
        life.finish();
        life.ending().await;
        tokio::select! {
            biased;
            () = life.ended() => panic!("it was asked but once"),
            () = std::future::ready(()) => {}
        }
        life.finish();
        life.ended().await;
        life.finish();
        life.ended().await;
    }

    #[test]
    fn every_log_is_reopened() {
        let life = Lifecycle::default();
        let count = Arc::new(AtomicU32::new(0));
        for _ in 0..2 {
            let count = count.clone();
            life.on_reopen_logs(move || {
                count.fetch_add(1, Relaxed);
            });
        }
        life.reopen_logs();
        assert_eq!(count.load(Relaxed), 2);
    }
}
