//! What the kernel says about a process, for tests.

use outrigger_tests::kernel;
use std::process::Command;
use std::time::{Duration, Instant};

/// Resident memory in KiB.
pub fn resident(id: u32) -> u64 {
    kernel::kibibytes(id, "VmRSS").unwrap()
}

/// Open file descriptors.
pub fn descriptors(id: u32) -> usize {
    kernel::descriptors(id).unwrap()
}

/// CPU time used so far.
pub fn cpu(id: u32) -> Duration {
    kernel::cpu(id).unwrap()
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
