//! SPIFFE IDs: `spiffe://<trust domain>/<path>`, read as strictly as the SPIFFE-ID standard asks.
//!
//! An ID is compared byte by byte and decides over access, so nothing is normalized: what is not canonical is refused.

use std::{fmt, str::FromStr, sync::Arc};

/// The longest ID that the standard allows, in bytes.
const MAX_LENGTH: usize = 2048;
/// The longest trust domain, in bytes.
const MAX_TRUST_DOMAIN: usize = 255;

/// Why a text is no SPIFFE ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpiffeError {
    #[error("scheme is not spiffe")]
    Scheme,
    #[error("longer than 2048 bytes")]
    TooLong,
    #[error("trust domain is empty, too long or has characters other than a-z 0-9 . - _")]
    TrustDomain,
    #[error("path has an empty or relative segment, or characters other than a-z A-Z 0-9 . - _")]
    Path,
}

/// A workload's identity.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SpiffeId {
    uri: Arc<str>,
    /// Where the path starts, its slash included; the end of the text if there is none.
    path: usize,
}

impl SpiffeId {
    const SCHEME: &str = "spiffe://";

    /// Reads an ID; the scheme and the trust domain must be in lower case.
    pub fn parse(uri: &str) -> Result<Self, SpiffeError> {
        let rest = uri.strip_prefix(Self::SCHEME).ok_or(SpiffeError::Scheme)?;
        if uri.len() > MAX_LENGTH {
            return Err(SpiffeError::TooLong);
        }
        let (domain, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let in_domain =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        if domain.is_empty() || domain.len() > MAX_TRUST_DOMAIN || !domain.bytes().all(in_domain) {
            return Err(SpiffeError::TrustDomain);
        }
        if !path.is_empty() && !path.split('/').skip(1).all(is_segment) {
            return Err(SpiffeError::Path);
        }
        Ok(Self {
            path: Self::SCHEME.len() + domain.len(),
            uri: uri.into(),
        })
    }

    /// The ID of a Kubernetes service account, as Istio writes it.
    pub fn of_service_account(
        trust_domain: &str,
        namespace: &str,
        account: &str,
    ) -> Result<Self, SpiffeError> {
        Self::parse(&format!(
            "{}{trust_domain}/ns/{namespace}/sa/{account}",
            Self::SCHEME
        ))
    }

    pub fn as_str(&self) -> &str {
        &self.uri
    }

    pub fn trust_domain(&self) -> &str {
        self.uri
            .get(Self::SCHEME.len()..self.path)
            .unwrap_or_default()
    }

    /// Empty, or starting with a slash.
    pub fn path(&self) -> &str {
        self.uri.get(self.path..).unwrap_or_default()
    }

    /// The namespace of an ID of Istio's form `/ns/<namespace>/sa/<account>`.
    pub fn namespace(&self) -> Option<&str> {
        self.service_account().map(|(namespace, _)| namespace)
    }

    /// Namespace and service account of an ID of Istio's form.
    pub fn service_account(&self) -> Option<(&str, &str)> {
        let mut segments = self.path().split('/').skip(1);
        match (
            segments.next(),
            segments.next(),
            segments.next(),
            segments.next(),
            segments.next(),
        ) {
            (Some("ns"), Some(namespace), Some("sa"), Some(account), None) => {
                Some((namespace, account))
            }
            _ => None,
        }
    }
}

fn is_segment(segment: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !matches!(segment, "" | "." | "..") && segment.bytes().all(allowed)
}

impl FromStr for SpiffeId {
    type Err = SpiffeError;

    fn from_str(uri: &str) -> Result<Self, SpiffeError> {
        Self::parse(uri)
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uri)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpiffeId({})", self.uri)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_istio_id_names_namespace_and_account() {
        let id =
            SpiffeId::of_service_account("cluster.local", "default", "bookinfo-reviews").unwrap();
        assert_eq!(
            id.as_str(),
            "spiffe://cluster.local/ns/default/sa/bookinfo-reviews"
        );
        assert_eq!(id.trust_domain(), "cluster.local");
        assert_eq!(id.service_account(), Some(("default", "bookinfo-reviews")));
        assert_eq!(
            SpiffeId::parse("spiffe://td/ns/a/sa/b/c")
                .unwrap()
                .namespace(),
            None
        );
        assert_eq!(SpiffeId::parse("spiffe://td").unwrap().path(), "");
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        for (uri, error) in [
            ("SPIFFE://td/a", SpiffeError::Scheme),
            ("https://td/a", SpiffeError::Scheme),
            ("spiffe:///a", SpiffeError::TrustDomain),
            ("spiffe://TD/a", SpiffeError::TrustDomain),
            ("spiffe://td:80/a", SpiffeError::TrustDomain),
            ("spiffe://user@td/a", SpiffeError::TrustDomain),
            ("spiffe://td?x/a", SpiffeError::TrustDomain),
            ("spiffe://td/", SpiffeError::Path),
            ("spiffe://td/a/", SpiffeError::Path),
            ("spiffe://td//a", SpiffeError::Path),
            ("spiffe://td/a/../b", SpiffeError::Path),
            ("spiffe://td/./b", SpiffeError::Path),
            ("spiffe://td/a%2fb", SpiffeError::Path),
            ("spiffe://td/a?b", SpiffeError::Path),
            ("spiffe://td/a\0", SpiffeError::Path),
        ] {
            assert_eq!(SpiffeId::parse(uri), Err(error), "{uri}");
        }
        assert_eq!(
            SpiffeId::parse(&format!("spiffe://td/{}", "a".repeat(2048))),
            Err(SpiffeError::TooLong)
        );
    }

    proptest! {
        #[test]
        fn an_id_that_parses_is_put_together_from_its_parts(uri in "spiffe://[a-z.]{0,9}(/[a-zA-Z.]{0,4}){0,5}") {
            if let Ok(id) = SpiffeId::parse(&uri) {
                prop_assert_eq!(format!("spiffe://{}{}", id.trust_domain(), id.path()), uri);
            }
        }

        #[test]
        fn arbitrary_text_never_panics(uri in ".*") {
            let _ = SpiffeId::parse(&uri);
        }
    }
}
