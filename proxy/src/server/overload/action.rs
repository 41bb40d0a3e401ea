//! Envoy's overload actions and load-shed points: triggers that make a level out of the pressure of resources.

use super::timers::{SCALE_TIMERS, Timers};
use envoy_api::{
    pb::envoy::config::overload::v3::{
        OverloadAction, Trigger as TriggerProto, trigger::TriggerOneof,
    },
    type_name,
};
use outrigger_core::{
    ConfigError,
    error::{ConfigResult, required},
    overload::OverloadState,
    scaled_timer::ScaledTimer,
    stat_group,
    stats::{Counter, Gauge, Store},
};
use std::{collections::HashMap, sync::Arc};

stat_group! {
    /// `overload.<action>.`
    struct ActionStats {
        gauge active,
        gauge scale_percent,
    }
}

/// What the level of an action or of a load-shed point moves.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Effect {
    StopAcceptingRequests,
    DisableHttpKeepalive,
    StopAcceptingConnections,
    RejectIncomingConnections,
    /// The allocator gives memory back in any case.
    ShrinkHeap,
    ReduceTimeouts(Vec<ScaledTimer>),
    DecodeHeaders,
    TcpListenerAccept,
}

/// One of them, compiled.
#[derive(Debug)]
pub struct Action {
    effect: Effect,
    triggers: Vec<Trigger>,
    /// Of actions only.
    active: Option<Arc<ActionStats>>,
    scale_percent: Option<Arc<Gauge>>,
    level: f64,
}

/// When a resource calls for the action.
#[derive(Debug)]
struct Trigger {
    /// Its place in the list of resources.
    resource: usize,
    above: f64,
    saturated: f64,
}

/// The names of resources and their places.
pub type Resources = HashMap<String, usize>;

const ACTIONS: &str = "envoy.overload_actions.";
const POINTS: &str = "envoy.load_shed_points.";

impl Action {
    /// An entry of `actions`.
    pub fn compile(
        proto: &OverloadAction,
        resources: &Resources,
        store: &Store,
        timers: &mut Timers<'_>,
    ) -> Result<Self, ConfigError> {
        let name = &proto.name;
        let config = proto.typed_config.as_ref();
        let scale = config.filter(|any| type_name(&any.type_url) == SCALE_TIMERS);
        let effect = match name.strip_prefix(ACTIONS) {
            Some("stop_accepting_requests") => Effect::StopAcceptingRequests,
            Some("disable_http_keepalive") => Effect::DisableHttpKeepalive,
            Some("stop_accepting_connections") => Effect::StopAcceptingConnections,
            Some("reject_incoming_connections") => Effect::RejectIncomingConnections,
            Some("shrink_heap") => Effect::ShrinkHeap,
            Some("reduce_timeouts") => match scale {
                Some(scale) => Effect::ReduceTimeouts(timers.compile(name, scale)?),
                None => {
                    return Err(ConfigError::new(format!(
                        "Overload action \"{name}\" requires typed_config"
                    )));
                }
            },
            Some("reset_high_memory_stream") => {
                return Err(
                    ConfigError::new(format!("{name} is not supported in this version")).at("name"),
                );
            }
            Some(_) if scale.is_some() => {
                return Err(ConfigError::new(format!(
                    "Overload action name \"{name}\" uses reserved prefix \"{ACTIONS}\""
                )));
            }
            _ => match scale {
                Some(scale) => Effect::ReduceTimeouts(timers.compile(name, scale)?),
                None => {
                    return Err(ConfigError::new(format!(
                        "Unknown Overload Manager Action {name}"
                    )));
                }
            },
        };
        let fits = match &effect {
            Effect::ShrinkHeap => scale.is_none(),
            Effect::ReduceTimeouts(_) => true,
            _ => config.is_none(),
        };
        if !fits {
            return Err(ConfigError::new(format!(
                "Overload action name \"{name}\" conflicts with its typed config"
            ))
            .at("typed_config"));
        }
        let what = format!("overload action {name}");
        let triggers = triggers(&proto.triggers, &what, resources)?;
        let stats = store.register(&format!("overload.{name}."), ActionStats::default());
        stats.active.set(0);
        stats.scale_percent.set(0);
        if effect == Effect::ShrinkHeap {
            tracing::warn!(
                target: "config",
                "{name} has no effect: the allocator gives memory back on its own"
            );
            // Shown, and never moved.
            store.counter(&format!("overload.{name}.shrink_count"));
        }
        Ok(Self {
            effect,
            triggers,
            active: Some(stats),
            scale_percent: None,
            level: 0.0,
        })
    }

