//! A header name as configuration writes it: lower-cased once, its identity looked up once.

use super::HeaderId;
use std::sync::Arc;

/// A header name known before the request: from config, or a constant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeaderName {
    id: HeaderId,
    name: Arc<str>,
}

impl HeaderName {
    /// Lower-cases and looks the name up. Bytes outside UTF-8 become U+FFFD, which no header on the wire equals.
    pub fn from_bytes(name: &[u8]) -> Self {
        let lower = String::from_utf8_lossy(name).to_ascii_lowercase();
        // Envoy treats `host` and `:authority` as one header.
        let id = HeaderId::lookup(lower.as_bytes());
        let name = if id == HeaderId::Custom {
            lower.into()
        } else {
            id.name().into()
        };
        Self { id, name }
    }

    pub fn id(&self) -> HeaderId {
        self.id
    }

    pub fn as_str(&self) -> &str {
        &self.name
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.name.as_bytes()
    }
}

impl From<&str> for HeaderName {
    fn from(name: &str) -> Self {
        Self::from_bytes(name.as_bytes())
    }
}

impl From<HeaderId> for HeaderName {
    fn from(id: HeaderId) -> Self {
        Self {
            id,
            name: id.name().into(),
        }
    }
}
