//! One proxy without a script: started from the short form of a bootstrap, for tests that do by hand what no case file can say.

use crate::bootstrap;
use crate::bytes::Names;
use crate::case::Config;
use crate::kernel;
use crate::ports;
use crate::process::{Process, Role};
use anyhow::{Context as _, Result, bail};
use std::process::Command;
use tempfile::TempDir;

pub struct Running {
    pub process: Process,
    names: Names,
    // Last: the process writes into it.
    dir: TempDir,
}

impl Running {
    /// Starts `role` from `short`; a name in double braces that is not `given` becomes a free port.
    pub fn start(role: Role, short: &str, given: &[(&str, u16)]) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("outrigger-suite-")
            .tempdir()?;
        let config: Config = serde_json::from_value(crate::yaml::load(short)?)?;
        let mut bootstrap = bootstrap::compose(&config)?;
        let mut names = Names::new();
        for name in bootstrap::port_names(&bootstrap) {
            let port = match given.iter().find(|(known, _)| *known == name) {
                Some((_, port)) => *port,
                None => ports::free()?,
            };
            names.insert(name, port.to_string());
        }
        let log = dir.path().join("access.log");
        names.insert("log".to_owned(), log.display().to_string());
        names.insert("dir".to_owned(), dir.path().display().to_string());
        bootstrap::fill(&mut bootstrap, &names);
        let path = dir.path().join("bootstrap.yaml");
        std::fs::write(&path, serde_json::to_string_pretty(&bootstrap)?)?;
        let process = Process::spawn(role, &path, dir.path(), &config.arguments)?;
        let mut running = Self {
            process,
            names,
            dir,
        };
        let admin = running.port("admin")?;
        running.process.wait_ready(admin)?;
        Ok(running)
    }

    /// The port of a listener, or another one of the bootstrap.
    pub fn port(&self, name: &str) -> Result<u16> {
        let text = self.names.get(name);
        Ok(text
            .with_context(|| format!("no port is called {name}"))?
            .parse()?)
    }

    /// The access log's path.
    pub fn log(&self) -> std::path::PathBuf {
        self.dir.path().join("access.log")
    }

    /// Sends the signal `name`: `TERM`, `HUP` and so on.
    pub fn signal(&self, name: &str) -> Result<()> {
        // The shell's own `kill`: the standard library has none.
        let command = format!("kill -{name} {}", self.process.id());
        let status = Command::new("sh").args(["-c", &command]).status()?;
        if !status.success() {
            bail!("`{command}`: {status}");
        }
        Ok(())
    }

    /// The most memory that the process has had resident, in KiB.
    pub fn peak_memory(&self) -> Result<u64> {
        kernel::kibibytes(self.process.id(), "VmHWM")
    }
}
