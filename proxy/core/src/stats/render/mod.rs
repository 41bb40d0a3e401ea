//! Stats as text for people, JSON and Prometheus, byte for byte as Envoy's admin interface writes them.
//!
//! A renderer writes one stat at a time, so that a large answer never stands in memory as a whole.

mod json;
mod number;
mod prometheus;
mod text;

pub use json::Json;
pub use prometheus::Prometheus;
pub use text::Text;

/// How histograms are shown: `histogram_buckets` of `/stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistogramMode {
    /// Quantiles.
    #[default]
    Summary,
    /// Number of values in each bucket and all below.
    Cumulative,
    /// Number of values in each bucket.
    Disjoint,
    /// Every bin.
    Detailed,
}

/// Writes a snapshot piece by piece.
pub trait Render: Send {
    /// Appends the next piece; `false` when there is none left.
    fn next(&mut self, out: &mut String) -> bool;
}

/// The answer in pieces of about 64 KiB.
#[derive(Debug)]
pub struct Chunks<R>(pub R);

impl<R: Render> Iterator for Chunks<R> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        const SIZE: usize = 64 << 10;
        let mut out = String::new();
        while out.len() < SIZE && self.0.next(&mut out) {}
        (!out.is_empty()).then_some(out)
    }
}

/// The counts of each bucket alone, of those of each bucket and all below.
fn disjoint(cumulative: &mut [u64]) {
    let mut below = 0;
    for count in cumulative {
        (*count, below) = (*count - below, *count);
    }
}

#[cfg(test)]
#[cfg(test)]
mod tests;
