//! One accepted connection: listener filters, perhaps another listener, a filter chain, its network filters.

use crate::{
    balancer::Assigned,
    filter_chain::MatchInput,
    limit::ConnectionPermit,
    listener::{FilterChain, Listener},
    log::{self, Unserved},
};
use outrigger_core::{
    Address, ConnectionInfo, log_debug, panics::contained, worker, worker::Workers,
};
use outrigger_transport::{
    Stream,
    accept::{Accepted, canonical},
    inspect::{self, InspectError, Inspected},
};
use std::{sync::Arc, time::SystemTime};
use tokio::time::{Instant, timeout};

/// A connection on its way to its filter chain.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub accepted: Accepted,
    /// The address that the listening socket is bound to.
    pub bound: Address,
    /// Its place under the limits of the listener and the process.
    pub permits: [Option<ConnectionPermit>; 2],
    pub start_time: SystemTime,
    pub start: Instant,
}

/// What is known of a connection before it has a filter chain.
#[derive(Debug)]
struct Origin {
    found: Inspected,
    local: Address,
    remote: Address,
    start_time: SystemTime,
    start: Instant,
}

/// What goes from worker to worker with a connection.
#[derive(Debug)]
struct Chosen {
    listener: Arc<Listener>,
    assigned: Assigned,
    origin: Origin,
    permits: [Option<ConnectionPermit>; 2],
}

/// Serves a connection to its end. Without `assigned` its worker is only chosen when its final listener is known:
/// balanced before, all connections of one service could end on one worker.
pub(crate) async fn serve(
    mut listener: Arc<Listener>,
    incoming: Incoming,
    assigned: Option<Assigned>,
    workers: Arc<Workers>,
) {
    let Incoming {
        accepted,
        bound,
        mut permits,
        start_time,
        start,
    } = incoming;
    let remote = accepted.remote.clone();
    let Ok(stream) = accepted.into_stream() else {
        return;
    };
    let mut origin = Origin {
        local: local_address(&stream, bound),
        found: Inspected::default(),
        remote,
        start_time,
        start,
    };
    if !origin.pass_filters(&listener, &stream).await {
        return;
    }
    if let Some(next) = redirected(&listener, &origin.found) {
        permits[0] = match next.limit.acquire() {
            None => return next.stats.downstream_cx_overflow.inc(),
            permit => permit,
        };
        if !origin.pass_filters(&next, &stream).await {
            return;
        }
        listener = next;
    }
    let current = worker::current();
    let chosen = Chosen {
        assigned: assigned.unwrap_or_else(|| listener.balancer.pick(current)),
        listener,
        origin,
        permits,
    };
    if chosen.assigned.worker == current {
        return chosen.run(stream).await;
    }
    if let Ok(accepted) = Accepted::from_stream(stream, chosen.origin.remote.clone()) {
        let worker = chosen.assigned.worker;
        let serve = async move {
            if let Ok(stream) = accepted.into_stream() {
                chosen.run(stream).await;
            }
        };
        workers.spawn_on(worker, contained(serve));
    }
}

/// A system call only where the listener's address leaves it open.
fn local_address(stream: &Stream, bound: Address) -> Address {
    match bound {
        Address::Ip(ip) if ip.ip().is_unspecified() => match stream.local_address() {
            Ok(Address::Ip(local)) => Address::Ip(canonical(local)),
            _ => bound,
        },
        other => other,
    }
}

/// Runs the listener filters; false if they have ended the connection.
async fn pass_filters(
    listener: &Listener,
    stream: &Stream,
    local: &Address,
    found: &mut Inspected,
) -> bool {
    let stats = &listener.stats;
    let filters = inspect::run(&listener.filters, stream, local, found);
    stats.downstream_pre_cx_active.inc();
    let result = match listener.filters_timeout {
        Some(limit) => timeout(limit, filters).await,
        None => Ok(filters.await),
    };
    stats.downstream_pre_cx_active.dec();
    match result {
        Ok(Ok(())) => true,
        Ok(Err(InspectError::RemoteClose)) => {
            stats.downstream_listener_filter_remote_close.inc();
            false
        }
        Ok(Err(InspectError::Filter)) => {
            stats.downstream_listener_filter_error.inc();
            stream.reset();
            false
        }
        Ok(Err(InspectError::Closed)) => false,
        Err(_) => {
            stats.downstream_pre_cx_timeout.inc();
            listener.continue_on_filters_timeout
        }
    }
}

/// `use_original_dst`: the listener of the address that the client wanted; without one it stays here.
fn redirected(listener: &Arc<Listener>, found: &Inspected) -> Option<Arc<Listener>> {
    if !listener.use_original_dst {
        return None;
    }
    listener
        .directory
        .find(found.original_dst?)
        .filter(|next| !Arc::ptr_eq(next, listener))
}

