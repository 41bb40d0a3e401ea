//! Who a request comes from: `rbac.v3.Principal`. Nobody is authenticated who has not shown a certificate.

use super::{engine::Input, needs_request, sourced_metadata::SourcedMetadata};
use crate::{
    ConfigError, HeaderId,
    address::Address,
    error::{ConfigResult, required},
    matcher::{
        CidrRange, FilterStateMatcher, HeaderMatcher, MetadataMatcher, PathMatcher, StringMatcher,
    },
    tls_info::{CertificateInfo, TlsInfo},
};
use envoy_api::pb::envoy::config::rbac::v3::{
    Principal as Proto,
    principal::{Identifier, Set},
};

#[derive(Debug)]
pub enum Principal {
    And(Box<[Principal]>),
    Or(Box<[Principal]>),
    Any,
    /// Nothing: whoever has shown a certificate.
    Authenticated(Option<StringMatcher>),
    /// The client of the connection.
    SourceIp(CidrRange),
    /// The peer of the socket.
    DirectRemoteIp(CidrRange),
    /// The client, as `x-forwarded-for` may say.
    RemoteIp(CidrRange),
    Header(HeaderMatcher),
    UrlPath(PathMatcher),
    Metadata(MetadataMatcher),
    SourcedMetadata(SourcedMetadata),
    FilterState(FilterStateMatcher),
    Not(Box<Principal>),
}

impl Principal {
    #[allow(deprecated)]
    /// `requests`: there are requests to look at.
    pub fn compile(proto: &Proto, requests: bool) -> Result<Self, ConfigError> {
        let set = |set: &Set| -> Result<Box<[Self]>, ConfigError> {
            let ids = set.ids.iter().enumerate();
            ids.map(|(i, id)| Self::compile(id, requests).at_index("ids", i))
                .collect()
        };
        Ok(match required(proto.identifier.as_ref(), "identifier")? {
            Identifier::AndIds(ids) => Self::And(set(ids).at("and_ids")?),
            Identifier::OrIds(ids) => Self::Or(set(ids).at("or_ids")?),
            Identifier::Any(_) => Self::Any,
            Identifier::Authenticated(authenticated) => {
                let name = authenticated.principal_name.as_ref();
                let name = name.map(StringMatcher::compile).transpose();
                Self::Authenticated(name.at("principal_name").at("authenticated")?)
            }
            Identifier::SourceIp(range) => {
                Self::SourceIp(CidrRange::compile(range).at("source_ip")?)
            }
            Identifier::DirectRemoteIp(range) => {
                Self::DirectRemoteIp(CidrRange::compile(range).at("direct_remote_ip")?)
            }
            Identifier::RemoteIp(range) => {
                Self::RemoteIp(CidrRange::compile(range).at("remote_ip")?)
            }
            Identifier::Header(_) if !requests => return Err(needs_request("header")),
            Identifier::Header(matcher) => {
                Self::Header(HeaderMatcher::compile(matcher).at("header")?)
            }
            Identifier::UrlPath(matcher) => {
                Self::UrlPath(PathMatcher::compile(matcher).at("url_path")?)
            }
            Identifier::Metadata(matcher) => {
                Self::Metadata(MetadataMatcher::compile(matcher).at("metadata")?)
            }
            Identifier::SourcedMetadata(matcher) => {
                Self::SourcedMetadata(SourcedMetadata::compile(matcher).at("sourced_metadata")?)
            }
            Identifier::FilterState(matcher) => {
                Self::FilterState(FilterStateMatcher::compile(matcher).at("filter_state")?)
            }
            Identifier::NotId(id) => Self::Not(Box::new(Self::compile(id, requests).at("not_id")?)),
            Identifier::Custom(custom) => {
                return Err(ConfigError::new(format!(
                    "Didn't find a registered implementation for '{}'",
                    custom.name
                ))
                .at("custom"));
            }
        })
    }

    pub fn is_match(&self, input: Input<'_>) -> bool {
        let connection = &input.info.connection;
        let holds = |range: &CidrRange, address: &Address| {
            address
                .ip()
                .is_some_and(|address| range.contains(address.ip()))
        };
        match self {
            Self::And(ids) => ids.iter().all(|id| id.is_match(input)),
            Self::Or(ids) => ids.iter().any(|id| id.is_match(input)),
            Self::Any => true,
            Self::Authenticated(name) => authenticated(connection.tls.as_deref(), name.as_ref()),
            Self::SourceIp(range) => holds(range, &connection.remote_address),
            Self::DirectRemoteIp(range) => holds(range, &connection.direct_remote_address),
            Self::RemoteIp(range) => holds(range, input.info.remote_address()),
            Self::Header(matcher) => input
                .request
                .is_some_and(|request| matcher.is_match(request)),
            Self::UrlPath(matcher) => {
                let path = input
                    .request
                    .and_then(|request| request.get(HeaderId::Path));
                path.is_some_and(|path| matcher.is_match(path))
            }
            Self::Metadata(matcher) => matcher.is_match(&input.info.dynamic_metadata),
            Self::SourcedMetadata(matcher) => matcher.is_match(input),
            Self::FilterState(matcher) => matcher.is_match(input.info),
            Self::Not(id) => !id.is_match(input),
        }
    }
}

/// The names of the certificate in Envoy's order: URI SANs, DNS SANs, the subject.
fn authenticated(tls: Option<&TlsInfo>, name: Option<&StringMatcher>) -> bool {
    let Some(peer) = tls.and_then(|tls| tls.peer.as_deref()) else {
        return false;
    };
    let Some(name) = name else {
        return true;
    };
    let CertificateInfo {
        uri_sans,
        dns_sans,
        subject,
        ..
    } = peer;
    let mut names = uri_sans.iter().chain(dns_sans).chain([subject]);
    names.any(|text| name.is_match(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn nobody_is_authenticated_without_a_certificate() {
        let exact = StringMatcher::exact;
        let with_peer = |peer| TlsInfo {
            peer,
            ..TlsInfo::default()
        };
        assert!(!authenticated(None, None));
        assert!(!authenticated(Some(&with_peer(None)), None));
        assert!(!authenticated(Some(&with_peer(None)), Some(&exact(""))));
        let peer = with_peer(Some(Arc::new(CertificateInfo {
            subject: "CN=c".into(),
            uri_sans: vec!["spiffe://a".into()],
            dns_sans: vec!["b.example".into()],
            ..CertificateInfo::default()
        })));
        assert!(authenticated(Some(&peer), None));
        for name in ["spiffe://a", "b.example", "CN=c"] {
            assert!(authenticated(Some(&peer), Some(&exact(name))), "{name}");
        }
        assert!(!authenticated(Some(&peer), Some(&exact("other"))));
    }
}
