//! How long a message body is: RFC 9112 §6 as Envoy applies it, the part that smuggling is made of.

use super::chars::has_token;
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

/// What `transfer-encoding` and `content-length` together say; nothing when neither is there.
///
/// A length is digits only; above 2^63-1 nothing real can be meant. With `allow_chunked_length`, `content-length` is
/// removed from a chunked message. That no line is there twice was seen to while reading.
pub(super) fn declared(
    headers: &mut HeaderMap,
    allow_chunked_length: bool,
) -> Result<Option<Framing>, CodecError> {
    let length = headers.get(HeaderId::ContentLength);
    let Some(coding) = headers.get(HeaderId::TransferEncoding) else {
        return length
            .map(|digits| {
                decimal(digits)
                    .filter(|&n| i64::try_from(n).is_ok())
                    .map(Framing::Length)
                    .ok_or(CodecError::malformed("invalid content-length"))
            })
            .transpose();
    };
    let chunked = coding.eq_ignore_ascii_case(b"chunked");
    if length.is_some() {
        if !(chunked && allow_chunked_length) {
            return Err(CodecError::CHUNKED_LENGTH);
        }
        headers.remove(HeaderId::ContentLength);
    }
    if chunked {
        Ok(Some(Framing::Chunked))
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
