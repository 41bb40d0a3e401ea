//! One JSON object on one line: `{"stats":[…]}`, with all histograms in its last element.

use super::{HistogramMode, Render, disjoint, number};
use crate::stats::{
    histogram::{Bins, Merged, QUANTILES},
    snapshot::{Distribution, Sample, Snapshot},
};
use std::{fmt::Write, iter};

#[derive(Debug)]
pub struct Json {
    snapshot: Snapshot,
    mode: HistogramMode,
    at: usize,
}

impl Json {
    pub fn new(snapshot: Snapshot, mode: HistogramMode) -> Self {
        Self {
            snapshot,
            mode,
            at: 0,
        }
    }

    /// What stands before the first histogram and after the last one.
    fn frame(&self) -> (&'static str, &'static str) {
        match self.mode {
            HistogramMode::Summary => (
                r#"{"histograms":{"supported_quantiles":[0,25,50,75,90,95,99,99.5,99.9,100],"computed_quantiles":["#,
                "]}}",
            ),
            HistogramMode::Cumulative | HistogramMode::Disjoint => (r#"{"histograms":["#, "]}"),
            HistogramMode::Detailed => (
                r#"{"histograms":{"supported_percentiles":[0,25,50,75,90,95,99,99.5,99.9,100],"details":["#,
                "]}}",
            ),
        }
    }
}

impl Render for Json {
    fn next(&mut self, out: &mut String) -> bool {
        let Snapshot {
            texts,
            numbers,
            histograms,
        } = &self.snapshot;
        let plain = texts.len() + numbers.len();
        let number = self.at.wrapping_sub(texts.len());
        let histogram = self.at.wrapping_sub(plain);
        if self.at == 0 {
            out.push_str(r#"{"stats":["#);
        } else if self.at < plain + histograms.len() {
            out.push(',');
        }
        // Writing to a string cannot fail.
        if let Some(text) = texts.get(self.at) {
            let value = quoted(&text.value);
            let _ = write!(out, r#"{{"name":{},"value":{value}}}"#, quoted(&text.name));
        } else if let Some(number) = numbers.get(number) {
            let value = number.value.value;
            let _ = write!(
                out,
                r#"{{"name":{},"value":{value}}}"#,
                quoted(&number.name)
            );
        } else if let Some(sample) = histograms.get(histogram) {
            if histogram == 0 {
                out.push_str(self.frame().0);
            }
            write_histogram(out, sample, self.mode);
            if histogram + 1 == histograms.len() {
                out.push_str(self.frame().1);
            }
        }
        if self.at + 1 == (plain + histograms.len()).max(1) {
            out.push_str("]}");
        }
        let more = self.at < (plain + histograms.len()).max(1);
        self.at += 1;
        more
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn write_histogram(out: &mut String, sample: &Sample<Distribution>, mode: HistogramMode) {
    let none = Merged::default();
    let merged = sample.value.merged.as_deref().unwrap_or(&none);
    let _ = write!(out, r#"{{"name":{},"#, quoted(&sample.name));
    match mode {
        HistogramMode::Summary => write_quantiles(out, "values", merged),
        HistogramMode::Cumulative | HistogramMode::Disjoint => {
            let buckets = &sample.value.buckets;
            let mut interval = merged.interval.counts_up_to(buckets);
            let mut cumulative = merged.cumulative.counts_up_to(buckets);
            if mode == HistogramMode::Disjoint {
                disjoint(&mut interval);
                disjoint(&mut cumulative);
            }
            let counts = buckets.iter().zip(iter::zip(interval, cumulative));
            write_list(out, "buckets", counts, |out, (bound, counts)| {
                out.push_str(r#"{"upper_bound":"#);
                number::compact(out, *bound);
                let (interval, cumulative) = counts;
                let _ = write!(out, r#","interval":{interval},"cumulative":{cumulative}}}"#);
            });
        }
        HistogramMode::Detailed => {
            write_bins(out, "totals", &merged.cumulative);
            out.push(',');
            write_bins(out, "intervals", &merged.interval);
            out.push(',');
            write_quantiles(out, "percentiles", merged);
        }
    }
    out.push('}');
}

fn write_quantiles(out: &mut String, key: &str, merged: &Merged) {
    let interval = merged.interval.quantiles(&QUANTILES);
    let cumulative = merged.cumulative.quantiles(&QUANTILES);
    let values = iter::zip(interval, cumulative);
    write_list(out, key, values, |out, (interval, cumulative)| {
        out.push_str(r#"{"cumulative":"#);
        write_number(out, cumulative);
        out.push_str(r#","interval":"#);
        write_number(out, interval);
        out.push('}');
    });
}

fn write_bins(out: &mut String, key: &str, bins: &Bins) {
    write_list(out, key, bins.iter(), |out, (left, width, count)| {
        out.push_str(r#"{"lower_bound":"#);
        number::compact(out, left);
        out.push_str(r#","width":"#);
        number::compact(out, width);
        let _ = write!(out, r#","count":{count}}}"#);
    });
}

fn write_list<T>(
    out: &mut String,
    key: &str,
    items: impl Iterator<Item = T>,
    write_item: impl Fn(&mut String, T),
) {
    let _ = write!(out, r#""{key}":["#);
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_item(out, item);
    }
    out.push(']');
}

fn write_number(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("null");
    } else {
        number::compact(out, value);
    }
}
