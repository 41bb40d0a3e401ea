//! One side of the comparison: a running proxy, its own scripted upstreams, its access log, and what a case showed of it.

use crate::bootstrap;
use crate::bytes::{Names, expand};
use crate::case::{Case, Group};
use crate::client::Client;
use crate::http1::{self, Kind};
use crate::http2::{Session, frame::PREFACE};
use crate::normalise::Normaliser;
use crate::ports;
use crate::process::{Process, Role};
use crate::stats::{self, Selection, Snapshot};
use crate::upstream::{Record, Upstream};
use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Everything that is compared, by facet: `client`, `fate`, `upstream up`, `log`, `stat <name>`, `hanging`
/// (gauges that did not come back to zero), `admin`.
pub type Observation = BTreeMap<String, Vec<String>>;

pub struct Side {
    role: Role,
    process: Process,
    names: Names,
    upstreams: BTreeMap<String, Upstream>,
    _deaf: Vec<ports::Deaf>,
    log: PathBuf,
    log_read: usize,
    before: Snapshot,
    bootstrap: PathBuf,
    dir: PathBuf,
    arguments: Vec<String>,
}

impl Side {
    /// Starts the proxy of `role` for a group; files go below `dir`. One more try with other ports: between the choice of
    /// a port and the proxy's bind another program may take it.
    pub fn start(role: Role, group: &Group, dir: &Path) -> Result<Self> {
        Self::try_start(role, group, dir).or_else(|_| Self::try_start(role, group, dir))
    }

    fn try_start(role: Role, group: &Group, dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let log = dir.join("access.log");
        let mut config = bootstrap::compose(&group.config)?;
        let mut names = Names::new();
        let mut upstreams = BTreeMap::new();
        let mut deaf = Vec::new();
        for name in bootstrap::port_names(&config) {
            let serves = name != "admin"
                && !name.starts_with("no_")
                && !group.config.listeners.contains_key(&name);
            let port = if name.starts_with("deaf_") {
                deaf.push(ports::Deaf::start()?);
                deaf.last().map_or(0, |deaf| deaf.port)
            } else if serves {
                let upstream = Upstream::start()?;
                let port = upstream.port;
                upstreams.insert(name.clone(), upstream);
                port
            } else {
                ports::free()?
            };
            names.insert(name, port.to_string());
        }
        names.insert("log".to_owned(), log.display().to_string());
        names.insert("dir".to_owned(), dir.display().to_string());
        bootstrap::fill(&mut config, &names);
        let path = dir.join("bootstrap.yaml");
        // JSON is YAML; the extension chooses the parser.
        std::fs::write(&path, serde_json::to_string_pretty(&config)?)?;
        let arguments = group.config.arguments.clone();
        let process = Process::spawn(role, &path, dir, &arguments)?;
        let mut side = Self {
            role,
            process,
            names,
            upstreams,
            _deaf: deaf,
            log,
            log_read: 0,
            before: Snapshot::new(),
            bootstrap: path,
            dir: dir.to_owned(),
            arguments,
        };
        side.ready()?;
        Ok(side)
    }

    fn ready(&mut self) -> Result<()> {
        let admin = self.port("admin")?;
        self.process.wait_ready(admin)?;
        self.before = stats::settle(admin, &Snapshot::new(), Duration::from_secs(5))?;
        Ok(())
    }

    /// Starts the proxy again if it has died; tells its last words then.
    pub fn revive(&mut self) -> Result<Option<String>> {
        let Some(status) = self.process.ended() else {
            return Ok(None);
        };
        let words = format!(
            "the proxy ended with {status}:\n{}",
            self.process.last_words()
        );
        self.process = Process::spawn(self.role, &self.bootstrap, &self.dir, &self.arguments)?;
        self.ready()?;
        Ok(Some(words))
    }

