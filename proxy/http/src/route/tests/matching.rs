use super::*;

fn direct(matcher: &str, text: &str) -> String {
    format!(
        "{{match: {{{matcher}}}, direct_response: {{status: 200, body: {{inline_string: '{text}'}}}}}}"
    )
}

fn direct_routes(matchers: &[&str]) -> Vec<String> {
    matchers
        .iter()
        .map(|matcher| direct(matcher, matcher))
        .collect()
}

const PATHS: &[&str] = &[
    "prefix: /p1",
    "prefix: /P2, case_sensitive: false",
    "path: /e1",
    "path: /E2, case_sensitive: false",
    "path_separated_prefix: /s1",
    "path_separated_prefix: /S2, case_sensitive: false",
    "safe_regex: {regex: \"/r[0-9]+\"}",
    "prefix: \"/q?x\"",
    "safe_regex: {regex: /F1}, case_sensitive: false",
];

/// (path, index of the route that takes it, and the same with path parameters ignored).
const ANSWERS: &[(&str, Option<usize>, Option<usize>)] = &[
    ("/p1", Some(0), Some(0)),
    ("/p1x", Some(0), Some(0)),
    ("/P1", None, None),
    ("/p2/x", Some(1), Some(1)),
    ("/e1", Some(2), Some(2)),
    ("/e1/", None, None),
    ("/e1?x", Some(2), Some(2)),
    ("/e1;x", None, Some(2)),
    ("/e1;x/y?z", None, None),
    ("/e2", Some(3), Some(3)),
    ("/s1", Some(4), Some(4)),
    ("/s1/", Some(4), Some(4)),
    ("/s1/x", Some(4), Some(4)),
    ("/s1x", None, None),
    ("/s1?x", Some(4), Some(4)),
    ("/s1;x", None, Some(4)),
    ("/s1;x/z", None, Some(4)),
    ("/S1", None, None),
    ("/s2/x", Some(5), Some(5)),
    ("/r12", Some(6), Some(6)),
    ("/r12?x", Some(6), Some(6)),
    ("/r12x", None, None),
    ("/r12;x", None, Some(6)),
    ("/q?x", None, None),
    ("/f1", None, None),
    ("/e1;?x", None, Some(2)),
    ("/e1?a;b", Some(2), Some(2)),
];

#[test]
fn path_specifiers() {
    let lines = direct_routes(PATHS);
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let plain = routes(&lines);
    let without_parameters = compile(&format!(
        "{}ignore_path_parameters_in_path_matching: true\n",
        one_host(&lines)
    ));
    for (path, expected, expected_without) in ANSWERS {
        let text = |index: &Option<usize>| index.map_or("-", |i| PATHS[i]);
        let headers = get(path, &[]);
        assert_eq!(answer(&plain, &headers), text(expected), "{path}");
        assert_eq!(
            answer(&without_parameters, &headers).replace('"', ""),
            text(expected_without).replace('"', ""),
            "{path} without parameters"
        );
    }
}

#[test]
fn connect_and_requests_without_a_path() {
    let connect = direct("connect_matcher: {}", "connect");
    let prefix = direct("prefix: /", "prefix");
    let mut pathless = HeaderMap::new();
    pathless.set(HeaderId::Method, b"CONNECT");
    pathless.set(HeaderId::Authority, b"a:1");
    let both = routes(&[&connect, &prefix]);
    assert_eq!(answer(&both, &pathless), "connect");
    assert_eq!(answer(&both, &get("/", &[])), "prefix");
    assert_eq!(
        answer(&both, &get("/", &[(":method", "CONNECT")])),
        "connect"
    );
    assert_eq!(answer(&routes(&[&prefix]), &pathless), "-");
}

#[test]
fn grpc_is_not_grpc_web() {
    let table = routes(&[
        &direct("prefix: /, grpc: {}", "grpc"),
        &direct("prefix: /", "other"),
    ]);
    for (content_type, expected) in [
        ("application/grpc", "grpc"),
        ("application/grpc+proto", "grpc"),
        ("application/grpc+", "grpc"),
        ("application/grpc-web", "other"),
        ("application/grpc;x", "other"),
        ("Application/grpc", "other"),
        ("application/grpcx", "other"),
    ] {
        let headers = get("/", &[("content-type", content_type)]);
        assert_eq!(answer(&table, &headers), expected, "{content_type}");
    }
}

