//! `known_differences.yaml`: where Outrigger differs from Envoy on purpose. An entry that no longer differs is stale.

use crate::compare::Difference;
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// `area/group/case name`; a `*` at the end stands for any rest.
    pub case: String,
    /// The facet that differs; a `*` at the end stands for any rest.
    pub differs: String,
    pub reason: String,
}

pub fn load(path: &Path) -> Result<Vec<Known>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let value = crate::yaml::load(&text).with_context(|| path.display().to_string())?;
    if value.is_null() {
        return Ok(Vec::new());
    }
    serde_json::from_value(value).with_context(|| path.display().to_string())
}

impl Known {
    pub fn is_about(&self, case: &str) -> bool {
        glob(&self.case, case)
    }

    pub fn covers(&self, case: &str, difference: &Difference) -> bool {
        self.is_about(case) && glob(&self.differs, &difference.facet)
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

    #[test]
    fn entries_cover_by_name_or_prefix() {
        let known = Known {
            case: "http1/a/*".to_owned(),
            differs: "log".to_owned(),
            reason: String::new(),
        };
        let difference = |facet: &str| Difference {
            facet: facet.to_owned(),
            oracle: Vec::new(),
            subject: Vec::new(),
        };
        assert!(known.covers("http1/a/b", &difference("log")));
        assert!(!known.covers("http1/a/b", &difference("fate")));
        assert!(!known.covers("http1/c/b", &difference("log")));
    }
}
