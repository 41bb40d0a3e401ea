//! `known_differences.yaml`: where Outrigger differs from Envoy on purpose. An entry that no longer differs is stale.

use crate::compare::Difference;
use crate::group::directory;
use crate::process;
use anyhow::{Context as _, Result};
use serde::Deserialize;

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// `area/group/case name`; a `*` at the end stands for any rest.
    pub case: String,
    /// The facet that differs; a `*` at the end stands for any rest.
    pub differs: String,
    pub reason: String,
}

/// The entries of one area and which of them were met in this run.
pub struct Tracker {
    entries: Vec<(Known, bool)>,
}

impl Tracker {
    /// Reads the entries of `area`. When Envoy is compared with itself there are none: then nothing may differ.
    pub fn load(area: &str) -> Result<Self> {
        if process::self_test() {
            return Ok(Self {
                entries: Vec::new(),
            });
        }
        let path = directory().join("known_differences.yaml");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let entries = serde_json::from_value(crate::yaml::load(&text)?)
            .with_context(|| path.display().to_string())?;
        Ok(Self::new(area, entries))
    }

    fn new(area: &str, entries: Vec<Known>) -> Self {
        let area = format!("{area}/");
        let own = entries
            .into_iter()
            .filter(|entry| entry.case.starts_with(&area));
        Self {
            entries: own.map(|entry| (entry, false)).collect(),
        }
    }

    /// Whether an entry explains that `facet` of `case` differs.
    pub fn explains(&mut self, case: &str, facet: &str) -> bool {
        let mut explained = false;
        for (entry, met) in &mut self.entries {
            if glob(&entry.case, case) && glob(&entry.differs, facet) {
                *met = true;
                explained = true;
            }
        }
        explained
    }

    /// What is left of `found` without the explained differences.
    pub fn unexplained(&mut self, case: &str, mut found: Vec<Difference>) -> Vec<Difference> {
        found.retain(|difference| !self.explains(case, &difference.facet));
        found
    }

    /// A complaint for each entry that nothing has met.
    pub fn stale(&self) -> Vec<String> {
        let unmet = self.entries.iter().filter(|(_, met)| !met);
        unmet
            .map(|(entry, _)| {
                format!(
                    "known_differences.yaml: {} / {} no longer differs",
                    entry.case, entry.differs
                )
            })
            .collect()
    }
}

fn glob(pattern: &str, text: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or(pattern == text, |start| text.starts_with(start))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn known(case: &str, differs: &str) -> Known {
        Known {
            case: case.to_owned(),
            differs: differs.to_owned(),
            reason: String::new(),
        }
    }

    #[test]
    fn entries_cover_by_name_or_prefix() {
        let mut tracker = Tracker::new("http1", vec![known("http1/a/*", "log")]);
        assert!(tracker.explains("http1/a/b", "log"));
        assert!(!tracker.explains("http1/a/b", "fate"));
        assert!(!tracker.explains("http1/c/b", "log"));
    }

    #[test]
    fn an_entry_that_nothing_meets_is_stale() {
        let entries = vec![
            known("http1/a/b", "log"),
            known("http1/a/c", "log"),
            known("tcp/a/c", "log"),
        ];
        let mut tracker = Tracker::new("http1", entries);
        assert!(tracker.explains("http1/a/b", "log"));
        assert_eq!(
            tracker.stale(),
            ["known_differences.yaml: http1/a/c / log no longer differs"]
        );
    }
}
