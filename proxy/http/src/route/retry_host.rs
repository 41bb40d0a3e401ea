//! `retry_host_predicate` and `retry_priority`: which hosts and priorities a retry avoids.

use envoy_api::{
    pb::envoy::{
        config::route::v3::{
            RetryPolicy,
            retry_policy::{RetryPriority, retry_host_predicate, retry_priority},
        },
        extensions::retry::{
            host::omit_host_metadata::v3::OmitHostMetadataConfig,
            priority::previous_priorities::v3::PreviousPrioritiesConfig,
        },
    },
    prost_types::{Struct, Value, value::Kind},
    type_name, unpack,
};
use outrigger_core::{ConfigError, error::required, metadata::Metadata};
use outrigger_upstream::{Host, HostPredicate};
use std::sync::Arc;

use super::config::no_extension;

/// The namespace of endpoint metadata that concerns load balancing.
const LB: &str = "envoy.lb";

/// Hosts that a retry avoids.
#[derive(Clone, Debug, Default)]
pub struct HostPredicates {
    /// Hosts that an earlier attempt used.
    previous_hosts: bool,
    /// Canaries.
    omit_canary_hosts: bool,
    /// Hosts whose `envoy.lb` metadata holds all of these.
    omit_metadata: Box<[Struct]>,
}

impl HostPredicates {
    pub(super) fn compile(proto: &RetryPolicy) -> Result<Self, ConfigError> {
        let mut predicates = Self::default();
        let mut omit_metadata = Vec::new();
        for (i, predicate) in proto.retry_host_predicate.iter().enumerate() {
            let of = |e: ConfigError| e.index(i).at("retry_host_predicate");
            let retry_host_predicate::ConfigType::TypedConfig(any) =
                required(predicate.config_type.as_ref(), "typed_config").map_err(of)?;
            match type_name(&any.type_url) {
                "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate" => {
                    predicates.previous_hosts = true;
                }
                "envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate" => {
                    predicates.omit_canary_hosts = true;
                }
                "envoy.extensions.retry.host.omit_host_metadata.v3.OmitHostMetadataConfig" => {
                    let config: OmitHostMetadataConfig = unpack(any)
                        .map_err(|e| of(ConfigError::new(e.to_string()).at("typed_config")))?;
                    let labels = Metadata::compile(config.metadata_match.as_ref());
                    omit_metadata.push(labels.namespace(LB).cloned().unwrap_or_default());
                }
                type_name => return Err(of(no_extension(&predicate.name, type_name))),
            }
        }
        predicates.omit_metadata = omit_metadata.into();
        Ok(predicates)
    }

    /// Nothing is avoided.
    pub fn is_empty(&self) -> bool {
        !self.previous_hosts && !self.omit_canary_hosts && self.omit_metadata.is_empty()
    }
}

/// The predicates of a retry, with what it knows of the attempts before it.
#[derive(Debug)]
pub struct Avoided<'a> {
    pub predicates: &'a HostPredicates,
    /// The hosts of the earlier attempts.
    pub tried: &'a [Arc<Host>],
}

impl HostPredicate for Avoided<'_> {
    fn rejects(&self, host: &Arc<Host>) -> bool {
        let of = self.predicates;
        if of.previous_hosts && self.tried.iter().any(|tried| Arc::ptr_eq(tried, host)) {
            return true;
        }
        if !of.omit_canary_hosts && of.omit_metadata.is_empty() {
            return false;
        }
        let info = host.info();
        let metadata = info.metadata.namespace(LB);
        of.omit_canary_hosts && info.canary
            || of
                .omit_metadata
                .iter()
                .any(|labels| holds(metadata, labels))
    }
}

/// Envoy's `metadataLabelMatch`: every label is there with its value, or with a list in which its value is.
fn holds(metadata: Option<&Struct>, labels: &Struct) -> bool {
    let field = |key: &String| metadata.and_then(|metadata| metadata.fields.get(key));
    let matches = |(key, wanted): (&String, &Value)| match field(key) {
        Some(Value {
            kind: Some(Kind::ListValue(list)),
        }) => list.values.contains(wanted),
        Some(value) => value == wanted,
        None => false,
    };
    labels.fields.iter().all(matches)
}

/// `previous_priorities`: after how many attempts the load is computed anew.
pub(super) fn update_frequency(proto: &RetryPriority) -> Result<u32, ConfigError> {
    let retry_priority::ConfigType::TypedConfig(any) =
        required(proto.config_type.as_ref(), "typed_config")?;
    match type_name(&any.type_url) {
        "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig" => {
            let config: PreviousPrioritiesConfig =
                unpack(any).map_err(|e| ConfigError::new(e.to_string()).at("typed_config"))?;
            if config.update_frequency <= 0 {
                return Err(ConfigError::new("value must be greater than 0")
                    .at("update_frequency")
                    .at("typed_config"));
            }
            Ok(config.update_frequency.unsigned_abs())
        }
        type_name => Err(no_extension(&proto.name, type_name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        Value {
            kind: Some(Kind::StringValue(text.into())),
        }
    }

    fn labels<const N: usize>(labels: [(&str, Value); N]) -> Struct {
        Struct {
            fields: labels.map(|(key, value)| (key.into(), value)).into(),
        }
    }

    #[test]
    fn labels_match_values_and_members_of_lists() {
        let list = Value {
            kind: Some(Kind::ListValue(envoy_api::prost_types::ListValue {
                values: vec![value("a"), value("b")],
            })),
        };
        let metadata = labels([("stage", value("old")), ("zones", list)]);
        for (wanted, expected) in [
            (labels([("stage", value("old"))]), true),
            (labels([("stage", value("new"))]), false),
            (labels([("zones", value("b"))]), true),
            (labels([("zones", value("c"))]), false),
            (
                labels([("stage", value("old")), ("other", value("x"))]),
                false,
            ),
            (labels([]), true),
        ] {
            assert_eq!(holds(Some(&metadata), &wanted), expected, "{wanted:?}");
        }
        assert!(!holds(None, &labels([("stage", value("old"))])));
        assert!(holds(None, &labels([])), "no labels are in every host");
    }
}
