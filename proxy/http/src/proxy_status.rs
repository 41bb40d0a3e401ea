//! `proxy_status_config`: the `proxy-status` header (RFC 9209) of responses that something went wrong with.

use envoy_api::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::{
    ProxyStatusConfig as Proto, proxy_status_config::ProxyName,
};
use outrigger_core::{HeaderId, HeaderMap, ResponseFlag, ResponseFlags, StreamInfo};

/// A compiled `proxy_status_config`.
#[derive(Debug)]
pub struct ProxyStatus {
    /// The proxy, as the header begins.
    name: Box<str>,
    details: bool,
    flags: bool,
    /// The status becomes the one that the RFC recommends for the error.
    recommend: bool,
}

impl ProxyStatus {
    /// `use_node_id` takes the node's name whatever its value, as in Envoy.
    pub fn compile(proto: &Proto, server_name: &str, node_id: &str) -> Self {
        let name = match &proto.proxy_name {
            Some(ProxyName::UseNodeId(_)) => node_id,
            Some(ProxyName::LiteralProxyName(name)) => name,
            None => server_name,
        };
        Self {
            name: name.into(),
            details: !proto.remove_details,
            flags: !proto.remove_response_flags,
            recommend: proto.set_recommended_response_code,
        }
    }

    /// Says in a response's head what went wrong, if something did.
    #[cold]
    pub fn apply(&self, head: &mut HeaderMap, info: &StreamInfo) {
        let Some((error, code)) = error_of(&info.flags) else {
            return;
        };
        let mut value = format!("{}; error={error}", self.name);
        if self.details {
            value.push_str("; details=\"");
            value.push_str(&info.details);
            if self.flags {
                let flags: Vec<_> = info.flags.iter().map(ResponseFlag::short).collect();
                value.push_str("; ");
                value.push_str(&flags.join(","));
            }
            value.push('"');
        }
        match head.get(HeaderId::ProxyStatus) {
            Some(old) if !old.is_empty() => {
                let joined = [old, b", ", value.as_bytes()].concat();
                head.set(HeaderId::ProxyStatus, &joined);
            }
            _ => head.set(HeaderId::ProxyStatus, value.as_bytes()),
        }
        if self.recommend && code != 0 {
            head.set(
                HeaderId::Status,
                itoa::Buffer::new().format(code).as_bytes(),
            );
        }
    }
}

/// The RFC's error and its status (0: it recommends none) by the first of these flags that is set: Envoy's order.
const ERRORS: &[(ResponseFlag, &str, u16)] = &[
    (
        ResponseFlag::FailedLocalHealthCheck,
        "destination_unavailable",
        503,
    ),
    (
        ResponseFlag::NoHealthyUpstream,
        "destination_unavailable",
        503,
    ),
    (
        ResponseFlag::UpstreamRequestTimeout,
        "http_response_timeout",
        504,
    ),
    (ResponseFlag::LocalReset, "connection_timeout", 504),
    (
        ResponseFlag::UpstreamRemoteReset,
        "connection_terminated",
        502,
    ),
    (
        ResponseFlag::UpstreamConnectionFailure,
        "connection_refused",
        502,
    ),
    (
        ResponseFlag::UpstreamConnectionTermination,
        "connection_terminated",
        502,
    ),
    (
        ResponseFlag::UpstreamOverflow,
        "connection_limit_reached",
        503,
    ),
    (ResponseFlag::NoRouteFound, "destination_not_found", 500),
    (ResponseFlag::RateLimited, "connection_limit_reached", 503),
    (
        ResponseFlag::RateLimitServiceError,
        "connection_limit_reached",
        503,
    ),
    (
        ResponseFlag::UpstreamRetryLimitExceeded,
        "destination_unavailable",
        503,
    ),
    (
        ResponseFlag::StreamIdleTimeout,
        "http_response_timeout",
        504,
    ),
    (ResponseFlag::FaultInjected, "http_request_error", 0),
    (
        ResponseFlag::InvalidEnvoyRequestHeaders,
        "http_request_error",
        0,
    ),
    (
        ResponseFlag::UpstreamMaxStreamDurationReached,
        "http_response_timeout",
        504,
    ),
    (
        ResponseFlag::NoFilterConfigFound,
        "proxy_configuration_error",
        500,
    ),
    (
        ResponseFlag::UpstreamProtocolError,
        "http_protocol_error",
        502,
    ),
    (ResponseFlag::NoClusterFound, "destination_unavailable", 503),
    (
        ResponseFlag::OverloadManagerTerminated,
        "connection_limit_reached",
        503,
    ),
    (ResponseFlag::DnsResolutionFailed, "dns_error", 502),
    (ResponseFlag::DropOverLoad, "connection_limit_reached", 503),
];

fn error_of(flags: &ResponseFlags) -> Option<(&'static str, u16)> {
    let found = ERRORS.iter().find(|(flag, ..)| flags.has(*flag));
    found.map(|&(_, error, code)| (error, code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_in_envoys_order_is_named() {
        let mut flags = ResponseFlags::default();
        assert_eq!(error_of(&flags), None);
        flags.set(ResponseFlag::UpstreamRetryLimitExceeded);
        assert_eq!(error_of(&flags), Some(("destination_unavailable", 503)));
        flags.set(ResponseFlag::UpstreamConnectionTermination);
        assert_eq!(error_of(&flags), Some(("connection_terminated", 502)));
    }

    #[test]
    fn it_joins_what_others_have_said() {
        let mut info = crate::route::tests::info(0);
        info.set_flag(ResponseFlag::UpstreamConnectionFailure);
        info.details = "why".into();
        let proto = Proto {
            set_recommended_response_code: true,
            ..Default::default()
        };
        let mut head = HeaderMap::new();
        head.append_raw(b"proxy-status", b"before");
        ProxyStatus::compile(&proto, "me", "node").apply(&mut head, &info);
        assert_eq!(
            head.get_str(HeaderId::ProxyStatus),
            Some("before, me; error=connection_refused; details=\"why; UF\"")
        );
        assert_eq!(head.get_str(HeaderId::Status), Some("502"));
    }
}
