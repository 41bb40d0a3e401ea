//! What the router is told for all routes.

use super::strict::StrictHeaders;
use envoy_api::pb::envoy::extensions::filters::http::router::v3::Router as Proto;
use outrigger_core::ConfigError;

/// `envoy.extensions.filters.http.router.v3.Router`.
#[derive(Debug, Clone, Copy)]
pub struct RouterConfig {
    pub dynamic_stats: bool,
    pub suppress_envoy_headers: bool,
    pub respect_expected_rq_timeout: bool,
    pub suppress_grpc_request_failure_code_stats: bool,
    pub reject_connect_request_early_data: bool,
    pub(super) strict: StrictHeaders,
}

impl RouterConfig {
    pub fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        Ok(Self {
            strict: StrictHeaders::compile(&proto.strict_check_headers)?,
            dynamic_stats: proto.dynamic_stats.unwrap_or(true),
            suppress_envoy_headers: proto.suppress_envoy_headers,
            respect_expected_rq_timeout: proto.respect_expected_rq_timeout,
            suppress_grpc_request_failure_code_stats: proto
                .suppress_grpc_request_failure_code_stats,
            reject_connect_request_early_data: proto
                .reject_connect_request_early_data
                .unwrap_or(false),
        })
    }
}
