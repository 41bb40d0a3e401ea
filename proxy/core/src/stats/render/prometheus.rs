//! The Prometheus text exposition format: tags become labels, and stats of one name without tags one metric.

use super::{HistogramMode, Render, number};
use crate::stats::{
    histogram::{Merged, QUANTILES},
    snapshot::{Distribution, Sample, Snapshot},
    tags::Tagged,
};
use std::{cmp::Ordering, fmt::Write, iter};

#[derive(Debug)]
enum Value {
    Number(u64),
    Text(String),
    Histogram(Distribution),
}

/// One series, or the series of one histogram.
#[derive(Debug)]
struct Series {
    metric: String,
    /// The stat's name orders the series of a metric.
    name: Box<str>,
    labels: String,
    value: Value,
}

#[derive(Debug)]
pub struct Prometheus {
    series: Vec<(&'static str, Series)>,
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
    all: &mut Vec<(&'static str, Series)>,
    kind: &'static str,
    samples: Vec<Sample<V>>,
    value: impl Fn(V) -> Value,
) {
    let start = all.len();
    all.extend(samples.into_iter().map(|sample| {
        let series = Series {
            metric: metric_name(sample.tagged.as_deref().map_or(&*sample.name, |t| &t.name)),
            labels: labels(sample.tagged.as_deref()),
            name: sample.name,
            value: value(sample.value),
        };
        (kind, series)
    }));
    if let Some(added) = all.get_mut(start..) {
        added.sort_unstable_by(|(_, a), (_, b)| match a.metric.cmp(&b.metric) {
            Ordering::Equal => a.name.cmp(&b.name),
            other => other,
        });
    }
}

impl Render for Prometheus {
    fn next(&mut self, out: &mut String) -> bool {
        let Some((kind, series)) = self.series.get(self.at) else {
            return false;
        };
        let first = match self
            .at
            .checked_sub(1)
            .and_then(|before| self.series.get(before))
        {
            Some((before, other)) => before != kind || other.metric != series.metric,
            None => true,
        };
        let Series { metric, labels, .. } = series;
        // Writing to a string cannot fail.
        if first {
            let _ = writeln!(out, "# TYPE {metric} {kind}");
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
