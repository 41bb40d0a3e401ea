//! `envoy.filters.network.local_ratelimit`: no more new connections than a bucket of tokens allows.

use envoy_api::pb::envoy::extensions::filters::network::local_ratelimit::v3::LocalRateLimit as Proto;
use outrigger_core::{
    ConfigError, Context, ResponseFlag, StreamInfo, connection_rate::ConnectionRate,
    network_filter::Verdict,
};

/// The compiled filter.
#[derive(Debug)]
pub struct LocalRateLimit(ConnectionRate);

impl LocalRateLimit {
    pub fn compile(proto: &Proto, context: &Context) -> Result<Self, ConfigError> {
        let prefix = super::rbac::stat_prefix(&proto.stat_prefix)?;
        let rate = ConnectionRate::compile(
            proto.token_bucket.as_ref(),
            proto.runtime_enabled.as_ref(),
            &proto.share_key,
            &format!("local_rate_limit.{prefix}."),
            context,
        );
        rate.map(Self)
    }

    pub fn on_new_connection(&self, info: &mut StreamInfo) -> Verdict {
        if self.0.admits() {
            return Verdict::Continue;
        }
        info.set_flag(ResponseFlag::UpstreamRetryLimitExceeded);
        Verdict::close("local_ratelimit_close_over_limit", None, info)
    }
}
