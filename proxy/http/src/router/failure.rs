//! Why an attempt failed before it brought a response, and what the client is told.

use super::Forwarding;
use crate::{
    codec::h1::{EncodeError, ExchangeError},
    local_reply::LocalReply,
    stream::ActiveStream,
};
use outrigger_core::{HeaderId, ResponseFlag, log_debug};
use outrigger_upstream::{FailureReason, OverrideHost, PoolFailure};
use std::borrow::Cow;

/// Envoy's reset reasons, as far as an upstream can cause them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResetReason {
    /// The connection could not be made; the transport's own words.
    RemoteConnectionFailure(Cow<'static, str>),
    /// This machine could not even try.
    LocalConnectionFailure(Cow<'static, str>),
    ConnectionTimeout,
    /// A circuit breaker is open.
    Overflow,
    ConnectionTermination,
    ProtocolError,
    /// The upstream reset the stream.
    RemoteReset,
    /// The upstream reset the stream without having looked at it.
    RemoteRefusedStreamReset,
}

impl ResetReason {
    /// As Envoy prints it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::RemoteConnectionFailure(_) => "remote connection failure",
            Self::LocalConnectionFailure(_) => "local connection failure",
            Self::ConnectionTimeout => "connection timeout",
            Self::Overflow => "overflow",
            Self::ConnectionTermination => "connection termination",
            Self::ProtocolError => "protocol error",
            Self::RemoteReset => "remote reset",
            Self::RemoteRefusedStreamReset => "remote refused stream reset",
        }
    }

    pub const fn flag(&self) -> ResponseFlag {
        match self {
            Self::RemoteConnectionFailure(_)
            | Self::LocalConnectionFailure(_)
            | Self::ConnectionTimeout => ResponseFlag::UpstreamConnectionFailure,
            Self::Overflow => ResponseFlag::UpstreamOverflow,
            Self::ConnectionTermination => ResponseFlag::UpstreamConnectionTermination,
            Self::ProtocolError => ResponseFlag::UpstreamProtocolError,
            Self::RemoteReset | Self::RemoteRefusedStreamReset => ResponseFlag::UpstreamRemoteReset,
        }
    }

    /// The status that the client gets, and that the cluster's stats count.
    pub const fn code(&self) -> u16 {
        match self {
            Self::ProtocolError => 502,
            _ => 503,
        }
    }

    /// The transport's own words, if it has any.
    pub fn transport_failure(&self) -> Cow<'static, str> {
        match self {
            Self::RemoteConnectionFailure(text) | Self::LocalConnectionFailure(text) => {
                text.clone()
            }
            _ => Cow::Borrowed(""),
        }
    }

    /// The reply to a request that failed for this reason; `retried`: it had more than one attempt; `begun`: an interim
    /// response was there.
    pub fn reply(&self, retried: bool, begun: bool) -> LocalReply {
        let reason = self.as_str();
        let what = if retried {
            "retried and the latest reset reason"
        } else {
            "reset reason"
        };
        let transport = self.transport_failure();
        let bar = if transport.is_empty() { "" } else { "|" };
        let when = if begun { "after" } else { "before" };
        let details = format!("upstream_reset_{when}_response_started{{{reason}{bar}{transport}}}");
        let mut reply = LocalReply::new(self.code(), "", details).flag(self.flag());
        let text =
            format!("upstream connect error or disconnect/reset before headers. {what}: {reason}");
        reply.body = text.into();
        if *self == Self::Overflow {
            reply = reply.header(HeaderId::EnvoyOverloaded, &b"true"[..]);
        }
        reply
    }
}

impl Forwarding {
    #[cold]
    pub(super) fn no_healthy_upstream(&self, wanted: Option<&OverrideHost>) -> LocalReply {
        log_debug!("upstream", "no healthy host");
        let code = wanted
            .filter(|wanted| wanted.strict)
            .map_or(503, |wanted| wanted.status);
        self.charge.reply(&self.cluster, code);
        LocalReply::new(code, "no healthy upstream", "no_healthy_upstream")
            .flag(ResponseFlag::NoHealthyUpstream)
    }

    #[cold]
    pub(super) fn timeout_reply(&self, details: &'static str) -> LocalReply {
        let body = match self.timeouts.alternative_response {
            true => "",
            false => "upstream request timeout",
        };
        LocalReply::new(self.timeouts.code(), body, details)
            .flag(ResponseFlag::UpstreamRequestTimeout)
    }
}

/// Says in the log why an attempt ended.
pub(super) fn log(stream: &ActiveStream<'_>, reason: &str, transport_failure: &str) {
    log_debug!("router", &stream.info =>
        "upstream reset: reset reason: {reason}, transport failure reason: {transport_failure}");
}

/// A filter or route took away a header that the request needs, or put in one that would split it.
#[cold]
pub(super) fn unwritable(error: &EncodeError) -> LocalReply {
    let details = match error {
        EncodeError::Required(_) => "filter_removed_required_request_headers",
        EncodeError::LineBreak | EncodeError::ContentLength => "filter_added_invalid_request_data",
    };
    let mut reply = LocalReply::new(503, "", format!("{details}{{{error}}}"));
    reply.body = error.to_string().into();
    reply
}

impl From<&ExchangeError> for ResetReason {
    fn from(error: &ExchangeError) -> Self {
        match error {
            ExchangeError::Protocol(_) | ExchangeError::Truncated => Self::ProtocolError,
            ExchangeError::Terminated => Self::ConnectionTermination,
            ExchangeError::Reset => Self::RemoteReset,
            ExchangeError::Refused => Self::RemoteRefusedStreamReset,
        }
    }
}

impl From<PoolFailure> for ResetReason {
    fn from(failure: PoolFailure) -> Self {
        match failure.reason {
            FailureReason::Overflow => Self::Overflow,
            FailureReason::Timeout => Self::ConnectionTimeout,
            FailureReason::RemoteConnectionFailure(text) => {
                Self::RemoteConnectionFailure(text.replace(' ', "_").into())
            }
            FailureReason::LocalConnectionFailure(text) => {
                Self::LocalConnectionFailure(text.replace(' ', "_").into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_read_as_envoys_do() {
        let reply = ResetReason::RemoteConnectionFailure(
            "delayed_connect_error:_Connection_refused".into(),
        )
        .reply(false, false);
        assert_eq!(
            (reply.code, reply.details.as_ref()),
            (
                503,
                "upstream_reset_before_response_started{remote connection failure|delayed_connect_error:_Connection_refused}"
            )
        );
        assert_eq!(
            reply.body.as_ref(),
            b"upstream connect error or disconnect/reset before headers. reset reason: remote connection failure"
        );
        let reply = ResetReason::Overflow.reply(true, false);
        assert!(
            reply
                .body
                .ends_with(b"retried and the latest reset reason: overflow")
        );
        assert_eq!(
            reply.headers.first().map(|(id, _)| *id),
            Some(HeaderId::EnvoyOverloaded)
        );
    }
}