impl Origin {
    /// Runs a listener's filters; false if they have ended the connection.
    async fn pass_filters(&mut self, listener: &Listener, stream: &Stream) -> bool {
        if listener.filters.is_empty() {
            // As Envoy's, the gauge counts as used.
            listener.stats.downstream_pre_cx_active.add(0);
            return true;
        }
        // In a box, as are the network filters: else each connection would hold the room for both to its end.
        let filters = pass_filters(listener, stream, &self.local, &mut self.found);
        let passed = Box::pin(filters).await;
        if !passed {
            self.log_unserved(listener, None, Unserved::ByListenerFilters);
        }
        passed
    }

    /// Where the client wanted to go.
    fn destination(&self) -> Address {
        let restored = self.found.original_dst;
        restored.map_or_else(|| self.local.clone(), Address::Ip)
    }

    /// Who the client is.
    fn client(&self) -> Address {
        let named = self.found.remote;
        named.map_or_else(|| self.remote.clone(), Address::Ip)
    }

    /// A connection that no filter has served has no id.
    fn log_unserved(&self, listener: &Listener, chain: Option<&FilterChain>, why: Unserved) {
        log::unserved(&listener.access_logs, why, || {
            self.connection(0, listener, chain)
        });
    }

    fn connection(
        &self,
        id: u64,
        listener: &Listener,
        chain: Option<&FilterChain>,
    ) -> Arc<ConnectionInfo> {
        Arc::new(ConnectionInfo {
            id,
            start_time: self.start_time,
            start: self.start,
            local_address: self.destination(),
            direct_local_address: self.local.clone(),
            remote_address: self.client(),
            direct_remote_address: self.remote.clone(),
            listener: listener.info.clone(),
            filter_chain: chain.map(|chain| chain.info.clone()),
            requested_server_name: self.found.server_name.clone(),
            local_address_restored: self.found.original_dst.is_some(),
            tls: None,
            client_hello: self.found.client_hello.clone(),
            state: self.found.state.clone(),
        })
    }
}

impl Chosen {
    /// Serves the connection. What was needed to choose its filter chain is gone before it begins to wait.
    fn run(self, stream: Stream) -> impl Future<Output = ()> {
        let opened = self.open();
        async move {
            if let Some((open, chain, connection)) = opened
                && let Some(filters) = &chain.filters
            {
                let logs = &open.listener.access_logs;
                filters.serve(stream, connection, logs).await;
            }
        }
    }

    /// Finds the filter chain. `None`: the connection has ended, and is logged.
    fn open(self) -> Option<(Open, Arc<FilterChain>, Arc<ConnectionInfo>)> {
        let Self {
            listener,
            assigned,
            origin,
            permits,
        } = self;
        let (local, remote) = (origin.destination(), origin.client());
        let input = MatchInput {
            local: &local,
            remote: &remote,
            direct_remote: &origin.remote,
            server_name: origin.found.server_name.as_deref().unwrap_or_default(),
            transport_protocol: origin.found.transport_protocol,
            application_protocols: &origin.found.application_protocols,
        };
        let Some(chain) = listener.find_chain(&input).cloned() else {
            listener.stats.no_filter_chain_match.inc();
            origin.log_unserved(&listener, None, Unserved::NoChain);
            return None;
        };
        let open = Open::new(listener, assigned, origin.start, permits);
        let listener = &open.listener;
        if chain.filters.is_none() {
            origin.log_unserved(listener, Some(&chain), Unserved::NoFilters);
            return None;
        }
        let id = listener.clusters.next_connection_id();
        let connection = origin.connection(id, listener, Some(&chain));
        log_debug!("conn_handler", &*connection => "new connection from {remote}");
        Some((open, chain, connection))
    }
}

/// A connection in the stats of its listener and worker, from its filter chain to its end.
struct Open {
    listener: Arc<Listener>,
    assigned: Assigned,
    start: Instant,
    _permits: [Option<ConnectionPermit>; 2],
}

impl Open {
    fn new(
        listener: Arc<Listener>,
        assigned: Assigned,
        start: Instant,
        permits: [Option<ConnectionPermit>; 2],
    ) -> Self {
        let open = Self {
            listener,
            assigned,
            start,
            _permits: permits,
        };
        open.listener.stats.downstream_cx_total.inc();
        open.listener.stats.downstream_cx_active.inc();
        if let Some(worker) = open.listener.worker_stats.get(open.assigned.worker) {
            worker.downstream_cx_total.inc();
            worker.downstream_cx_active.inc();
        }
        open
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let stats = &self.listener.stats;
        stats.downstream_cx_destroy.inc();
        stats.downstream_cx_active.dec();
        let length = self.start.elapsed().as_millis();
        stats
            .downstream_cx_length_ms
            .record(u64::try_from(length).unwrap_or(u64::MAX));
        if let Some(worker) = self.listener.worker_stats.get(self.assigned.worker) {
            worker.downstream_cx_active.dec();
        }
    }
}
