//! Envoy's listener manager: binds listeners when they are added and lets the workers accept when all else is ready.

use crate::{
    accept::{self, Accepting},
    config::{self, Shared},
    directory::Directory,
    limit::ConnectionLimit,
    listener::Listener,
    stats::ListenerManagerStats,
};
use envoy_api::pb::envoy::config::{core::v3::TrafficDirection, listener::v3::Listener as Proto};
use outrigger_core::{Address, ConfigError, drain::DrainManager, log_debug, worker::Workers};
use outrigger_transport::listen::{self, BoundSocket};
use outrigger_upstream::BuildContext;
use parking_lot::Mutex;
use std::{io, sync::Arc};
use tokio::sync::watch;

/// All listeners of the process.
#[derive(Debug)]
pub struct ListenerManager {
    build: BuildContext,
    global_limit: Arc<ConnectionLimit>,
    directory: Arc<Directory>,
    drain: Arc<DrainManager>,
    stats: Arc<ListenerManagerStats>,
    listeners: Mutex<Vec<Entry>>,
    /// Off where a configuration is only to be checked.
    binds: bool,
}

#[derive(Debug)]
struct Entry {
    listener: Arc<Listener>,
    bound: Vec<Bound>,
    /// Ends its accept loops, each of which holds a receiver.
    stop: watch::Sender<Accepting>,
}

/// One address of a listener.
#[derive(Debug)]
struct Bound {
    /// With the port that the kernel has chosen, if it had to.
    address: Address,
    /// Until the workers start: one for each, or one for all.
    sockets: Vec<BoundSocket>,
}

impl ListenerManager {
    /// `global_limit`: how many connections the process may have, over all listeners that do not opt out.
    pub fn new(build: BuildContext, global_limit: Arc<ConnectionLimit>) -> Self {
        let stats = &build.context.stats;
        Self {
            stats: stats.register("listener_manager.", ListenerManagerStats::default()),
            global_limit,
            directory: Arc::default(),
            drain: Arc::default(),
            listeners: Mutex::default(),
            binds: true,
            build,
        }
    }

    /// Compiles listeners without taking their addresses: `--mode validate`.
    #[must_use]
    pub fn without_binding(mut self) -> Self {
        self.binds = false;
        self
    }

    /// Who says when connections are to be asked to close; otherwise nobody is.
    #[must_use]
    pub fn with_drain(mut self, drain: Arc<DrainManager>) -> Self {
        self.drain = drain;
        self
    }

    /// Compiles a listener of the bootstrap and binds its addresses. Nothing can connect before
    /// [`start_workers`](Self::start_workers). A second listener of the same name replaces the first.
    pub fn add_static(&self, proto: &Proto) -> Result<(), ConfigError> {
        let shared = Shared {
            build: &self.build,
            global_limit: &self.global_limit,
            directory: &self.directory,
            drain: &self.drain,
        };
        log_debug!("config", "begin add/update listener: name={}", proto.name);
        let listener = Arc::new(config::compile(proto, &shared)?);
        let mut listeners = self.listeners.lock();
        let before = listeners.len();
        listeners.retain(|entry| entry.listener.name() != listener.name());
        let replaced = listeners.len() < before;
        if listeners
            .iter()
            .any(|entry| share_address(&entry.listener, &listener))
        {
            return Err(duplicate_address(&listener));
        }
        let bound = self.bind(&listener)?;
        for address in bound.iter().map(|bound| &bound.address) {
            log_debug!(
                "config",
                "add active listener: name={}, address={address}",
                listener.name()
            );
        }
        listeners.push(Entry {
            listener,
            bound,
            stop: watch::Sender::new(Accepting::Yes),
        });
        self.directory
            .publish(listeners.iter().map(|e| &e.listener));
        if replaced {
            self.stats.listener_modified.inc();
        } else {
            self.stats.listener_added.inc();
        }
        self.stats
            .total_listeners_active
            .set(listeners.len() as u64);
        self.stats.total_listeners_warming.set(0);
        Ok(())
    }

    fn bind(&self, listener: &Listener) -> Result<Vec<Bound>, ConfigError> {
        let mut all = Vec::with_capacity(listener.addresses.len());
        for listen in &listener.addresses {
            let mut bound = Bound {
                address: listen.address.clone(),
                sockets: Vec::new(),
            };
            if listener.bind_to_port && self.binds {
                let count = if listen.options.reuse_port {
                    self.build.context.concurrency.max(1)
                } else {
                    1
                };
                log_debug!(
                    "config",
                    "Create listen socket for listener {} on address {}",
                    listener.name(),
                    listen.address
                );
                bound.sockets = listen::bind(&listen.address, &listen.options, count, false)
                    .map_err(|error| cannot_bind(&listen.address, &error))?;
                if let Address::Ip(_) = bound.address
                    && let Some(first) = bound.sockets.first()
                    && let Ok(local) = first.local_address()
                    && let Some(ip) = local.as_socket()
                {
                    bound.address = Address::Ip(ip);
                }
            }
            all.push(bound);
        }
        Ok(all)
    }

