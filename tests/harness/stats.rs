//! Stats as the admin interface shows them: snapshots, the moment when a proxy has come to rest, and what a case moved.

use crate::admin;
use anyhow::{Result, bail};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
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

/// Gauges that tell of a connection or request of a client.
const DOWNSTREAM: &[&str] = &[
    "downstream_cx_active",
    "downstream_pre_cx_active",
    "downstream_rq_active",
];

/// Gauges that tell of anything that is still going on.
const ANY: &[&str] = &[
    "downstream_cx_active",
    "downstream_pre_cx_active",
    "downstream_rq_active",
    "upstream_cx_active",
    "upstream_rq_active",
    "upstream_rq_pending_active",
    "write_total_buffered",
];

/// Which of the gauges are not zero. The admin interface's own are not asked.
fn busy(stats: &Snapshot, gauges: &[&str]) -> BTreeSet<String> {
    let of_traffic = |name: &str| !name.contains(".admin.") && !name.contains("main_thread");
    stats
        .iter()
        .filter(|(name, value)| {
            **value != 0 && of_traffic(name) && gauges.iter().any(|gauge| name.ends_with(gauge))
        })
        .map(|(name, _)| name.clone())
        .collect()
}

/// Gauges that have not come back to zero since `before`. What hung already then is not waited for again.
pub fn hanging(before: &Snapshot, now: &Snapshot) -> BTreeSet<String> {
    let old = busy(before, ANY);
    busy(now, ANY)
        .into_iter()
        .filter(|name| !old.contains(name))
        .collect()
}

/// Waits until the proxy is at rest and two snapshots in a row agree; after `limit` the last one has to do.
pub fn settle(admin: u16, before: &Snapshot, limit: Duration) -> Result<Snapshot> {
    let deadline = Instant::now() + limit;
    let mut last = snapshot(admin)?;
    loop {
        std::thread::sleep(Duration::from_millis(15));
        let now = snapshot(admin)?;
        let steady = hanging(before, &now).is_empty() && interesting(&last) == interesting(&now);
        if steady || Instant::now() > deadline {
            return Ok(now);
        }
        last = now;
    }
}

/// Waits at most `limit` until no downstream connection is left.
pub fn wait_downstream_idle(admin: u16, before: &Snapshot, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    let old = busy(before, DOWNSTREAM);
    while !busy(&snapshot(admin)?, DOWNSTREAM).is_subset(&old) && Instant::now() < deadline {
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
        let busy = stats(&[
            ("cluster.up.upstream_cx_active", 1),
            ("http.admin.downstream_cx_active", 1),
        ]);
        assert_eq!(hanging(&Snapshot::new(), &busy).len(), 1);
        assert!(hanging(&busy, &busy).is_empty());
    }
}
