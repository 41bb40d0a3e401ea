//! Tables of medians, spreads and ratios, in text, Markdown and JSON.

use crate::{
    machine::Machine,
    metric::Metric,
    scenario::{Metrics, Scenario},
    subject::{Found, Subject},
};
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::{fmt::Write as _, fs, path::Path};

const BEGIN: &str = "<!-- load:begin -->";
const END: &str = "<!-- load:end -->";

/// One run of one subject.
#[derive(Debug)]
pub struct Sample {
    pub scenario: Scenario,
    pub subject: Subject,
    pub round: usize,
    pub metrics: Metrics,
}

impl Sample {
    fn get(&self, metric: Metric) -> Option<f64> {
        self.metrics
            .iter()
            .find_map(|(name, value)| (*name == metric).then_some(*value))
    }
}

#[derive(Debug)]
pub struct Report {
    machine: Machine,
    versions: Vec<(Subject, String)>,
    samples: Vec<Sample>,
}

impl Report {
    pub fn new(machine: Machine, subjects: &[Found]) -> Self {
        let versions = subjects
            .iter()
            .map(|found| (found.subject, found.version.clone()))
            .collect();
        Self {
            machine,
            versions,
            samples: Vec::new(),
        }
    }

    pub fn add(&mut self, sample: Sample) {
        self.samples.push(sample);
    }

    /// One row per subject: medians with their range over the rounds, then ratios to the peers.
    pub fn table(&self, scenario: Scenario) -> Table {
        let measured = |subject: &Subject| {
            self.samples
                .iter()
                .any(|sample| (sample.scenario, sample.subject) == (scenario, *subject))
        };
        let all = Subject::ALL.into_iter().chain([Subject::Direct]);
        let rows: Vec<Subject> = all.filter(measured).collect();
        let peers: Vec<Subject> = Subject::PEERS.into_iter().filter(measured).collect();

        let mut head = vec!["subject".to_owned()];
        head.extend(scenario.metrics().iter().map(|m| m.label().to_owned()));
        // The first figure is compared with every peer, the others with Envoy.
        let mut ratios = Vec::new();
        for (index, metric) in scenario.ratios().iter().enumerate() {
            let compared = peers
                .iter()
                .filter(|peer| index == 0 || **peer == Subject::Envoy);
            ratios.extend(compared.map(|peer| (*metric, *peer)));
        }
        head.extend(
            ratios
                .iter()
                .map(|(metric, peer)| format!("{} ÷ {}", metric.label(), peer.name())),
        );
        let rows = rows.into_iter().map(|subject| {
            let mut row = vec![subject.name().to_owned()];
            row.extend(scenario.metrics().iter().map(|metric| {
                Spread::of(self.values(scenario, subject, *metric)).map_or_else(dash, Spread::text)
            }));
            row.extend(ratios.iter().map(|(metric, peer)| {
                Spread::of(self.ratios(scenario, subject, *peer, *metric))
                    .map_or_else(dash, |spread| format!("{:.2}", spread.median))
            }));
            row
        });
        Table {
            rows: rows.collect(),
            head,
        }
    }

    fn values(&self, scenario: Scenario, subject: Subject, metric: Metric) -> Vec<f64> {
        self.samples
            .iter()
            .filter(|sample| (sample.scenario, sample.subject) == (scenario, subject))
            .filter_map(|sample| sample.get(metric))
            .collect()
    }

    /// Ratios within each round. A peer whose figure is zero or less (a latency below noise) has none.
    fn ratios(
        &self,
        scenario: Scenario,
        subject: Subject,
        peer: Subject,
        metric: Metric,
    ) -> Vec<f64> {
        let of = |subject, round| {
            self.samples
                .iter()
                .find(|s| (s.scenario, s.subject, s.round) == (scenario, subject, round))
                .and_then(|sample| sample.get(metric))
        };
        let rounds = self.samples.iter().map(|sample| sample.round).max();
        (0..=rounds.unwrap_or_default())
            .filter_map(|round| {
                let base = of(peer, round).filter(|base| *base > 0.0)?;
                Some(of(subject, round)? / base)
            })
            .collect()
    }

