//! The value of a header that configuration adds: fixed bytes, or a format string rendered per request.

use super::obsolete_format::translate;
use outrigger_core::{
    ConfigError,
    formatter::{FormatContext, Formatter},
};
use std::borrow::Cow;

/// A compiled value.
#[derive(Clone, Debug)]
pub(super) enum HeaderValue {
    Fixed(Box<[u8]>),
    Format(Box<Formatter>),
}

impl HeaderValue {
    /// Text that is not a format string.
    pub(super) fn fixed(text: &str) -> Self {
        Self::Fixed(text.as_bytes().into())
    }

    /// A format string in which a missing value prints nothing.
    pub(super) fn compile(text: &str) -> Result<Self, ConfigError> {
        Formatter::compile_header(&translate(text)).map(Self::new)
    }

    /// A format string in which a missing value prints `-`, as in logs.
    pub(super) fn compile_with_dash(text: &str) -> Result<Self, ConfigError> {
        Formatter::compile(text).map(Self::new)
    }

    fn new(formatter: Formatter) -> Self {
        match formatter.literal() {
            Some(text) => Self::Fixed(text.into()),
            None => Self::Format(Box::new(formatter)),
        }
    }

    /// The value for one stream.
    pub(super) fn text(&self, cx: &FormatContext<'_>) -> Cow<'_, [u8]> {
        match self {
            Self::Fixed(bytes) => Cow::Borrowed(bytes),
            Self::Format(formatter) => {
                let mut out = Vec::new();
                formatter.render(cx, &mut out);
                Cow::Owned(out)
            }
        }
    }
}
