//! Envoy's compression libraries, gzip, brotli and zstd, and what the filters that use them have in common.

mod decoder;
mod encoder;
mod fields;

pub use decoder::{Decoder, DecompressorLibrary, LibraryStats};
pub use encoder::{CompressorLibrary, Encoder, Operation};
pub use fields::FIELDS;

use outrigger_core::{HeaderId, HeaderMap};

/// What one call of a library did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the input that are done with.
    pub consumed: usize,
    /// Bytes of output.
    pub written: usize,
    /// The operation is complete.
    pub done: bool,
}

/// A comma-separated header has this token, in whatever case.
pub fn has_token(value: Option<&[u8]>, token: &[u8]) -> bool {
    let tokens = value.into_iter().flat_map(|v| v.split(|b| *b == b','));
    tokens
        .map(<[u8]>::trim_ascii)
        .any(|found| found.eq_ignore_ascii_case(token))
}

/// Nobody on the way may change the body.
pub fn forbids_transforms(head: &HeaderMap) -> bool {
    has_token(head.get(HeaderId::CacheControl), b"no-transform")
}

#[cfg(test)]
mod tests;
