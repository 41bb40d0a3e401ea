//! The conditions of a matcher list.

use super::{Compiler, MatchData, MatchInput};
use crate::{
    ConfigError,
    error::{ConfigResult, required},
    matcher::{CidrList, StringMatcher},
    stats::Counter,
};
use envoy_api::{
    pb::{
        envoy::extensions::matching::input_matchers::ip::v3::Ip,
        xds::{
            core::v3::TypedExtensionConfig,
            r#type::matcher::v3::matcher::matcher_list::{
                Predicate as Proto,
                predicate::{MatchType, SinglePredicate, single_predicate::Matcher as ValueProto},
            },
        },
    },
    type_name, unpack,
};
use std::{net::IpAddr, sync::Arc};

#[derive(Debug)]
pub(super) enum Predicate {
    Text(MatchInput, StringMatcher),
    Ip {
        input: MatchInput,
        ranges: CidrList,
        /// Values that were no addresses.
        failed: Arc<Counter>,
    },
    Or(Box<[Predicate]>),
    And(Box<[Predicate]>),
    Not(Box<Predicate>),
}

impl Predicate {
    pub(super) fn compile<A>(
        proto: &Proto,
        compiler: &dyn Compiler<Action = A>,
    ) -> Result<Self, ConfigError> {
        let all = |predicates: &[Proto]| {
            predicates
                .iter()
                .enumerate()
                .map(|(i, predicate)| Self::compile(predicate, compiler).at_index("predicate", i))
                .collect::<Result<_, ConfigError>>()
        };
        Ok(match required(proto.match_type.as_ref(), "match_type")? {
            MatchType::SinglePredicate(single) => {
                Self::single(single, compiler).at("single_predicate")?
            }
            MatchType::OrMatcher(list) => Self::Or(all(&list.predicate).at("or_matcher")?),
            MatchType::AndMatcher(list) => Self::And(all(&list.predicate).at("and_matcher")?),
            MatchType::NotMatcher(inner) => {
                Self::Not(Box::new(Self::compile(inner, compiler).at("not_matcher")?))
            }
        })
    }

    fn single<A>(
        proto: &SinglePredicate,
        compiler: &dyn Compiler<Action = A>,
    ) -> Result<Self, ConfigError> {
        let input = required(proto.input.as_ref(), "input")?;
        let input = compiler.input(input).at("input")?;
        match required(proto.matcher.as_ref(), "matcher")? {
            ValueProto::ValueMatch(matcher) => {
                let matcher = StringMatcher::compile_xds(matcher).at("value_match")?;
                Ok(Self::Text(input, matcher))
            }
            ValueProto::CustomMatch(custom) => {
                Self::custom(input, custom, compiler).at("custom_match")
            }
        }
    }

    fn custom<A>(
        input: MatchInput,
        proto: &TypedExtensionConfig,
        compiler: &dyn Compiler<Action = A>,
    ) -> Result<Self, ConfigError> {
        let config = required(proto.typed_config.as_ref(), "typed_config")?;
        let ip: Ip = unpack(config).map_err(|_| unknown(proto))?;
        let name = format!("{}.ip_parsing_failed", ip.stat_prefix);
        Ok(Self::Ip {
            input,
            ranges: CidrList::compile(&ip.cidr_ranges)
                .at("cidr_ranges")
                .at("typed_config")?,
            failed: compiler.stats().counter(&name),
        })
    }

    pub(super) fn is_match(&self, data: &MatchData<'_>) -> bool {
        match self {
            Self::Text(input, matcher) => {
                let value = input.value(data);
                value.is_some_and(|value| matcher.is_match(&value))
            }
            Self::Ip {
                input,
                ranges,
                failed,
            } => {
                let Some(value) = input.value(data).filter(|value| !value.is_empty()) else {
                    return false;
                };
                let text = std::str::from_utf8(&value).ok();
                let Some(address) = text.and_then(|text| text.parse::<IpAddr>().ok()) else {
                    failed.inc();
                    return false;
                };
                ranges.contains(address)
            }
            Self::Or(predicates) => predicates.iter().any(|p| p.is_match(data)),
            Self::And(predicates) => predicates.iter().all(|p| p.is_match(data)),
            Self::Not(predicate) => !predicate.is_match(data),
        }
    }
}

/// An extension that there is not, in Envoy's words.
pub fn unknown(extension: &TypedExtensionConfig) -> ConfigError {
    let config = extension.typed_config.as_ref();
    let type_url = config.map_or("", |any| any.type_url.as_str());
    ConfigError::new(format!(
        "Didn't find a registered implementation for '{}' with type URL: '{}'",
        extension.name,
        type_name(type_url)
    ))
}