    /// Opens all listeners and has every worker accept.
    pub fn start_workers(&self, workers: &Workers) -> Result<(), ConfigError> {
        for worker in 0..workers.len() {
            log_debug!("config", "starting worker {worker}");
        }
        let workers = Arc::new(workers.clone());
        for entry in self.listeners.lock().iter_mut() {
            for bound in &mut entry.bound {
                let listening =
                    listen_all(bound, entry.listener.backlog, workers.len()).map_err(|error| {
                        self.stats.listener_create_failure.inc();
                        ConfigError::new(format!(
                            "cannot listen on '{}': {}",
                            bound.address,
                            text(&error)
                        ))
                    })?;
                for (worker, socket) in listening.into_iter().enumerate() {
                    let accept = accept::run(
                        entry.listener.clone(),
                        bound.address.clone(),
                        socket,
                        workers.clone(),
                        entry.stop.subscribe(),
                    );
                    workers.spawn_on(worker, accept);
                }
            }
            self.stats.listener_create_success.add(workers.len() as u64);
        }
        self.stats.workers_started.set(1);
        Ok(())
    }

    /// Closes the listening sockets, of all listeners or of those for inbound traffic; connections go on.
    pub fn stop_listeners(&self, inbound_only: bool) {
        self.stop(inbound_only, Accepting::No);
    }

    /// Closes all listening sockets without a loss: whoever was connected before is served.
    pub fn finish_listeners(&self) {
        self.stop(false, Accepting::Queued);
    }

    /// Connections that are open or wait to be accepted by a listener that still takes them.
    pub fn is_quiet(&self) -> bool {
        self.listeners
            .lock()
            .iter()
            .all(|entry| entry.stop.receiver_count() == 0 && entry.listener.limit.open() == 0)
    }

    /// Connections that are open.
    pub fn open_connections(&self) -> u64 {
        let listeners = self.listeners.lock();
        listeners.iter().map(|e| e.listener.limit.open()).sum()
    }

    fn stop(&self, inbound_only: bool, how: Accepting) {
        for entry in self.listeners.lock().iter() {
            let inbound = entry.listener.info.traffic_direction == TrafficDirection::Inbound as i32;
            if (inbound || !inbound_only) && entry.stop.send_replace(how) == Accepting::Yes {
                log_debug!(
                    "config",
                    "stop accepting: listener name={}",
                    entry.listener.name()
                );
                self.stats.listener_stopped.inc();
            }
        }
    }

    /// The listeners in the order in which they were added.
    pub fn listeners(&self) -> Vec<Arc<Listener>> {
        self.listeners
            .lock()
            .iter()
            .map(|e| e.listener.clone())
            .collect()
    }

    /// Name and addresses of each listener, with the ports that were bound: what `/listeners` shows.
    pub fn addresses(&self) -> Vec<(Arc<str>, Vec<Address>)> {
        let addresses = |e: &Entry| e.bound.iter().map(|b| b.address.clone()).collect();
        let listeners = self.listeners.lock();
        listeners
            .iter()
            .map(|e| (e.listener.name().clone(), addresses(e)))
            .collect()
    }
}

/// One listening socket per worker. A socket that cannot be had twice is shared.
fn listen_all(bound: &mut Bound, backlog: i32, workers: usize) -> io::Result<Vec<socket2::Socket>> {
    let mut listening = Vec::with_capacity(workers);
    for socket in bound.sockets.drain(..) {
        listening.push(socket.listen(backlog)?);
    }
    while let Some(first) = listening.first()
        && listening.len() < workers
    {
        listening.push(first.try_clone()?);
    }
    Ok(listening)
}

/// Port 0 is no address yet.
fn share_address(a: &Listener, b: &Listener) -> bool {
    let fixed = |address: &&Address| address.ip().is_none_or(|ip| ip.port() != 0);
    a.addresses()
        .filter(fixed)
        .any(|address| b.addresses().any(|other| other == address))
}

fn duplicate_address(listener: &Listener) -> ConfigError {
    let addresses: Vec<String> = listener.addresses().map(Address::to_string).collect();
    ConfigError::new(format!(
        "error adding listener: '{}' has duplicate address '{}' as existing listener, to check if the listener has \
         duplicated addresses with other listeners or 'enable_reuse_port' is set to 'false' for the listener",
        listener.name(),
        addresses.join(",")
    ))
}

fn cannot_bind(address: &Address, error: &io::Error) -> ConfigError {
    ConfigError::new(format!("cannot bind '{address}': {}", text(error)))
}

/// As `strerror` has it, without Rust's number.
fn text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((message, _)) => message.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests;
