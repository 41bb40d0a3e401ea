//! Stats as the admin interface shows them: snapshots, the moment when a proxy has come to rest, and what a case moved.

use crate::admin;
use anyhow::{Result, bail};
use regex::Regex;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Values by name; histograms and text readouts are left out.
pub type Snapshot = BTreeMap<String, i64>;

/// Compared in every case: counters of connections and requests on both ends. Byte counters are not among them, because
/// the digits of `x-envoy-upstream-service-time` change lengths; a case without HTTP may ask for them.
const DEFAULT: &str = r"^(http\.[^.]+\.(downstream_(cx|rq)_|no_|rq_)|cluster\.[^.]+\.upstream_(cx|rq)_|listener\..*downstream_|listener\..*no_filter_chain_match|tcp\.[^.]+\.)";

/// Gauges and byte counters, which the default set leaves out.
const NOT_DEFAULT: &str =
    r"(_active|_buffered|_open|_bytes_total|_bytes|_paused_reading_total|_resumed_reading_total)$";

/// The connections of the admin interface are the harness's own.
const ADMIN: &str = r"^(http|listener)\.admin\.";

pub fn snapshot(admin: u16) -> Result<Snapshot> {
    let answer = admin::get(admin, "/stats")?;
    if answer.status != 200 {
        bail!("/stats answered {}", answer.status);
    }
    let text = answer.text();
    let values = text.lines().filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_owned(), value.parse().ok()?))
    });
    Ok(values.collect())
}

/// Whether no downstream connection is left.
pub fn downstream_idle(stats: &Snapshot) -> bool {
    idle(
        stats,
        &[
            "downstream_cx_active",
            "downstream_pre_cx_active",
            "downstream_rq_active",
        ],
    )
}

/// Whether neither connections nor unwritten log lines are left.
pub fn at_rest(stats: &Snapshot) -> bool {
    downstream_idle(stats)
        && idle(
            stats,
            &[
                "upstream_cx_active",
                "upstream_rq_active",
                "upstream_rq_pending_active",
                "write_total_buffered",
            ],
        )
}

fn idle(stats: &Snapshot, gauges: &[&str]) -> bool {
    let busy = |(name, value): (&String, &i64)| {
        *value != 0
            && !name.contains(".admin.")
            && !name.contains("main_thread")
            && gauges.iter().any(|gauge| name.ends_with(gauge))
    };
    !stats.iter().any(busy)
}

/// Waits until the proxy is at rest and two snapshots in a row agree; after `limit` the last one has to do.
pub fn settle(admin: u16, limit: Duration) -> Result<Snapshot> {
    let deadline = Instant::now() + limit;
    let mut before = snapshot(admin)?;
    loop {
        std::thread::sleep(Duration::from_millis(15));
        let now = snapshot(admin)?;
        let steady = at_rest(&now) && interesting(&before) == interesting(&now);
        if steady || Instant::now() > deadline {
            return Ok(now);
        }
        before = now;
    }
}

/// Waits at most `limit` until no downstream connection is left.
pub fn wait_downstream_idle(admin: u16, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    while !downstream_idle(&snapshot(admin)?) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn interesting(stats: &Snapshot) -> BTreeMap<&str, i64> {
    let kept = ["cluster.", "http.", "listener.", "tcp.", "filesystem."];
    let of_traffic = |name: &str| {
        kept.iter().any(|prefix| name.starts_with(prefix)) && !name.contains(".admin.")
    };
    stats
        .iter()
        .filter(|(name, _)| of_traffic(name))
        .map(|(name, value)| (name.as_str(), *value))
        .collect()
}

/// Which stats a case compares.
pub struct Selection {
    default: Regex,
    not_default: Regex,
    admin: Regex,
    more: Vec<Regex>,
}

impl Selection {
    pub fn new(more: &[String]) -> Result<Self> {
        let more = more
            .iter()
            .map(|text| Regex::new(&format!("^(?:{text})$")))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            default: Regex::new(DEFAULT)?,
            not_default: Regex::new(NOT_DEFAULT)?,
            admin: Regex::new(ADMIN)?,
            more,
        })
    }

    fn holds(&self, name: &str) -> bool {
        let by_default = self.default.is_match(name)
            && !self.not_default.is_match(name)
            && !self.admin.is_match(name);
        by_default || self.more.iter().any(|regex| regex.is_match(name))
    }

    /// What changed between two snapshots, among the selected stats.
    pub fn delta(&self, before: &Snapshot, after: &Snapshot) -> BTreeMap<String, i64> {
        let change = |(name, value): (&String, &i64)| {
            let change = value - before.get(name).copied().unwrap_or(0);
            (change != 0 && self.holds(name)).then(|| (name.clone(), change))
        };
        after.iter().filter_map(change).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn stats(pairs: &[(&str, i64)]) -> Snapshot {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect()
    }

    #[test]
    fn counters_are_compared_and_gauges_are_not() {
        let after = stats(&[
            ("cluster.up.upstream_rq_total", 1),
            ("cluster.up.upstream_cx_active", 1),
            ("http.admin.downstream_rq_total", 4),
            ("http.main.downstream_cx_rx_bytes_total", 9),
            ("cluster.up.other", 2),
        ]);
        let chosen = Selection::new(&["cluster.up.other".to_owned()]).unwrap();
        let expected = stats(&[("cluster.up.other", 2), ("cluster.up.upstream_rq_total", 1)]);
        assert_eq!(chosen.delta(&Snapshot::new(), &after), expected);
    }

    #[test]
    fn a_connection_keeps_a_proxy_from_rest() {
        assert!(!at_rest(&stats(&[("cluster.up.upstream_cx_active", 1)])));
        assert!(at_rest(&stats(&[
            ("http.admin.downstream_cx_active", 1),
            ("cluster.up.upstream_cx_total", 3)
        ])));
    }
}
