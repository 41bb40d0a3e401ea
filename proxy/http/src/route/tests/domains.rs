use super::*;

const HOSTS: &str = "
name: rc
virtual_hosts:
- {name: a, domains: [a.com], routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: a}}}]}
- {name: s, domains: ['*.a.com'], routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: s}}}]}
- {name: p, domains: ['a.*'], routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: p}}}]}
- {name: v6, domains: ['[::1]'], routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: v6}}}]}
- {name: port, domains: ['q.com:80'], routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: port}}}]}
";

fn of(table: &RouteTable, host: &str) -> String {
    answer(table, &get("/", &[(":authority", host)]))
}

#[test]
fn ports_count_unless_ignored() {
    let table = compile(HOSTS);
    for (host, expected) in [
        ("A.com", "a"),
        ("a.com:80", "p"),
        ("q.com:80", "port"),
        ("[::1]:80", "-"),
    ] {
        assert_eq!(of(&table, host), expected, "{host}");
    }
    let table = compile(&format!("{HOSTS}ignore_port_in_host_matching: true\n"));
    for (host, expected) in [
        ("a.com:80", "a"),
        ("a.com:", "a"),
        ("a.com:x", "a"),
        ("x.a.com:1", "s"),
        ("[::1]:80", "v6"),
        ("[::1]", "v6"),
        ("q.com:80", "-"),
        ("q.com", "-"),
    ] {
        assert_eq!(of(&table, host), expected, "{host}");
    }
}

#[test]
fn the_host_may_stand_in_another_header() {
    let table = compile(&format!("{HOSTS}vhost_header: x-host\n"));
    assert_eq!(answer(&table, &get("/", &[("x-host", "A.com")])), "a");
    assert_eq!(
        answer(&table, &get("/", &[("x-host", "a.com"), ("x-host", "b")])),
        "a"
    );
    assert_eq!(answer(&table, &get("/", &[(":authority", "a.com")])), "-");
    // With `*` alone nobody asks.
    let any = routes(&[
        "{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: any}}}",
    ]);
    assert_eq!(answer(&any, &get("/", &[])), "any");
}

#[test]
fn require_tls_looks_at_the_forwarded_protocol() {
    let host = |kind: &str| {
        compile(&format!(
            "{}  require_tls: {kind}\n  response_headers_to_add: [{{header: {{key: x-r, value: '1'}}}}]\n",
            one_host(&[
                "{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: in}}}"
            ])
        ))
    };
    let redirected = |table: &RouteTable, more: &[(&str, &str)]| {
        let headers = get("/x?y", &[&[(":authority", "h:80")], more].concat());
        let found = table.find(&headers, &info(0)).unwrap();
        let mut response = HeaderMap::new();
        found.finalize_response_headers(&mut response, &headers, &info(0));
        match &found.route.action {
            Action::Redirect(redirect) => {
                assert!(response.is_empty());
                assert_eq!(redirect.code(), 301);
                assert_eq!(redirect.location(&headers, &info(0)), b"https://h:80/x?y");
                true
            }
            _ => false,
        }
    };
    assert!(redirected(&host("ALL"), &[]));
    assert!(redirected(&host("ALL"), &[("x-envoy-internal", "true")]));
    assert!(!redirected(&host("ALL"), &[("x-forwarded-proto", "https")]));
    assert!(redirected(&host("EXTERNAL_ONLY"), &[]));
    assert!(!redirected(
        &host("EXTERNAL_ONLY"),
        &[("x-envoy-internal", "true")]
    ));
    assert!(!redirected(
        &host("EXTERNAL_ONLY"),
        &[("x-forwarded-proto", "https")]
    ));
}
