//! The Prometheus text exposition format: tags become labels, and stats of one name without tags one metric.

use super::{HistogramMode, Render, number};
use crate::stats::{
    histogram::{Merged, QUANTILES},
    snapshot::{Distribution, Sample, Snapshot},
    tags::Tagged,
};
use std::{cmp::Ordering, fmt::Write, iter, sync::Arc};

#[derive(Debug)]
enum Value {
    Number(u64),
    Text(String),
    Histogram(Distribution),
}

/// One series, or the series of one histogram.
#[derive(Debug)]
struct Series {
    kind: &'static str,
    name: Box<str>,
    tagged: Option<Arc<Tagged>>,
    value: Value,
}

impl Series {
    /// The stat's name without its tags: what makes series one metric.
    fn stat(&self) -> &str {
        self.tagged
            .as_deref()
            .map_or(&self.name, |tagged| &tagged.name)
    }
}

#[derive(Debug)]
pub struct Prometheus {
    series: Vec<Series>,
    summary: bool,
    at: usize,
}

impl Prometheus {
    /// The snapshot must have been taken with tags. Histograms are shown as such or, if the mode says so, as
    /// summaries of the last interval; text readouts only on demand.
    pub fn new(snapshot: Snapshot, mode: HistogramMode, text_readouts: bool) -> Self {
        let summary = mode == HistogramMode::Summary;
        let (gauges, counters) = snapshot
            .numbers
            .into_iter()
            .partition(|sample| sample.value.is_gauge);
        let texts = if text_readouts {
            snapshot.texts
        } else {
            Vec::new()
        };
        let number = |value: super::super::snapshot::Number| Value::Number(value.value);
        let mut series = Vec::new();
        add(&mut series, "counter", counters, number);
        add(&mut series, "gauge", gauges, number);
        add(&mut series, "gauge", texts, Value::Text);
        let kind = if summary { "summary" } else { "histogram" };
        add(&mut series, kind, snapshot.histograms, Value::Histogram);
        Self {
            series,
            summary,
            at: 0,
        }
    }
}

fn add<V>(
    all: &mut Vec<Series>,
    kind: &'static str,
    samples: Vec<Sample<V>>,
    value: impl Fn(V) -> Value,
) {
    let start = all.len();
    all.extend(samples.into_iter().map(|sample| Series {
        kind,
        name: sample.name,
        tagged: sample.tagged,
        value: value(sample.value),
    }));
    if let Some(added) = all.get_mut(start..) {
        added.sort_unstable_by(|a, b| {
            by_tokens(a.stat(), b.stat()).then_with(|| by_tokens(&a.name, &b.name))
        });
    }
}

/// Envoy compares names token by token, so that `a.x` stands before `a-b.x`.
fn by_tokens(a: &str, b: &str) -> Ordering {
    a.split('.').cmp(b.split('.'))
}

impl Render for Prometheus {
    fn next(&mut self, out: &mut String) -> bool {
        let Some(series) = self.series.get(self.at) else {
            return false;
        };
        let before = self
            .at
            .checked_sub(1)
            .and_then(|before| self.series.get(before));
        let first = before
            .is_none_or(|before| before.kind != series.kind || before.stat() != series.stat());
        let metric = &metric_name(series.stat());
        let labels = &labels(series.tagged.as_deref());
        // Writing to a string cannot fail.
        if first {
            let _ = writeln!(out, "# TYPE {metric} {}", series.kind);
        }
        match &series.value {
            Value::Number(value) => {
                let _ = writeln!(out, "{metric}{{{labels}}} {value}");
            }
            Value::Text(text) => {
                let comma = if labels.is_empty() { "" } else { "," };
                let text = escaped(text);
                let _ = writeln!(out, "{metric}{{{labels}{comma}text_value=\"{text}\"}} 0");
            }
            Value::Histogram(histogram) => {
                let none = Merged::default();
                let merged = histogram.merged.as_deref().unwrap_or(&none);
                if self.summary {
                    write_summary(out, metric, labels, merged);
                } else {
                    write_buckets(out, metric, labels, merged, &histogram.buckets);
                }
            }
        }
        self.at += 1;
        true
    }
}

fn write_buckets(out: &mut String, metric: &str, labels: &str, merged: &Merged, buckets: &[f64]) {
    let comma = if labels.is_empty() { "" } else { "," };
    let bins = &merged.cumulative;
    for (bound, count) in iter::zip(buckets, bins.counts_up_to(buckets)) {
        let _ = write!(out, "{metric}_bucket{{{labels}{comma}le=\"");
        number::general(out, *bound, 32);
        let _ = writeln!(out, "\"}} {count}");
    }
    let count = bins.count();
    let _ = writeln!(out, "{metric}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}");
    write_totals(out, metric, labels, bins.sum(), count);
}

fn write_summary(out: &mut String, metric: &str, labels: &str, merged: &Merged) {
    let comma = if labels.is_empty() { "" } else { "," };
    let bins = &merged.interval;
    for (quantile, value) in iter::zip(QUANTILES, bins.quantiles(&QUANTILES)) {
        let _ = write!(out, "{metric}{{{labels}{comma}quantile=\"");
        number::shortest(out, quantile);
        out.push_str("\"} ");
        number::general(out, value, 32);
        out.push('\n');
    }
    write_totals(out, metric, labels, bins.sum(), bins.count());
}

fn write_totals(out: &mut String, metric: &str, labels: &str, sum: f64, count: u64) {
    let _ = write!(out, "{metric}_sum{{{labels}}} ");
    number::general(out, sum, 32);
    let _ = writeln!(out, "\n{metric}_count{{{labels}}} {count}");
}

/// Names of extensions' own metrics stand in these namespaces and are shown without them and without `envoy_`.
const CUSTOM_NAMESPACES: [&str; 2] = ["wasmcustom.", "istiocustom."];

fn metric_name(name: &str) -> String {
    let custom = CUSTOM_NAMESPACES
        .iter()
        .find_map(|namespace| name.strip_prefix(namespace));
    match custom {
        Some(name) => sanitized(name),
        None => format!("envoy_{}", sanitized(name)),
    }
}

fn sanitized(name: &str) -> String {
    name.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b == b'_' {
                char::from(b)
            } else {
                '_'
            }
        })
        .collect()
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', r"\\")
        .replace('\n', r"\n")
        .replace('"', r#"\""#)
}

fn labels(tagged: Option<&Tagged>) -> String {
    let tags = tagged.into_iter().flat_map(|tagged| &tagged.tags);
    let labels: Vec<String> = tags
        .map(|(tag, value)| format!("{}=\"{}\"", sanitized(tag), escaped(value)))
        .collect();
    labels.join(",")
}
