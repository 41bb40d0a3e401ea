//! `rate_limits` of a route or of a virtual host: what its requests are to rate limiters, stage by stage.

use super::{RateLimit, RouteMatch, action::Action};
use envoy_api::pb::envoy::{
    config::route::v3::RateLimit as Proto, extensions::common::ratelimit::v3::VhRateLimitsOptions,
};
use outrigger_core::{ConfigError, error::ConfigResult, local_info::LocalInfo};
use std::sync::Arc;

/// The highest stage.
const LAST_STAGE: u32 = 10;

/// What one level says.
#[derive(Clone, Debug, Default)]
pub struct RateLimitPolicy(Option<Arc<[Staged]>>);

#[derive(Debug)]
struct Staged {
    stage: u32,
    /// A local limiter passes over what has a `disable_key`.
    keyed: bool,
    limit: RateLimit,
}

impl RateLimitPolicy {
    /// Compiles a field `rate_limits`.
    pub fn compile(protos: &[Proto], local: &LocalInfo) -> Result<Self, ConfigError> {
        if protos.is_empty() {
            return Ok(Self(None));
        }
        let limits = protos.iter().enumerate();
        let limits = limits.map(|(i, proto)| {
            let staged = Staged {
                stage: stage(proto.stage.unwrap_or(0)).at_index("rate_limits", i)?,
                keyed: !proto.disable_key.is_empty(),
                limit: RateLimit::compile(proto, local).at_index("rate_limits", i)?,
            };
            Ok(staged)
        });
        limits.collect::<Result<_, _>>().map(Some).map(Self)
    }

    fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn of_stage(&self, stage: u32) -> impl Iterator<Item = &RateLimit> {
        let limits = self.0.iter().flat_map(|limits| limits.iter());
        limits
            .filter(move |limit| limit.stage == stage && !limit.keyed)
            .map(|limit| &limit.limit)
    }
}

/// A stage, 0 unless it is given.
pub fn stage(stage: u32) -> Result<u32, ConfigError> {
    match stage {
        0..=LAST_STAGE => Ok(stage),
        _ => Err(ConfigError::new("value must be less than or equal to 10").at("stage")),
    }
}

impl RouteMatch {
    /// What the route and its virtual host say of a stage to a local limiter, as far as those of the virtual host count.
    /// Only routes to clusters have limits.
    pub fn rate_limits(
        &self,
        stage: u32,
        virtual_host: VhRateLimitsOptions,
    ) -> impl Iterator<Item = &RateLimit> {
        let forward = match &self.route.action {
            Action::Forward(forward) => Some(forward),
            _ => None,
        };
        let own = forward.map(|forward| &forward.rate_limits);
        let includes = forward.is_some_and(|forward| {
            forward.include_virtual_host_rate_limits
                || match virtual_host {
                    VhRateLimitsOptions::Override => forward.rate_limits.is_empty(),
                    VhRateLimitsOptions::Include => true,
                    VhRateLimitsOptions::Ignore => false,
                }
        });
        let host = includes.then_some(&self.route.virtual_host.rate_limits);
        own.into_iter()
            .chain(host)
            .flat_map(move |policy| policy.of_stage(stage))
    }
}
