//! `envoy.filters.http.stateful_session`: requests of one session go to one host, as a cookie or a header says.

mod cookie;
mod envelope;
mod fields;
mod state;

pub use fields::FIELDS;

use self::state::SessionState;
use super::{FilterContext, FilterState, Instance};
use crate::{
    route::{FilterOverride, RouteMatch},
    stream::ActiveStream,
};
use envoy_api::pb::envoy::extensions::filters::http::stateful_session::v3::{
    StatefulSession as Proto, StatefulSessionPerRoute, stateful_session_per_route::Override as Own,
};
use outrigger_core::{
    ConfigError, ResponseFlag,
    error::{ConfigResult, required},
    stat_group,
    stats::Store,
};
use outrigger_upstream::{BuildContext, OverrideHost};
use std::sync::Arc;

stat_group! {
    /// `http.<stat_prefix>.stateful_session.<stat_prefix>.`
    pub struct StatefulSessionStats {
        counter failed_closed,
        counter failed_open,
        counter no_session,
        counter routed,
    }
}

/// The filter.
#[derive(Debug)]
pub struct StatefulSession {
    config: Config,
}

/// The filter's own configuration, or that of one level of the route configuration.
#[derive(Debug)]
struct Config {
    state: Option<SessionState>,
    strict: bool,
    /// What is answered when a strict session has lost its host.
    status: u16,
    /// Nothing is counted that has no name.
    stats: Option<Arc<StatefulSessionStats>>,
}

/// What one level of the route configuration says.
#[derive(Debug)]
enum Override {
    Disabled,
    Config(Config),
}

/// What a request says of its session.
#[derive(Debug)]
pub enum Session {
    /// It has no part in any.
    None,
    New,
    /// It is that of the host at this address.
    Of(Arc<str>),
}

/// Compiles what one level of the route configuration says.
pub fn compile_override(
    proto: &StatefulSessionPerRoute,
    build: &BuildContext,
) -> Result<FilterOverride, ConfigError> {
    Ok(Arc::new(
        match required(proto.r#override.as_ref(), "override")? {
            Own::Disabled(_) => Override::Disabled,
            Own::StatefulSession(proto) => {
                // A route knows nothing of the connection manager that it is used by.
                let config = Config::compile(proto, "", &build.context.stats);
                Override::Config(config.at("stateful_session")?)
            }
        },
    ))
}

impl Config {
    /// `prefix` is that of the connection manager's stats.
    fn compile(proto: &Proto, prefix: &str, stats: &Store) -> Result<Self, ConfigError> {
        let state = proto.session_state.as_ref().map(SessionState::compile);
        let status = match proto.status_on_strict_destination_not_found {
            0 => 503,
            // Envoy would write any number.
            status => u16::try_from(status)
                .ok()
                .filter(|status| (200..600).contains(status))
                .ok_or_else(|| ConfigError::new("value must be inside range [200, 600)"))
                .at("status_on_strict_destination_not_found")?,
        };
        Ok(Self {
            state: state.transpose().at("session_state")?,
            strict: proto.strict,
            status,
            stats: (!proto.stat_prefix.is_empty()).then(|| {
                let name = format!("{prefix}stateful_session.{}.", proto.stat_prefix);
                stats.register(&name, StatefulSessionStats::default())
            }),
        })
    }
}

impl StatefulSession {
    pub fn compile(proto: &Proto, context: &FilterContext<'_>) -> Result<Self, ConfigError> {
        let stats = &context.build.context.stats;
        Ok(Self {
            config: Config::compile(proto, context.stat_prefix, stats)?,
        })
    }

    fn config<'a>(&'a self, at: &Instance, route: Option<&'a RouteMatch>) -> Option<&'a Config> {
        match at.most_specific(route) {
            Some(Override::Disabled) => None,
            Some(Override::Config(config)) => Some(config),
            None => Some(&self.config),
        }
    }

    /// Asks for the host of the session.
    pub(crate) fn decode_headers(&self, at: &Instance, stream: &mut ActiveStream<'_>) {
        let Some(config) = self.config(at, stream.route.as_ref()) else {
            return;
        };
        let messages = &mut *stream.messages;
        let session = match &config.state {
            Some(state) => state.session(&mut messages.request, stream.info.start_time),
            None => Session::None,
        };
        if let Session::Of(address) = &session {
            messages.filters.override_host = Some(Box::new(OverrideHost {
                address: address.clone(),
                strict: config.strict,
                status: config.status,
            }));
        }
        let state = FilterState::StatefulSession(session);
        messages.filters.set(at.place, state);
    }

    /// Tells the client which host its session is with from now on.
    pub(crate) fn encode_headers(&self, at: &Instance, stream: &mut ActiveStream<'_>) {
        let Some(FilterState::StatefulSession(session)) = stream.messages.filters.take(at.place)
        else {
            return;
        };
        let Some(config) = self.config(at, stream.route.as_ref()) else {
            return;
        };
        let stats = config.stats.as_deref();
        let (info, head) = (&stream.info, &mut stream.messages.response);
        let counted = match (&config.state, &info.upstream.host) {
            (_, Some(_)) if matches!(session, Session::None) => stats.map(|s| &s.no_session),
            (Some(state), Some(host)) => {
                let address = host.address.to_string();
                match state.update(&session, &address, head, info.start_time) {
                    false => stats.map(|s| &s.routed),
                    true => stats.filter(|_| !config.strict).map(|s| &s.failed_open),
                }
            }
            (Some(_), None) => {
                let lost = config.strict && info.flags.has(ResponseFlag::NoHealthyUpstream);
                stats.filter(|_| lost).map(|s| &s.failed_closed)
            }
            (None, _) => None,
        };
        if let Some(counter) = counted {
            counter.inc();
        }
    }
}
