//! The soak: load, attacks and drains on one Outrigger for `SOAK_SECONDS`, beside a client that behaves; then what has grown,
//! what was lost, and what is left behind. `docs/soak.md` has the rules and the figures of the last long one.

mod attacks;
mod drains;
mod http2;
mod load;
mod origin;
mod verdict;
mod watch;

use anyhow::{Context as _, Result, bail};
use load::{Load, Tally};
use origin::Origins;
use outrigger_tests::bystander::Bystander;
use outrigger_tests::process::{Role, is_release};
use outrigger_tests::running::Running;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use verdict::Figures;
use watch::Sample;

/// Without `SOAK_SECONDS`.
const SECONDS: u64 = 3600;
/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Between two requests of the bystander.
const PACE: Duration = Duration::from_millis(10);
/// How long it is alone before the load.
const PEACE: Duration = Duration::from_secs(2);
/// Lines of the report while it runs.
const LINES: u64 = 20;

/// The timeouts are shorter than what attackers keep open, and longer than what a busy machine makes of a good client.
const CONFIG: &str = "
arguments: [--concurrency, \"2\"]
listeners:
  main:
    per_connection_buffer_limit_bytes: 32768
    http:
      request_headers_timeout: 5s
      stream_idle_timeout: 6s
      upgrade_configs: [{upgrade_type: websocket}]
    routes:
      - match: {path: /fickle}
        route: {cluster: fickle, timeout: 5s, retry_policy: {retry_on: \"connect-failure,refused-stream\", num_retries: 2}}
      - {match: {prefix: /}, route: {cluster: up, timeout: 0s}}
  tcp: {per_connection_buffer_limit_bytes: 32768, tcp: {cluster: echo, idle_timeout: 6s}}
  fickle_tcp: {tcp: {cluster: fickle, idle_timeout: 6s}}
clusters:
  up:
    per_connection_buffer_limit_bytes: 32768
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        common_http_protocol_options: {idle_timeout: 3s}
        explicit_http_config: {http_protocol_options: {}}
  echo: {per_connection_buffer_limit_bytes: 32768}
  fickle:
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        common_http_protocol_options: {idle_timeout: 3s}
        explicit_http_config: {http_protocol_options: {}}
";

/// Where the listeners are.
#[derive(Clone, Copy)]
pub struct Ports {
    pub main: u16,
    pub tcp: u16,
    pub fickle: u16,
}

/// What everybody who plays shares.
pub struct Stage {
    stopping: AtomicBool,
    pub tallies: Vec<Arc<Tally>>,
}

impl Stage {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            stopping: AtomicBool::new(false),
            tallies: Load::ALL.map(|_| Arc::default()).to_vec(),
        })
    }

    pub fn goes_on(&self) -> bool {
        !self.stopping.load(Relaxed)
    }
}

/// Sleeps, but not beyond the end.
pub fn stop_or_sleep(stage: &Stage, duration: Duration) {
    let until = Instant::now() + duration;
    while stage.goes_on() && Instant::now() < until {
        thread::sleep(Duration::from_millis(50));
    }
}

fn main() -> ExitCode {
    // One line is enough for whoever plays here.
    std::panic::set_hook(Box::new(|panic| match panic.location() {
        // The books of the clients' codec, see `http2`.
        Some(place) if place.file().ends_with("proto/streams/store.rs") => {}
        _ => eprintln!("soak: {panic}"),
    }));
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let seconds = match std::env::var("SOAK_SECONDS") {
        Ok(text) => text.parse().context("SOAK_SECONDS")?,
        Err(_) => SECONDS,
    };
    let build = match is_release(Role::Subject) {
        true => "release",
        false => "debug",
    };
    println!("{seconds} s of the {build} binary with two workers");
    let origins = Origins::start()?;
    let given = [
        ("up", origins.up),
        ("echo", origins.echo),
        ("fickle", origins.fickle),
    ];
    let mut proxy = Running::start(Role::Subject, CONFIG, &given)?;
    let ports = Ports {
        main: proxy.port("main")?,
        tcp: proxy.port("tcp")?,
        fickle: proxy.port("fickle_tcp")?,
    };
    let alone = Bystander::start(ports.main, PACE);
    thread::sleep(PEACE);
    let alone = alone.stop();
    watch::settle(&proxy)?;
    let before = Sample::take(&proxy, Instant::now())?;
    let stage = Stage::new();
    let bystander = Bystander::start(ports.main, PACE);
    let load = on_a_thread(load::run(ports, stage.clone()))?;
    let attacks = on_a_thread(attacks::run(ports, stage.clone()))?;
    let (admin, log, watched) = (proxy.port("admin")?, proxy.log(), stage.clone());
    let drains = thread::spawn(move || drains::run(admin, log, watched));
    let (up, watched) = (origins.up, stage.clone());
    let generations = thread::spawn(move || drains::generations(up, watched));
    let samples = watch_for(&mut proxy, Duration::from_secs(seconds))?;
    let bystander = bystander.stop();
    stage.stopping.store(true, Relaxed);
    joined(load)?;
    let attacks = joined(attacks)?;
    let drains = joined(drains)?;
    let generations = joined(generations)?;
    let open = watch::settle(&proxy)?;
    let figures = Figures {
        alone,
        bystander,
        before,
        samples,
        open,
        after: Sample::take(&proxy, Instant::now())?,
        attacks,
        drains,
        generations,
        cpu: outrigger_tests::kernel::cpu(proxy.process.id())?,
    };
    Ok(verdict::pass(&figures, &stage, &proxy))
}

/// Looks every second, and says now and then what it sees.
fn watch_for(proxy: &mut Running, duration: Duration) -> Result<Vec<Sample>> {
    let begin = Instant::now();
    let every = (duration.as_secs() / LINES).max(1);
    let mut samples: Vec<Sample> = Vec::new();
    println!("The listener under attack, while it runs:");
    println!("seconds  RSS KiB  descriptors  threads  connections  requests");
    while begin.elapsed() < duration {
        thread::sleep(LOOK);
        if let Some(status) = proxy.process.ended() {
            bail!("it has ended: {status}\n{}", proxy.process.last_words());
        }
        let now = Sample::take(proxy, begin)?;
        let seconds = now.at.as_secs();
        let told = samples
            .last()
            .is_some_and(|s| s.at.as_secs() / every == seconds / every);
        if !told {
            println!(
                "{seconds:7}  {:7}  {:11}  {:7}  {:11}  {:8}",
                now.resident, now.descriptors, now.threads, now.connections, now.requests
            );
        }
        samples.push(now);
    }
    Ok(samples)
}

/// Runs `play` on a thread of its own.
fn on_a_thread<T: Send + 'static>(
    play: impl Future<Output = T> + Send + 'static,
) -> Result<JoinHandle<T>> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build()?;
    Ok(thread::spawn(move || runtime.block_on(play)))
}

fn joined<T>(thread: JoinHandle<T>) -> Result<T> {
    match thread.join() {
        Ok(value) => Ok(value),
        Err(_) => bail!("a part of the soak has panicked"),
    }
}
