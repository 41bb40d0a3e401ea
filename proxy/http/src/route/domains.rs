//! The domains of a route configuration: which virtual host a host name belongs to.

use hashbrown::HashMap;
use outrigger_core::ConfigError;
use smallvec::SmallVec;

/// Values by domain. A name in full wins over `*.suffix`, that over `prefix.*`, that over `*`; among wildcards the
/// longest wins. Host names compare without regard to ASCII case.
#[derive(Debug)]
pub(super) struct Domains<T> {
    exact: Map<T>,
    /// By the length of what follows or precedes the `*`, longest first.
    suffixes: Vec<(usize, Map<T>)>,
    prefixes: Vec<(usize, Map<T>)>,
    any: Option<T>,
}

type Map<T> = HashMap<Box<[u8]>, T, foldhash::fast::RandomState>;

impl<T> Default for Domains<T> {
    fn default() -> Self {
        Self {
            exact: Map::default(),
            suffixes: Vec::new(),
            prefixes: Vec::new(),
            any: None,
        }
    }
}

impl<T> Domains<T> {
    /// Adds a domain of the route configuration of this name; a `*` in the middle is an ordinary character.
    pub(super) fn insert(
        &mut self,
        domain: &str,
        value: T,
        configuration: &str,
    ) -> Result<(), ConfigError> {
        let domain = domain.to_ascii_lowercase();
        if domain == "*" {
            if self.any.is_some() {
                return Err(ConfigError::new(format!(
                    "Only a single wildcard domain is permitted in route {configuration}"
                )));
            }
            self.any = Some(value);
            return Ok(());
        }
        let (map, key) = if let Some(suffix) = domain.strip_prefix('*') {
            (of_length(&mut self.suffixes, suffix.len()), suffix)
        } else if let Some(prefix) = domain.strip_suffix('*') {
            (of_length(&mut self.prefixes, prefix.len()), prefix)
        } else {
            (&mut self.exact, domain.as_str())
        };
        if map.contains_key(key.as_bytes()) {
            return Err(ConfigError::new(format!(
                "Only unique values for domains are permitted. Duplicate entry of domain {domain} in route {configuration}"
            )));
        }
        map.insert(key.as_bytes().into(), value);
        Ok(())
    }

    /// The value of every host if no domain but `*` is known: then the host need not even be looked at.
    pub(super) fn only(&self) -> Option<&T> {
        if self.exact.is_empty() && self.suffixes.is_empty() && self.prefixes.is_empty() {
            self.any.as_ref()
        } else {
            None
        }
    }

    /// The value that a host belongs to. A wildcard stands for at least one character.
    pub(super) fn find(&self, host: &[u8]) -> Option<&T> {
        let mut lower: SmallVec<[u8; 256]> = host.into();
        lower.make_ascii_lowercase();
        let host = &lower[..];
        if let Some(value) = self.exact.get(host) {
            return Some(value);
        }
        let suffix = self.suffixes.iter().find_map(|(length, map)| {
            let start = host.len().checked_sub(*length).filter(|start| *start > 0)?;
            map.get(host.get(start..)?)
        });
        suffix
            .or_else(|| {
                self.prefixes.iter().find_map(|(length, map)| {
                    (host.len() > *length).then_some(())?;
                    map.get(host.get(..*length)?)
                })
            })
            .or(self.any.as_ref())
    }
}

/// The map for wildcards of this length, in its place among those of other lengths.
fn of_length<T>(maps: &mut Vec<(usize, Map<T>)>, length: usize) -> &mut Map<T> {
    let at = maps.partition_point(|(other, _)| *other > length);
    if maps.get(at).is_none_or(|(other, _)| *other != length) {
        maps.insert(at, (length, Map::default()));
    }
    &mut maps[at].1
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn domains(names: &[&str]) -> Domains<String> {
        let mut domains = Domains::default();
        for name in names {
            domains.insert(name, (*name).to_owned(), "rc").unwrap();
        }
        domains
    }

    /// Answers of Envoy 1.40.
    #[test]
    fn precedence_is_envoys() {
        let domains = domains(&[
            "a.com",
            "*.a.com",
            "*-x.a.com",
            "a.*",
            "a.b.*",
            "*",
            "[::1]",
            "q.com:80",
            "a*b",
            "*a*",
            "*.Up.com",
        ]);
        for (host, expected) in [
            ("a.com", "a.com"),
            ("A.COM", "a.com"),
            (".a.com", "*"),
            ("x.a.com", "*.a.com"),
            ("y-x.a.com", "*-x.a.com"),
            ("-x.a.com", "*.a.com"),
            ("a.", "*"),
            ("a.c", "a.*"),
            ("a.b.", "a.*"),
            ("a.b.c", "a.b.*"),
            ("[::1]", "[::1]"),
            ("[::1]:80", "*"),
            ("q.com", "*"),
            ("q.com:80", "q.com:80"),
            ("a.com:80", "a.*"),
            ("a*b", "a*b"),
            ("*a*", "*a*"),
            ("x.up.com", "*.Up.com"),
            ("", "*"),
            ("bab", "*"),
        ] {
            assert_eq!(domains.find(host.as_bytes()).unwrap(), expected, "{host}");
        }
    }

    #[test]
    fn repeated_domains_are_refused() {
        for (first, second, error) in [
            (
                "*",
                "*",
                "Only a single wildcard domain is permitted in route rc",
            ),
            (
                "a.com",
                "A.com",
                "Only unique values for domains are permitted. Duplicate entry of domain a.com in route rc",
            ),
        ] {
            let mut domains = domains(&[first]);
            let got = domains.insert(second, String::new(), "rc").unwrap_err();
            assert_eq!(got.to_string(), error);
        }
        for (first, second) in [("*.a", "*.A"), ("a.*", "A.*")] {
            assert!(
                domains(&[first])
                    .insert(second, String::new(), "rc")
                    .is_err()
            );
        }
    }

    /// Envoy's rule read off its documentation, without tables.
    fn naive<'a>(names: &'a [String], host: &str) -> Option<&'a String> {
        let rank = |name: &&String| {
            let name = name.as_str();
            if name == "*" {
                Some((0, 0))
            } else if let Some(suffix) = name.strip_prefix('*') {
                (host.len() > suffix.len() && host.ends_with(suffix)).then_some((2, suffix.len()))
            } else if let Some(prefix) = name.strip_suffix('*') {
                (host.len() > prefix.len() && host.starts_with(prefix)).then_some((1, prefix.len()))
            } else {
                (name == host).then_some((3, 0))
            }
        };
        names
            .iter()
            .filter(|name| rank(name).is_some())
            .max_by_key(|name| rank(name))
    }

    proptest! {
        #[test]
        fn agrees_with_a_naive_search(
            names in proptest::collection::hash_set(r"\*|\*?[ab.]{1,4}\*?", 0..12),
            hosts in proptest::collection::vec("[ab.*]{0,6}", 1..20),
        ) {
            let names: Vec<String> = names.into_iter().collect();
            let mut table = Domains::default();
            for name in &names {
                table.insert(name, name.clone(), "rc").unwrap();
            }
            for host in &hosts {
                prop_assert_eq!(table.find(host.as_bytes()), naive(&names, host), "{}", host);
            }
        }
    }
}
