//! The value of a header that configuration adds: fixed bytes, or a format string rendered per request.

use outrigger_core::{ConfigError, HeaderMap, StreamInfo};

use super::rewrite::Scratch;

/// A compiled `HeaderValue`.
#[derive(Clone, Debug)]
pub(super) enum HeaderValue {
    Fixed(Box<[u8]>),
}

/// What a format string may read.
#[derive(Clone, Copy)]
pub(super) struct ValueContext<'a> {
    pub request: Option<&'a HeaderMap>,
    pub response: Option<&'a HeaderMap>,
    pub info: &'a StreamInfo,
}

impl HeaderValue {
    /// Bytes that are not a format string.
    pub(super) fn fixed(bytes: &[u8]) -> Self {
        Self::Fixed(bytes.into())
    }

    pub(super) fn compile(bytes: &[u8]) -> Result<Self, ConfigError> {
        let mut fixed = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some(at) = memchr::memchr(b'%', rest) {
            if rest.get(at + 1) != Some(&b'%') {
                return Err(ConfigError::new("format strings are not supported here"));
            }
            fixed.extend_from_slice(rest.get(..=at).unwrap_or_default());
            rest = rest.get(at + 2..).unwrap_or_default();
        }
        fixed.extend_from_slice(rest);
        Ok(Self::Fixed(fixed.into()))
    }

    /// Appends the value.
    pub(super) fn render(&self, cx: &ValueContext<'_>, out: &mut Scratch) {
        let _ = (cx.request, cx.response, cx.info);
        match self {
            Self::Fixed(bytes) => out.extend_from_slice(bytes),
        }
    }
}