#[test]
fn all_conditions_have_to_hold() {
    let table = routes(&[
        &direct(
            "prefix: /a, headers: [{name: x, string_match: {exact: '1'}}, {name: yy}], query_parameters: [{name: q}]",
            "all",
        ),
        &direct("prefix: /", "rest"),
    ]);
    let all: &[(&str, &str)] = &[("x", "1"), ("yy", "")];
    assert_eq!(answer(&table, &get("/a?q", all)), "all");
    assert_eq!(answer(&table, &get("/a", all)), "rest");
    assert_eq!(answer(&table, &get("/b?q", all)), "rest");
    assert_eq!(answer(&table, &get("/a?q", &all[..1])), "rest");
}

#[test]
fn a_plaintext_connection_presents_no_certificate() {
    for (options, expected) in [
        ("presented: false", "tls"),
        ("presented: true", "rest"),
        ("validated: false, presented: false", "tls"),
        ("validated: true", "rest"),
        ("", "tls"),
    ] {
        let table = routes(&[
            &direct(&format!("prefix: /, tls_context: {{{options}}}"), "tls"),
            &direct("prefix: /", "rest"),
        ]);
        assert_eq!(answer(&table, &get("/", &[])), expected, "{options}");
    }
}

#[test]
fn a_fraction_depends_on_the_stream_alone() {
    let table = routes(&[
        &direct(
            "prefix: /, runtime_fraction: {default_value: {numerator: 30}}",
            "some",
        ),
        &direct("prefix: /", "rest"),
    ]);
    let headers = get("/", &[]);
    for (stream, expected) in [(0, true), (29, true), (30, false), (99, false), (129, true)] {
        let found = table.find(&headers, &info(stream)).unwrap();
        let Action::DirectResponse(direct) = &found.route.action else {
            panic!("not a direct response");
        };
        assert_eq!(&*direct.body == b"some", expected, "{stream}");
    }
}

#[test]
fn what_filters_left_behind() {
    use outrigger_core::stream_info::FilterState;
    use prost_types::{Value, value::Kind};
    let table = routes(&[
        &direct(
            "prefix: /, dynamic_metadata: [{filter: f, path: [{key: k}], value: {string_match: {exact: v}}}]",
            "metadata",
        ),
        &direct(
            "prefix: /, filter_state: [{key: s, string_match: {prefix: a}}]",
            "state",
        ),
        &direct(
            "prefix: /, filter_state: [{key: ip, address_match: {ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}]}}]",
            "address",
        ),
        &direct(
            "prefix: /, dynamic_metadata: [{filter: f, path: [{key: k}], value: {present_match: true}, invert: true}]",
            "absent",
        ),
    ]);
    let body = |info: &StreamInfo| match &table.find(&get("/", &[]), info).unwrap().route.action {
        Action::DirectResponse(direct) => String::from_utf8(direct.body.to_vec()).unwrap(),
        _ => String::new(),
    };
    let mut stream = info(0);
    assert_eq!(body(&stream), "absent");
    stream
        .filter_state
        .insert("ip".into(), FilterState::String("10.2.3.4".into()));
    assert_eq!(body(&stream), "address");
    stream
        .filter_state
        .insert("s".into(), FilterState::String("abc".into()));
    assert_eq!(body(&stream), "state");
    let value = Value {
        kind: Some(Kind::StringValue("v".into())),
    };
    stream.dynamic_metadata.set("f", "k", value);
    assert_eq!(body(&stream), "metadata");
}

/// The set of patterns of a host with many regex routes keeps the order of all routes.
#[test]
fn many_regex_routes_keep_their_order() {
    let mut lines: Vec<String> = (0..8)
        .map(|i| direct(&format!("safe_regex: {{regex: '/({i}|x).*'}}, headers: [{{name: h{i}, present_match: false}}]"), &format!("r{i}")))
        .collect();
    lines.insert(4, direct("prefix: /xp", "prefix"));
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let table = routes(&lines);
    assert_eq!(answer(&table, &get("/5", &[])), "r5");
    assert_eq!(answer(&table, &get("/x", &[])), "r0");
    assert_eq!(answer(&table, &get("/x", &[("h0", ""), ("h1", "")])), "r2");
    let absent: Vec<_> = ["h0", "h1", "h2", "h3"].map(|h| (h, "")).into();
    assert_eq!(answer(&table, &get("/xp", &absent)), "prefix");
    assert_eq!(answer(&table, &get("/xq", &absent)), "r4");
    assert_eq!(answer(&table, &get("/nothing", &[])), "-");
}
