//! Bootstraps that Envoy accepts or refuses: both programs must give the same verdict and exit code, in `--mode validate`
//! and when they are to serve.

use crate::bootstrap;
use crate::bytes::{Names, expand};
use crate::case::Config;
use crate::compare::Difference;
use crate::group;
use crate::known::Tracker;
use crate::ports;
use crate::process::{self, Process, Role};
use crate::report::Report;
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;

/// One file of bootstraps to judge.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// What the file covers; for the reader.
    pub about: String,
    /// A place for YAML anchors; never read.
    #[serde(default)]
    pub definitions: serde_json::Value,
    pub cases: Vec<Verdict>,
}

/// One bootstrap.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    pub name: String,
    #[serde(flatten)]
    pub config: Config,
    /// The file's text itself, instead of the short form.
    pub text: Option<String>,
    /// The file's extension: Envoy chooses the parser by it.
    #[serde(default = "yaml")]
    pub extension: String,
    /// Also starts it to serve, and compares how it ends.
    #[serde(default)]
    pub serve: bool,
    /// This version refuses what Envoy accepts. A version that accepts it too fails the case: then this goes.
    #[serde(default)]
    pub refused: bool,
    /// What Outrigger's message must contain: the resource and the field.
    #[serde(default)]
    pub names: Vec<String>,
}

fn yaml() -> String {
    "yaml".to_owned()
}

/// Runs all files of `tests/differential/validation`.
pub fn run() -> Result<()> {
    let mut report = Report::default();
    let mut known = Tracker::load("validation")?;
    for path in group::files("validation")? {
        let text = std::fs::read_to_string(&path)?;
        let value = crate::yaml::load(&text).with_context(|| path.display().to_string())?;
        let file: File =
            serde_json::from_value(value).with_context(|| path.display().to_string())?;
        let stem = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        for case in &file.cases {
            let name = format!("validation/{stem}/{}", case.name);
            if group::wanted(&name) {
                let found = judge(case).with_context(|| name.clone())?;
                report.add(name.clone(), &known.unexplained(&name, found));
            }
        }
    }
    report.finish("validation", &known)
}

/// How a program ends that accepts: `--mode validate`, and to serve.
const ACCEPTS: [&str; 2] = ["exit status: 0", "serves"];

fn judge(case: &Verdict) -> Result<Vec<Difference>> {
    let dir = tempfile::Builder::new()
        .prefix("outrigger-validation-")
        .tempdir()?;
    let modes: &[bool] = if case.serve { &[false, true] } else { &[false] };
    let mut out = Vec::new();
    for &serve in modes {
        let (expected, got) = group::both(
            || verdict(Role::Oracle, case, serve, dir.path()),
            || verdict(Role::Subject, case, serve, dir.path()),
        );
        let ((expected, words), (got, message)) = (expected?, got?);
        if std::env::var_os("OUTRIGGER_SHOW").is_some() {
            println!("{} (serve: {serve}): {expected}\n{words}", case.name);
        }
        let mode = if serve { "serve" } else { "validate" };
        let said = message.lines().map(str::to_owned);
        let refused = case.refused && !process::self_test();
        if refused && (!ACCEPTS.contains(&expected.as_str()) || ACCEPTS.contains(&got.as_str())) {
            let oracle = vec![format!(
                "{expected} (Envoy is to accept, Outrigger to refuse)"
            )];
            out.push(Difference {
                facet: mode.to_owned(),
                oracle,
                subject: std::iter::once(got).chain(said).collect(),
            });
        } else if !refused && expected != got {
            let subject = std::iter::once(got).chain(said).collect();
            out.push(Difference {
                facet: mode.to_owned(),
                oracle: vec![expected],
                subject,
            });
        } else if let Some(missing) = case
            .names
            .iter()
            .find(|name| !message.contains(name.as_str()))
            && !process::self_test()
        {
            let oracle = vec![format!("(the message is to name `{missing}`)")];
            out.push(Difference {
                facet: "message".to_owned(),
                oracle,
                subject: said.collect(),
            });
        }
    }
    Ok(out)
}

/// How the program judged the file, and what it said.
fn verdict(role: Role, case: &Verdict, serve: bool, dir: &Path) -> Result<(String, String)> {
    let dir = dir.join(format!("{role:?}-{serve}"));
    std::fs::create_dir_all(&dir)?;
    let mut names = Names::from([(
        "log".to_owned(),
        dir.join("access.log").display().to_string(),
    )]);
    names.insert("dir".to_owned(), dir.display().to_string());
    let composed = bootstrap::compose(&case.config)?;
    let ports = match &case.text {
        Some(text) => bootstrap::port_names(&serde_json::Value::String(text.clone())),
        None => bootstrap::port_names(&composed),
    };
    for name in ports {
        names.insert(name, ports::free()?.to_string());
    }
    let text = match &case.text {
        Some(text) => expand(text, &names),
        None => {
            let mut config = composed;
            bootstrap::fill(&mut config, &names);
            serde_json::to_string_pretty(&config)?
        }
    };
    let path = dir.join(format!("bootstrap.{}", case.extension));
    std::fs::write(&path, text)?;
    let mut arguments = Vec::new();
    if !serve {
        arguments.extend(["--mode".to_owned(), "validate".to_owned()]);
    }
    arguments.extend(case.config.arguments.iter().cloned());
    let mut process = Process::spawn(role, &path, &dir, &arguments)?;
    // Whoever accepts in serve mode goes on running: its readiness is the verdict.
    if serve && let Some(admin) = names.get("admin").and_then(|port| port.parse().ok()) {
        return Ok(match process.wait_ready(admin) {
            Ok(()) => ("serves".to_owned(), process.last_words()),
            Err(_) => (end(process.ended()), process.last_words()),
        });
    }
    let status = process.wait_end(Duration::from_secs(30));
    Ok((end(status), process.last_words()))
}

fn end(status: Option<std::process::ExitStatus>) -> String {
    status.map_or_else(|| "does not end".to_owned(), |status| status.to_string())
}
