//! What the kernel says about a process.

use anyhow::{Context as _, Result};
use std::time::Duration;

/// A line of `/proc/PID/status` that counts in KiB, such as `VmRSS`.
pub fn kibibytes(id: u32, name: &str) -> Result<u64> {
    let value = status(id, name)?;
    Ok(value.trim_end_matches(" kB").parse()?)
}

/// Threads that it has.
pub fn threads(id: u32) -> Result<u64> {
    Ok(status(id, "Threads")?.parse()?)
}

fn status(id: u32, name: &str) -> Result<String> {
    let text = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(value
        .with_context(|| format!("no {name}"))?
        .trim()
        .to_owned())
}

/// Open file descriptors.
pub fn descriptors(id: u32) -> Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{id}/fd"))?.count())
}

/// CPU time used so far.
pub fn cpu(id: u32) -> Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name of the program may hold blanks.
    let (_, fields) = text.rsplit_once(')').context("/proc/PID/stat")?;
    let mut ticks = 0;
    for field in fields.split_whitespace().skip(11).take(2) {
        ticks += field.parse::<u64>()?;
    }
    // Linux counts in hundredths of a second for its users, whatever its clock does.
    Ok(Duration::from_millis(ticks * 10))
}
