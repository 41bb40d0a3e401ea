//! Compiles the load balancing part of a cluster: `load_balancing_policy`, or `lb_policy` with its config.

use crate::{
    host::EdsHealth,
    lb::{LbConfig, LbPolicy, Selection},
};
use envoy_api::{
    pb::envoy::{
        config::{
            cluster::v3::{
                Cluster, LoadBalancingPolicy,
                cluster::{
                    LbConfig as Legacy, LbPolicy as Proto,
                    common_lb_config::LocalityConfigSpecifier,
                },
            },
            core::v3::RuntimeDouble,
        },
        extensions::load_balancing_policies::{
            common::v3::{LocalityLbConfig, locality_lb_config},
            least_request::v3::{LeastRequest, least_request::SelectionMethod},
            random::v3::Random,
            round_robin::v3::RoundRobin,
            wrr_locality::v3::WrrLocality,
        },
    },
    prost_types::Any,
    unpack,
};
use outrigger_core::{ConfigError, error::ConfigResult};

pub(super) fn compile(proto: &Cluster) -> Result<LbConfig, ConfigError> {
    let mut config = LbConfig::default();
    if let Some(policy) = &proto.load_balancing_policy {
        first_supported(policy, &proto.name, &mut config).at("load_balancing_policy")?;
    } else {
        config.policy = legacy(proto)?;
        let common = proto.common_lb_config.as_ref();
        match common.and_then(|c| c.locality_config_specifier.as_ref()) {
            Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(_)) => {
                config.locality_weighted = true;
            }
            Some(LocalityConfigSpecifier::ZoneAwareLbConfig(zone)) => {
                config.fail_traffic_on_panic = zone.fail_traffic_on_panic;
            }
            None => {}
        }
    }
    let common = proto.common_lb_config.as_ref();
    if let Some(percent) = common.and_then(|c| c.healthy_panic_threshold.as_ref()) {
        config.healthy_panic_threshold = percent.value;
    }
    if let Some(set) = common.and_then(|c| c.override_host_status.as_ref()) {
        let statuses = set.statuses.iter();
        config.override_host_status = statuses
            .map(|status| EdsHealth::from_number(*status))
            .collect();
    }
    Ok(config)
}

fn legacy(proto: &Cluster) -> Result<LbPolicy, ConfigError> {
    let refuse = |reason: String| ConfigError::new(reason).at("lb_policy");
    match Proto::try_from(proto.lb_policy) {
        Ok(Proto::RoundRobin) => Ok(LbPolicy::RoundRobin),
        Ok(Proto::Random) => Ok(LbPolicy::Random),
        Ok(Proto::LeastRequest) => Ok(match &proto.lb_config {
            Some(Legacy::LeastRequestLbConfig(config)) => LbPolicy::LeastRequest {
                selection: Selection::Choices(config.choice_count.unwrap_or(2)),
                active_request_bias: bias(config.active_request_bias.as_ref()),
            },
            _ => LbPolicy::LeastRequest {
                selection: Selection::Choices(2),
                active_request_bias: 1.0,
            },
        }),
        Ok(Proto::LoadBalancingPolicyConfig) => Err(ConfigError::new(
            "cluster: field load_balancing_policy need to be set",
        )),
        Ok(Proto::ClusterProvided) => Err(ConfigError::new(format!(
            "cluster manager: cluster provided LB specified but cluster '{}' did not provide one. \
             Check cluster documentation.",
            proto.name
        ))),
        Ok(other) => Err(refuse(format!(
            "{} is not supported in this version",
            other.as_str_name()
        ))),
        Err(_) => Err(refuse(format!("unknown policy {}", proto.lb_policy))),
    }
}

/// As Envoy: of the policies in their order, the first that is known.
fn first_supported(
    policy: &LoadBalancingPolicy,
    cluster: &str,
    config: &mut LbConfig,
) -> Result<(), ConfigError> {
    let mut names = Vec::new();
    for (index, policy) in policy.policies.iter().enumerate() {
        let Some(extension) = &policy.typed_extension_config else {
            continue;
        };
        names.push(extension.name.as_str());
        if let Some(any) = &extension.typed_config {
            let known = typed(any, cluster, config)
                .at("typed_config")
                .at("typed_extension_config")
                .at_index("policies", index)?;
            if known {
                return Ok(());
            }
        }
    }
    Err(ConfigError::new(format!(
        "cluster: didn't find a registered load balancer factory implementation for cluster: \
         '{cluster}' with names from [{}]",
        names.join(", ")
    )))
}