    /// Plays one case. `patience` multiplies the grace window; above 1 it tells a second run.
    pub fn play(&mut self, case: &Case, patience: u32) -> Result<Observation> {
        let mut normaliser = Normaliser::new(
            &self.names,
            &format!("{:?} {:?}", case.headers, case.request),
        )?;
        let admin = self.port("admin")?;
        if patience > 1 {
            // A line that came too late for the first run is none of the second.
            self.log_read = std::fs::metadata(&self.log).map_or(0, |log| log.len() as usize);
        }
        let mut out = Observation::new();
        if let Some(wanted) = &case.admin {
            let mut normalise = |line: &str| normaliser.line(line);
            let lines = crate::admin::observe(admin, wanted, &self.names, &mut normalise)?;
            out.insert("admin".to_owned(), lines);
            return Ok(out);
        }
        for (name, upstream) in &self.upstreams {
            upstream.begin(case.plan(name), self.names.clone());
        }
        let mut clients = self.clients(case)?;
        let grace = Duration::from_millis(case.grace.unwrap_or(120)) * patience;
        for client in &mut clients {
            client.watch(grace);
        }
        for (index, client) in clients.iter().enumerate() {
            if let Some(local) = client.local {
                normaliser.port(local.port(), "client")?;
            }
            let number = if index == 0 {
                String::new()
            } else {
                format!(" {}", index + 1)
            };
            out.insert(format!("client{number}"), client.transcript());
            out.insert(format!("fate{number}"), vec![client.fate().to_owned()]);
        }
        drop(clients);
        // The proxy must see the clients go before it sees the upstreams go: only then is it always the same that ends
        // a stream. Tunnels towards an upstream that keeps silent do not end by that, so the wait is short.
        stats::wait_downstream_idle(admin, &self.before, Duration::from_millis(400) * patience)?;
        for (name, upstream) in &self.upstreams {
            let records = upstream.finish();
            for record in &records {
                if let Some(peer) = record.peer {
                    normaliser.port(peer.port(), "upstream-local")?;
                }
            }
            out.insert(
                format!("upstream {name}"),
                records.iter().enumerate().flat_map(describe).collect(),
            );
        }
        let after = stats::settle(admin, &self.before, Duration::from_secs(4))?;
        out.insert(
            "hanging".to_owned(),
            stats::hanging(&self.before, &after).into_iter().collect(),
        );
        let selection = Selection::new(&case.stats)?;
        for (name, change) in selection.delta(&self.before, &after) {
            out.insert(
                format!("stat {}", normaliser.line(&name)),
                vec![format!("{change:+}")],
            );
        }
        self.before = after;
        out.insert("log".to_owned(), self.new_log_lines()?);
        // Upstreams first: there a generated id appears first.
        let mut facets: Vec<_> = out.into_iter().collect();
        facets.reverse();
        let named = facets
            .into_iter()
            .map(|(facet, lines)| (facet, normaliser.lines(lines)));
        Ok(named.collect())
    }

    fn clients(&self, case: &Case) -> Result<Vec<Client>> {
        let port = self.port(&case.listener)?;
        let to: SocketAddr =
            format!("{}:{port}", case.to.as_deref().unwrap_or("127.0.0.1")).parse()?;
        let from = match &case.from {
            Some(text) => {
                let text = expand(text, &self.names);
                Some(if text.contains(':') {
                    text.parse()?
                } else {
                    format!("{text}:0").parse()?
                })
            }
            None => None,
        };
        let mut clients = Vec::new();
        for steps in case.clients() {
            let mut client = Client::connect(to, from, case.http2.then_some(case.window));
            client.run(&steps, &self.names);
            clients.push(client);
        }
        Ok(clients)
    }

    /// Log lines since the last case. Envoy's settled stats prove that all is written; a proxy without that gauge gets
    /// until the file has stopped growing.
    fn new_log_lines(&mut self) -> Result<Vec<String>> {
        let quiet = if self.before.contains_key("filesystem.write_total_buffered") {
            0
        } else {
            150
        };
        let mut text = std::fs::read(&self.log).unwrap_or_default();
        let mut since = Instant::now();
        while since.elapsed() < Duration::from_millis(quiet) {
            std::thread::sleep(Duration::from_millis(20));
            let now = std::fs::read(&self.log).unwrap_or_default();
            if now.len() != text.len() {
                text = now;
                since = Instant::now();
            }
        }
        let fresh = text.get(self.log_read..).unwrap_or_default().to_vec();
        self.log_read = text.len();
        Ok(String::from_utf8_lossy(&fresh)
            .lines()
            .map(str::to_owned)
            .collect())
    }

    fn port(&self, name: &str) -> Result<u16> {
        let text = self
            .names
            .get(name)
            .with_context(|| format!("no port is called {name}"))?;
        Ok(text.parse()?)
    }
}

/// What one upstream connection got, as lines.
fn describe((index, record): (usize, &Record)) -> Vec<String> {
    let mut out = vec![format!("connection {}", index + 1)];
    if record.received.starts_with(PREFACE) {
        out.extend(Session::new(true).transcript(&record.received));
    } else {
        out.extend(http1::transcript(&record.received, &[Kind::Request], false));
    }
    out.push(format!("left {}", record.end.text()));
    out
}
