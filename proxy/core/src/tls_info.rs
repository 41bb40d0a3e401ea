//! What a TLS handshake established, as logs, matchers and formatters may ask (Envoy's `Ssl::ConnectionInfo`).
//!
//! It is made once per connection by the transport and shared; it must never hold key material.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// One side's view of a finished handshake.
#[derive(Clone, Debug, Default)]
pub struct TlsInfo {
    /// `TLSv1.3`.
    pub version: &'static str,
    /// OpenSSL's name of the cipher suite, such as `TLS_AES_128_GCM_SHA256`.
    pub cipher: &'static str,
    /// The key exchange group, such as `X25519`.
    pub group: &'static str,
    /// Lower-case hexadecimal; empty when there is none.
    pub session_id: String,
    /// The server name that was sent.
    pub server_name: Option<Arc<str>>,
    /// From the connection's start to the end of the handshake.
    pub handshake: Option<Duration>,
    /// Our own certificate.
    pub local: Option<Arc<CertificateInfo>>,
    /// The certificate that the peer presented.
    pub peer: Option<Arc<CertificateInfo>>,
    /// The chain that the peer presented, its own certificate first.
    pub peer_chain: Vec<CertificateDigest>,
    /// SHA-256 of the certificate that issued the peer's, lower-case hexadecimal.
    pub peer_issuer_fingerprint_256: String,
    /// Serial number of the certificate that issued the peer's, lower-case hexadecimal.
    pub peer_issuer_serial: String,
    /// The peer's chain was verified against a trust anchor.
    pub peer_validated: bool,
}

/// One certificate, in the forms in which it is printed.
#[derive(Clone, Debug, Default)]
pub struct CertificateInfo {
    /// RFC 2253.
    pub subject: String,
    /// RFC 2253.
    pub issuer: String,
    pub dns_sans: Vec<String>,
    pub uri_sans: Vec<String>,
    pub ip_sans: Vec<String>,
    pub email_sans: Vec<String>,
    pub othername_sans: Vec<String>,
    pub digest: CertificateDigest,
    pub valid_from: Option<SystemTime>,
    pub valid_to: Option<SystemTime>,
    /// The certificate as URL-encoded PEM, as in `x-forwarded-client-cert`.
    pub url_encoded_pem: String,
}

/// What identifies a certificate; all in lower-case hexadecimal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateDigest {
    pub serial: String,
    pub sha1: String,
    pub sha256: String,
}

/// Fingerprints of the ClientHello that `tls_inspector` computes when configured to.
#[derive(Clone, Debug, Default)]
pub struct ClientHelloFingerprints {
    pub ja3: Option<Arc<str>>,
    pub ja4: Option<Arc<str>>,
}
