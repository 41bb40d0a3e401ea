//! `ListenerFilterChainMatchPredicate`: for which destination ports a listener filter is switched off.

use envoy_api::pb::envoy::config::listener::v3::{
    ListenerFilterChainMatchPredicate as Proto,
    listener_filter_chain_match_predicate::{MatchSet, Rule},
};
use outrigger_core::{
    ConfigError,
    error::{ConfigResult, required},
};
use std::ops::Range;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Predicate {
    Any(Vec<Predicate>),
    All(Vec<Predicate>),
    Not(Box<Predicate>),
    Always,
    Port(Range<i32>),
}

impl Predicate {
    pub fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        Ok(match required(proto.rule.as_ref(), "rule")? {
            Rule::OrMatch(set) => Self::Any(rules(set).at("or_match")?),
            Rule::AndMatch(set) => Self::All(rules(set).at("and_match")?),
            Rule::NotMatch(rule) => Self::Not(Box::new(Self::compile(rule).at("not_match")?)),
            Rule::AnyMatch(true) => Self::Always,
            Rule::AnyMatch(false) => {
                return Err(ConfigError::new("value must equal true").at("any_match"));
            }
            Rule::DestinationPortRange(range) => Self::Port(range.start..range.end),
        })
    }

    /// A destination without a port is in no range.
    pub fn matches(&self, port: Option<u16>) -> bool {
        match self {
            Self::Any(rules) => rules.iter().any(|r| r.matches(port)),
            Self::All(rules) => rules.iter().all(|r| r.matches(port)),
            Self::Not(rule) => !rule.matches(port),
            Self::Always => true,
            Self::Port(range) => port.is_some_and(|p| range.contains(&i32::from(p))),
        }
    }
}

fn rules(set: &MatchSet) -> Result<Vec<Predicate>, ConfigError> {
    if set.rules.len() < 2 {
        return Err(ConfigError::new("value must contain at least 2 item(s)").at("rules"));
    }
    set.rules
        .iter()
        .enumerate()
        .map(|(index, rule)| Predicate::compile(rule).at_index("rules", index))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::pb::envoy::r#type::v3::Int32Range;

    #[test]
    fn combines_port_ranges() {
        let port = |start, end| Proto {
            rule: Some(Rule::DestinationPortRange(Int32Range { start, end })),
        };
        let not = Proto {
            rule: Some(Rule::NotMatch(Box::new(port(80, 81)))),
        };
        let both = Proto {
            rule: Some(Rule::AndMatch(MatchSet {
                rules: vec![port(1, 100), not],
            })),
        };
        let predicate = Predicate::compile(&both).unwrap();
        assert!(predicate.matches(Some(99)));
        assert!(!predicate.matches(Some(80)));
        assert!(!predicate.matches(Some(100)));
        assert!(!predicate.matches(None));
        assert_eq!(
            Predicate::compile(&Proto { rule: None })
                .unwrap_err()
                .path(),
            "rule"
        );
    }
}
