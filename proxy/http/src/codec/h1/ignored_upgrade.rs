//! Upgrades that the codec overlooks: h2c always, others by `ignore_http_11_upgrade`. Such a request is served as it is.

use super::chars;
use outrigger_core::{HeaderId, HeaderMap, matcher::StringMatcher};
use std::sync::Arc;

/// `ignore_http_11_upgrade`.
#[derive(Clone, Debug)]
pub struct IgnoredUpgrades(Arc<[StringMatcher]>);

impl PartialEq for IgnoredUpgrades {
    /// Those of the same options.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for IgnoredUpgrades {}

impl FromIterator<StringMatcher> for IgnoredUpgrades {
    fn from_iter<I: IntoIterator<Item = StringMatcher>>(matchers: I) -> Self {
        Self(matchers.into_iter().collect())
    }
}

/// Envoy serves `upgrade: h2c` as plain HTTP/1.1, without the headers that ask for it. True if it was h2c.
pub(super) fn strip_h2c(headers: &mut HeaderMap) -> bool {
    let h2c = headers
        .get(HeaderId::Upgrade)
        .is_some_and(|u| u.eq_ignore_ascii_case(b"h2c"));
    if h2c {
        headers.remove(HeaderId::Http2Settings);
        strip(headers);
    }
    h2c
}

/// Takes the protocols that are ignored out of those that a request names. True if none is left.
pub(super) fn strip_ignored(headers: &mut HeaderMap, ignored: &Option<IgnoredUpgrades>) -> bool {
    let Some(IgnoredUpgrades(ignored)) = ignored else {
        return false;
    };
    let named = headers.get(HeaderId::Upgrade).unwrap_or_default();
    let protocols = || named.split(|&b| b == b',').map(chars::trim);
    let is_ignored = |protocol: &[u8]| ignored.iter().any(|matcher| matcher.is_match(protocol));
    if !protocols().any(is_ignored) {
        return false;
    }
    let left: Vec<_> = protocols().filter(|p| !is_ignored(p)).collect();
    if left.is_empty() {
        strip(headers);
        return true;
    }
    let left = left.join(&b',');
    headers.set(HeaderId::Upgrade, &left);
    false
}

/// Removes what asks for an upgrade.
fn strip(headers: &mut HeaderMap) {
    headers.remove(HeaderId::Upgrade);
    let left = headers
        .get(HeaderId::Connection)
        .unwrap_or_default()
        .split(|&b| b == b',')
        .map(chars::trim)
        .filter(|t| {
            !t.eq_ignore_ascii_case(b"upgrade") && !t.eq_ignore_ascii_case(b"http2-settings")
        })
        .collect::<Vec<_>>()
        .join(&b',');
    if chars::trim(&left).is_empty() {
        headers.remove(HeaderId::Connection);
    } else {
        headers.set(HeaderId::Connection, &left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_ignored_one_by_one() {
        let ignored = Some(
            [StringMatcher::exact("a"), StringMatcher::exact("b")]
                .into_iter()
                .collect(),
        );
        for (named, gone, left) in [
            ("a", true, None),
            ("b, a", true, None),
            ("c", false, Some("c")),
            ("A", false, Some("A")),
            ("a, c", false, Some("c")),
            ("c,a,d", false, Some("c,d")),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(HeaderId::Connection, b"Upgrade, x");
            headers.append(HeaderId::Upgrade, named.as_bytes());
            assert_eq!(strip_ignored(&mut headers, &ignored), gone, "{named}");
            assert_eq!(headers.get_str(HeaderId::Upgrade), left, "{named}");
            let connection = if gone { "x" } else { "Upgrade, x" };
            assert_eq!(headers.get_str(HeaderId::Connection), Some(connection));
        }
    }
}
