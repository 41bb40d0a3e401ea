//! `envoy.filters.listener.local_ratelimit`: turns away the connections that are more than a bucket of tokens allows, before
//! anything is known of them.

use super::Verdict;
use envoy_api::pb::envoy::extensions::filters::listener::local_ratelimit::v3::LocalRateLimit as Proto;
use outrigger_core::{ConfigError, Context, connection_rate::ConnectionRate};

/// The compiled filter.
#[derive(Debug)]
pub struct LocalRateLimit(ConnectionRate);

impl LocalRateLimit {
    pub fn compile(proto: &Proto, context: &Context) -> Result<Self, ConfigError> {
        if proto.stat_prefix.is_empty() {
            let error = ConfigError::new("value length must be at least 1 characters");
            return Err(error.at("stat_prefix"));
        }
        let rate = ConnectionRate::compile(
            proto.token_bucket.as_ref(),
            proto.runtime_enabled.as_ref(),
            "",
            &format!("listener_local_ratelimit.{}.", proto.stat_prefix),
            context,
        );
        rate.map(Self)
    }

    pub fn on_accept(&self) -> Verdict {
        match self.0.admits() {
            true => Verdict::Continue,
            false => Verdict::Close,
        }
    }
}
