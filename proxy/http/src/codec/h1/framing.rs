//! How long a message body is: RFC 9112 §6 as Envoy applies it, the part that smuggling is made of.

use super::chars::has_token;
use super::fields::Fields;
use crate::codec::CodecError;
use outrigger_core::{HeaderId, HeaderMap, Protocol};

/// Where the body of one message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// Exactly so many bytes.
    Length(u64),
    /// Chunks, then perhaps trailers.
    Chunked,
    /// Everything until the peer closes: upgrades, CONNECT, and responses without a length.
    UntilClose,
}

impl Framing {
    /// There is nothing to read or write after the head.
    pub const fn is_empty(self) -> bool {
        matches!(self, Self::None | Self::Length(0))
    }
}

/// The length that `content-length` declares. Digits only, one line only; above 2^63-1 nothing real can be meant.
pub(super) fn content_length(
    fields: &Fields,
    headers: &HeaderMap,
) -> Result<Option<u64>, CodecError> {
    match fields.content_lengths {
        0 => Ok(None),
        1 => headers
            .get(HeaderId::ContentLength)
            .and_then(decimal)
            .filter(|&n| i64::try_from(n).is_ok())
            .map(Some)
            .ok_or(CodecError::malformed("invalid content-length")),
        _ => Err(CodecError::malformed("multiple content-length lines")),
    }
}

pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |n, &d| {
        if !d.is_ascii_digit() {
            return None;
        }
        n.checked_mul(10)?.checked_add(u64::from(d - b'0'))
    })
}

/// What `transfer-encoding` and `content-length` together say, or `Framing::None` when neither is there.
///
/// With `allow_chunked_length`, `content-length` is removed from a chunked message.
pub(super) fn declared(
    fields: &Fields,
    headers: &mut HeaderMap,
    allow_chunked_length: bool,
) -> Result<Framing, CodecError> {
    if fields.content_lengths > 1 {
        return Err(CodecError::malformed("multiple content-length lines"));
    }
    let Some(coding) = headers.get(HeaderId::TransferEncoding) else {
        return Ok(content_length(fields, headers)?.map_or(Framing::None, Framing::Length));
    };
    let chunked = coding.eq_ignore_ascii_case(b"chunked");
    if fields.content_lengths > 0 {
        if !(chunked && allow_chunked_length) {
            return Err(CodecError::CHUNKED_LENGTH);
        }
        headers.remove(HeaderId::ContentLength);
    }
    if chunked {
        Ok(Framing::Chunked)
    } else {
        Err(CodecError::TRANSFER_ENCODING)
    }
}

/// The connection may serve another message after this one: Envoy's `shouldCloseConnection`, negated.
pub(super) fn keep_alive(protocol: Protocol, headers: &HeaderMap) -> bool {
    let connection = headers.get(HeaderId::Connection);
    let open = match protocol {
        Protocol::Http10 => connection.is_some_and(|c| has_token(c, b"keep-alive")),
        _ => !connection.is_some_and(|c| has_token(c, b"close")),
    };
    open && !headers
        .get(HeaderId::ProxyConnection)
        .is_some_and(|c| has_token(c, b"close"))
}

/// Envoy's `Utility::isUpgrade`.
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains(HeaderId::Upgrade)
        && headers
            .get(HeaderId::Connection)
            .is_some_and(|c| has_token(c, b"upgrade"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn decimals() {
        for (text, value) in [
            ("0", Some(0)),
            ("003", Some(3)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("", None),
            ("+1", None),
            ("1 ", None),
        ] {
            assert_eq!(decimal(text.as_bytes()), value, "{text}");
        }
    }

    #[test]
    fn connections_stay_open_as_in_envoy() {
        for (protocol, name, value, open) in [
            (Protocol::Http11, "x", "", true),
            (Protocol::Http11, "connection", "foo, Close ", false),
            (Protocol::Http11, "connection", "close;a", true),
            (Protocol::Http11, "proxy-connection", "close", false),
            (Protocol::Http10, "x", "", false),
            (Protocol::Http10, "connection", "Keep-Alive", true),
            (Protocol::Http10, "connection", "keep-alive, close", true),
            (Protocol::Http10, "connection", "keep-alivex", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.append_raw(name.as_bytes(), value.as_bytes());
            assert_eq!(
                keep_alive(protocol, &headers),
                open,
                "{protocol} {name}: {value}"
            );
        }
    }
}
