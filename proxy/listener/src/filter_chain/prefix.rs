//! Longest-prefix lookup of IP addresses, for the three address criteria of a filter chain match.

use hashbrown::HashMap;
use ipnet::IpNet;
use std::net::IpAddr;

/// Values under CIDR ranges. A value without a range stands for every address and yields to every range, even to `/0`.
///
/// One hash map per prefix length: a lookup costs one probe per length in use, however many ranges there are.
#[derive(Clone, Debug)]
pub struct PrefixTable<T> {
    v4: Vec<Level<T>>,
    v6: Vec<Level<T>>,
    any: Option<T>,
}

#[derive(Clone, Debug)]
struct Level<T> {
    length: u8,
    /// Keyed by the address, left-aligned in 128 bits and cut to `length`.
    values: HashMap<u128, T>,
}

impl<T> Default for PrefixTable<T> {
    fn default() -> Self {
        Self {
            v4: Vec::new(),
            v6: Vec::new(),
            any: None,
        }
    }
}

impl<T> PrefixTable<T> {
    pub fn is_empty(&self) -> bool {
        self.any.is_none() && self.v4.is_empty() && self.v6.is_empty()
    }

    /// The value of the longest range that holds the address.
    pub fn get(&self, address: IpAddr) -> Option<&T> {
        let (levels, bits) = match address {
            IpAddr::V4(_) => (&self.v4, left_aligned(address)),
            IpAddr::V6(_) => (&self.v6, left_aligned(address)),
        };
        levels
            .iter()
            .find_map(|level| level.values.get(&cut(bits, level.length)))
            .or(self.any.as_ref())
    }
}

impl<T: Default> PrefixTable<T> {
    /// The value of exactly this range (`None` for every address), made when there is none.
    pub fn entry(&mut self, range: Option<IpNet>) -> &mut T {
        let Some(range) = range else {
            return self.any.get_or_insert_default();
        };
        let levels = match range {
            IpNet::V4(_) => &mut self.v4,
            IpNet::V6(_) => &mut self.v6,
        };
        let length = range.prefix_len();
        // Sorted from the longest prefix to the shortest, so that the first hit is the answer.
        let at = levels.partition_point(|level| level.length > length);
        if levels.get(at).is_none_or(|level| level.length != length) {
            levels.insert(
                at,
                Level {
                    length,
                    values: HashMap::new(),
                },
            );
        }
        levels[at]
            .values
            .entry(cut(left_aligned(range.addr()), length))
            .or_default()
    }
}

fn left_aligned(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn cut(bits: u128, length: u8) -> u128 {
    bits & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn table(ranges: &[&str]) -> PrefixTable<String> {
        let mut table = PrefixTable::<String>::default();
        for range in ranges {
            let net = (*range != "any").then(|| range.parse().unwrap());
            *table.entry(net) = (*range).to_owned();
        }
        table
    }

    #[test]
    fn the_longest_range_wins_and_families_are_apart() {
        let table = table(&["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "::/0", "any"]);
        let get = |address: &str| table.get(address.parse().unwrap()).unwrap().as_str();
        assert_eq!(get("10.1.2.3"), "10.1.2.3/32");
        assert_eq!(get("10.1.2.4"), "10.1.0.0/16");
        assert_eq!(get("10.2.2.4"), "10.0.0.0/8");
        assert_eq!(get("11.2.2.4"), "any");
        assert_eq!(get("2001::1"), "::/0");
    }

    #[test]
    fn nothing_matches_nothing() {
        let table = table(&["10.0.0.0/8"]);
        assert!(!table.is_empty());
        assert_eq!(table.get("11.0.0.1".parse().unwrap()), None);
        assert_eq!(table.get("a00::1".parse().unwrap()), None);
        assert!(PrefixTable::<u8>::default().is_empty());
    }
}
