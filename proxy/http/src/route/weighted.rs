//! `WeightedCluster`: one route of several by weight, each with headers, overrides and metadata of its own.

use outrigger_core::{HeaderMap, HeaderName};
use std::sync::Arc;

use super::entry::Route;

/// The choices of a weighted route; the sum of weights is above zero and fits 32 bits.
#[derive(Debug)]
pub(super) struct Weighted {
    /// With the sum of the weights up to and including each.
    choices: Box<[(u64, Arc<Route>)]>,
    /// A request header that holds the random number.
    random_header: Option<HeaderName>,
}

impl Weighted {
    pub(super) fn new(choices: Vec<(u32, Arc<Route>)>, random_header: Option<HeaderName>) -> Self {
        let mut sum = 0;
        let choices = choices
            .into_iter()
            .map(|(weight, route)| {
                sum += u64::from(weight);
                (sum, route)
            })
            .collect();
        Self {
            choices,
            random_header,
        }
    }

    /// The route for this stream: the same for the same random number.
    pub(super) fn pick(&self, headers: &HeaderMap, random: u64) -> Option<&Arc<Route>> {
        let total = self.choices.last()?.0;
        let random = self.header_value(headers).unwrap_or(random) % total.max(1);
        let at = self.choices.partition_point(|(sum, _)| *sum <= random);
        self.choices.get(at).map(|(_, route)| route)
    }

    fn header_value(&self, headers: &HeaderMap) -> Option<u64> {
        let mut values = headers.get_all(self.random_header.as_ref()?);
        let value = values.next()?;
        // Of several values none counts.
        if values.next().is_some() {
            return None;
        }
        std::str::from_utf8(value).ok()?.parse().ok()
    }
}
