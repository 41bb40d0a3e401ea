//! `envoy.filters.listener.proxy_protocol`: who is behind the load balancer, as its PROXY header says. A connection
//! without a header, or with a wrong one, must never pass unless the configuration says so.

use super::{
    Inspected, Verdict,
    proxy_header::{self, Header, Inspection, Version},
};
use envoy_api::{
    pb::envoy::{
        config::core::v3::{
            ProxyProtocolPassThroughTlVs as PassThroughProto, proxy_protocol_config,
            proxy_protocol_pass_through_tl_vs::PassTlVsMatchType,
        },
        extensions::filters::listener::proxy_protocol::v3::{
            ProxyProtocol as Proto,
            proxy_protocol::{Rule as RuleProto, TlvLocation, key_value_pair::ValueStringEncoding},
        },
    },
    prost_types::{Value, value::Kind},
};
use outrigger_core::{
    Address, ConfigError, base64, error::ConfigResult, stat_group, stats::Store,
    stream_info::FilterState,
};
use std::{collections::BTreeMap, sync::Arc};

stat_group! {
    /// `proxy_proto.[<stat_prefix>.]`
    pub struct ProxyProtocolStats {
        counter not_found_allowed,
        counter not_found_disallowed,
        counter v1_disallowed = "versions.v1.disallowed",
        counter v1_error = "versions.v1.error",
        counter v1_found = "versions.v1.found",
        counter v2_disallowed = "versions.v2.disallowed",
        counter v2_error = "versions.v2.error",
        counter v2_found = "versions.v2.found",
    }
}

stat_group! {
    /// Without a prefix: the stat that was there before the others.
    pub struct ProxyProtocolErrors {
        counter downstream_cx_proxy_proto_error,
    }
}

const METADATA: &str = "envoy.filters.listener.proxy_protocol";
const TLV_STATE: &str = "envoy.network.proxy_protocol.tlv";

/// The compiled filter.
#[derive(Debug)]
pub struct ProxyProtocol {
    stats: Arc<ProxyProtocolStats>,
    errors: Arc<ProxyProtocolErrors>,
    allow_without: bool,
    disallowed: Vec<Version>,
    rules: BTreeMap<u8, Rule>,
    to_filter_state: bool,
    pass_through: PassThrough,
}

/// Where the value of a TLV goes.
#[derive(Debug)]
struct Rule {
    namespace: Box<str>,
    key: Box<str>,
    base64: bool,
}

/// `ProxyProtocolPassThroughTLVs`: which TLVs may go on to the upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PassThrough {
    #[default]
    None,
    All,
    Types(Box<[u8]>),
}

impl PassThrough {
    pub fn compile(proto: Option<&PassThroughProto>) -> Result<Self, ConfigError> {
        let Some(proto) = proto else {
            return Ok(Self::None);
        };
        let types = proto.tlv_type.iter().enumerate();
        let types = types
            .map(|(i, kind)| tlv_type(*kind).at_index("tlv_type", i))
            .collect::<Result<_, _>>()?;
        Ok(match proto.match_type() {
            PassTlVsMatchType::IncludeAll => Self::All,
            PassTlVsMatchType::Include => Self::Types(types),
        })
    }

    pub fn includes(&self, kind: u8) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Types(types) => types.contains(&kind),
        }
    }
}

/// A type has eight bits.
pub fn tlv_type(kind: u32) -> Result<u8, ConfigError> {
    u8::try_from(kind).map_err(|_| ConfigError::new("value must be less than 256"))
}

impl ProxyProtocol {
    pub fn compile(proto: &Proto, stats: &Store) -> Result<Self, ConfigError> {
        let mut rules = BTreeMap::new();
        for (i, rule) in proto.rules.iter().enumerate() {
            let kind = tlv_type(rule.tlv_type)
                .at("tlv_type")
                .at_index("rules", i)?;
            rules.insert(kind, Rule::compile(rule).at_index("rules", i)?);
        }
        let prefix = match proto.stat_prefix.as_str() {
            "" => "proxy_proto.".to_owned(),
            prefix => format!("proxy_proto.{prefix}."),
        };
        let pass_through = PassThrough::compile(proto.pass_through_tlvs.as_ref());
        let disallowed = proto.disallowed_versions();
        Ok(Self {
            stats: stats.register(&prefix, ProxyProtocolStats::default()),
            errors: stats.register("", ProxyProtocolErrors::default()),
            allow_without: proto.allow_requests_without_proxy_protocol,
            disallowed: disallowed
                .map(|version| match version {
                    proxy_protocol_config::Version::V1 => Version::V1,
                    proxy_protocol_config::Version::V2 => Version::V2,
                })
                .collect(),
            rules,
            to_filter_state: proto.tlv_location() == TlvLocation::FilterState,
            pass_through: pass_through.at("pass_through_tlvs")?,
        })
    }

