//! Rounds: each runs every subject once, so that what drifts hits all alike.

use crate::{
    cores::{self, Cores},
    machine::Machine,
    options::Options,
    report::{Report, Sample},
    subject::{Found, Subject},
};
use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A machine that has more to do than this is not quiet.
const QUIET: f64 = 0.5;

pub fn run(options: &Options) -> Result<()> {
    let machine = Machine::read();
    let cores = Cores::choose()?;
    let subjects = options
        .subjects
        .iter()
        .map(|subject| subject.find())
        .collect::<Result<Vec<_>>>()?;
    let direct = Subject::Direct.find()?;
    allow_files()?;
    cores::pin(cores.load)?;

    println!("{}", machine.describe());
    println!(
        "subject on core {}, load and backend on core {}",
        cores.subject, cores.load
    );
    if !options.smoke && machine.load_average > QUIET {
        println!("others use this machine: compare ratios only, and trust no latency");
    }
    let mut report = Report::new(machine, &subjects);
    for scenario in &options.scenarios {
        println!("\n{}: {}", scenario.name(), scenario.title());
        for round in 0..options.rounds {
            let mut baseline = None;
            let order = order(&subjects, round, scenario.with_direct().then_some(&direct));
            for found in order.filter(|found| scenario.suits(found.subject)) {
                let (metrics, latency) = scenario
                    .run(found, cores, options.window, baseline)
                    .with_context(|| format!("{} in {}", found.subject.name(), scenario.name()))?;
                baseline = latency.or(baseline);
                report.add(Sample {
                    scenario: *scenario,
                    subject: found.subject,
                    round,
                    metrics,
                });
            }
        }
        print!("{}", report.table(*scenario).text());
        // After each scenario: a later one that fails must not lose them.
        if let Some(path) = &options.json {
            report.write_json(path)?;
        }
    }
    if let Some(path) = &options.markdown {
        report.write_markdown(path)?;
    }
    Ok(())
}

/// Another subject begins each round; what latencies are compared with comes before all.
fn order<'a>(
    subjects: &'a [Found],
    round: usize,
    direct: Option<&'a Found>,
) -> impl Iterator<Item = &'a Found> {
    let (later, first) = subjects.split_at(round % subjects.len().max(1));
    direct.into_iter().chain(first).chain(later)
}

/// Thousands of idle connections need descriptors here and, inherited, in the subjects.
fn allow_files() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, all).context("cannot raise the limit of open files")
}
