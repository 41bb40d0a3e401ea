use super::*;

/// The `x-a` lines of a request (with these values of it, and an `x-z` behind the first) after these options.
fn added(options: &str, before: &[&str]) -> Vec<String> {
    let table = routes(&[&format!(
        "{{match: {{prefix: /}}, request_headers_to_add: [{options}], route: {{cluster: c}}}}"
    )]);
    let mut more: Vec<_> = before.iter().map(|value| ("x-a", *value)).collect();
    if !more.is_empty() {
        more.insert(1, ("x-z", "z"));
    }
    finalized(&table, get("/", &more)).2
}

fn option(value: &str, action: &str) -> String {
    format!("{{header: {{key: X-A, value: '{value}'}}, append_action: {action}}}")
}

#[test]
fn append_actions() {
    let table: [(&str, [&[&str]; 3]); 4] = [
        (
            "APPEND_IF_EXISTS_OR_ADD",
            [
                &["x-a: n"],
                &["x-a: o", "x-z: z", "x-a: n"],
                &["x-a: o", "x-z: z", "x-a: p", "x-a: n"],
            ],
        ),
        (
            "ADD_IF_ABSENT",
            [
                &["x-a: n"],
                &["x-a: o", "x-z: z"],
                &["x-a: o", "x-z: z", "x-a: p"],
            ],
        ),
        (
            "OVERWRITE_IF_EXISTS",
            [&[], &["x-z: z", "x-a: n"], &["x-z: z", "x-a: n"]],
        ),
        (
            "OVERWRITE_IF_EXISTS_OR_ADD",
            [&["x-a: n"], &["x-z: z", "x-a: n"], &["x-z: z", "x-a: n"]],
        ),
    ];
    for (action, expected) in table {
        let got = [&[][..], &["o"], &["o", "p"]].map(|before| added(&option("n", action), before));
        assert_eq!(got, expected, "{action}");
    }
}

#[test]
fn options_do_not_see_one_another() {
    let two = |first: &str, second: &str| {
        added(
            &format!("{}, {}", option("1", first), option("2", second)),
            &[],
        )
    };
    let (append, absent) = ("APPEND_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT");
    let (existing, overwrite) = ("OVERWRITE_IF_EXISTS", "OVERWRITE_IF_EXISTS_OR_ADD");
    assert_eq!(two(absent, absent), ["x-a: 1", "x-a: 2"]);
    assert_eq!(two(append, overwrite), ["x-a: 2", "x-a: 1"]);
    assert_eq!(two(overwrite, append), ["x-a: 1", "x-a: 2"]);
    assert_eq!(two(overwrite, overwrite), ["x-a: 2"]);
    assert_eq!(two(existing, absent), ["x-a: 2"]);
}

#[test]
fn values() {
    assert_eq!(
        added("{header: {key: x-a, value: '50%%'}}", &[]),
        ["x-a: 50%"]
    );
    assert_eq!(
        added("{header: {key: x-a, value: ''}}", &[]),
        Vec::<String>::new()
    );
    assert_eq!(
        added(
            "{header: {key: x-a, value: ''}, keep_empty_value: true}",
            &[]
        ),
        ["x-a: "]
    );
    assert_eq!(
        added("{header: {key: x-a, raw_value: YWI=}}", &[]),
        Vec::<String>::new()
    );
    assert_eq!(
        added("{header: {key: x-a, value: f}, append: false}", &["o"]),
        ["x-z: z", "x-a: f"]
    );
    assert_eq!(
        added("{header: {key: x-a, value: f}, append: true}", &["o"]),
        ["x-a: o", "x-z: z", "x-a: f"]
    );
}

