//! Who may ask the admin interface: no page of another site through the browser of somebody who can reach it (ADR 15).
//! It must never stand in the way of a client that is not a browser and uses an address or a local name.

use http::{HeaderMap, Method, header};
use std::net::IpAddr;

/// Last labels that no public DNS server answers for: who is found under such a name was put there by the local network.
const LOCAL: &[&str] = &["localhost", "local", "internal", "svc"];

/// The rule for one process.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// The machine's own name, in lower case.
    own: String,
    /// `--admin-allow-host`: names, `*.suffix` or `*`, in lower case.
    allowed: Vec<String>,
}

impl Guard {
    /// `own` is the name of the machine, `allowed` what `--admin-allow-host` says.
    pub fn new(own: &str, allowed: &[String]) -> Self {
        Self {
            own: own.to_ascii_lowercase(),
            allowed: allowed.iter().map(|h| h.to_ascii_lowercase()).collect(),
        }
    }

    /// Why a request that came over the network is not answered, for the person who reads it.
    pub fn refusal(&self, method: &Method, headers: &HeaderMap) -> Option<String> {
        let host = text(headers, header::HOST);
        if !self.is_ours(name_of(host)) {
            return Some(format!(
                "'{host}' is not known as a name of this machine, so this may be a page of another site that asks through \
                 your browser. Use an IP address or a local name, or start with: --admin-allow-host {}\n",
                name_of(host)
            ));
        }
        let foreign = headers.get_all(header::ORIGIN).iter().any(|origin| {
            let origin = origin.to_str().unwrap_or_default();
            !self.is_same(origin, host)
        });
        if foreign || is_cross_site(method, headers) {
            return Some("requests from pages of other sites are not answered\n".to_owned());
        }
        None
    }

    /// Whether a request that names this host can only be meant for here. No name at all is no name of somebody else.
    fn is_ours(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let last = name.rsplit('.').next().unwrap_or_default();
        // An address, or a name of one label: only the local network can answer for it. A name that ends in a number is
        // an address to every browser.
        name.starts_with('[')
            || !name.contains('.')
            || last.bytes().all(|b| b.is_ascii_digit())
            || name.parse::<IpAddr>().is_ok()
            || LOCAL.contains(&last)
            || name == self.own
            || self.is_allowed(&name)
    }

    /// `--admin-allow-host` names it.
    fn is_allowed(&self, name: &str) -> bool {
        self.allowed
            .iter()
            .any(|allowed| match allowed.strip_prefix('*') {
                Some(suffix) => name.ends_with(suffix),
                None => name == allowed,
            })
    }

    /// The page was loaded from where it asks, or from a place that was allowed by name: a reverse proxy may have given
    /// the request another host.
    fn is_same(&self, origin: &str, host: &str) -> bool {
        let Some((_, authority)) = origin.split_once("://") else {
            return false; // `null`, of a page that hides where it is from.
        };
        authority.eq_ignore_ascii_case(host)
            || self.is_allowed(&name_of(authority).to_ascii_lowercase())
    }
}

/// Browsers say so themselves. A link that a person follows may come from anywhere: its answer is shown to nobody else.
fn is_cross_site(method: &Method, headers: &HeaderMap) -> bool {
    let followed = matches!(*method, Method::GET | Method::HEAD)
        && text(headers, "sec-fetch-mode") == "navigate"
        && text(headers, "sec-fetch-dest") == "document";
    matches!(text(headers, "sec-fetch-site"), "cross-site" | "same-site") && !followed
}

/// What cannot be read is no name of ours, and nothing that a browser says.
fn text(headers: &HeaderMap, name: impl header::AsHeaderName) -> &str {
    let value = headers.get(name);
    value.map_or("", |value| value.to_str().unwrap_or("?.?"))
}

/// A host without its port. An address in brackets keeps them.
fn name_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => name,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn guard() -> Guard {
        let allowed = ["proxy.example.org", "*.corp.example", "other.test"];
        Guard::new("Node-7.example.com", &allowed.map(str::to_owned))
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let lines = lines.iter();
        lines
            .map(|(name, value)| {
                let name = header::HeaderName::from_static(name);
                (name, value.parse().unwrap())
            })
            .collect()
    }

    fn answers(method: Method, lines: &[(&'static str, &str)]) -> bool {
        guard().refusal(&method, &headers(lines)).is_none()
    }

    #[test]
    fn addresses_and_local_names_are_ours() {
        for host in [
            "",
            "localhost",
            "LOCALHOST:15000",
            "app.localhost:80",
            "127.0.0.1",
            "127.0.0.1:15000",
            "10.244.1.17:15000",
            "127.1:9901",
            "[::1]",
            "[fd00::17]:15000",
            "[fe80::1%eth0]:15000",
            "envoy:9901",
            "envoy.:9901",
            "admin",
            "envoy.default.svc:9901",
            "envoy.default.svc.cluster.local.:9901",
            "host.docker.internal:9901",
            "node-7.example.com:9901",
            "proxy.example.org",
            "a.b.corp.example:1",
        ] {
            assert!(answers(Method::GET, &[("host", host)]), "{host}");
        }
        assert!(answers(Method::GET, &[]));
    }

    #[test]
    fn names_that_anybody_can_have_are_not() {
        for host in [
            "evil.example.com",
            "evil.example.com:15000",
            "127.0.0.1.evil.com:15000",
            "localhost.evil.com",
            "example.com",
            "node-7.example.com.evil.com",
            "notproxy.example.org",
            "corp.example",
            "a.1.evil",
        ] {
            assert!(!answers(Method::GET, &[("host", host)]), "{host}");
        }
        let mut unreadable = HeaderMap::new();
        let value = header::HeaderValue::from_bytes(b"\xff").unwrap();
        unreadable.insert(header::HOST, value);
        assert!(guard().refusal(&Method::GET, &unreadable).is_some());
        let any = Guard::new("", &["*".to_owned()]);
        let headers = headers(&[("host", "evil.example.com")]);
        assert_eq!(any.refusal(&Method::GET, &headers), None);
    }

    #[test]
    fn only_pages_from_here_may_ask() {
        let host = ("host", "127.0.0.1:15000");
        for (origin, answered) in [
            ("http://127.0.0.1:15000", true),
            ("https://127.0.0.1:15000", true),
            ("http://proxy.example.org", true),
            ("http://127.0.0.1:15001", false),
            ("http://localhost:15000", false),
            ("http://evil.example.com", false),
            ("null", false),
            ("", false),
        ] {
            let lines = [host, ("origin", origin)];
            assert_eq!(answers(Method::POST, &lines), answered, "{origin}");
        }
        let two = [
            host,
            ("origin", "http://127.0.0.1:15000"),
            ("origin", "http://evil.example.com"),
        ];
        assert!(!answers(Method::POST, &two));
    }

    #[test]
    fn browsers_say_where_a_request_comes_from() {
        let host = ("host", "localhost:15000");
        for (site, mode, dest, get, post) in [
            ("none", "navigate", "document", true, true),
            ("same-origin", "cors", "empty", true, true),
            ("same-site", "cors", "empty", false, false),
            ("cross-site", "no-cors", "image", false, false),
            ("cross-site", "navigate", "iframe", false, false),
            ("cross-site", "navigate", "document", true, false),
        ] {
            let lines = [
                host,
                ("sec-fetch-site", site),
                ("sec-fetch-mode", mode),
                ("sec-fetch-dest", dest),
            ];
            assert_eq!(answers(Method::GET, &lines), get, "{site} {mode} {dest}");
            assert_eq!(answers(Method::POST, &lines), post, "{site} {mode} {dest}");
        }
    }
}
