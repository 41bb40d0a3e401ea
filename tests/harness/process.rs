//! One proxy process: which binary it is, how it starts, when it is ready, what it said when it died.

use anyhow::{Context as _, Result, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Under load of a whole test run a start may take long; nothing waits for this in the good case.
const START: Duration = Duration::from_secs(30);

/// Which of the two compared programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Oracle,
    Subject,
}

/// Whether the subject is Envoy itself (`OUTRIGGER_SUBJECT=envoy`): then nothing may differ, known differences included.
pub fn self_test() -> bool {
    std::env::var("OUTRIGGER_SUBJECT").is_ok_and(|value| value == "envoy")
}

pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The binary of a role: from the environment, else where the workspace puts it.
pub fn binary(role: Role) -> Result<PathBuf> {
    let envoy = role == Role::Oracle || self_test();
    let (variable, places, hint): (_, &[&str], _) = if envoy {
        (
            "OUTRIGGER_ENVOY",
            &["target/oracle/bin/envoy"],
            "`make oracle` installs real Envoy",
        )
    } else {
        (
            "OUTRIGGER_BIN",
            &["target/release/outrigger", "target/debug/outrigger"],
            "`cargo build -p outrigger` builds it",
        )
    };
    if let Some(path) = std::env::var_os(variable) {
        let path = PathBuf::from(path);
        if path.exists() {
            return Ok(path);
        }
        bail!("{variable} names {}, which does not exist", path.display());
    }
    let found = places
        .iter()
        .map(|place| workspace().join(place))
        .find(|path| path.exists());
    found.with_context(|| {
        format!(
            "no {} under the workspace and {variable} is not set: {hint}",
            places.join(" or ")
        )
    })
}

/// Whether the binary of a role is built to be fast: another one is slower by an order of magnitude.
pub fn is_release(role: Role) -> bool {
    binary(role).is_ok_and(|path| path.components().any(|part| part.as_os_str() == "release"))
}

pub struct Process {
    child: Child,
    stderr: PathBuf,
}

impl Process {
    /// Starts `role` on a bootstrap file; its output goes to `<dir>/<name>.err`.
    pub fn spawn(role: Role, bootstrap: &Path, dir: &Path, more: &[String]) -> Result<Self> {
        let stderr = dir.join("stderr.txt");
        let errors = File::create(&stderr)?;
        // Neither program takes an option twice.
        let concurrency: &[&str] = if more.iter().any(|argument| argument == "--concurrency") {
            &[]
        } else {
            &["--concurrency", "1"]
        };
        let child = Command::new(binary(role)?)
            .arg("-c")
            .arg(bootstrap)
            .args(concurrency)
            .args([
                "--disable-hot-restart",
                "--file-flush-interval-msec",
                "50",
                "--log-level",
                "warning",
            ])
            .args(more)
            .stdin(Stdio::null())
            .stdout(errors.try_clone()?)
            .stderr(errors)
            .spawn()?;
        Ok(Self { child, stderr })
    }

    /// Waits until `/ready` answers 200 on the admin port.
    pub fn wait_ready(&mut self, admin: u16) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("ended at start with {status}:\n{}", self.last_words());
            }
            if crate::admin::get(admin, "/ready").is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("not ready after {START:?}:\n{}", self.last_words());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The exit status, when it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for the end at most `limit`.
    pub fn wait_end(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.stderr).unwrap_or_default()).into_owned()
    }

    /// The end of its output; Envoy's lines may hold a whole bootstrap and are cut.
    pub fn last_words(&self) -> String {
        let output = self.output();
        let lines: Vec<String> = output
            .lines()
            .map(|line| line.chars().take(700).collect())
            .collect();
        let tail = lines.len().saturating_sub(8);
        lines.get(tail..).unwrap_or_default().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