#[test]
fn values_are_rendered_from_the_headers_as_they_came() {
    let overwrite = option("1", "OVERWRITE_IF_EXISTS_OR_ADD");
    let sees = "{header: {key: x-b, value: '%REQ(x-a)%'}}";
    assert_eq!(
        added(&format!("{overwrite}, {sees}"), &["o"]),
        ["x-z: z", "x-a: 1", "x-b: o"]
    );
    // A missing value makes an empty header, which is not added.
    assert_eq!(added(&format!("{overwrite}, {sees}"), &[]), ["x-a: 1"]);
    assert_eq!(
        added("{header: {key: x-a, value: 'p%REQ(x-none)%s'}}", &[]),
        ["x-a: ps"]
    );
    assert_eq!(
        added(
            "{header: {key: x-e, value: '%REQ(x-none)%'}, keep_empty_value: true}",
            &[]
        ),
        ["x-e: "]
    );
    // The upstream host is not chosen yet.
    assert_eq!(
        added("{header: {key: x-u, value: '%UPSTREAM_HOST%'}}", &[]),
        Vec::<String>::new()
    );
}

#[test]
fn inline_headers_are_joined() {
    let table = routes(&[
        "{match: {prefix: /}, request_headers_to_add: [{header: {key: x-forwarded-for, value: 9.9.9.9}}, {header: {key: cookie, value: z=1}}], route: {cluster: c}}",
    ]);
    let (_, _, lines) = finalized(
        &table,
        get("/", &[("x-forwarded-for", "1.1.1.1"), ("cookie", "a=1")]),
    );
    assert_eq!(
        lines,
        [
            "x-forwarded-for: 1.1.1.1,9.9.9.9",
            "cookie: a=1",
            "cookie: z=1"
        ]
    );
}

#[test]
fn removal_comes_first() {
    let table = routes(&[
        "{match: {prefix: /}, request_headers_to_add: [{header: {key: x-a, value: new}}], request_headers_to_remove: [X-A, x-b], route: {cluster: c}}",
    ]);
    let (_, _, lines) = finalized(&table, get("/", &[("x-a", "1"), ("x-b", "2")]));
    assert_eq!(lines, ["x-a: new"]);
}

#[test]
fn levels_are_evaluated_in_envoys_order() {
    let level = |name: &str| {
        let options = format!(
            "[{{header: {{key: x-l, value: {name}}}}}, {{header: {{key: x-o, value: {name}}}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}}, \
             {{header: {{key: x-abs, value: {name}}}, append_action: ADD_IF_ABSENT}}]"
        );
        format!("request_headers_to_add: {options}, response_headers_to_add: {options}")
    };
    let table = |most_specific: bool| {
        compile(&format!(
            "{{name: rc, most_specific_header_mutations_wins: {most_specific}, {}, virtual_hosts: [{{name: v, domains: ['*'], {}, routes: [\
             {{match: {{prefix: /}}, {}, route: {{weighted_clusters: {{clusters: [{{name: c, weight: 1, {}}}]}}}}}}]}}]}}",
            level("rc"),
            level("vh"),
            level("route"),
            level("wc")
        ))
    };
    for (most_specific, expected) in [
        (
            false,
            [
                "x-l: wc",
                "x-abs: wc",
                "x-l: route",
                "x-l: vh",
                "x-o: rc",
                "x-l: rc",
            ],
        ),
        (
            true,
            [
                "x-l: wc",
                "x-abs: wc",
                "x-l: rc",
                "x-l: vh",
                "x-o: route",
                "x-l: route",
            ],
        ),
    ] {
        let table = table(most_specific);
        let mut request = get("/", &[]);
        let found = table.find(&request, &info(0)).unwrap();
        found.finalize_request_headers(&mut request, &info(0), true);
        assert_eq!(lines(&request), expected);
        let mut response = HeaderMap::new();
        found.finalize_response_headers(&mut response, &request, &info(0));
        assert_eq!(lines(&response), expected);
    }
}

