//! What the kernel says about a process.

use std::process::Command;
use std::time::{Duration, Instant};

/// Resident memory in KiB.
pub fn resident(id: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.unwrap().trim().trim_end_matches(" kB");
    number.parse().unwrap()
}

/// Open file descriptors.
pub fn descriptors(id: u32) -> usize {
    std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count()
}

/// CPU time used so far.
pub fn cpu(id: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    // The name of the program may hold blanks.
    let fields = text.rsplit_once(')').unwrap().1;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|field| field.parse::<u64>().unwrap()).sum();
    // Linux counts in hundredths of a second for its users, whatever its clock does.
    Duration::from_millis(ticks * 10)
}

/// How many descriptors the process may have.
pub fn limit_descriptors(id: u32, most: usize) {
    let status = Command::new("prlimit")
        .args([format!("--pid={id}"), format!("--nofile={most}:{most}")])
        .status()
        .unwrap();
    assert!(status.success(), "prlimit: {status}");
}

/// Waits until `holds`, and tells whether it came.
pub fn comes(mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}
