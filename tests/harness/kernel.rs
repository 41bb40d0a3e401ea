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

/// CPU time used so far, of user space and of the kernel, in hundredths of a second: Linux counts so for its users, whatever
/// its clock does.
pub fn ticks(id: u32) -> Result<[u64; 2]> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    ticks_of(&text).context("/proc/PID/stat")
}

fn ticks_of(stat: &str) -> Option<[u64; 2]> {
    // The name of the program may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    Some([fields.next()?.parse().ok()?, fields.next()?.parse().ok()?])
}

/// CPU time used so far.
pub fn cpu(id: u32) -> Result<Duration> {
    let [user, system] = ticks(id)?;
    Ok(Duration::from_millis((user + system) * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_follow_the_last_bracket() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 21 22 0 0";
        assert_eq!(ticks_of(stat), Some([21, 22]));
        assert_eq!(ticks_of("7 no bracket"), None);
    }

    #[test]
    fn memory_is_in_kib() {
        let id = std::process::id();
        let [now, most] = ["VmRSS", "VmHWM"].map(|name| kibibytes(id, name).unwrap_or(0));
        assert!(now > 100 && now <= most, "{now} of {most} KiB");
    }
}