#[test]
fn header_mutation_lists_run_one_after_the_other() {
    use envoy_api::pb::envoy::{
        config::{
            common::mutation_rules::v3::{
                HeaderMutation,
                header_mutation::{Action, RemoveOnMatch},
            },
            core::v3::{HeaderValue, HeaderValueOption},
        },
        r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
    };
    let append = |value: &str| {
        Action::Append(HeaderValueOption {
            header: Some(HeaderValue {
                key: "x-a".into(),
                value: value.into(),
                ..Default::default()
            }),
            ..Default::default()
        })
    };
    let prefix = StringMatcher {
        match_pattern: Some(MatchPattern::Prefix("x-d".into())),
        ..Default::default()
    };
    let list = [
        append("1"),
        Action::Remove("x-a".into()),
        append("2"),
        Action::RemoveOnMatch(RemoveOnMatch {
            key_matcher: Some(prefix),
        }),
    ]
    .map(|action| HeaderMutation {
        action: Some(action),
    });
    let mutations = HeaderMutations::compile(&list).unwrap();
    let mut headers = get("/", &[("x-d1", ""), ("x-e", ""), ("x-d2", "")]);
    mutations.evaluate_request(&mut headers, &info(0));
    assert_eq!(lines(&headers), ["x-e: ", "x-a: 2"]);
    let bad = [HeaderMutation {
        action: Some(Action::Remove(":path".into())),
    }];
    assert_eq!(
        HeaderMutations::compile(&bad).unwrap_err().to_string(),
        "[0].remove: :-prefixed or host headers may not be removed"
    );
}

#[test]
fn filter_overrides_stack_by_level() {
    let config = |text: &str| {
        format!("{{'@type': type.googleapis.com/google.protobuf.StringValue, value: {text}}}")
    };
    let table = compile(&format!(
        "{{name: rc, typed_per_filter_config: {{f: {}, g: {}}}, virtual_hosts: [{{name: v, domains: ['*'], routes: [\
         {{match: {{prefix: /}}, typed_per_filter_config: {{f: {}}}, route: {{weighted_clusters: {{clusters: [{{name: c, weight: 1, typed_per_filter_config: {{f: {}}}}}]}}}}}}]}}]}}",
        config("rc"),
        config("rc"),
        config("route"),
        config("wc")
    ));
    let found = table.find(&get("/", &[]), &info(0)).unwrap();
    let text = |value: &FilterOverride| {
        let bytes = value.downcast_ref::<Vec<u8>>().unwrap();
        String::from_utf8(bytes[2..].to_vec()).unwrap()
    };
    let overrides = &found.route.per_filter;
    assert_eq!(
        overrides.all("f").map(text).collect::<Vec<_>>(),
        ["rc", "route", "wc"]
    );
    assert_eq!(overrides.all("g").map(text).collect::<Vec<_>>(), ["rc"]);
    assert_eq!(overrides.all("h").count(), 0);
    assert_eq!(overrides.disabled("f"), Some(false));
    assert_eq!(overrides.disabled("h"), None);
}

#[test]
fn the_most_specific_level_switches_a_filter_off_or_on() {
    let wrapped = |inner: &str| {
        format!("{{'@type': type.googleapis.com/envoy.config.route.v3.FilterConfig, {inner}}}")
    };
    let value = "config: {'@type': type.googleapis.com/google.protobuf.StringValue, value: x}";
    let table = compile(&format!(
        "{{name: rc, typed_per_filter_config: {{off: {off}, on: {off}, inner: {config}, none: {optional}}}, virtual_hosts: [{{name: v, domains: ['*'], \
         routes: [{{match: {{prefix: /}}, typed_per_filter_config: {{on: {on}, inner: {off}}}, route: {{cluster: c}}}}]}}]}}",
        off = wrapped("disabled: true"),
        on = wrapped("config: {}"),
        config = wrapped(value),
        optional = wrapped(&format!("is_optional: true, {value}")),
    ));
    let found = table.find(&get("/", &[]), &info(0)).unwrap();
    let overrides = &found.route.per_filter;
    for (filter, disabled, configs) in [
        ("off", true, 0),
        ("on", false, 0),
        ("inner", true, 1),
        ("none", false, 0),
    ] {
        assert_eq!(overrides.disabled(filter), Some(disabled), "{filter}");
        assert_eq!(overrides.all(filter).count(), configs, "{filter}");
    }
}
