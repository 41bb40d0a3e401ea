//! Where a session keeps the address of its host: in a cookie, in a header or in the envelope of another session.

use super::{Session, cookie::CookieState, envelope::EnvelopeState};
use envoy_api::{
    Message, Name,
    pb::envoy::{
        config::core::v3::TypedExtensionConfig,
        extensions::http::stateful_session::{
            cookie::v3::CookieBasedSessionState, envelope::v3::EnvelopeSessionState,
            header::v3::HeaderBasedSessionState,
        },
    },
    unpack,
};
use outrigger_core::{
    ConfigError, HeaderMap, HeaderName, base64,
    error::{ConfigResult, required},
};
use std::{sync::Arc, time::SystemTime};

/// A compiled `session_state`.
#[derive(Debug)]
pub enum SessionState {
    Cookie(CookieState),
    /// The address in base64.
    Header(HeaderName),
    Envelope(EnvelopeState),
}

impl SessionState {
    /// Envoy finds the extension by its name.
    pub fn compile(proto: &TypedExtensionConfig) -> Result<Self, ConfigError> {
        match proto.name.as_str() {
            "envoy.http.stateful_session.cookie" => {
                let proto: CookieBasedSessionState = open(proto)?;
                CookieState::compile(&proto)
                    .at("typed_config")
                    .map(Self::Cookie)
            }
            "envoy.http.stateful_session.header" => {
                let proto: HeaderBasedSessionState = open(proto)?;
                Ok(Self::Header(proto.name.as_str().into()))
            }
            "envoy.http.stateful_session.envelope" => {
                let proto: EnvelopeSessionState = open(proto)?;
                EnvelopeState::compile(&proto)
                    .at("typed_config")
                    .map(Self::Envelope)
            }
            name => Err(ConfigError::new(format!(
                "Didn't find a registered implementation for name: '{name}'"
            ))
            .at("name")),
        }
    }

    /// What a request says of its session.
    pub fn session(&self, request: &mut HeaderMap, now: SystemTime) -> Session {
        let address = match self {
            Self::Cookie(cookie) if !cookie.covers(request) => return Session::None,
            Self::Cookie(cookie) => cookie.read(request, now),
            Self::Header(name) => request.get_name(name).and_then(decode).and_then(text),
            Self::Envelope(envelope) => envelope.open(request),
        };
        match address {
            Some(address) if !address.is_empty() => Session::Of(address),
            _ => Session::New,
        }
    }

    /// The session is with this host from now on. True if the client is told of another one than before.
    pub fn update(
        &self,
        session: &Session,
        address: &str,
        response: &mut HeaderMap,
        now: SystemTime,
    ) -> bool {
        let same = matches!(session, Session::Of(wanted) if **wanted == *address);
        match self {
            // Every answer is put into an envelope.
            Self::Envelope(envelope) => return envelope.seal(address, response) && !same,
            _ if same => return false,
            Self::Cookie(cookie) => cookie.write(address, response, now),
            Self::Header(name) => {
                // Behind all others, as in Envoy.
                response.remove_name(name);
                response.append_name(name, base64::encode(address.as_bytes()).as_bytes());
            }
        }
        true
    }
}

fn open<T: Message + Name + Default>(proto: &TypedExtensionConfig) -> Result<T, ConfigError> {
    let config = required(proto.typed_config.as_ref(), "typed_config")?;
    unpack(config)
        .map_err(|e| ConfigError::new(e.to_string()))
        .at("typed_config")
}

/// Base64 as a session has to be written: with its padding.
pub(super) fn decode(value: &[u8]) -> Option<Vec<u8>> {
    match value.len() % 4 {
        0 => base64::decode(value),
        _ => None,
    }
}

pub(super) fn text(bytes: Vec<u8>) -> Option<Arc<str>> {
    String::from_utf8(bytes).ok().map(Into::into)
}
