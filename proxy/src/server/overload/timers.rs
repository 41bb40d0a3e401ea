//! `ScaleTimersOverloadActionConfig`: which timeouts an action reduces, and how far.

use envoy_api::{
    pb::envoy::config::overload::v3::{
        ScaleTimersOverloadActionConfig as Proto,
        scale_timers_overload_action_config::{ScaleTimer, TimerType, scale_timer::OverloadAdjust},
    },
    prost_types::Any,
    unpack,
};
use outrigger_core::{
    ConfigError,
    error::{ConfigResult, required},
    scaled_timer::{Minimum, ScaledTimer, ScaledTimers},
};
use std::time::Duration;

/// The type of the configuration.
pub const SCALE_TIMERS: &str = "envoy.config.overload.v3.ScaleTimersOverloadActionConfig";

/// The timers of the process, and which actions reduce them.
#[derive(Debug)]
pub struct Timers<'a> {
    timers: &'a ScaledTimers,
    owners: Vec<(ScaledTimer, String)>,
}

impl<'a> Timers<'a> {
    pub fn new(timers: &'a ScaledTimers) -> Self {
        Self {
            timers,
            owners: Vec::new(),
        }
    }

    /// The timers that an action reduces.
    pub fn compile(&mut self, action: &str, any: &Any) -> Result<Vec<ScaledTimer>, ConfigError> {
        let proto: Proto = unpack(any)
            .map_err(|error| ConfigError::new(error.to_string()))
            .at("typed_config")?;
        if proto.timer_scale_factors.is_empty() {
            return Err(ConfigError::new("value must contain at least 1 item(s)"))
                .at("timer_scale_factors")
                .at("typed_config");
        }
        let mut compiled = Vec::new();
        for (index, proto) in proto.timer_scale_factors.iter().enumerate() {
            let (timer, minimum) = factor(proto)
                .at_index("timer_scale_factors", index)
                .at("typed_config")?;
            if compiled.contains(&timer) {
                return Err(ConfigError::new(format!(
                    "Found duplicate entry for timer type {}",
                    proto.timer().as_str_name()
                )));
            }
            if let Some((_, owner)) = self.owners.iter().find(|(owned, _)| *owned == timer) {
                return Err(ConfigError::new(format!(
                    "Timer type is configured by both overload actions \"{owner}\" and \"{action}\""
                )));
            }
            self.timers.configure(timer, minimum);
            compiled.push(timer);
        }
        let owned = compiled.iter().map(|timer| (*timer, action.to_owned()));
        self.owners.extend(owned);
        Ok(compiled)
    }
}

fn factor(proto: &ScaleTimer) -> Result<(ScaledTimer, Minimum), ConfigError> {
    let timer = match proto.timer() {
        TimerType::HttpDownstreamConnectionIdle => ScaledTimer::ConnectionIdle,
        TimerType::HttpDownstreamStreamIdle => ScaledTimer::StreamIdle,
        TimerType::TransportSocketConnect => ScaledTimer::TransportSocketConnect,
        TimerType::HttpDownstreamConnectionMax => ScaledTimer::ConnectionMax,
        TimerType::HttpDownstreamStreamFlush => ScaledTimer::StreamFlush,
        TimerType::Unspecified => {
            let error = ConfigError::new("value must not be in list [UNSPECIFIED]");
            return Err(error.at("timer"));
        }
    };
    let minimum = match required(proto.overload_adjust.as_ref(), "overload_adjust")? {
        OverloadAdjust::MinTimeout(timeout) => Duration::try_from(*timeout)
            .map(Minimum::Timeout)
            .map_err(|_| ConfigError::new("Invalid duration: Expected positive duration"))
            .at("min_timeout")?,
        OverloadAdjust::MinScale(percent) if (0.0..=100.0).contains(&percent.value) => {
            Minimum::Share(percent.value / 100.0)
        }
        OverloadAdjust::MinScale(_) => {
            let error = ConfigError::new("value must be inside range [0, 100]");
            return Err(error.at("value").at("min_scale"));
        }
    };
    Ok((timer, minimum))
}
