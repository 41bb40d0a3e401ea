//! A client that behaves, beside those that do not: it loses nothing, and hardly waits longer than without them.

use super::{process, service};
pub use outrigger_tests::bystander::Bystander;
use outrigger_tests::process::{Role, is_release};
use outrigger_tests::running::Running;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One at a time: they would be each other's attack.
static ALONE: Mutex<()> = Mutex::new(());

/// How long an attack lasts.
const ATTACK: Duration = Duration::from_millis(500);
/// How long the bystander is alone before it and behind it.
const PEACE: Duration = Duration::from_millis(200);
/// Between two requests of the bystander.
const PACE: Duration = Duration::from_millis(10);
/// A machine that has other things to do may double any wait: below this nothing is told from it.
const FLOOR: Duration = Duration::from_millis(500);
/// How many times the wait without an attack the wait under it may be.
const RATIO: u32 = 20;
/// What is promised where the machine has nothing else to do, which is where the bystander alone waits no longer than this.
const PROMISED: Duration = Duration::from_millis(50);
const QUIET: Duration = Duration::from_millis(3);
/// Memory that an attack may cost, in KiB.
const GROWTH: u64 = 64 << 10;

/// The listeners and clusters that attacks are made on.
pub const CONFIG: &str = "
listeners:
  main:
    http: {}
    routes:
      - {match: {path: /here}, direct_response: {status: 200, body: {inline_string: here}}}
      - {match: {prefix: /}, route: {cluster: up, timeout: 0s}}
  tcp: {tcp: {cluster: up}}
clusters: {up: {}}
";

/// Holds the lock under which nothing else is measured in this program.
pub fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn in_peace(port: u16) -> Duration {
    let bystander = Bystander::start(port, PACE);
    std::thread::sleep(PEACE);
    let report = bystander.stop();
    assert_eq!(report.lost, 0, "lost without any attack");
    report.p99()
}

/// Plays `attack` on a proxy of its own until the instant that it is given. The bystander on `listener` loses nothing and does
/// not wait; memory stays bounded, and no descriptor is left behind.
pub fn withstands(name: &str, listener: &str, attack: impl Fn(&Running, Instant)) {
    let _alone = alone();
    let up = service::start();
    let proxy = Running::start(Role::Subject, CONFIG, &[("up", up)]).unwrap();
    let port = proxy.port(listener).unwrap();
    let id = proxy.process.id();
    let mut tries = 0;
    in_peace(port);
    let memory = process::resident(id);
    let descriptors = process::descriptors(id);
    loop {
        tries += 1;
        let before = in_peace(port);
        let cpu = process::cpu(id);
        let bystander = Bystander::start(port, PACE);
        attack(&proxy, Instant::now() + ATTACK);
        let report = bystander.stop();
        let cpu = process::cpu(id) - cpu;
        assert_eq!(report.lost, 0, "{name}: the bystander lost requests");
        let after = in_peace(port);
        let (under, alone) = (report.p99(), before.max(after));
        let growth = proxy.peak_memory().unwrap().saturating_sub(memory);
        eprintln!("{name}: p99 {under:?}, {alone:?} without it, {growth} KiB more, {cpu:?} of CPU");
        assert!(growth < GROWTH, "{name}: {growth} KiB more are resident");
        let quiet = alone <= QUIET && is_release(Role::Subject);
        let most = if quiet {
            PROMISED
        } else {
            FLOOR.max(alone * RATIO)
        };
        if under <= most {
            break;
        }
        // What the machine does beside this is no fault of the proxy's.
        assert!(tries < 4, "{name}: p99 {under:?}, {alone:?} without it");
    }
    let left = || process::descriptors(id);
    let gone = process::comes(|| left() <= descriptors + 2);
    assert!(gone, "{name}: {} descriptors, {descriptors} before", left());
}
