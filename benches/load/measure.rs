//! One measured window of closed-loop traffic.

use crate::{metric::Metric, process::Process, side::LoadSide, traffic::Tally};
use anyhow::{Result, bail};
use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread::sleep,
    time::{Duration, Instant},
};

/// Longest time until the traffic has begun to flow.
const FLOW_LIMIT: Duration = Duration::from_secs(20);
pub const MEGABYTE: f64 = 1_000_000.0;

/// What is counted as work done.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    Operations,
    /// Bytes that have come back to the generator.
    BytesDown,
    /// Bytes that have arrived at the backend.
    BytesUp,
}

impl Work {
    fn counter<'a>(self, tally: &'a Tally, side: &'a LoadSide) -> &'a AtomicU64 {
        match self {
            Self::Operations => &tally.operations,
            Self::BytesDown => &tally.bytes,
            Self::BytesUp => &side.backend.received,
        }
    }
}

/// Time before the window in which pools fill and branch predictors learn.
pub fn warm_up(window: Duration) -> Duration {
    (window / 3).min(Duration::from_secs(1))
}

/// Reads clock, work and CPU at both edges.
pub fn window(
    process: &mut Process,
    side: &LoadSide,
    tally: &Tally,
    work: Work,
    length: Duration,
) -> Result<Vec<(Metric, f64)>> {
    let counter = work.counter(tally, side);
    let begin = Instant::now();
    while counter.load(Relaxed) == 0 {
        check(process, tally)?;
        if begin.elapsed() > FLOW_LIMIT {
            bail!("no traffic comes through");
        }
        sleep(Duration::from_millis(1));
    }
    sleep(warm_up(length));
    let (work_before, cpu_before, time_before) =
        (counter.load(Relaxed), process.cpu()?, Instant::now());
    sleep(length);
    let (work_after, cpu_after, time_after) =
        (counter.load(Relaxed), process.cpu()?, Instant::now());
    check(process, tally)?;
    let memory = process.memory()?;

    let done = work_after.saturating_sub(work_before) as f64;
    if done == 0.0 {
        bail!("nothing was done within the window");
    }
    let microseconds = cpu_after.nanoseconds.saturating_sub(cpu_before.nanoseconds) as f64 / 1000.0;
    let user = cpu_after.user_share(cpu_before);
    let seconds = (time_after - time_before).as_secs_f64();
    let mut metrics = match work {
        Work::Operations => vec![
            (Metric::Cpu, microseconds / done),
            (Metric::UserCpu, microseconds * user / done),
            (Metric::Rate, done / seconds),
        ],
        Work::BytesDown | Work::BytesUp => {
            let megabytes = done / MEGABYTE;
            vec![
                (Metric::CpuPerMegabyte, microseconds / megabytes),
                (Metric::UserCpuPerMegabyte, microseconds * user / megabytes),
                (Metric::Megabytes, megabytes / seconds),
            ]
        }
    };
    metrics.push((Metric::Busy, microseconds / (seconds * 10_000.0)));
    metrics.push((Metric::PeakMemory, memory.peak as f64 / 1024.0));
    Ok(metrics)
}

fn check(process: &mut Process, tally: &Tally) -> Result<()> {
    process.check_alive()?;
    match tally.failure() {
        None => Ok(()),
        Some(error) => bail!("traffic failed: {error}"),
    }
}
