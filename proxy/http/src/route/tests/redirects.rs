use super::*;

/// The location for `/0/x?q=1` of this host and protocol.
fn location(redirect: &str, host: &str, protocol: &str) -> String {
    let table = routes(&[&format!(
        "{{match: {{prefix: /0/}}, redirect: {{{redirect}}}}}"
    )]);
    let headers = get(
        "/0/x?q=1",
        &[
            (":authority", host),
            (":scheme", protocol),
            ("x-forwarded-proto", protocol),
        ],
    );
    let found = table.find(&headers, &info(0)).unwrap();
    match &found.route.action {
        Action::Redirect(redirect) => {
            String::from_utf8(redirect.location(&headers, &info(0))).unwrap()
        }
        _ => String::new(),
    }
}

#[test]
fn schemes_hosts_and_ports() {
    for (redirect, host, protocol, expected) in [
        ("https_redirect: true", "h", "http", "https://h"),
        ("https_redirect: true", "h:80", "http", "https://h"),
        ("https_redirect: true", "h:8080", "http", "https://h:8080"),
        ("https_redirect: true", "h:443", "https", "https://h:443"),
        ("https_redirect: true", "[::1]:80", "http", "https://[::1]"),
        ("https_redirect: true", "[::1]", "http", "https://[::1]"),
        (
            "https_redirect: true, port_redirect: 8443",
            "h:80",
            "http",
            "https://h:8443",
        ),
        (
            "https_redirect: true, port_redirect: 443",
            "h",
            "http",
            "https://h:443",
        ),
        ("scheme_redirect: ftp", "h:80", "http", "ftp://h"),
        ("scheme_redirect: ftp", "h:8080", "http", "ftp://h:8080"),
        ("scheme_redirect: ftp", "h:443", "https", "ftp://h"),
        ("scheme_redirect: http", "h:443", "https", "http://h"),
        ("scheme_redirect: http", "h:80", "http", "http://h:80"),
        ("host_redirect: new", "h:8080", "http", "http://new"),
        (
            "host_redirect: 'new:1', port_redirect: 2",
            "h",
            "https",
            "https://new:1:2",
        ),
        ("port_redirect: 443", "[::1]:80", "http", "http://[::1]:443"),
        ("https_redirect: false", "h:443", "https", "https://h:443"),
    ] {
        assert_eq!(
            location(redirect, host, protocol),
            format!("{expected}/0/x?q=1"),
            "{redirect} {host} {protocol}"
        );
    }
}

#[test]
fn paths_and_queries() {
    for (redirect, expected) in [
        ("path_redirect: /np", "/np?q=1"),
        ("path_redirect: '/np?x=y'", "/np?x=y"),
        ("path_redirect: /np, strip_query: true", "/np"),
        ("path_redirect: '/np?x=y', strip_query: true", "/np?x=y"),
        ("path_redirect: np", "/np?q=1"),
        ("path_redirect: '/np#frag'", "/np#frag?q=1"),
        ("path_redirect: ''", "/0/x?q=1"),
        ("strip_query: true", "/0/x"),
        ("prefix_rewrite: /pre", "/prex?q=1"),
        ("prefix_rewrite: pp/", "/pp/x?q=1"),
        ("prefix_rewrite: /pre, strip_query: true", "/prex"),
        ("prefix_rewrite: ''", "/0/x?q=1"),
        (
            "regex_rewrite: {pattern: {regex: '/([0-9]+)/'}, substitution: '/n\\1/'}",
            "/n0/x?q=1",
        ),
        (
            "regex_rewrite: {pattern: {regex: '.*'}, substitution: ''}",
            "/0/x?q=1",
        ),
        ("path_rewrite: '/fm?a=b'", "/fm?a=b"),
        ("path_rewrite: '/fm'", "/fm?q=1"),
    ] {
        assert_eq!(
            location(redirect, "h", "http"),
            format!("http://h{expected}"),
            "{redirect}"
        );
    }
}

#[test]
fn codes() {
    for (name, code) in [
        ("MOVED_PERMANENTLY", 301),
        ("FOUND", 302),
        ("SEE_OTHER", 303),
        ("TEMPORARY_REDIRECT", 307),
        ("PERMANENT_REDIRECT", 308),
    ] {
        let table = routes(&[&format!(
            "{{match: {{prefix: /}}, redirect: {{response_code: {name}}}}}"
        )]);
        let found = table.find(&get("/", &[]), &info(0)).unwrap();
        assert!(matches!(&found.route.action, Action::Redirect(r) if r.code() == code));
    }
}
