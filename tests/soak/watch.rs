//! What is looked at meanwhile and at the end: memory, descriptors, threads, and the gauges that count what is open.

use anyhow::{Context as _, Result};
use outrigger_tests::running::Running;
use outrigger_tests::{admin, kernel};
use std::time::{Duration, Instant};

/// One look.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub at: Duration,
    /// KiB.
    pub resident: u64,
    pub descriptors: u64,
    pub threads: u64,
    /// Downstream connections and requests of the listener under attack.
    pub connections: u64,
    pub requests: u64,
}

/// The rule of growth: the median of the last third of the time exceeds that of the second third by at most so much. The
/// first third is warming up: pools, tables and what the allocator keeps.
pub const MARGIN_PERCENT: u64 = 10;
pub const MARGIN_RESIDENT: u64 = 4 << 10;
/// How long what is open may take to close.
const CLOSES: Duration = Duration::from_secs(30);

impl Sample {
    pub fn take(proxy: &Running, begin: Instant) -> Result<Self> {
        let id = proxy.process.id();
        let gauges = gauges(proxy)?;
        let of = |name: &str| {
            let found = gauges.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| *value).context(name.to_owned())
        };
        Ok(Self {
            at: begin.elapsed(),
            resident: kernel::kibibytes(id, "VmRSS")?,
            descriptors: kernel::descriptors(id)? as u64,
            threads: kernel::threads(id)?,
            connections: of("http.main.downstream_cx_active")?,
            requests: of("http.main.downstream_rq_active")?,
        })
    }
}

/// The gauges that are to be at 0 when nobody is there.
fn gauges(proxy: &Running) -> Result<Vec<(String, u64)>> {
    let text = admin::get(proxy.port("admin")?, "/stats")?.text();
    let mut out = Vec::new();
    for line in text.lines() {
        let Some((name, value)) = line.rsplit_once(": ") else {
            continue;
        };
        let counts = ["_active", "_buffered", "pending_send_bytes"];
        let of_traffic = ["http.", "http2.", "cluster.", "listener.", "tcp."];
        // Whoever asks is a client of the admin interface.
        if counts.iter().any(|end| name.ends_with(end))
            && of_traffic.iter().any(|start| name.starts_with(start))
            && !name.starts_with("http.admin.")
            && !name.starts_with("listener.admin.")
            && let Ok(value) = value.parse()
        {
            out.push((name.to_owned(), value));
        }
    }
    Ok(out)
}

/// Waits until nothing is open; gives the gauges back that stay.
pub fn settle(proxy: &Running) -> Result<Vec<(String, u64)>> {
    let deadline = Instant::now() + CLOSES;
    loop {
        let mut open = gauges(proxy)?;
        open.retain(|(_, value)| *value > 0);
        if open.is_empty() || Instant::now() > deadline {
            return Ok(open);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The median of one value over the third of that number, from 0.
pub fn median(samples: &[Sample], third: usize, value: impl Fn(&Sample) -> u64) -> u64 {
    let length = samples.len() / 3;
    let mut values: Vec<u64> = samples
        .iter()
        .skip(third * length)
        .take(length)
        .map(value)
        .collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

/// Whether `last` is beyond what `second` allows.
pub fn grows(second: u64, last: u64, margin: u64) -> bool {
    last > second + margin.max(second * MARGIN_PERCENT / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(resident: impl Fn(u64) -> u64) -> Vec<Sample> {
        let sample = |at| Sample {
            at: Duration::from_secs(at),
            resident: resident(at),
            descriptors: 0,
            threads: 0,
            connections: 0,
            requests: 0,
        };
        (0..90).map(sample).collect()
    }

    #[test]
    fn a_leak_is_growth_and_warming_up_is_none() {
        let thirds = |samples: &[Sample]| {
            let of = |third| median(samples, third, |sample| sample.resident);
            (of(1), of(2))
        };
        let (second, last) = thirds(&samples(|at| 20_000 + at * 200));
        assert_eq!((second, last), (29_000, 35_000));
        assert!(grows(second, last, MARGIN_RESIDENT));
        let (second, last) = thirds(&samples(|at| 40_000 - 20_000 / (at + 1)));
        assert!(!grows(second, last, MARGIN_RESIDENT));
    }
}
