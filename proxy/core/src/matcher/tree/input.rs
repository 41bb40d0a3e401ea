//! What matchers may look at: the `input` of a predicate or of a tree, as text.

use super::predicate::unknown;
use crate::{
    Address, ConfigError, HeaderId, HeaderMap, HeaderName, StreamInfo,
    error::{ConfigResult, required},
    stream_info::FilterState,
    tls_info::CertificateInfo,
};
use envoy_api::{
    Message, Name,
    pb::{
        envoy::{
            extensions::matching::common_inputs::{
                network::v3::{
                    DestinationIpInput, DestinationPortInput, DirectSourceIpInput,
                    FilterStateInput, ServerNameInput, SourceIpInput, SourcePortInput,
                    SourceTypeInput,
                },
                ssl::v3::{DnsSanInput, SubjectInput, UriSanInput},
            },
            r#type::matcher::v3::{
                HttpRequestHeaderMatchInput, HttpResponseHeaderMatchInput,
                HttpResponseLocalReplyMatchInput, HttpResponseStatusCodeClassMatchInput,
                HttpResponseStatusCodeMatchInput,
            },
        },
        xds::core::v3::TypedExtensionConfig,
    },
    prost_types::Any,
    type_name, unpack,
};
use smallvec::SmallVec;
use std::net::IpAddr;

/// What is matched, as far as it is there.
#[derive(Clone, Copy, Debug)]
pub struct MatchData<'a> {
    pub request: Option<&'a HeaderMap>,
    pub response: Option<&'a HeaderMap>,
    pub info: &'a StreamInfo,
}

/// What there is to look at when a tree is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Connection,
    Request,
    Response,
}

/// A compiled `input`.
#[derive(Debug)]
pub enum MatchInput {
    /// Several lines are joined with a comma.
    RequestHeader(HeaderName),
    ResponseHeader(HeaderName),
    StatusCode,
    /// `1xx` to `5xx`.
    StatusClass,
    /// `true` or `false`.
    LocalReply,
    DestinationIp,
    DestinationPort,
    SourceIp,
    SourcePort,
    DirectSourceIp,
    /// `local`, or nothing.
    SourceType,
    ServerName,
    FilterState(Box<str>),
    UriSan,
    DnsSan,
    Subject,
}

/// Hardly any value is longer.
pub(super) type Value = SmallVec<[u8; 128]>;

/// Makes an input of its message, or tells what is wrong with it.
type Compile = fn(&Any) -> Result<MatchInput, ConfigError>;

/// An input, the least that it needs to look at, and how it is made.
struct Kind {
    type_name: &'static str,
    scope: Scope,
    compile: Compile,
}

impl MatchInput {
    /// An input that can have a value in this scope.
    pub fn compile(proto: &TypedExtensionConfig, scope: Scope) -> Result<Self, ConfigError> {
        let config = required(proto.typed_config.as_ref(), "typed_config")?;
        let name = type_name(&config.type_url);
        let kind = KINDS.iter().find(|kind| kind.type_name == name);
        let fits = |kind: &&Kind| match scope {
            Scope::Connection => kind.scope == Scope::Connection,
            Scope::Request => kind.scope != Scope::Response,
            Scope::Response => true,
        };
        match kind.filter(fits) {
            Some(kind) => (kind.compile)(config).at("typed_config"),
            None => Err(unknown(proto)),
        }
    }

    /// `None`: there is nothing to match.
    pub(super) fn value(&self, data: &MatchData<'_>) -> Option<Value> {
        let connection = &data.info.connection;
        let text = |text: &str| Some(Value::from_slice(text.as_bytes()));
        let ip = |address: &Address| text(&address.ip()?.ip().to_string());
        let port = |address: &Address| text(itoa::Buffer::new().format(address.ip()?.port()));
        let status = || data.response?.get(HeaderId::Status);
        match self {
            Self::RequestHeader(name) => joined(data.request?, name),
            Self::ResponseHeader(name) => joined(data.response?, name),
            Self::StatusCode => Some(Value::from_slice(status()?)),
            Self::StatusClass => match status()? {
                [class @ b'1'..=b'5', _, _] => Some(Value::from_slice(&[*class, b'x', b'x'])),
                _ => None,
            },
            Self::LocalReply => text(match &*data.info.details {
                "via_upstream" => "false",
                _ => "true",
            }),
            Self::DestinationIp => ip(&connection.local_address),
            Self::DestinationPort => port(&connection.local_address),
            Self::SourceIp => ip(data.info.remote_address()),
            Self::SourcePort => port(data.info.remote_address()),
            Self::DirectSourceIp => ip(&connection.direct_remote_address),
            Self::SourceType => {
                let (remote, local) = (data.info.remote_address(), &connection.local_address);
                let local = is_local(remote.ip()?.ip(), local.ip().map(|address| address.ip()));
                local.then(|| Value::from_slice(b"local"))
            }
            Self::ServerName => {
                let name = connection.requested_server_name.as_deref();
                text(name.filter(|name| !name.is_empty())?)
            }
            Self::FilterState(key) => match data.info.filter_state.get(&**key)? {
                FilterState::String(value) => text(value),
                _ => None,
            },
            Self::UriSan => list(&peer(data)?.uri_sans),
            Self::DnsSan => list(&peer(data)?.dns_sans),
            Self::Subject => text(&peer(data)?.subject).filter(|subject| !subject.is_empty()),
        }
    }
}

