//! Compiles `CircuitBreakers`.

use crate::circuit_breaker::{RetryBudget, Thresholds};
use envoy_api::pb::envoy::config::{
    cluster::v3::{CircuitBreakers, circuit_breakers},
    core::v3::RoutingPriority,
};
use outrigger_core::{ConfigError, error::ConfigResult};

/// The thresholds of both priorities. Of several for one priority the first counts, as in Envoy.
pub(super) fn compile(
    proto: Option<&CircuitBreakers>,
) -> Result<(Thresholds, Thresholds), ConfigError> {
    let Some(proto) = proto else {
        return Ok(Default::default());
    };
    let find = |priority: RoutingPriority| {
        let mut all = proto.thresholds.iter().enumerate();
        let mut thresholds = match all.find(|(_, t)| t.priority == priority as i32) {
            Some((index, thresholds)) => one(thresholds).at_index("thresholds", index)?,
            None => Thresholds::default(),
        };
        let mut per_host = proto.per_host_thresholds.iter();
        if let Some(limits) = per_host.find(|t| t.priority == priority as i32) {
            thresholds.max_connections_per_host =
                limits.max_connections.map_or(u64::MAX, u64::from);
        }
        Ok::<_, ConfigError>(thresholds)
    };
    for (index, limits) in proto.per_host_thresholds.iter().enumerate() {
        let circuit_breakers::Thresholds {
            priority: _,
            max_connections: _,
            max_pending_requests: None,
            max_requests: None,
            max_retries: None,
            retry_budget: None,
            track_remaining: false,
            max_connection_pools: None,
        } = limits
        else {
            return Err(ConfigError::new("Unsupported field in per_host_thresholds"))
                .at_index("per_host_thresholds", index);
        };
    }
    Ok((
        find(RoutingPriority::Default)?,
        find(RoutingPriority::High)?,
    ))
}

fn one(proto: &circuit_breakers::Thresholds) -> Result<Thresholds, ConfigError> {
    let defaults = Thresholds::default();
    let or = |value: Option<u32>, default| value.map_or(default, u64::from);
    let retry_budget = match &proto.retry_budget {
        None => None,
        Some(budget) => {
            if budget.budget_interval.is_some() {
                return Err(ConfigError::new("not supported in this version")
                    .at("budget_interval")
                    .at("retry_budget"));
            }
            let default = RetryBudget::default();
            Some(RetryBudget {
                percent: budget.budget_percent.map_or(default.percent, |p| p.value),
                min_concurrency: or(budget.min_retry_concurrency, default.min_concurrency),
            })
        }
    };
    Ok(Thresholds {
        max_connections: or(proto.max_connections, defaults.max_connections),
        max_connections_per_host: defaults.max_connections_per_host,
        max_pending_requests: or(proto.max_pending_requests, defaults.max_pending_requests),
        max_requests: or(proto.max_requests, defaults.max_requests),
        max_retries: or(proto.max_retries, defaults.max_retries),
        max_connection_pools: or(proto.max_connection_pools, defaults.max_connection_pools),
        retry_budget,
        track_remaining: proto.track_remaining,
    })
}
