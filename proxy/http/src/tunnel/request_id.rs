//! `request_id_extension` of a tunnel: each request for one gets an id, which the session keeps as dynamic metadata.

use crate::{config::require_uuid, request_id};
use envoy_api::{
    pb::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::TunnelingConfig as Proto,
    prost_types::{Value, value::Kind},
};
use outrigger_core::{ConfigError, HeaderMap, HeaderName, StreamInfo, error::ConfigResult};

const NAMESPACE: &str = "envoy.filters.network.tcp_proxy";

/// Where the id of a request for a tunnel is put.
#[derive(Debug)]
pub(super) struct TunnelRequestId {
    header: HeaderName,
    metadata_key: Box<str>,
}

impl TunnelRequestId {
    /// The names alone make no id.
    pub fn compile(proto: &Proto) -> Result<Option<Self>, ConfigError> {
        if proto.request_id_extension.is_none() {
            return Ok(None);
        }
        require_uuid(proto.request_id_extension.as_ref()).at("request_id_extension")?;
        let header = or(&proto.request_id_header, "x-request-id");
        // Envoy takes any name, and sends what no peer understands.
        if header.eq_ignore_ascii_case("host") || !is_name(header) {
            let reason = format!("'{header}' is no name of a header that may be set");
            return Err(ConfigError::new(reason).at("request_id_header"));
        }
        Ok(Some(Self {
            header: HeaderName::from_bytes(header.as_bytes()),
            metadata_key: or(&proto.request_id_metadata_key, "tunnel_request_id").into(),
        }))
    }

    pub fn set(&self, head: &mut HeaderMap, info: &mut StreamInfo) {
        let id = request_id::generate();
        head.set_name(&self.header, &id);
        let value = Value {
            kind: Some(Kind::StringValue(String::from_utf8_lossy(&id).into_owned())),
        };
        info.dynamic_metadata
            .set(NAMESPACE, &self.metadata_key, value);
    }
}

fn or<'a>(name: &'a str, default: &'a str) -> &'a str {
    if name.is_empty() { default } else { name }
}

/// A token, as RFC 9110 has it.
fn is_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    name.bytes().all(token)
}
