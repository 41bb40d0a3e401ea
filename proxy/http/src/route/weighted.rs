//! `WeightedCluster`: one route of several by weight, each with headers, overrides and metadata of its own.

use outrigger_core::{HeaderMap, HeaderName, runtime::RuntimeUint32};
use std::sync::Arc;

use super::entry::Route;

/// The choices of a weighted route; the sum of weights is above zero and fits 32 bits.
#[derive(Debug)]
pub(super) struct Weighted {
    /// With the sum of the weights up to and including each.
    choices: Box<[(u64, Arc<Route>)]>,
    /// The weights of the choices as the runtime may have changed them, with `runtime_key_prefix`.
    runtime: Option<Box<[RuntimeUint32]>>,
    /// A request header that holds the random number.
    random_header: Option<HeaderName>,
}

impl Weighted {
    /// `runtime` has a weight for each choice.
    pub(super) fn new(
        choices: Vec<(u32, Arc<Route>)>,
        runtime: Option<Box<[RuntimeUint32]>>,
        random_header: Option<HeaderName>,
    ) -> Self {
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
            runtime,
            random_header,
        }
    }

    /// The route for this stream: the same for the same random number. `None` if the runtime has left no weight, or more
    /// than 32 bits hold.
    pub(super) fn pick(&self, headers: &HeaderMap, random: u64) -> Option<&Arc<Route>> {
        let random = self.header_value(headers).unwrap_or(random);
        let at = match &self.runtime {
            None => {
                let random = random % self.choices.last()?.0.max(1);
                self.choices.partition_point(|(sum, _)| *sum <= random)
            }
            Some(weights) => pick_by_runtime(weights, random)?,
        };
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

/// The weights are read once each: they could change between the sum and the choice.
fn pick_by_runtime(weights: &[RuntimeUint32], random: u64) -> Option<usize> {
    let mut sum = 0u32;
    let mut sums = Vec::with_capacity(weights.len());
    for weight in weights {
        sum = sum.checked_add(weight.get())?;
        sums.push(sum);
    }
    let random = random.checked_rem(sum.into())?;
    Some(sums.partition_point(|sum| u64::from(*sum) <= random))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(weights: &[u32], random: u64) -> Option<usize> {
        let weights: Vec<_> = weights.iter().copied().map(RuntimeUint32::fixed).collect();
        pick_by_runtime(&weights, random)
    }

    #[test]
    fn runtime_weights_share_the_random_numbers() {
        let picks: Vec<_> = (0..5).map(|random| pick(&[1, 0, 2], random)).collect();
        assert_eq!(picks, [Some(0), Some(2), Some(2), Some(0), Some(2)]);
    }

    #[test]
    fn weights_that_the_runtime_has_spoilt_choose_nothing() {
        assert_eq!(pick(&[0, 0], 7), None);
        assert_eq!(pick(&[u32::MAX, 1], 7), None);
    }
}
