//! The scripted upstream: one listening port whose connections follow the plan of the running case, and the record of
//! what each of them received.

use crate::bytes::{Names, expand, raw};
use crate::case::{Behaviour, Mark, Plan, Until, UpstreamStep};
use crate::http1::Kind;
use crate::ports;
use crate::socket::{Connection, End};
use anyhow::Result;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

const OK: &str = "HTTP/1.1 200 OK\ncontent-length: 2\n\nok";
const TICK: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(10);

/// What one connection received and how the proxy left it, before the case ended.
pub struct Record {
    pub received: Vec<u8>,
    pub end: End,
    /// The proxy's end of it.
    pub peer: Option<SocketAddr>,
}

/// One scripted server. Dropping it ends its threads.
pub struct Upstream {
    pub port: u16,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    /// Counts cases; a connection that sees it change is over.
    epoch: AtomicU64,
    state: Mutex<State>,
}

struct State {
    plan: Plan,
    names: Names,
    connections: Vec<JoinHandle<Record>>,
    stopping: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upstream {
    pub fn start() -> Result<Self> {
        let (listener, port) = ports::listen()?;
        let state = State {
            plan: Plan::Behaviour(Behaviour::Ok),
            names: Names::new(),
            connections: Vec::new(),
            stopping: false,
        };
        let shared = Arc::new(Shared {
            epoch: AtomicU64::new(0),
            state: Mutex::new(state),
        });
        let for_thread = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || accept(&listener, &for_thread));
        Ok(Self {
            port,
            shared,
            acceptor: Some(acceptor),
        })
    }

    /// Sets what connections of the next case do. What an aborted case has left is closed.
    pub fn begin(&self, plan: Plan, names: Names) {
        self.finish();
        let mut state = self.shared.state();
        state.plan = plan;
        state.names = names;
    }

    /// Closes every connection and returns what they got, in the order in which they came.
    pub fn finish(&self) -> Vec<Record> {
        self.shared.epoch.fetch_add(1, Ordering::SeqCst);
        let connections = std::mem::take(&mut self.shared.state().connections);
        connections
            .into_iter()
            .filter_map(|handle| handle.join().ok())
            .collect()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.state().stopping = true;
        self.finish();
        // The acceptor sits in accept(2): one connection wakes it.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        if let Some(handle) = self.acceptor.take() {
            let _ = handle.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, peer)) = listener.accept() {
        let mut state = shared.state();
        if state.stopping {
            return;
        }
        let index = state.connections.len();
        let (plan, names) = (state.plan.clone(), state.names.clone());
        let for_thread = Arc::clone(shared);
        let epoch = shared.epoch.load(Ordering::SeqCst);
        state.connections.push(std::thread::spawn(move || {
            let stop = || for_thread.epoch.load(Ordering::SeqCst) != epoch;
            let (received, end) = match Connection::accepted(stream) {
                Ok(mut connection) => serve(&mut connection, &plan, index, &names, &stop),
                Err(_) => (Vec::new(), End::Rst),
            };
            Record {
                received,
                end,
                peer: Some(peer),
            }
        }));
    }
}

/// Follows the plan, then keeps reading until the proxy leaves or the case ends.
fn serve(
    connection: &mut Connection,
    plan: &Plan,
    index: usize,
    names: &Names,
    stop: &dyn Fn() -> bool,
) -> (Vec<u8>, End) {
    match plan {
        Plan::Behaviour(Behaviour::Silent) => {}
        Plan::Behaviour(Behaviour::Ok) => {
            while connection.end == End::Open && !stop() {
                if connection.read_until(&Until::Named(Mark::Request), Kind::Request, TICK, stop) {
                    connection.send_message(OK);
                }
            }
        }
        Plan::Behaviour(Behaviour::Echo) => {
            while connection.end == End::Open && !stop() {
                connection.receive(TICK);
                let fresh = connection
                    .received
                    .get(connection.consumed..)
                    .unwrap_or_default()
                    .to_vec();
                connection.consumed += fresh.len();
                connection.send(&fresh);
            }
        }
        Plan::Scripts(scripts) => {
            for step in scripts.get(index).or(scripts.last()).into_iter().flatten() {
                if stop() || !run(connection, step, names, stop) {
                    break;
                }
            }
        }
    }
    while connection.end == End::Open && connection.peer().is_some() && !stop() {
        connection.receive(TICK);
    }
    (std::mem::take(&mut connection.received), connection.end)
}

/// One step; false when what it waits for did not come, which ends the script.
fn run(
    connection: &mut Connection,
    step: &UpstreamStep,
    names: &Names,
    stop: &dyn Fn() -> bool,
) -> bool {
    match step {
        UpstreamStep::Read(until) => {
            return connection.read_until(until, Kind::Request, PATIENCE, stop);
        }
        UpstreamStep::Send(text) => connection.send(&raw(&expand(text, names))),
        UpstreamStep::Respond(text) => {
            connection.send_message(&expand(text, names));
        }
        UpstreamStep::Frames(text) => connection.send_frames(&expand(text, names)),
        UpstreamStep::Sleep(ms) => {
            let mut left = Duration::from_millis(*ms);
            while !left.is_zero() && !stop() {
                let nap = left.min(TICK);
                std::thread::sleep(nap);
                left -= nap;
            }
        }
        UpstreamStep::HalfClose => connection.half_close(),
        UpstreamStep::Close => connection.close(),
        UpstreamStep::Reset => connection.reset(),
    }
    true
}
