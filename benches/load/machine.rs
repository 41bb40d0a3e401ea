//! What the figures were taken on.

use std::fs;

#[derive(Debug)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub kernel: String,
    /// Load average of the last minute before the first run: others who compute spoil latencies.
    pub load_average: f64,
}

impl Machine {
    pub fn read() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let processor = text("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map_or_else(String::new, |(_, name)| name.trim().to_owned());
        let load_average = text("/proc/loadavg");
        Self {
            processor,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_average: load_average
                .split(' ')
                .next()
                .and_then(|first| first.parse().ok())
                .unwrap_or_default(),
        }
    }

    pub fn describe(&self) -> String {
        let Self {
            processor,
            cores,
            kernel,
            load_average,
        } = self;
        format!("{processor}, {cores} cores, Linux {kernel}; load average before: {load_average}")
    }
}
