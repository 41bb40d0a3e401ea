//! In which buckets a histogram is shown: `stats_config.histogram_bucket_settings`.

use crate::matcher::StringMatcher;
use std::sync::Arc;

/// Upper bounds of the buckets of histograms that no setting names.
pub const DEFAULT_BUCKETS: [f64; 19] = [
    0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0, 30000.0,
    60000.0, 300000.0, 600000.0, 1800000.0, 3600000.0,
];

/// The buckets of the histograms whose name matches.
#[derive(Clone, Debug)]
pub struct BucketRule {
    matcher: StringMatcher,
    bounds: Arc<[f64]>,
}

impl BucketRule {
    pub fn new(matcher: StringMatcher, mut bounds: Vec<f64>) -> Self {
        bounds.sort_unstable_by(f64::total_cmp);
        Self {
            matcher,
            bounds: bounds.into(),
        }
    }
}

/// Chooses the buckets by the histogram's name.
#[derive(Clone, Debug)]
pub struct BucketSettings {
    rules: Vec<BucketRule>,
    default: Arc<[f64]>,
}

impl Default for BucketSettings {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl BucketSettings {
    /// The first rule that has bounds and matches counts.
    pub fn new(rules: Vec<BucketRule>) -> Self {
        Self {
            rules,
            default: Arc::new(DEFAULT_BUCKETS),
        }
    }

    /// The ascending upper bounds for this histogram.
    pub fn bounds(&self, name: &str) -> Arc<[f64]> {
        let rule = self
            .rules
            .iter()
            .find(|rule| !rule.bounds.is_empty() && rule.matcher.is_match(name.as_bytes()));
        rule.map_or(&self.default, |rule| &rule.bounds).clone()
    }
}
