//! Envoy's `StrictHeaderChecker`: a request whose `x-envoy-*` headers make no sense is refused.

use crate::{local_reply::LocalReply, route::RetryOn};
use outrigger_core::{ConfigError, HeaderId, HeaderMap, ResponseFlag};

/// All headers that can be checked.
const CHECKABLE: [HeaderId; 5] = [
    HeaderId::EnvoyUpstreamRqTimeoutMs,
    HeaderId::EnvoyUpstreamRqPerTryTimeoutMs,
    HeaderId::EnvoyMaxRetries,
    HeaderId::EnvoyRetryOn,
    HeaderId::EnvoyRetryGrpcOn,
];

/// `strict_check_headers`, in the order given.
#[derive(Clone, Copy, Debug, Default)]
pub struct StrictHeaders([Option<HeaderId>; CHECKABLE.len()]);

impl StrictHeaders {
    pub fn compile(names: &[String]) -> Result<Self, ConfigError> {
        let mut headers = Self::default();
        for (index, name) in names.iter().enumerate() {
            let Some(id) = CHECKABLE.into_iter().find(|id| id.name() == name) else {
                return Err(ConfigError::new(format!("'{name}' cannot be checked"))
                    .index(index)
                    .at("strict_check_headers"));
            };
            if !headers.0.contains(&Some(id))
                && let Some(place) = headers.0.iter_mut().find(|place| place.is_none())
            {
                *place = Some(id);
            }
        }
        Ok(headers)
    }

    /// The answer to a request that has to be refused.
    pub fn check(&self, request: &HeaderMap) -> Option<LocalReply> {
        self.0.iter().flatten().find_map(|id| {
            let value = request.get(*id)?;
            let valid = std::str::from_utf8(value).is_ok_and(|value| is_valid(*id, value));
            (!valid).then(|| refuse(*id, value))
        })
    }
}

fn is_valid(id: HeaderId, value: &str) -> bool {
    let words = || value.split(',').map(str::trim).filter(|w| !w.is_empty());
    match id {
        HeaderId::EnvoyRetryOn => words().all(|word| !RetryOn::parse_http(word).is_empty()),
        HeaderId::EnvoyRetryGrpcOn => words().all(|word| !RetryOn::parse_grpc(word).is_empty()),
        _ => value.parse::<u64>().is_ok(),
    }
}

fn refuse(id: HeaderId, value: &[u8]) -> LocalReply {
    let name = id.name();
    let mut reply = LocalReply::new(
        400,
        "",
        format!("request_headers_failed_strict_check{{{name}}}"),
    )
    .flag(ResponseFlag::InvalidEnvoyRequestHeaders);
    let body = [
        b"invalid header '",
        name.as_bytes(),
        b"' with value '",
        value,
        b"'",
    ];
    reply.body = body.concat().into();
    reply
}
