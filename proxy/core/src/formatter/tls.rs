//! Operators that print what a TLS handshake established; on a plaintext connection they have no value.

use super::FormatContext;
use crate::tls_info::{CertificateInfo, TlsInfo};

/// Which connection's handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Downstream,
    Upstream,
}

/// One property of it, named as the end of its commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Property {
    Cipher,
    Group,
    SessionId,
    Version,
    ServerName,
    Local(CertificateField),
    Peer(CertificateField),
    PeerChainFingerprints1,
    PeerChainFingerprints256,
    PeerChainSerials,
    PeerIssuerFingerprint256,
    PeerIssuerSerial,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CertificateField {
    Subject,
    Issuer,
    DnsSan,
    UriSan,
    IpSan,
    EmailSan,
    OthernameSan,
    Fingerprint1,
    Fingerprint256,
    Serial,
    Pem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TlsOperator {
    side: Side,
    property: Property,
}

impl TlsOperator {
    pub fn named(command: &str) -> Option<Self> {
        if let Some(rest) = command.strip_prefix("DOWNSTREAM_") {
            return Some(Self {
                side: Side::Downstream,
                property: common(rest).or_else(|| downstream(rest))?,
            });
        }
        let rest = command.strip_prefix("UPSTREAM_")?;
        let property = match rest {
            "SERVER_NAME" => Some(Property::ServerName),
            _ => common(rest),
        };
        Some(Self {
            side: Side::Upstream,
            property: property?,
        })
    }

    pub fn text(&self, cx: &FormatContext<'_>, out: &mut Vec<u8>) -> Option<()> {
        let tls = match self.side {
            Side::Downstream => cx.info.connection.tls.as_deref(),
            Side::Upstream => cx.info.upstream.tls.as_deref(),
        }?;
        match self.property {
            Property::Cipher => put(out, tls.cipher),
            Property::Group => put(out, tls.group),
            Property::SessionId => put(out, &tls.session_id),
            Property::Version => put(out, tls.version),
            Property::ServerName => put(out, tls.server_name.as_deref()?),
            Property::Local(field) => field.text(tls.local.as_deref()?, out),
            Property::Peer(field) => field.text(tls.peer.as_deref()?, out),
            Property::PeerChainFingerprints1 => chain(tls, out, |digest| &digest.sha1),
            Property::PeerChainFingerprints256 => chain(tls, out, |digest| &digest.sha256),
            Property::PeerChainSerials => chain(tls, out, |digest| &digest.serial),
            Property::PeerIssuerFingerprint256 => put(out, &tls.peer_issuer_fingerprint_256),
            Property::PeerIssuerSerial => put(out, &tls.peer_issuer_serial),
        }
    }
}

/// Commands that exist for both sides.
fn common(name: &str) -> Option<Property> {
    use CertificateField::*;
    Some(match name {
        "TLS_CIPHER" => Property::Cipher,
        "TLS_GROUP" => Property::Group,
        "TLS_SESSION_ID" => Property::SessionId,
        "TLS_VERSION" => Property::Version,
        "LOCAL_DNS_SAN" => Property::Local(DnsSan),
        "LOCAL_IP_SAN" => Property::Local(IpSan),
        "LOCAL_URI_SAN" => Property::Local(UriSan),
        "PEER_CERT" => Property::Peer(Pem),
        "PEER_DNS_SAN" => Property::Peer(DnsSan),
        "PEER_IP_SAN" => Property::Peer(IpSan),
        "PEER_URI_SAN" => Property::Peer(UriSan),
        "PEER_ISSUER" => Property::Peer(Issuer),
        "PEER_SUBJECT" => Property::Peer(Subject),
        _ => return None,
    })
}

/// Commands that exist for the downstream side only.
fn downstream(name: &str) -> Option<Property> {
    use CertificateField::*;
    Some(match name {
        "LOCAL_SUBJECT" => Property::Local(Subject),
        "LOCAL_EMAIL_SAN" => Property::Local(EmailSan),
        "LOCAL_OTHERNAME_SAN" => Property::Local(OthernameSan),
        "PEER_CHAIN_FINGERPRINTS_1" => Property::PeerChainFingerprints1,
        "PEER_CHAIN_FINGERPRINTS_256" => Property::PeerChainFingerprints256,
        "PEER_CHAIN_SERIALS" => Property::PeerChainSerials,
        "PEER_FINGERPRINT_1" => Property::Peer(Fingerprint1),
        "PEER_FINGERPRINT_256" => Property::Peer(Fingerprint256),
        "PEER_ISSUER_FINGERPRINT_256" => Property::PeerIssuerFingerprint256,
        "PEER_ISSUER_SERIAL" => Property::PeerIssuerSerial,
        "PEER_SERIAL" => Property::Peer(Serial),
        "PEER_EMAIL_SAN" => Property::Peer(EmailSan),
        "PEER_OTHERNAME_SAN" => Property::Peer(OthernameSan),
        _ => return None,
    })
}

impl CertificateField {
    fn text(self, certificate: &CertificateInfo, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Subject => put(out, &certificate.subject),
            Self::Issuer => put(out, &certificate.issuer),
            Self::DnsSan => join(out, certificate.dns_sans.iter()),
            Self::UriSan => join(out, certificate.uri_sans.iter()),
            Self::IpSan => join(out, certificate.ip_sans.iter()),
            Self::EmailSan => join(out, certificate.email_sans.iter()),
            Self::OthernameSan => join(out, certificate.othername_sans.iter()),
            Self::Fingerprint1 => put(out, &certificate.digest.sha1),
            Self::Fingerprint256 => put(out, &certificate.digest.sha256),
            Self::Serial => put(out, &certificate.digest.serial),
            Self::Pem => put(out, &certificate.url_encoded_pem),
        }
    }
}

fn chain(
    tls: &TlsInfo,
    out: &mut Vec<u8>,
    of: fn(&crate::tls_info::CertificateDigest) -> &String,
) -> Option<()> {
    join(out, tls.peer_chain.iter().map(of))
}

fn put(out: &mut Vec<u8>, text: &str) -> Option<()> {
    if text.is_empty() {
        return None;
    }
    out.extend_from_slice(text.as_bytes());
    Some(())
}

fn join<'a>(out: &mut Vec<u8>, texts: impl Iterator<Item = &'a String>) -> Option<()> {
    let mut some = None;
    for text in texts {
        if some.is_some() {
            out.push(b',');
        }
        out.extend_from_slice(text.as_bytes());
        some = Some(());
    }
    some
}
