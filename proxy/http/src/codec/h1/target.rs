//! Request targets: origin form, absolute form, authority form (CONNECT), and what a `host` may look like.

use super::chars::{is_host, is_target};
use super::framing::decimal;
use crate::codec::CodecError;

/// The characters of `:authority` are those of a host, port and user info. Empty is valid, as in Envoy.
pub fn authority_is_valid(authority: &[u8]) -> bool {
    is_host(authority)
}

/// The first look, while only the request line is there: the shape of a path, of `scheme://host…` or, for CONNECT, of
/// `host…`. Fails with `http1.codec_error`.
pub(super) fn has_valid_shape(target: &[u8], connect: bool) -> bool {
    let Some(first) = target.first() else {
        return false;
    };
    if matches!(first, b'/' | b'*') {
        return is_target(target);
    }
    let rest = if connect {
        target
    } else {
        match split_scheme(target) {
            Some((_, rest)) => rest,
            None => return false,
        }
    };
    let (host, path) = split_path(rest);
    is_host(host) && !host.windows(2).any(|w| w == b"@@") && is_target(path)
}

/// An absolute URL of any scheme, as Envoy's `Utility::Url` takes it apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Url<'a> {
    pub scheme: &'a [u8],
    /// Host and port; user info is left out.
    pub authority: &'a [u8],
    /// Path, query and fragment, `/` when there is none.
    pub path: &'a [u8],
}

impl<'a> Url<'a> {
    /// What is sent to a server: the fragment is none of its business.
    pub fn path_and_query(&self) -> &'a [u8] {
        let end = self.path.iter().position(|&b| b == b'#');
        self.path
            .get(..end.unwrap_or(self.path.len()))
            .unwrap_or_default()
    }
}

/// `None` if it is not absolute, or nothing that a request can be sent to.
pub fn parse_url(url: &[u8]) -> Option<Url<'_>> {
    has_valid_shape(url, false)
        .then(|| take_apart(url))
        .flatten()
}

/// The parts of an absolute-form target.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Absolute<'a> {
    pub(super) scheme: &'static [u8],
    /// Host and port; user info is left out.
    pub(super) authority: &'a [u8],
    /// Path and query, `/` when there is none.
    pub(super) path: &'a [u8],
}

fn take_apart(target: &[u8]) -> Option<Url<'_>> {
    let (scheme, rest) = split_scheme(target)?;
    let (host, path) = split_path(rest);
    let authority = match host.iter().position(|&b| b == b'@') {
        Some(at) => {
            let (user, host) = host.split_at(at);
            if user.iter().any(|b| matches!(b, b'[' | b']')) {
                return None;
            }
            host.get(1..).unwrap_or_default()
        }
        None => host,
    };
    split_port(authority)?;
    Some(Url {
        scheme,
        authority,
        path: if path.is_empty() { b"/" } else { path },
    })
}

pub(super) fn parse_absolute(target: &[u8]) -> Result<Absolute<'_>, CodecError> {
    let Url {
        scheme,
        authority,
        path,
    } = take_apart(target).ok_or(CodecError::INVALID_URL)?;
    let scheme: &[u8] = if scheme.eq_ignore_ascii_case(b"http") {
        b"http"
    } else if scheme.eq_ignore_ascii_case(b"https") {
        b"https"
    } else {
        return Err(CodecError::INVALID_SCHEME);
    };
    Ok(Absolute {
        scheme,
        authority,
        path,
    })
}

/// The target of CONNECT is a host and a port, and nothing else.
pub(super) fn connect_is_valid(target: &[u8]) -> bool {
    matches!(split_port(target), Some((_, Some(_))))
}

fn split_scheme(target: &[u8]) -> Option<(&[u8], &[u8])> {
    if !target.first()?.is_ascii_alphabetic() {
        return None;
    }
    let end = target
        .iter()
        .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')))?;
    let (scheme, rest) = target.split_at(end);
    Some((scheme, rest.strip_prefix(b"://")?))
}

fn split_path(rest: &[u8]) -> (&[u8], &[u8]) {
    let end = rest
        .iter()
        .position(|b| matches!(b, b'/' | b'?'))
        .unwrap_or(rest.len());
    rest.split_at(end)
}

/// Host and port as http-parser takes them: letters, digits, `.`, `-`, or an address in brackets; a port up to 65535.
fn split_port(authority: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let host_end = if authority.first() == Some(&b'[') {
        authority.iter().position(|&b| b == b']')? + 1
    } else {
        authority
            .iter()
            .position(|&b| b == b':')
            .unwrap_or(authority.len())
    };
    let (host, rest) = authority.split_at(host_end);
    let valid = match host.strip_prefix(b"[").and_then(|h| h.strip_suffix(b"]")) {
        Some(inner) => {
            !inner.is_empty()
                && inner
                    .iter()
                    .all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
        }
        None => {
            !host.is_empty()
                && host
                    .iter()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
        }
    };
    if !valid {
        return None;
    }
    let port = match rest.split_first() {
        None => None,
        Some((b':', digits)) => Some(u16::try_from(decimal(digits)?).ok()?),
        Some(_) => return None,
    };
    Some((host, port))
}
