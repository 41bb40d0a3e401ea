//! `/memory`: what the kernel knows of the process's memory. The page-heap fields of Envoy's allocator are 0.

use super::{
    params::Params,
    reply::{BARE_TEXT, Reply},
    state::AdminState,
};
use http::StatusCode;
use serde_json::json;
use std::fs;

pub fn memory(_: &AdminState, _: &Params) -> Reply {
    // Unreadable where there is no /proc; then everything is 0.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let anonymous = bytes(&status, "RssAnon:");
    Reply::json(&json!({
        "allocated": anonymous.to_string(),
        "heap_size": anonymous.to_string(),
        "pageheap_unmapped": "0",
        "pageheap_free": "0",
        "total_thread_cache": "0",
        "total_physical_bytes": bytes(&status, "VmRSS:").to_string(),
    }))
}

/// The value of a line such as `VmRSS:   1234 kB`.
fn bytes(status: &str, key: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

/// There is no TCMalloc in this build.
pub fn tcmalloc(_: &AdminState, _: &Params) -> Reply {
    Reply::text("The current build does not use TCMalloc")
        .with_type(BARE_TEXT)
        .with_status(StatusCode::NOT_IMPLEMENTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_numbers() {
        let status = "Name:\tx\nVmRSS:\t    2048 kB\nRssAnon:\t 1024 kB\n";
        assert_eq!(bytes(status, "VmRSS:"), 2 << 20);
        assert_eq!(bytes(status, "RssAnon:"), 1 << 20);
        assert_eq!(bytes(status, "RssShmem:"), 0);
    }
}
