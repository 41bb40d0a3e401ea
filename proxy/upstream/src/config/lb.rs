//! Compiles the load balancing part of a cluster: `lb_policy` with its config, or `load_balancing_policy`.

use crate::lb::{LbConfig, LbPolicy, Selection};
use envoy_api::pb::envoy::config::cluster::v3::{
    Cluster,
    cluster::{LbPolicy as Proto, common_lb_config::LocalityConfigSpecifier},
};
use outrigger_core::ConfigError;

pub(super) fn compile(proto: &Cluster) -> Result<LbConfig, ConfigError> {
    let mut config = LbConfig {
        policy: policy(proto)?,
        ..LbConfig::default()
    };
    if let Some(common) = &proto.common_lb_config {
        if let Some(percent) = &common.healthy_panic_threshold {
            config.healthy_panic_threshold = percent.value;
        }
        match &common.locality_config_specifier {
            Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(_)) => {
                config.locality_weighted = true;
            }
            Some(LocalityConfigSpecifier::ZoneAwareLbConfig(zone)) => {
                config.fail_traffic_on_panic = zone.fail_traffic_on_panic;
            }
            None => {}
        }
    }
    Ok(config)
}

fn policy(proto: &Cluster) -> Result<LbPolicy, ConfigError> {
    let unsupported = |name: &str| {
        ConfigError::new(format!("{name} is not supported in this version")).at("lb_policy")
    };
    match Proto::try_from(proto.lb_policy) {
        Ok(Proto::RoundRobin) => Ok(LbPolicy::RoundRobin),
        Ok(Proto::Random) => Ok(LbPolicy::Random),
        Ok(Proto::LeastRequest) => Ok(LbPolicy::LeastRequest {
            selection: Selection::Choices(2),
            active_request_bias: 1.0,
        }),
        Ok(other) => Err(unsupported(other.as_str_name())),
        Err(_) => Err(unsupported(&proto.lb_policy.to_string())),
    }
}
