//! `name: value`, one stat per line: text readouts, then counters and gauges, then histograms.

use super::{HistogramMode, Render, disjoint, number};
use crate::stats::{
    histogram::{Bins, Merged, QUANTILES},
    snapshot::{Distribution, Snapshot},
};
use std::{fmt::Write, iter};

#[derive(Debug)]
pub struct Text {
    snapshot: Snapshot,
    mode: HistogramMode,
    at: usize,
}

impl Text {
    pub fn new(snapshot: Snapshot, mode: HistogramMode) -> Self {
        Self {
            snapshot,
            mode,
            at: 0,
        }
    }
}

impl Render for Text {
    fn next(&mut self, out: &mut String) -> bool {
        let Snapshot {
            texts,
            numbers,
            histograms,
        } = &self.snapshot;
        let number = self.at.wrapping_sub(texts.len());
        let histogram = number.wrapping_sub(numbers.len());
        // Writing to a string cannot fail.
        if let Some(text) = texts.get(self.at) {
            let _ = writeln!(out, "{}: \"{}\"", text.name, text.value);
        } else if let Some(number) = numbers.get(number) {
            let _ = writeln!(out, "{}: {}", number.name, number.value.value);
        } else if let Some(histogram) = histograms.get(histogram) {
            let _ = write!(out, "{}:", histogram.name);
            write_histogram(out, &histogram.value, self.mode);
            out.push('\n');
        } else {
            return false;
        }
        self.at += 1;
        true
    }
}

fn write_histogram(out: &mut String, histogram: &Distribution, mode: HistogramMode) {
    let Some(merged) = &histogram.merged else {
        return out.push_str(" No recorded values");
    };
    match mode {
        HistogramMode::Summary => {
            for quantile in quantiles(merged) {
                out.push(' ');
                out.push_str(&quantile);
            }
        }
        HistogramMode::Cumulative | HistogramMode::Disjoint => {
            let mut interval = merged.interval.counts_up_to(&histogram.buckets);
            let mut cumulative = merged.cumulative.counts_up_to(&histogram.buckets);
            if mode == HistogramMode::Disjoint {
                disjoint(&mut interval);
                disjoint(&mut cumulative);
            }
            for (bound, counts) in histogram
                .buckets
                .iter()
                .zip(iter::zip(interval, cumulative))
            {
                out.push_str(" B");
                number::general(out, *bound, 6);
                let _ = write!(out, "({},{})", counts.0, counts.1);
            }
        }
        HistogramMode::Detailed => {
            out.push_str("\n  totals=");
            write_bins(out, &merged.cumulative);
            out.push_str("\n  intervals=");
            write_bins(out, &merged.interval);
            out.push_str("\n  summary=");
            out.push_str(&quantiles(merged).join(" "));
        }
    }
}

fn quantiles(merged: &Merged) -> Vec<String> {
    let interval = merged.interval.quantiles(&QUANTILES);
    let cumulative = merged.cumulative.quantiles(&QUANTILES);
    iter::zip(QUANTILES, iter::zip(interval, cumulative))
        .map(|(quantile, (interval, cumulative))| {
            let mut out = String::from("P");
            number::general(&mut out, quantile * 100.0, 6);
            out.push('(');
            number::shortest(&mut out, interval);
            out.push(',');
            number::shortest(&mut out, cumulative);
            out.push(')');
            out
        })
        .collect()
}

fn write_bins(out: &mut String, bins: &Bins) {
    for (i, (left, width, count)) in bins.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        // Without the noise of the last digits.
        number::general(out, left, 15);
        out.push(',');
        number::general(out, width, 15);
        let _ = write!(out, ":{count}");
    }
}
