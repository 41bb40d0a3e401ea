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
use std::time::Duration;

/// Health checks fail for as long, and are well again for as long.
const ILL: Duration = Duration::from_secs(2);
const WELL: Duration = Duration::from_secs(6);
/// A generation serves for so long before it drains, and drains before it ends.
const SERVES: Duration = Duration::from_secs(2);
const DRAINS: Duration = Duration::from_secs(1);
/// It ends within its drain time.
const LIMIT: Duration = Duration::from_secs(20);
const CLIENTS: usize = 4;

const GENERATION: &str = "
arguments: [--drain-on-sigterm, --drain-time-s, \"10\", --concurrency, \"2\"]
listeners:
  main: {http: {}}
";

/// What has been done.
#[derive(Default)]
pub struct Done {
    pub health: u64,
    pub logs: u64,
    pub generations: u64,
    /// Requests to all generations.
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
pub fn generations(up: u16, stage: Arc<Stage>) -> Result<Done> {
    let mut done = Done::default();
    while stage.goes_on() {
        done.asked += generation(up, done.generations.is_multiple_of(2), &stage)?;
        done.generations += 1;
    }
    Ok(done)
}

/// One life; gives the number of requests back, none of which was lost.
fn generation(up: u16, drains_listeners: bool, stage: &Stage) -> Result<u64> {
    let mut proxy = Running::start(Role::Subject, GENERATION, &[("up", up)])?;
    let port = proxy.port("main")?;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| std::thread::spawn(move || client(port, number.is_multiple_of(2))))
        .collect();
    stop_or_sleep(stage, SERVES);
    if drains_listeners {
        // Nobody is refused yet: every response asks its connection to close.
        let target = "/drain_listeners?graceful&skip_exit";
        admin::ask(proxy.port("admin")?, "POST", target)?;
        stop_or_sleep(stage, DRAINS);
    }
    proxy.signal("TERM")?;
    let mut asked = 0;
    for client in clients {
        asked += match client.join() {
            Ok(result) => result?,
            Err(_) => bail!("a client has panicked"),
        };
    }
    let status = proxy.process.wait_end(LIMIT);
    let status = status.context("a generation does not end")?;
    ensure!(status.success(), "a generation ends with {status}");
    Ok(asked)
}

/// Asks until nobody listens.
fn client(port: u16, keeps: bool) -> Result<u64> {
    let mut asker = Asker::new(port, keeps);
    let mut asked = 0;
    loop {
        match asker.ask() {
            Ok(()) => asked += 1,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(asked),
            Err(error) => bail!("a generation lost request {asked}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
