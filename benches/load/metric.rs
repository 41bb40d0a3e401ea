//! What is measured, and what it is called.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// µs of the subject's CPU for one operation.
    Cpu,
    UserCpu,
    /// Operations per second.
    Rate,
    /// µs of the subject's CPU for a million bytes.
    CpuPerMegabyte,
    UserCpuPerMegabyte,
    Megabytes,
    /// Per cent of its core that the subject used.
    Busy,
    /// MiB.
    PeakMemory,
    Median,
    Percentile99,
    Percentile999,
    /// µs above no proxy at all, in the same round.
    AddedMedian,
    AddedPercentile99,
    /// ms from exec to the first answer.
    Ready,
    /// MiB after the first answer.
    RestMemory,
    ThousandMemory,
    TwoThousandMemory,
    /// KiB for each of 2,000 idle connections.
    ConnectionMemory,
    /// The same for the second thousand alone.
    FurtherConnectionMemory,
}

impl Metric {
    /// The name in JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::Cpu => "cpu_us",
            Self::UserCpu => "user_cpu_us",
            Self::Rate => "per_second",
            Self::CpuPerMegabyte => "cpu_us_per_mb",
            Self::UserCpuPerMegabyte => "user_cpu_us_per_mb",
            Self::Megabytes => "mb_per_second",
            Self::Busy => "busy_percent",
            Self::PeakMemory => "rss_peak_mib",
            Self::Median => "p50_us",
            Self::Percentile99 => "p99_us",
            Self::Percentile999 => "p999_us",
            Self::AddedMedian => "added_p50_us",
            Self::AddedPercentile99 => "added_p99_us",
            Self::Ready => "ready_ms",
            Self::RestMemory => "rss_mib",
            Self::ThousandMemory => "rss_1000_mib",
            Self::TwoThousandMemory => "rss_2000_mib",
            Self::ConnectionMemory => "kib_per_connection",
            Self::FurtherConnectionMemory => "kib_per_further_connection",
        }
    }

    /// The head of its column.
    pub fn label(self) -> &'static str {
        match self {
            Self::Cpu => "CPU µs",
            Self::UserCpu => "user µs",
            Self::Rate => "per s",
            Self::CpuPerMegabyte => "CPU µs/MB",
            Self::UserCpuPerMegabyte => "user µs/MB",
            Self::Megabytes => "MB/s",
            Self::Busy => "busy %",
            Self::PeakMemory => "peak RSS MiB",
            Self::Median => "p50 µs",
            Self::Percentile99 => "p99 µs",
            Self::Percentile999 => "p99.9 µs",
            Self::AddedMedian => "added p50 µs",
            Self::AddedPercentile99 => "added p99 µs",
            Self::Ready => "ready ms",
            Self::RestMemory => "RSS MiB",
            Self::ThousandMemory => "at 1,000 MiB",
            Self::TwoThousandMemory => "at 2,000 MiB",
            Self::ConnectionMemory => "KiB/connection",
            Self::FurtherConnectionMemory => "of the 2nd thousand",
        }
    }
}
