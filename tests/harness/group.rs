//! Runs the groups of an area: both proxies start, every case is played on both at the same time, differences are told.

use crate::case::{self, Case, Group};
use crate::compare::{self, Difference};
use crate::known::Tracker;
use crate::process::{self, Role};
use crate::report::Report;
use crate::side::Side;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// Where the case files are.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("differential")
}

/// The case files of an area, by name.
pub fn files(area: &str) -> Result<Vec<PathBuf>> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(directory().join(area)).with_context(|| area.to_owned())? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            out.push(path);
        }
    }
    out.sort();
    Ok(out)
}

/// Whether `OUTRIGGER_CASE`, if it is set, chooses this case.
pub fn wanted(name: &str) -> bool {
    std::env::var("OUTRIGGER_CASE").map_or(true, |text| name.contains(&text))
}

/// Runs all groups of `area`; fails when anything differs.
pub fn run_area(area: &str) -> Result<()> {
    for role in [Role::Oracle, Role::Subject] {
        process::binary(role)?;
    }
    let mut known = Tracker::load(area)?;
    let mut report = Report::default();
    for file in files(area)? {
        let stem = file
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        let mut group = case::load(&file)?;
        for case in &mut group.cases {
            case.name = format!("{area}/{stem}/{}", case.name);
        }
        group.cases.retain(|case| wanted(&case.name));
        if !group.cases.is_empty() {
            let name = format!("{area}/{stem}");
            run_group(&name, &group, &mut known, &mut report).with_context(|| name.clone())?;
        }
    }
    report.finish(area, &known)
}

fn run_group(name: &str, group: &Group, known: &mut Tracker, report: &mut Report) -> Result<()> {
    let dir = tempfile::Builder::new()
        .prefix("outrigger-differential-")
        .tempdir()?;
    let (oracle, subject) = both(
        || Side::start(Role::Oracle, group, &dir.path().join("oracle")),
        || Side::start(Role::Subject, group, &dir.path().join("subject")),
    );
    let mut oracle = oracle.context("Envoy refuses the group's bootstrap")?;
    if !group.refused.is_empty() && !process::self_test() {
        let found = refusal(&group.refused, subject.err());
        report.add(format!("{name}/refused"), &found);
        return Ok(());
    }
    let mut subject = match subject {
        Ok(subject) => subject,
        Err(error) => {
            let names = group.cases.iter().map(|case| case.name.clone()).collect();
            report.not_started(names, &format!("{error:#}"));
            return Ok(());
        }
    };
    for (index, case) in group.cases.iter().enumerate() {
        let mut play = |patience| play_both(&mut oracle, &mut subject, case, patience);
        let mut found = known.unexplained(&case.name, play(1)?);
        if !found.is_empty() {
            found = known.unexplained(&case.name, play(4)?);
            if found.is_empty() {
                report.steadied(&case.name);
            }
        }
        let revived = subject.revive();
        if let Ok(Some(words)) = &revived {
            let subject = words.lines().map(str::to_owned).collect();
            found.push(Difference {
                facet: "process".to_owned(),
                oracle: vec!["alive".to_owned()],
                subject,
            });
        }
        report.add(case.name.clone(), &found);
        if let Err(error) = revived {
            let rest = group.cases.iter().skip(index + 1);
            report.not_started(
                rest.map(|case| case.name.clone()).collect(),
                &format!("{error:#}"),
            );
            return Ok(());
        }
    }
    Ok(())
}

/// What a bootstrap that Outrigger is to refuse did instead, or which fields its complaint leaves out.
fn refusal(fields: &[String], complaint: Option<anyhow::Error>) -> Vec<Difference> {
    let difference = |oracle: String, subject: String| Difference {
        facet: "refusal".to_owned(),
        oracle: vec![oracle],
        subject: subject.lines().map(str::to_owned).collect(),
    };
    let Some(complaint) = complaint else {
        let oracle = "(refused by this version: now the cases can run)".to_owned();
        return vec![difference(oracle, "serves".to_owned())];
    };
    let words = format!("{complaint:#}");
    fields
        .iter()
        .filter(|field| !words.contains(field.as_str()))
        .map(|field| {
            let oracle = format!("(the message is to name `{field}`)");
            difference(oracle, words.clone())
        })
        .collect()
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
    if std::env::var_os("OUTRIGGER_SHOW").is_some() {
        println!("{}: {expected:#?}", case.name);
    }
    let got = match got {
        Ok(got) => got,
        Err(error) => {
            let subject = vec![format!("{error:#}")];
            return Ok(vec![Difference {
                facet: "harness".to_owned(),
                oracle: vec!["could play".to_owned()],
                subject,
            }]);
        }
    };
    let mut found = compare::compare(&expected, &got);
    found.retain(|difference| !case.ignore.keys().any(|facet| facet.is(&difference.facet)));
    Ok(found)
}

/// Does the same on both sides at the same time.
pub fn both<T: Send>(
    oracle: impl FnOnce() -> T + Send,
    subject: impl FnOnce() -> T + Send,
) -> (T, T) {
    std::thread::scope(|scope| {
        let first = scope.spawn(oracle);
        let second = subject();
        match first.join() {
            Ok(first) => (first, second),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
