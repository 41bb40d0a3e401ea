//! What an operator does meanwhile: health checks that fail and come back, logs that are moved away, and beside the proxy of
//! the soak one generation of another after the other, each drained under load without a loss.

use crate::{Stage, stop_or_sleep};
use anyhow::{Context as _, Result, bail, ensure};
use outrigger_tests::admin;
use outrigger_tests::bystander::Asker;
use outrigger_tests::process::Role;
use outrigger_tests::running::Running;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

/// Health checks fail for as long, and are well again for as long.
const ILL: Duration = Duration::from_secs(2);
const WELL: Duration = Duration::from_secs(6);
/// A generation serves for so long before it drains, and drains before it ends.
const SERVES: Duration = Duration::from_secs(2);
const DRAINS: Duration = Duration::from_secs(1);
/// It ends within its drain time.
const LIMIT: Duration = Duration::from_secs(20);
/// Clients of each listener.
const CLIENTS: usize = 3;

const GENERATION: &str = "
arguments: [--drain-on-sigterm, --drain-time-s, \"10\", --concurrency, \"2\"]
listeners:
  main: {http: {}}
  inbound: {traffic_direction: INBOUND, http: {stat_prefix: inbound}}
";

/// How a generation drains before SIGTERM ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// Not at all.
    None,
    /// Every response asks its connection to close; nobody is refused.
    Graceful,
    /// The same for the inbound listener alone.
    GracefulInbound,
    /// The inbound listener closes at once; what it has accepted is served.
    Inbound,
}

impl Drain {
    pub const ALL: [Self; 4] = [
        Self::None,
        Self::Graceful,
        Self::GracefulInbound,
        Self::Inbound,
    ];

    fn target(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Graceful => Some("/drain_listeners?graceful&skip_exit"),
            Self::GracefulInbound => Some("/drain_listeners?graceful&inboundonly&skip_exit"),
            Self::Inbound => Some("/drain_listeners?inboundonly"),
        }
    }

    pub fn name(self) -> &'static str {
        self.target().unwrap_or("SIGTERM alone")
    }

    fn is_of_inbound(self) -> bool {
        matches!(self, Self::GracefulInbound | Self::Inbound)
    }
}

/// What has been done to the proxy of the soak.
#[derive(Default)]
pub struct Done {
    pub health: u64,
    pub logs: u64,
}

/// What has become of the generations.
#[derive(Default)]
pub struct Generations {
    /// In the order of [`Drain::ALL`].
    pub ended: [u64; Drain::ALL.len()],
    /// Requests to all of them.
    pub asked: u64,
}

/// Lets health checks fail and moves the log away, again and again.
pub fn run(admin: u16, log: PathBuf, stage: Arc<Stage>) -> Result<Done> {
    let mut done = Done::default();
    let post = |path: &str| -> Result<()> {
        let answer = admin::ask(admin, "POST", path)?;
        ensure!(answer.status == 200, "{path}: {}", answer.status);
        Ok(())
    };
    while stage.goes_on() {
        stop_or_sleep(&stage, WELL);
        post("/healthcheck/fail")?;
        stop_or_sleep(&stage, ILL);
        post("/healthcheck/ok")?;
        done.health += 1;
        // The next lines go into a new file, and this one is gone with the last of its own.
        std::fs::remove_file(&log).context("there is no log")?;
        post("/reopen_logs")?;
        done.logs += 1;
    }
    Ok(done)
}

/// Starts proxies that drain, until the stage is empty.
pub fn generations(up: u16, stage: Arc<Stage>) -> Result<Generations> {
    let mut done = Generations::default();
    for (index, drain) in Drain::ALL.into_iter().enumerate().cycle() {
        if !stage.goes_on() {
            break;
        }
        let asked = generation(up, drain, &stage);
        done.asked +=
            asked.with_context(|| format!("a generation that ends by {}", drain.name()))?;
        done.ended[index] += 1;
    }
    Ok(done)
}

/// One life; gives the number of requests back, none of which was lost.
fn generation(up: u16, drain: Drain, stage: &Stage) -> Result<u64> {
    let mut proxy = Running::start(Role::Subject, GENERATION, &[("up", up)])?;
    let closes = Arc::new(AtomicBool::new(false));
    let clients = |name| -> Result<Vec<Client>> {
        let port = proxy.port(name)?;
        let client = |number: usize| {
            let closes = closes.clone();
            std::thread::spawn(move || client(port, number.is_multiple_of(2), &closes))
        };
        Ok((0..CLIENTS).map(client).collect())
    };
    let (mut main, inbound) = (clients("main")?, clients("inbound")?);
    stop_or_sleep(stage, SERVES);
    if let Some(target) = drain.target() {
        // Whoever has only just connected to a listener that is closed so has no answer, as with Envoy.
        closes.store(drain == Drain::Inbound, Relaxed);
        let answer = admin::ask(proxy.port("admin")?, "POST", target)?;
        ensure!(answer.status == 200, "{target}: {}", answer.status);
        stop_or_sleep(stage, DRAINS);
    }
    let mut asked = 0;
    if drain == Drain::Inbound {
        asked += all(inbound)?;
    } else {
        main.extend(inbound);
    }
    if drain.is_of_inbound() {
        let told = admin::get(
            proxy.port("admin")?,
            "/stats?filter=downstream_cx_drain_close$",
        )?;
        let told = told.text();
        let nobody = told.contains("http.main.downstream_cx_drain_close: 0");
        ensure!(nobody, "the other listener drains as well: {told}");
    }
    let early = main.iter().any(Client::is_finished);
    ensure!(!early, "somebody is refused before the end");
    closes.store(false, Relaxed);
    proxy.signal("TERM")?;
    asked += all(main)?;
    let status = proxy.process.wait_end(LIMIT);
    let status = status.context("a generation does not end")?;
    ensure!(status.success(), "a generation ends with {status}");
    Ok(asked)
}

type Client = JoinHandle<Result<u64>>;

/// The requests of all of them, once nobody listens.
fn all(clients: Vec<Client>) -> Result<u64> {
    let mut asked = 0;
    for client in clients {
        asked += match client.join() {
            Ok(result) => result?,
            Err(_) => bail!("a client has panicked"),
        };
    }
    Ok(asked)
}

/// Asks until nobody listens. If the listener `closes` at once, whoever has no answer on a new connection is refused as well.
fn client(port: u16, keeps: bool, closes: &AtomicBool) -> Result<u64> {
    let mut asker = Asker::new(port, keeps);
    let mut asked = 0;
    loop {
        let new = !asker.is_connected();
        match asker.ask() {
            Ok(()) => asked += 1,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(asked),
            Err(_) if new && closes.load(Relaxed) => return Ok(asked),
            Err(error) => bail!("a client lost its request {}: {error}", asked + 1),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