    /// An entry of `loadshed_points`.
    pub fn compile_point(
        name: &str,
        protos: &[TriggerProto],
        resources: &Resources,
        store: &Store,
        state: &OverloadState,
    ) -> Result<Self, ConfigError> {
        let (effect, point) = match name.strip_prefix(POINTS) {
            Some("http_connection_manager_decode_headers") => {
                (Effect::DecodeHeaders, &state.decode_headers)
            }
            Some("tcp_listener_accept") => (Effect::TcpListenerAccept, &state.tcp_listener_accept),
            _ => {
                return Err(
                    ConfigError::new(format!("{name} is not supported in this version")).at("name"),
                );
            }
        };
        let triggers = triggers(protos, &format!("loadshed point {name}"), resources)?;
        let count: Arc<Counter> = store.counter(&format!("overload.{name}.shed_load_count"));
        let _ = point.count.set(count);
        let scale_percent = store.gauge(&format!("overload.{name}.scale_percent"));
        scale_percent.set(0);
        Ok(Self {
            effect,
            triggers,
            active: None,
            scale_percent: Some(scale_percent),
            level: 0.0,
        })
    }

    /// Follows the pressure of all resources. True if the level is another one than before. The stats show what the
    /// action does, where Envoy's show the trigger that has moved last.
    pub fn update(&mut self, pressures: &[Option<f64>]) -> bool {
        let levels = self.triggers.iter().map(|trigger| {
            let pressure = pressures.get(trigger.resource).copied().flatten();
            trigger.level(pressure.unwrap_or(0.0))
        });
        let level = levels.fold(0.0, f64::max);
        let percent = (level * 100.0) as u64;
        if let Some(stats) = &self.active {
            stats.active.set(u64::from(level >= 1.0));
            stats.scale_percent.set(percent);
        }
        if let Some(scale_percent) = &self.scale_percent {
            scale_percent.set(percent);
        }
        std::mem::replace(&mut self.level, level) != level
    }

    pub fn is_active(&self) -> bool {
        self.level > 0.0
    }

    /// Lets those feel it who have to.
    pub fn apply(&self, state: &OverloadState) {
        let level = match &self.effect {
            Effect::StopAcceptingRequests => &state.stop_accepting_requests,
            Effect::DisableHttpKeepalive => &state.disable_http_keepalive,
            Effect::RejectIncomingConnections => &state.reject_incoming_connections,
            Effect::DecodeHeaders => &state.decode_headers.level,
            Effect::TcpListenerAccept => &state.tcp_listener_accept.level,
            // Half of a listener cannot be closed.
            Effect::StopAcceptingConnections => return state.stop_accepting(self.level >= 1.0),
            Effect::ReduceTimeouts(timers) => return state.timers.set(timers, self.level),
            Effect::ShrinkHeap => return,
        };
        level.set(self.level);
    }
}

fn triggers(
    protos: &[TriggerProto],
    what: &str,
    resources: &Resources,
) -> Result<Vec<Trigger>, ConfigError> {
    let mut triggers: Vec<Trigger> = Vec::new();
    for (index, proto) in protos.iter().enumerate() {
        let trigger = Trigger::compile(proto, what, resources).at_index("triggers", index)?;
        if triggers.iter().any(|t| t.resource == trigger.resource) {
            return Err(ConfigError::new(format!(
                "Duplicate trigger resource for {what}"
            )));
        }
        triggers.push(trigger);
    }
    Ok(triggers)
}

impl Trigger {
    fn compile(
        proto: &TriggerProto,
        what: &str,
        resources: &Resources,
    ) -> Result<Self, ConfigError> {
        let Some(&resource) = resources.get(&proto.name) else {
            return Err(ConfigError::new(format!(
                "Unknown trigger resource {} for {what}",
                proto.name
            )));
        };
        let (above, saturated) = match required(proto.trigger_oneof.as_ref(), "trigger_oneof")? {
            TriggerOneof::Threshold(threshold) => (threshold.value, threshold.value),
            TriggerOneof::Scaled(scaled) => {
                if scaled.scaling_threshold >= scaled.saturation_threshold {
                    return Err(ConfigError::new(
                        "scaling_threshold must be less than saturation_threshold",
                    ));
                }
                (scaled.scaling_threshold, scaled.saturation_threshold)
            }
        };
        Ok(Self {
            resource,
            above,
            saturated,
        })
    }

    /// From 0 to 1.
    fn level(&self, pressure: f64) -> f64 {
        if pressure >= self.saturated {
            1.0
        } else if pressure > self.above {
            (pressure - self.above) / (self.saturated - self.above)
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_scales_between_its_thresholds() {
        let trigger = |above, saturated| Trigger {
            resource: 0,
            above,
            saturated,
        };
        let levels = [0.4, 0.5, 0.6, 0.75, 0.9].map(|p| trigger(0.5, 0.75).level(p));
        assert_eq!(levels, [0.0, 0.0, (0.6 - 0.5) / 0.25, 1.0, 1.0]);
        assert_eq!(trigger(0.5, 0.5).level(0.49), 0.0);
        assert_eq!(trigger(0.5, 0.5).level(0.5), 1.0);
    }
}