    fn scenarios(&self) -> impl Iterator<Item = Scenario> + '_ {
        Scenario::ALL
            .into_iter()
            .filter(|scenario| self.samples.iter().any(|s| s.scenario == *scenario))
    }

    pub fn write_json(&self, path: &Path) -> Result<()> {
        let samples: Vec<Value> = self
            .samples
            .iter()
            .map(|sample| {
                let metrics: Map<String, Value> = sample
                    .metrics
                    .iter()
                    .map(|(metric, value)| (metric.key().to_owned(), json!(value)))
                    .collect();
                json!({
                    "scenario": sample.scenario.name(),
                    "subject": sample.subject.name(),
                    "round": sample.round,
                    "metrics": metrics,
                })
            })
            .collect();
        let versions: Map<String, Value> = self
            .versions
            .iter()
            .map(|(subject, version)| (subject.name().to_owned(), json!(version)))
            .collect();
        let Machine {
            processor,
            cores,
            kernel,
            load_average,
        } = &self.machine;
        let whole = json!({
            "machine": {"processor": processor, "cores": cores, "kernel": kernel, "load_average": load_average},
            "versions": versions,
            "samples": samples,
        });
        fs::write(path, format!("{whole:#}\n"))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Replaces what stands between the markers of a file.
    pub fn write_markdown(&self, path: &Path) -> Result<()> {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let replaced = replace_section(&text, &self.markdown())
            .with_context(|| format!("{} lacks the markers {BEGIN} and {END}", path.display()))?;
        fs::write(path, replaced).with_context(|| format!("cannot write {}", path.display()))
    }

    fn markdown(&self) -> String {
        let mut out = format!("Machine: {}.\n\n", self.machine.describe());
        for (subject, version) in self
            .versions
            .iter()
            .filter(|(_, version)| !version.is_empty())
        {
            let _ = writeln!(out, "- {}: {version}", subject.name());
        }
        for scenario in self.scenarios() {
            let rounds = self.samples.iter().map(|sample| sample.round + 1).max();
            let _ = writeln!(
                out,
                "\n### {}\n\n{}; median of {} rounds (range).\n\n{}",
                scenario.name(),
                scenario.title(),
                rounds.unwrap_or_default(),
                self.table(scenario).markdown().trim_end()
            );
        }
        out
    }
}

fn dash() -> String {
    "–".to_owned()
}

fn replace_section(text: &str, section: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{section}{END}{after}"))
}

/// Median and range.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    low: f64,
    median: f64,
    high: f64,
    single: bool,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let upper = *values.get(values.len() / 2)?;
        let lower = *values.get((values.len() - 1) / 2)?;
        Some(Self {
            low,
            median: (lower + upper) / 2.0,
            high,
            single: values.len() == 1,
        })
    }

    fn text(self) -> String {
        if self.single {
            return number(self.median);
        }
        format!(
            "{} ({}–{})",
            number(self.median),
            number(self.low),
            number(self.high)
        )
    }
}

/// Three digits that mean something.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[derive(Debug)]
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Columns aligned with blanks. A terminal is narrow: the ratios are a block of their own.
    pub fn text(&self) -> String {
        let values = self.head.iter().filter(|head| !head.contains('÷')).count();
        let mut out = String::new();
        self.block(&mut out, 1..values);
        if values < self.head.len() {
            out.push('\n');
            self.block(&mut out, values..self.head.len());
        }
        out
    }

    fn block(&self, out: &mut String, columns: std::ops::Range<usize>) {
        let shown: Vec<usize> = [0].into_iter().chain(columns).collect();
        let width = |column: &usize| {
            let cells = self.rows.iter().chain([&self.head]);
            cells
                .filter_map(|row| row.get(*column))
                .map(|cell| cell.chars().count())
                .max()
        };
        let widths: Vec<usize> = shown.iter().map(|c| width(c).unwrap_or_default()).collect();
        for row in [&self.head].into_iter().chain(&self.rows) {
            let mut line = String::from(" ");
            for (column, width) in shown.iter().zip(&widths) {
                let cell = row.get(*column).map_or("", String::as_str);
                let _ = match column {
                    0 => write!(line, " {cell:<width$}"),
                    _ => write!(line, "  {cell:>width$}"),
                };
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }

    fn markdown(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "| {} |", self.head.join(" | "));
        let _ = writeln!(out, "|{}", "---|".repeat(self.head.len()));
        for row in &self.rows {
            let _ = writeln!(out, "| {} |", row.join(" | "));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn report(figures: &[(Subject, usize, f64)]) -> Report {
        let mut report = Report::new(Machine::read(), &[]);
        for (subject, round, cpu) in figures {
            report.add(Sample {
                scenario: Scenario::Http1,
                subject: *subject,
                round: *round,
                metrics: vec![(Metric::Cpu, *cpu)],
            });
        }
        report
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The second round's machine was twice as slow.
        let report = report(&[
            (Subject::Outrigger, 0, 10.0),
            (Subject::Envoy, 0, 40.0),
            (Subject::Outrigger, 1, 20.0),
            (Subject::Envoy, 1, 80.0),
        ]);
        let ratios = report.ratios(
            Scenario::Http1,
            Subject::Outrigger,
            Subject::Envoy,
            Metric::Cpu,
        );
        assert_eq!(ratios, [0.25, 0.25]);
        let table = report.table(Scenario::Http1);
        assert_eq!(table.rows[0][1], "15.0 (10.0–20.0)");
        assert!(table.head.contains(&"CPU µs ÷ envoy".to_owned()));
        assert!(!table.head.iter().any(|head| head.contains("nginx")));
    }

    #[test]
    fn medians_of_odd_and_even_numbers() {
        let median = |values: &[f64]| Spread::of(values.to_vec()).unwrap().median;
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(Spread::of(Vec::new()), None);
    }

    #[test]
    fn only_the_section_is_replaced() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let new = replace_section(&text, "new\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}\nnew\n{END}\nb\n"));
        assert_eq!(replace_section("no markers", "new"), None);
    }
}