const KINDS: &[Kind] = &[
    Kind {
        type_name: "envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
        scope: Scope::Request,
        compile: |config| {
            let proto: HttpRequestHeaderMatchInput = open(config)?;
            let name = HeaderName::from(proto.header_name.as_str());
            Ok(MatchInput::RequestHeader(name))
        },
    },
    Kind {
        type_name: "envoy.type.matcher.v3.HttpResponseHeaderMatchInput",
        scope: Scope::Response,
        compile: |config| {
            let proto: HttpResponseHeaderMatchInput = open(config)?;
            let name = HeaderName::from(proto.header_name.as_str());
            Ok(MatchInput::ResponseHeader(name))
        },
    },
    Kind {
        type_name: "envoy.type.matcher.v3.HttpResponseStatusCodeMatchInput",
        scope: Scope::Response,
        compile: |config| {
            let HttpResponseStatusCodeMatchInput {} = open(config)?;
            Ok(MatchInput::StatusCode)
        },
    },
    Kind {
        type_name: "envoy.type.matcher.v3.HttpResponseStatusCodeClassMatchInput",
        scope: Scope::Response,
        compile: |config| {
            let HttpResponseStatusCodeClassMatchInput {} = open(config)?;
            Ok(MatchInput::StatusClass)
        },
    },
    Kind {
        type_name: "envoy.type.matcher.v3.HttpResponseLocalReplyMatchInput",
        scope: Scope::Response,
        compile: |config| {
            let HttpResponseLocalReplyMatchInput {} = open(config)?;
            Ok(MatchInput::LocalReply)
        },
    },
    Kind {
        type_name: "envoy.extensions.matching.common_inputs.network.v3.DestinationIPInput",
        scope: Scope::Connection,
        compile: |config| {
            let DestinationIpInput {} = open(config)?;
            Ok(MatchInput::DestinationIp)
        },
    },
    Kind {
        type_name: "envoy.extensions.matching.common_inputs.network.v3.DestinationPortInput",
        scope: Scope::Connection,
        compile: |config| {
            let DestinationPortInput {} = open(config)?;
            Ok(MatchInput::DestinationPort)
        },
    },
    Kind {
        type_name: "envoy.extensions.matching.common_inputs.network.v3.SourceIPInput",
        scope: Scope::Connection,
        compile: |config| {
            let SourceIpInput {} = open(config)?;
            Ok(MatchInput::SourceIp)
        },
    },
    Kind {
        type_name: "envoy.extensions.matching.common_inputs.network.v3.SourcePortInput",
        scope: Scope::Connection,
        compile: |config| {
            let SourcePortInput {} = open(config)?;
            Ok(MatchInput::SourcePort)
        },
    },
    Kind {
        type_name: "envoy.extensions.matching.common_inputs.network.v3.DirectSourceIPInput",
        scope: Scope::Connection,
        compile: |config| {
            let DirectSourceIpInput {} = open(config)?;
            Ok(MatchInput::DirectSourceIp)
        },
    },
    Kind {
        type_name: "envoy.extensions.matching.common_inputs.network.v3.SourceTypeInput",
        scope: Scope::Connection,
        compile: |config| {
            let SourceTypeInput {} = open(config)?;
            Ok(MatchInput::SourceType)
        },
    },
    Kind {
        type_name: "envoy.extensions.matching.common_inputs.network.v3.ServerNameInput",
        scope: Scope::Connection,
        compile: |config| {
            let ServerNameInput {} = open(config)?;
            Ok(MatchInput::ServerName)
        },
    },
    Kind {
        type_name: "envoy.extensions.matching.common_inputs.network.v3.FilterStateInput",
        scope: Scope::Connection,
        compile: |config| {
            let proto: FilterStateInput = open(config)?;
            if !proto.field.is_empty() {
                return Err(ConfigError::new("is not supported").at("field"));
            }
            Ok(MatchInput::FilterState(proto.key.into()))
        },
    },
    Kind {
        type_name: "envoy.extensions.matching.common_inputs.ssl.v3.UriSanInput",
        scope: Scope::Connection,
        compile: |config| {
            let UriSanInput {} = open(config)?;
            Ok(MatchInput::UriSan)
        },
    },
    Kind {
        type_name: "envoy.extensions.matching.common_inputs.ssl.v3.DnsSanInput",
        scope: Scope::Connection,
        compile: |config| {
            let DnsSanInput {} = open(config)?;
            Ok(MatchInput::DnsSan)
        },
    },
    Kind {
        type_name: "envoy.extensions.matching.common_inputs.ssl.v3.SubjectInput",
        scope: Scope::Connection,
        compile: |config| {
            let SubjectInput {} = open(config)?;
            Ok(MatchInput::Subject)
        },
    },
];

fn open<T: Message + Name + Default>(config: &Any) -> Result<T, ConfigError> {
    unpack(config).map_err(|e| ConfigError::new(e.to_string()))
}

fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<Value> {
    let mut values = headers.get_all(name);
    let mut joined = Value::from_slice(values.next()?);
    for value in values {
        joined.push(b',');
        joined.extend_from_slice(value);
    }
    Some(joined)
}

fn list(names: &[String]) -> Option<Value> {
    let joined = names.join(",");
    (!joined.is_empty()).then(|| Value::from_slice(joined.as_bytes()))
}

fn peer<'a>(data: &MatchData<'a>) -> Option<&'a CertificateInfo> {
    data.info.connection.tls.as_ref()?.peer.as_deref()
}

/// Whether a client is on this machine: it has our address or a loopback address.
fn is_local(remote: IpAddr, local: Option<IpAddr>) -> bool {
    remote.is_loopback() || local == Some(remote)
}
