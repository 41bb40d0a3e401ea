//! Which values of `referer` Envoy lets pass: URLs and relative references, without a fragment and without a user.

/// Envoy's `Utility::isValidRefererValue`.
pub fn is_valid(value: &[u8]) -> bool {
    let at = memchr::memmem::find(value, b"://");
    match at.and_then(|at| value.split_at_checked(at)) {
        Some((scheme, rest)) if is_scheme(scheme) => {
            rest.strip_prefix(b"://").is_some_and(is_absolute)
        }
        _ => is_relative(value),
    }
}

fn is_scheme(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && text
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b))
}

/// What follows `scheme://`.
fn is_absolute(rest: &[u8]) -> bool {
    let end = rest.iter().position(|b| b"/?#".contains(b));
    let (authority, path) = rest.split_at(end.unwrap_or(rest.len()));
    is_authority(authority) && path.iter().all(|b| b.is_ascii_graphic() && *b != b'#')
}

fn is_authority(authority: &[u8]) -> bool {
    let in_brackets = authority.starts_with(b"[");
    let end = match in_brackets {
        true => memchr::memchr(b']', authority).map(|at| at + 1),
        false => memchr::memchr(b':', authority),
    };
    let (host, port) = match end {
        Some(end) => authority.split_at(end),
        None if in_brackets => return false,
        None => (authority, &[][..]),
    };
    let is_host = |b: &u8| match in_brackets {
        true => b.is_ascii_hexdigit() || b":.[]".contains(b),
        false => b.is_ascii_alphanumeric() || b"-.".contains(b),
    };
    let is_port = match port {
        [] => true,
        [b':', digits @ ..] => {
            std::str::from_utf8(digits).is_ok_and(|digits| digits.parse::<u16>().is_ok())
        }
        _ => false,
    };
    !host.is_empty() && host.iter().all(is_host) && is_port
}

/// The first segment of a relative path holds no colon: it would be a scheme.
fn is_relative(value: &[u8]) -> bool {
    let first = value.split(|b| *b == b'/').next().unwrap_or_default();
    !first.contains(&b':') && value.iter().all(|b| b.is_ascii_graphic() && *b != b'#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_without_fragment_and_user() {
        for good in [
            "",
            "/x",
            "b.test",
            "http://b.test/x?y",
            "https://[::1]:8443",
            "http://b/@x",
        ] {
            assert!(is_valid(good.as_bytes()), "{good}");
        }
        for bad in [
            "http://b.test/x#y",
            "http://u:p@b.test/x",
            "about:blank",
            "http://b.test:99999/",
            "http:///x",
            "http://b.test/a b",
            "http://b_c.test/",
            "http://[::1",
        ] {
            assert!(!is_valid(bad.as_bytes()), "{bad}");
        }
    }
}
