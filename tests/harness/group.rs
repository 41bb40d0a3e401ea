//! Runs the groups of an area: both proxies start, every case is played on both at the same time, differences are told.

use crate::case::{self, Case};
use crate::compare::{self, Difference};
use crate::known::{self, Known};
use crate::process::{self, Role};
use crate::side::{Observation, Side};
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};

/// How often each known difference of the area was met, and what went wrong.
#[derive(Default)]
pub struct Report {
    pub cases: usize,
    /// Cases with a difference that nobody explained, and whole groups that did not start.
    pub failed: Vec<String>,
    /// Cases whose first run differed and whose second, more patient one did not.
    pub steadied: Vec<String>,
    pub text: String,
}

/// Where the case files are.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("differential")
}

/// Runs all groups of `area` whose path contains `OUTRIGGER_CASE`, if that is set; fails when anything differs.
pub fn run_area(area: &str) -> Result<()> {
    for role in [Role::Oracle, Role::Subject] {
        process::binary(role)?;
    }
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(directory().join(area)).with_context(|| area.to_owned())? {
        files.push(entry?.path());
    }
    files.sort();
    let mut known = Tracker::load(area)?;
    let mut report = Report::default();
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|e| e == "yaml"))
    {
        run_file(area, file, &mut known, &mut report)?;
    }
    if std::env::var_os("OUTRIGGER_CASE").is_none() {
        for stale in known.stale() {
            report.failed.push(format!(
                "known_differences.yaml: {} / {} no longer differs",
                stale.case, stale.differs
            ));
        }
    }
    println!("{}", report.text);
    for name in &report.steadied {
        println!("  steadied on the second run: {name}");
    }
    println!(
        "{area}: {} cases, {} differ, {} needed a second run",
        report.cases,
        report.failed.len(),
        report.steadied.len()
    );
    if report.cases == 0 && std::env::var_os("OUTRIGGER_CASE").is_none() {
        bail!("{area}: no cases");
    }
    if !report.failed.is_empty() {
        bail!(
            "{area}: {} of {} cases differ:\n  {}",
            report.failed.len(),
            report.cases,
            report.failed.join("\n  ")
        );
    }
    Ok(())
}

fn run_file(area: &str, file: &Path, known: &mut Tracker, report: &mut Report) -> Result<()> {
    let stem = file
        .file_stem()
        .map(|s| s.to_string_lossy().into_owned())
        .unwrap_or_default();
    let mut group = case::load(file)?;
    let wanted = std::env::var("OUTRIGGER_CASE").unwrap_or_default();
    group
        .cases
        .retain(|case| format!("{area}/{stem}/{}", case.name).contains(&wanted));
    if group.cases.is_empty() {
        return Ok(());
    }
    report.cases += group.cases.len();
    let dir = tempfile::Builder::new()
        .prefix("outrigger-differential-")
        .tempdir()?;
    let (oracle, subject) = both(
        || Side::start(Role::Oracle, &group, &dir.path().join("oracle")),
        || Side::start(Role::Subject, &group, &dir.path().join("subject")),
    );
    let mut oracle =
        oracle.with_context(|| format!("{area}/{stem}: Envoy refuses the group's bootstrap"))?;
    let mut subject = match subject {
        Ok(subject) => subject,
        Err(error) => {
            report.failed.extend(
                group
                    .cases
                    .iter()
                    .map(|case| format!("{area}/{stem}/{} (not started)", case.name)),
            );
            report.text.push_str(&format!(
                "{area}/{stem}: the subject did not start: {error:#}\n"
            ));
            return Ok(());
        }
    };
    for case in &group.cases {
        let name = format!("{area}/{stem}/{}", case.name);
        let mut play = |patience| play_both(&mut oracle, &mut subject, case, patience);
        let mut found = known.unexplained(&name, play(1)?);
        if !found.is_empty() {
            found = known.unexplained(&name, play(4)?);
            if found.is_empty() {
                report.steadied.push(name.clone());
            }
        }
        if let Some(words) = subject.revive()? {
            let oracle = vec!["alive".to_owned()];
            found.push(Difference {
                facet: "process".to_owned(),
                oracle,
                subject: words.lines().map(str::to_owned).collect(),
            });
        }
        if !found.is_empty() {
            report.text.push_str(&format!("  {name}\n"));
            report.text.extend(found.iter().map(compare::show));
            report.failed.push(name);
        }
    }
    Ok(())
}

/// One case on both sides, without what the case says is not to be compared.
fn play_both(
    oracle: &mut Side,
    subject: &mut Side,
    case: &Case,
    patience: u32,
) -> Result<Vec<Difference>> {
    let (expected, got) = both(
        || oracle.play(case, patience),
        || subject.play(case, patience),
    );
    let expected = expected.with_context(|| format!("{}: on Envoy", case.name))?;
    let got = got.unwrap_or_else(|error| {
        Observation::from([("harness".to_owned(), vec![format!("{error:#}")])])
    });
    if std::env::var_os("OUTRIGGER_SHOW").is_some() {
        println!("{}: {expected:#?}", case.name);
    }
    let mut found = compare::compare(&expected, &got);
    found.retain(|difference| !case.ignore.keys().any(|facet| facet == &difference.facet));
    Ok(found)
}

fn both<T: Send>(oracle: impl FnOnce() -> T + Send, subject: impl FnOnce() -> T + Send) -> (T, T) {
    std::thread::scope(|scope| {
        let first = scope.spawn(oracle);
        let second = subject();
        match first.join() {
            Ok(first) => (first, second),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Known differences of one area and which of them were met.
struct Tracker {
    entries: Vec<(Known, bool)>,
}

impl Tracker {
    fn load(area: &str) -> Result<Self> {
        let mut entries = Vec::new();
        if !process::self_test() {
            entries = known::load(&directory().join("known_differences.yaml"))?;
            entries.retain(|entry| entry.case.starts_with(&format!("{area}/")));
        }
        Ok(Self {
            entries: entries.into_iter().map(|entry| (entry, false)).collect(),
        })
    }

    fn unexplained(&mut self, case: &str, found: Vec<Difference>) -> Vec<Difference> {
        let mut out = Vec::new();
        for difference in found {
            let mut covered = false;
            for (entry, met) in &mut self.entries {
                if entry.covers(case, &difference) {
                    *met = true;
                    covered = true;
                }
            }
            if !covered {
                out.push(difference);
            }
        }
        out
    }

    fn stale(&self) -> impl Iterator<Item = &Known> {
        self.entries
            .iter()
            .filter(|(_, met)| !met)
            .map(|(entry, _)| entry)
    }
}
