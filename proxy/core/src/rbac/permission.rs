//! What a request does: `rbac.v3.Permission`.

use super::{
    engine::{CompileTemplate, Input, UriTemplate},
    needs_request,
    sourced_metadata::SourcedMetadata,
};
use crate::{
    ConfigError, HeaderId,
    error::{ConfigResult, required},
    matcher::{CidrRange, HeaderMatcher, MetadataMatcher, PathMatcher, StringMatcher},
};
use envoy_api::pb::envoy::config::rbac::v3::{
    Permission as Proto,
    permission::{Rule, Set},
};
use std::{ops::Range, sync::Arc};

#[derive(Debug)]
pub enum Permission {
    And(Box<[Permission]>),
    Or(Box<[Permission]>),
    Any,
    Header(HeaderMatcher),
    UrlPath(PathMatcher),
    DestinationIp(CidrRange),
    DestinationPort(u16),
    DestinationPortRange(Range<i32>),
    Metadata(MetadataMatcher),
    SourcedMetadata(SourcedMetadata),
    Not(Box<Permission>),
    RequestedServerName(StringMatcher),
    UriTemplate(Arc<dyn UriTemplate>),
}

impl Permission {
    #[allow(deprecated)]
    pub fn compile(proto: &Proto, templates: Option<CompileTemplate>) -> Result<Self, ConfigError> {
        let set = |set: &Set| -> Result<Box<[Self]>, ConfigError> {
            let rules = set.rules.iter().enumerate();
            rules
                .map(|(i, rule)| Self::compile(rule, templates).at_index("rules", i))
                .collect()
        };
        Ok(match required(proto.rule.as_ref(), "rule")? {
            Rule::AndRules(rules) => Self::And(set(rules).at("and_rules")?),
            Rule::OrRules(rules) => Self::Or(set(rules).at("or_rules")?),
            Rule::Any(_) => Self::Any,
            Rule::Header(_) if templates.is_none() => return Err(needs_request("header")),
            Rule::Header(matcher) => Self::Header(HeaderMatcher::compile(matcher).at("header")?),
            Rule::UrlPath(matcher) => Self::UrlPath(PathMatcher::compile(matcher).at("url_path")?),
            Rule::DestinationIp(range) => {
                Self::DestinationIp(CidrRange::compile(range).at("destination_ip")?)
            }
            Rule::DestinationPort(port) => Self::DestinationPort(
                u16::try_from(*port)
                    .map_err(|_| ConfigError::new("value must be less than or equal to 65535"))
                    .at("destination_port")?,
            ),
            Rule::DestinationPortRange(range) => {
                let ports = 0..=65535;
                let allowed = ports.contains(&range.start)
                    && (1..=65536).contains(&range.end)
                    && range.start < range.end;
                if !allowed {
                    return Err(ConfigError::new(format!(
                        "range [{}, {}) is no range of ports",
                        range.start, range.end
                    ))
                    .at("destination_port_range"));
                }
                Self::DestinationPortRange(range.start..range.end)
            }
            Rule::Metadata(matcher) => {
                Self::Metadata(MetadataMatcher::compile(matcher).at("metadata")?)
            }
            Rule::SourcedMetadata(matcher) => {
                Self::SourcedMetadata(SourcedMetadata::compile(matcher).at("sourced_metadata")?)
            }
            Rule::NotRule(rule) => {
                Self::Not(Box::new(Self::compile(rule, templates).at("not_rule")?))
            }
            Rule::RequestedServerName(matcher) => Self::RequestedServerName(
                StringMatcher::compile(matcher).at("requested_server_name")?,
            ),
            Rule::UriTemplate(config) => match templates {
                Some(compile) => Self::UriTemplate(compile(config).at("uri_template")?),
                None => return Err(needs_request("uri_template")),
            },
            Rule::Matcher(matcher) => {
                return Err(ConfigError::new(format!(
                    "Didn't find a registered implementation for '{}'",
                    matcher.name
                ))
                .at("matcher"));
            }
        })
    }

    pub fn is_match(&self, input: Input<'_>) -> bool {
        let connection = &input.info.connection;
        let path = || input.request?.get(HeaderId::Path);
        match self {
            Self::And(rules) => rules.iter().all(|rule| rule.is_match(input)),
            Self::Or(rules) => rules.iter().any(|rule| rule.is_match(input)),
            Self::Any => true,
            Self::Header(matcher) => input
                .request
                .is_some_and(|request| matcher.is_match(request)),
            Self::UrlPath(matcher) => path().is_some_and(|path| matcher.is_match(path)),
            Self::DestinationIp(range) => {
                let address = connection.local_address.ip();
                address.is_some_and(|address| range.contains(address.ip()))
            }
            Self::DestinationPort(port) => {
                let address = connection.local_address.ip();
                address.is_some_and(|address| address.port() == *port)
            }
            Self::DestinationPortRange(ports) => {
                let address = connection.local_address.ip();
                address.is_some_and(|address| ports.contains(&i32::from(address.port())))
            }
            Self::Metadata(matcher) => matcher.is_match(&input.info.dynamic_metadata),
            Self::SourcedMetadata(matcher) => matcher.is_match(input),
            Self::Not(rule) => !rule.is_match(input),
            Self::RequestedServerName(matcher) => {
                let name = connection.requested_server_name.as_deref();
                matcher.is_match(name.unwrap_or_default().as_bytes())
            }
            Self::UriTemplate(template) => template.is_match(path().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::pb::envoy::r#type::v3::Int32Range;

    fn range(start: i32, end: i32) -> Result<Permission, ConfigError> {
        let rule = Rule::DestinationPortRange(Int32Range { start, end });
        Permission::compile(&Proto { rule: Some(rule) }, None)
    }

    #[test]
    fn a_range_of_ports_is_one() {
        assert!(range(0, 65536).is_ok());
        for (start, end) in [(2, 2), (2, 1), (-1, 5), (5, 65537)] {
            assert!(range(start, end).is_err(), "{start}..{end}");
        }
    }
}