/// False if the policy is unknown.
// Envoy still honours `enable_full_scan`.
#[allow(deprecated)]
fn typed(any: &Any, cluster: &str, config: &mut LbConfig) -> Result<bool, ConfigError> {
    if let Ok(policy) = unpack::<RoundRobin>(any) {
        config.policy = LbPolicy::RoundRobin;
        locality(policy.locality_lb_config.as_ref(), config);
        return Ok(true);
    }
    if let Ok(policy) = unpack::<Random>(any) {
        config.policy = LbPolicy::Random;
        locality(policy.locality_lb_config.as_ref(), config);
        return Ok(true);
    }
    if let Ok(policy) = unpack::<LeastRequest>(any) {
        let scan = policy.enable_full_scan.unwrap_or(false)
            || policy.selection_method() == SelectionMethod::FullScan;
        config.policy = LbPolicy::LeastRequest {
            selection: if scan {
                Selection::FullScan
            } else {
                Selection::Choices(policy.choice_count.unwrap_or(2))
            },
            active_request_bias: bias(policy.active_request_bias.as_ref()),
        };
        locality(policy.locality_lb_config.as_ref(), config);
        return Ok(true);
    }
    if let Ok(policy) = unpack::<WrrLocality>(any) {
        let Some(inner) = &policy.endpoint_picking_policy else {
            return Err(ConfigError::new("is required").at("endpoint_picking_policy"));
        };
        first_supported(inner, cluster, config).at("endpoint_picking_policy")?;
        config.locality_weighted = true;
        return Ok(true);
    }
    Ok(false)
}

fn locality(proto: Option<&LocalityLbConfig>, config: &mut LbConfig) {
    use locality_lb_config::LocalityConfigSpecifier;
    match proto.and_then(|p| p.locality_config_specifier.as_ref()) {
        Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(_)) => {
            config.locality_weighted = true;
        }
        Some(LocalityConfigSpecifier::ZoneAwareLbConfig(zone)) => {
            config.fail_traffic_on_panic = zone.fail_traffic_on_panic;
        }
        None => {}
    }
}

fn bias(proto: Option<&RuntimeDouble>) -> f64 {
    proto.map_or(1.0, |bias| bias.default_value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::pb::envoy::config::{
        cluster::v3::load_balancing_policy::Policy,
        core::v3::{Node, TypedExtensionConfig},
    };

    fn with(policies: Vec<Any>) -> Cluster {
        Cluster {
            name: "p".into(),
            load_balancing_policy: Some(LoadBalancingPolicy {
                policies: policies
                    .into_iter()
                    .map(|any| Policy {
                        typed_extension_config: Some(TypedExtensionConfig {
                            name: "foo".into(),
                            typed_config: Some(any),
                        }),
                    })
                    .collect(),
            }),
            ..Default::default()
        }
    }

    #[test]
    fn the_first_known_policy_counts() {
        let unknown = envoy_api::pack(&Node::default());
        let scan = envoy_api::pack(&LeastRequest {
            selection_method: SelectionMethod::FullScan as i32,
            ..Default::default()
        });
        let config = compile(&with(vec![
            unknown.clone(),
            scan,
            envoy_api::pack(&Random::default()),
        ]))
        .unwrap();
        assert_eq!(
            config.policy,
            LbPolicy::LeastRequest {
                selection: Selection::FullScan,
                active_request_bias: 1.0
            }
        );
        assert_eq!(
            compile(&with(vec![unknown])).unwrap_err().to_string(),
            "load_balancing_policy: cluster: didn't find a registered load balancer factory \
             implementation for cluster: 'p' with names from [foo]"
        );
    }

    #[test]
    fn wrr_locality_weighs_localities() {
        let inner = with(vec![envoy_api::pack(&RoundRobin::default())]);
        let wrr = envoy_api::pack(&WrrLocality {
            endpoint_picking_policy: inner.load_balancing_policy,
        });
        let config = compile(&with(vec![wrr])).unwrap();
        assert!(config.locality_weighted);
        assert_eq!(config.policy, LbPolicy::RoundRobin);
    }

    #[test]
    fn what_is_missing_is_said() {
        let ring = Cluster {
            lb_policy: Proto::RingHash as i32,
            ..Default::default()
        };
        assert_eq!(
            compile(&ring).unwrap_err().to_string(),
            "lb_policy: RING_HASH is not supported in this version"
        );
    }
}
