//! What the figures say, and whether that is right.

use crate::Stage;
use crate::drains::{Done, Drain, Generations};
use crate::load::Load;
use crate::watch::{MARGIN_PERCENT, MARGIN_RESIDENT, Sample, grows, median};
use anyhow::Result;
use outrigger_tests::bystander::{Report, percentile};
use outrigger_tests::process::{Role, is_release};
use outrigger_tests::running::Running;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The longest wait of 99 of 100 requests of the bystander, where the machine is quiet.
const PROMISED: Duration = Duration::from_millis(50);
/// Quiet is a machine that wakes whoever sleeps, 99 times of 100, no later than this.
const QUIET: Duration = Duration::from_millis(3);
/// Descriptors that may be open for a moment: the one that asks the admin interface, and one that is about to go.
const PASSING: u64 = 2;

/// All that was seen.
pub struct Figures {
    pub alone: Report,
    pub bystander: Report,
    pub before: Sample,
    pub samples: Vec<Sample>,
    pub after: Sample,
    /// The gauges that did not come back to 0.
    pub open: Vec<(String, u64)>,
    pub attacks: u64,
    pub drains: Result<Done>,
    pub generations: Result<Generations>,
    /// Of the proxy, over its life.
    pub cpu: Duration,
}

/// Prints the figures and what is wrong with them; true if nothing is.
pub fn pass(figures: &Figures, stage: &Stage, proxy: &Running) -> bool {
    println!("What it has come to:");
    let mut wrong = Vec::new();
    loads(stage, &mut wrong);
    bystander(figures, &mut wrong);
    drains(figures, &mut wrong);
    growth(figures, &mut wrong);
    rest(figures, &mut wrong);
    let said = proxy.process.output();
    if said.contains("[critical]") {
        wrong.push(format!("it says:\n{}", proxy.process.last_words()));
    }
    for line in &wrong {
        println!("FAILED: {line}");
    }
    if wrong.is_empty() {
        println!("passed");
    }
    wrong.is_empty()
}

fn loads(stage: &Stage, wrong: &mut Vec<String>) {
    for (load, tally) in Load::ALL.into_iter().zip(&stage.tallies) {
        let (done, lost) = (tally.done.load(Relaxed), tally.lost.load(Relaxed));
        println!("{}: {done} done, {lost} lost", load.name());
        if lost > 0 || done == 0 {
            wrong.push(format!("{}: {done} done, {lost} lost", load.name()));
        }
    }
}

fn bystander(figures: &Figures, wrong: &mut Vec<String>) {
    let report = &figures.bystander;
    let late = percentile(&report.late, 99);
    let quiet = late <= QUIET && is_release(Role::Subject);
    println!(
        "bystander: {} answered, {} lost, p50 {:?}, p99 {:?}, longest {:?}; p99 {:?} alone; woken {late:?} late (p99), \
         which is {}quiet",
        report.waits.len(),
        report.lost,
        percentile(&report.waits, 50),
        report.p99(),
        percentile(&report.waits, 100),
        figures.alone.p99(),
        if quiet { "" } else { "not " },
    );
    if report.lost + figures.alone.lost > 0 {
        wrong.push("the bystander lost requests".to_owned());
    }
    if quiet && report.p99() > PROMISED {
        wrong.push(format!("the bystander's p99 is {:?}", report.p99()));
    }
}

fn growth(figures: &Figures, wrong: &mut Vec<String>) {
    let samples = &figures.samples;
    type Value = fn(&Sample) -> u64;
    let values: [(&str, Value, u64); 3] = [
        ("RSS in KiB", |sample| sample.resident, MARGIN_RESIDENT),
        ("descriptors", |sample| sample.descriptors, 50),
        ("threads", |sample| sample.threads, 0),
    ];
    for (name, value, margin) in values {
        let [first, second, last] = [0, 1, 2].map(|third| median(samples, third, value));
        let most = samples.iter().map(value).max().unwrap_or(0);
        println!(
            "{name}: {} before, medians of the thirds {first}, {second}, {last}, most {most}, {} at the end",
            value(&figures.before),
            value(&figures.after),
        );
        if grows(second, last, margin) {
            wrong.push(format!(
                "{name} grows from {second} to {last}, by more than {MARGIN_PERCENT} % and more than {margin}"
            ));
        }
    }
}

fn drains(figures: &Figures, wrong: &mut Vec<String>) {
    println!("attacks: {}", figures.attacks);
    match &figures.drains {
        Ok(done) => println!(
            "drains: health failed {} times, {} logs moved away",
            done.health, done.logs
        ),
        Err(error) => wrong.push(format!("drains: {error:#}")),
    }
    let generations = match &figures.generations {
        Ok(generations) => generations,
        Err(error) => return wrong.push(format!("generations: {error:#}")),
    };
    for (drain, ended) in Drain::ALL.into_iter().zip(generations.ended) {
        println!("generations, {}: {ended} ended", drain.name());
    }
    println!("generations: {} requests, 0 lost", generations.asked);
}

fn rest(figures: &Figures, wrong: &mut Vec<String>) {
    println!("CPU: {:?}", figures.cpu);
    if figures.after.descriptors > figures.before.descriptors + PASSING {
        let (before, after) = (figures.before.descriptors, figures.after.descriptors);
        wrong.push(format!("{after} descriptors are left, {before} were there"));
    }
    if figures.after.threads > figures.before.threads {
        wrong.push("threads are left".to_owned());
    }
    for (gauge, value) in &figures.open {
        wrong.push(format!("{gauge} stays at {value}"));
    }
    if figures.open.is_empty() {
        println!("gauges: all back to 0");
    }
}
