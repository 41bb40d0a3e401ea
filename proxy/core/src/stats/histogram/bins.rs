//! A set of counted bins and the statistics that circllhist derives from them, to the last bit of the double.

/// The quantiles that Envoy reports of each histogram.
pub const QUANTILES: [f64; 10] = [0.0, 0.25, 0.5, 0.75, 0.90, 0.95, 0.99, 0.995, 0.999, 1.0];

/// All powers of ten that a `u64` holds.
const POWERS: [u64; Bin::DECADES] = {
    let mut powers = [1; Bin::DECADES];
    let mut i = 1;
    while i < powers.len() {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// A bin: 0, or the values that share their two leading decimal digits and their magnitude.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bin(u16);

impl Bin {
    pub(super) const ZERO: Self = Self(0);
    /// Leading digits 10..=99.
    pub(super) const PER_DECADE: usize = 90;
    /// Magnitudes 10^0..10^19.
    pub(super) const DECADES: usize = 20;

    /// Decade and leading digits (from 0 for "10") of a value; `None` for 0.
    #[inline]
    pub(super) fn place(value: u64) -> Option<(usize, usize)> {
        let decade = value.checked_ilog10()? as usize;
        let digits = match decade {
            0 => value * 10,
            _ => value / POWERS.get(decade - 1)?,
        };
        Some((decade, (digits as usize).checked_sub(10)?))
    }

    pub(super) fn at(decade: usize, digits: usize) -> Self {
        Self((1 + decade * Self::PER_DECADE + digits) as u16)
    }

    /// Lower bound and width.
    ///
    /// The order of the operations is circllhist's and must stay: it makes the bin of 110 begin at 110.00000000000001,
    /// which Envoy shows and which keeps it out of the bucket of 110.
    fn range(self) -> (f64, f64) {
        let Some(index) = usize::from(self.0).checked_sub(1) else {
            return (0.0, 0.0);
        };
        let (decade, digits) = (index / Self::PER_DECADE, index % Self::PER_DECADE);
        let power = POWERS.get(decade).copied().unwrap_or(u64::MAX) as f64;
        ((digits + 10) as f64 / 10.0 * power, power / 10.0)
    }
}

/// Counted bins in ascending order.
#[derive(Clone, Debug, PartialEq)]
pub struct Bins {
    /// What one unit of the shown values is in recorded values.
    scale: f64,
    counts: Vec<(Bin, u64)>,
}

impl Default for Bins {
    fn default() -> Self {
        Self::new(1.0)
    }
}

impl Bins {
    pub(super) fn new(scale: f64) -> Self {
        Self {
            scale,
            counts: Vec::new(),
        }
    }

    /// Appends a bin above all others. One without values leaves no trace.
    pub(super) fn push(&mut self, bin: Bin, count: u64) {
        if count != 0 {
            self.counts.push((bin, count));
        }
    }

    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (bin, count) in &other.counts {
            match self.counts.binary_search_by_key(bin, |(bin, _)| *bin) {
                Ok(found) => {
                    if let Some((_, sum)) = self.counts.get_mut(found) {
                        *sum += count;
                    }
                }
                Err(place) => self.counts.insert(place, (*bin, *count)),
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// Approximate sum of the values: each counts as the middle of its bin, weighted towards the lower bound.
    pub fn sum(&self) -> f64 {
        let sum: f64 = self
            .counts
            .iter()
            .map(|(bin, count)| {
                let (left, width) = bin.range();
                let middle = if width == 0.0 {
                    left
                } else {
                    left + width * (left / (left + left + width))
                };
                middle * *count as f64
            })
            .sum();
        sum / self.scale
    }

    /// Lower bound, width and count of each bin.
    pub fn iter(&self) -> impl Iterator<Item = (f64, f64, u64)> {
        self.counts.iter().map(|(bin, count)| {
            let (left, width) = bin.range();
            (left / self.scale, width / self.scale, *count)
        })
    }

    /// For each of the ascending `bounds` the number of values in bins that begin at or below it.
    pub fn counts_up_to(&self, bounds: &[f64]) -> Vec<u64> {
        let mut bins = self.counts.iter().peekable();
        let mut sum = 0;
        bounds
            .iter()
            .map(|bound| {
                let bound = bound * self.scale;
                while let Some((_, count)) = bins.next_if(|(bin, _)| bin.range().0 <= bound) {
                    sum += count;
                }
                sum
            })
            .collect()
    }

    /// The values at ascending quantiles (0..=1), NaN without values. The n values of a bin stand evenly between its
    /// bounds, at 1/(n+1), 2/(n+1) and so on; none stands on a bound.
    pub fn quantiles(&self, quantiles: &[f64]) -> Vec<f64> {
        let total = self.count() as f64;
        let mut bins = self.counts.iter();
        let Some((mut bin, mut count)) = bins.next().copied() else {
            return vec![f64::NAN; quantiles.len()];
        };
        let mut below = 0.0;
        quantiles
            .iter()
            .map(|quantile| {
                let rank = (quantile * total).ceil().max(1.0);
                while below + (count as f64) < rank {
                    let Some(next) = bins.next() else { break };
                    below += count as f64;
                    (bin, count) = *next;
                }
                let (left, width) = bin.range();
                let value = left + (rank - below) / (count as f64 + 1.0) * width;
                value / self.scale
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn bins(values: &[u64]) -> Bins {
        let mut bins = Bins::default();
        for value in values {
            let bin = Bin::place(*value).map_or(Bin::ZERO, |(d, n)| Bin::at(d, n));
            let mut one = Bins::default();
            one.push(bin, 1);
            bins.merge(&one);
        }
        bins
    }

    /// Values and what Envoy 1.40 printed for them.
    #[test]
    fn quantiles_are_envoys() {
        for (values, expected) in [
            (
                vec![5],
                [5.05, 5.05, 5.05, 5.05, 5.05, 5.05, 5.05, 5.05, 5.05, 5.05],
            ),
            (
                vec![5, 5, 5],
                [
                    5.025, 5.025, 5.05, 5.075, 5.075, 5.075, 5.075, 5.075, 5.075, 5.075,
                ],
            ),
            (
                vec![5, 5, 5, 6, 105, 110, 111],
                [
                    5.025,
                    5.05,
                    6.05,
                    113.33333333333334,
                    116.66666666666669,
                    116.66666666666669,
                    116.66666666666669,
                    116.66666666666669,
                    116.66666666666669,
                    116.66666666666669,
                ],
            ),
            (
                vec![
                    5, 0, 1, 1, 2, 3, 5, 10, 17, 99, 100, 101, 109, 110, 199, 250, 1000, 1234,
                    9999, 10000, 99999,
                ],
                [
                    0.0,
                    5.033333333333333,
                    102.5,
                    255.0,
                    9950.0,
                    10500.0,
                    99500.0,
                    99500.0,
                    99500.0,
                    99500.0,
                ],
            ),
        ] {
            assert_eq!(bins(&values).quantiles(&QUANTILES), expected, "{values:?}");
        }
        assert!(Bins::default().quantiles(&[0.5])[0].is_nan());
    }

    /// Values and the `_sum` that Envoy 1.40 printed for them.
    #[test]
    fn sums_are_envoys() {
        for (values, expected) in [
            (vec![], 0.0),
            (vec![0, 0], 0.0),
            (vec![5], 5.0495049504950495),
            (vec![110, 110], 229.56521739130437),
            (
                vec![110, 210, 290, 1100, 17000, 230000],
                254_151.738_977_810_54,
            ),
        ] {
            assert_eq!(bins(&values).sum(), expected, "{values:?}");
        }
    }

    #[test]
    fn a_bucket_holds_the_bins_that_begin_at_or_below_it() {
        let bins = bins(&[110, 230_000]);
        // The bin of 110 begins at 110.00000000000001, that of 230000 at 229999.99999999997.
        assert_eq!(
            bins.counts_up_to(&[105.0, 110.0, 120.0, 230_000.0, 250_000.0]),
            [0, 0, 1, 2, 2]
        );
    }

    #[test]
    fn bins_have_two_digits() {
        for (value, left, width) in [
            (1, 1.0, 0.1),
            (9, 9.0, 0.1),
            (10, 10.0, 1.0),
            (109, 100.0, 10.0),
            (1999, 1900.0, 100.0),
        ] {
            assert_eq!(bins(&[value]).iter().next().unwrap(), (left, width, 1));
        }
        assert_eq!(bins(&[0]).iter().next().unwrap(), (0.0, 0.0, 1));
        assert_eq!(bins(&[u64::MAX]).count(), 1);
    }

    proptest! {
        #[test]
        fn a_value_lies_in_its_bin(value in any::<u64>(), shift in 0..64u32) {
            let value = value >> shift;
            let (left, width, count) = bins(&[value]).iter().next().unwrap();
            let value = value as f64;
            prop_assert_eq!(count, 1);
            prop_assert!(left <= value * (1.0 + 1e-12) && value <= (left + width) * (1.0 + 1e-12));
            prop_assert!(width <= left * 0.1 + 1e-9);
        }

        #[test]
        fn quantiles_ascend_and_stay_near_the_values(mut values in prop::collection::vec(0..100_000u64, 1..50)) {
            let quantiles = bins(&values).quantiles(&QUANTILES);
            values.sort_unstable();
            prop_assert!(quantiles.windows(2).all(|w| w[0] <= w[1]));
            for (quantile, got) in QUANTILES.iter().zip(quantiles) {
                let rank = ((quantile * values.len() as f64).ceil() as usize).max(1);
                let exact = values[rank - 1] as f64;
                prop_assert!((got - exact).abs() <= exact * 0.1 + 1e-9, "{} {}", got, exact);
            }
        }

        #[test]
        fn merging_is_recording_together(a in prop::collection::vec(any::<u32>(), 0..30), b in prop::collection::vec(any::<u32>(), 0..30)) {
            let a: Vec<u64> = a.into_iter().map(u64::from).collect();
            let b: Vec<u64> = b.into_iter().map(u64::from).collect();
            let mut merged = bins(&a);
            merged.merge(&bins(&b));
            prop_assert_eq!(merged, bins(&[a, b].concat()));
        }
    }
}