    /// `local` is where the client connected to.
    pub fn on_data(&self, bytes: &[u8], local: &Address, found: &mut Inspected) -> Verdict {
        if self.allow_without && !self.may_be_header(bytes) {
            self.stats.not_found_allowed.inc();
            return Verdict::Continue;
        }
        let inspection = proxy_header::inspect(bytes);
        let version = match &inspection {
            Inspection::NeedMore(version) => *version,
            Inspection::Found(header) => Some(header.version),
            Inspection::Malformed(version) => Some(*version),
            Inspection::Absent => None,
        };
        if let Some(version) = version
            && self.disallowed.contains(&version)
        {
            self.count_found(version);
            match version {
                Version::V1 => self.stats.v1_disallowed.inc(),
                Version::V2 => self.stats.v2_disallowed.inc(),
            }
            return Verdict::Close;
        }
        let failed = match inspection {
            Inspection::NeedMore(_) => return Verdict::NeedMore,
            Inspection::Found(header) => return self.found(&header, local, found),
            Inspection::Malformed(Version::V1) => &self.stats.v1_error,
            Inspection::Malformed(Version::V2) => &self.stats.v2_error,
            Inspection::Absent => &self.stats.not_found_disallowed,
        };
        failed.inc();
        self.errors.downstream_cx_proxy_proto_error.inc();
        Verdict::Close
    }

    fn may_be_header(&self, bytes: &[u8]) -> bool {
        [Version::V1, Version::V2].into_iter().any(|version| {
            !self.disallowed.contains(&version) && proxy_header::may_be(version, bytes)
        })
    }

    fn count_found(&self, version: Version) {
        match version {
            Version::V1 => self.stats.v1_found.inc(),
            Version::V2 => self.stats.v2_found.inc(),
        }
    }

    fn found(&self, header: &Header<'_>, local: &Address, found: &mut Inspected) -> Verdict {
        self.count_found(header.version);
        if let Some((source, destination)) = header.addresses {
            found.remote = Some(source);
            // An address that is the socket's in any case has not been restored.
            if local.ip() != Some(destination) {
                found.original_dst = Some(destination);
            }
        }
        self.keep_tlvs(header, found);
        Verdict::Consume(header.length)
    }

    fn keep_tlvs(&self, header: &Header<'_>, found: &mut Inspected) {
        for (kind, value) in &header.tlvs {
            if let Some(rule) = self.rules.get(kind) {
                self.apply(rule, value, found);
            }
            if self.pass_through.includes(*kind) {
                let tlvs = &mut found.state_mut().proxy_protocol_tlvs;
                tlvs.push((*kind, (*value).into()));
            }
        }
    }

    /// The first value under a key stays.
    fn apply(&self, rule: &Rule, value: &[u8], found: &mut Inspected) {
        let text = if rule.base64 {
            base64::encode(value)
        } else {
            sanitized(value)
        };
        let state = found.state_mut();
        if self.to_filter_state {
            let empty = || FilterState::Map(BTreeMap::new());
            let map = state
                .filter_state
                .entry(TLV_STATE.to_owned())
                .or_insert_with(empty);
            if let FilterState::Map(map) = map {
                map.entry(rule.key.to_string()).or_insert(text);
            }
            return;
        }
        let metadata = &mut state.dynamic_metadata;
        if metadata.get(&rule.namespace, &[&*rule.key]).is_none() {
            let text = Value {
                kind: Some(Kind::StringValue(text)),
            };
            metadata.set(&rule.namespace, &rule.key, text);
        }
    }
}

impl Rule {
    fn compile(proto: &RuleProto) -> Result<Self, ConfigError> {
        let Some(pair) = &proto.on_tlv_present else {
            // As Envoy does with a rule that does not say where to: under no name.
            return Ok(Self {
                namespace: METADATA.into(),
                key: "".into(),
                base64: false,
            });
        };
        if pair.key.is_empty() {
            let error = ConfigError::new("value length must be at least 1 characters");
            return Err(error.at("key").at("on_tlv_present"));
        }
        Ok(Self {
            namespace: match pair.metadata_namespace.as_str() {
                "" => METADATA.into(),
                namespace => namespace.into(),
            },
            key: pair.key.as_str().into(),
            base64: pair.value_string_encoding() == ValueStringEncoding::Base64,
        })
    }
}

/// UTF-8, with `!` in place of each byte that is not.
fn sanitized(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    for chunk in value.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '!'));
    }
    text
}
