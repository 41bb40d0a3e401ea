use super::*;

fn error(yaml: &str) -> String {
    compile_with(yaml, true).unwrap_err().to_string()
}

fn route_error(route: &str) -> String {
    let error = error(&one_host(&[route]));
    error
        .strip_prefix("virtual_hosts[0].routes[0].")
        .unwrap_or(&error)
        .to_owned()
}

#[test]
fn clusters() {
    let action =
        |action: &str| route_error(&format!("{{match: {{prefix: /}}, route: {{{action}}}}}"));
    assert_eq!(
        action("cluster: nope"),
        "route: route: unknown cluster 'nope'"
    );
    let weighted =
        |clusters: &str| action(&format!("weighted_clusters: {{clusters: [{clusters}]}}"));
    for (clusters, expected) in [
        (
            "{name: nope, weight: 1}",
            "route.weighted_clusters.clusters[0]: route: unknown weighted cluster 'nope'",
        ),
        (
            "{cluster_header: x, weight: 0}",
            "route.weighted_clusters: Sum of weights in the weighted_cluster must be greater than 0.",
        ),
        (
            "{name: c, cluster_header: x, weight: 1}",
            "route.weighted_clusters.clusters[0]: Only one of name or cluster_header can be specified",
        ),
        (
            "{weight: 1}",
            "route.weighted_clusters.clusters[0]: At least one of name or cluster_header need to be specified",
        ),
        (
            "{cluster_header: x, weight: 4294967295}, {cluster_header: x, weight: 2}",
            "route.weighted_clusters: The sum of weights of all weighted clusters of route  exceeds 4294967295",
        ),
    ] {
        assert_eq!(weighted(clusters), expected);
    }
    assert!(
        compile_with(
            &one_host(&["{match: {prefix: /}, route: {cluster: nope}}"]),
            false
        )
        .is_ok()
    );
}

#[test]
fn routes_and_their_matches() {
    for (route, expected) in [
        ("{route: {cluster_header: x}}", "match: is required"),
        (
            "{match: {}, route: {cluster_header: x}}",
            "match.path_specifier: is required",
        ),
        ("{match: {prefix: /}}", "action: is required"),
        (
            "{match: {prefix: /}, route: {}}",
            "route.cluster_specifier: is required",
        ),
        (
            "{match: {path_separated_prefix: /a/}, route: {cluster_header: x}}",
            r#"match.path_separated_prefix: value does not match regex pattern "^[^?#]+[^?#/]$""#,
        ),
        (
            "{match: {safe_regex: {regex: 'a('}}, route: {cluster_header: x}}",
            "match.safe_regex.regex: missing ): a(",
        ),
        (
            "{match: {prefix: /, headers: [{name: x, string_match: {safe_regex: {regex: '(?=a)'}}}]}, route: {cluster_header: x}}",
            "match.headers[0].string_match.safe_regex.regex: invalid perl operator: (?=",
        ),
        (
            "{match: {prefix: /}, request_headers_to_add: [{header: {key: ':path', value: x}}], route: {cluster_header: x}}",
            "request_headers_to_add[0]: :-prefixed or host headers may not be modified",
        ),
        (
            "{match: {prefix: /}, request_headers_to_add: [{header: {key: Host, value: x}}], route: {cluster_header: x}}",
            "request_headers_to_add[0]: :-prefixed or host headers may not be modified",
        ),
        (
            "{match: {prefix: /}, response_headers_to_remove: [Host], route: {cluster_header: x}}",
            "response_headers_to_remove[0]: :-prefixed or host headers may not be removed",
        ),
        (
            "{match: {prefix: /}, request_headers_to_add: [{header: {key: x, value: x}, append: false, append_action: ADD_IF_ABSENT}], route: {cluster_header: x}}",
            "request_headers_to_add[0]: Both append and append_action are set and it's not allowed",
        ),
        (
            "{match: {prefix: /}, route: {cluster_header: x, prefix_rewrite: /a, path_rewrite: /b}}",
            "route: Specify only one of prefix_rewrite, regex_rewrite or path_rewrite_policy",
        ),
        (
            "{match: {prefix: /}, request_headers_to_add: [{header: {key: x, value: '100%'}}], route: {cluster_header: x}}",
            "request_headers_to_add[0]: Incorrect configuration: 100%. Couldn't find valid command at position 3",
        ),
        (
            "{match: {prefix: /}, route: {cluster_header: x, path_rewrite: '100%'}}",
            "route.path_rewrite: Failed to create path rewrite formatter: INVALID_ARGUMENT: Incorrect configuration: 100%. \
             Couldn't find valid command at position 3",
        ),
        (
            "{match: {prefix: /}, route: {cluster_header: x, host_rewrite_path_regex: {pattern: {regex: '(a'}, substitution: x}}}",
            "route.host_rewrite_path_regex.pattern.regex: missing ): (a",
        ),
        (
            "{match: {prefix: /}, typed_per_filter_config: {bad: {'@type': type.googleapis.com/google.protobuf.StringValue}}, route: {cluster_header: x}}",
            "typed_per_filter_config[bad]: no such filter",
        ),
        (
            "{match: {prefix: /}, typed_per_filter_config: {none: {'@type': type.googleapis.com/google.protobuf.StringValue}}, route: {cluster_header: x}}",
            "typed_per_filter_config[none]: Didn't find a registered implementation for 'none' with type URL: 'google.protobuf.StringValue'",
        ),
        (
            "{match: {prefix: /}, typed_per_filter_config: {f: {'@type': type.googleapis.com/envoy.config.route.v3.FilterConfig}}, route: {cluster_header: x}}",
            "typed_per_filter_config[f]: Empty route/virtual host per filter configuration for f filter",
        ),
    ] {
        assert_eq!(route_error(route), expected, "{route}");
    }
}

#[test]
fn virtual_hosts() {
    let hosts = |hosts: &str| error(&format!("{{name: rc, virtual_hosts: [{hosts}]}}"));
    assert_eq!(
        hosts("{name: a, domains: ['*']}, {name: b, domains: ['*']}"),
        "virtual_hosts[1].domains[0]: Only a single wildcard domain is permitted in route rc"
    );
    assert_eq!(
        hosts("{name: a, domains: [a.com]}, {name: b, domains: [A.com]}"),
        "virtual_hosts[1].domains[0]: Only unique values for domains are permitted. Duplicate entry of domain a.com in route rc"
    );
    assert_eq!(
        hosts(
            "{name: a, domains: ['*'], matcher: {}, routes: [{match: {prefix: /}, route: {cluster_header: x}}]}"
        ),
        "virtual_hosts[0]: cannot set both matcher and routes on virtual host"
    );
    assert_eq!(
        hosts("{name: a}"),
        "virtual_hosts[0].domains: value must contain at least 1 item(s)"
    );
}

#[test]
fn defaults_and_inheritance() {
    let table = compile(
        "{name: rc, virtual_hosts: [{name: v, domains: ['*'], retry_policy: {num_retries: 7}, per_request_buffer_limit_bytes: 9, routes: [\
         {name: r, match: {prefix: /a}, route: {cluster: c, retry_policy: {num_retries: 3}, timeout: 0s, idle_timeout: 0s, priority: HIGH, cluster_not_found_response_code: NOT_FOUND}}, \
         {match: {prefix: /b}, route: {cluster: c}, request_body_buffer_limit: 5}, {match: {prefix: /c}, non_forwarding_action: {}}]}]}",
    );
    let found = |path| table.find(&get(path, &[]), &info(0)).unwrap();
    let route = found("/a").route;
    let Action::Forward(forward) = &route.action else {
        panic!("not forwarding");
    };
    assert_eq!(&*route.info.name, "r");
    assert_eq!(&*route.info.virtual_host_name, "v");
    assert_eq!(forward.retry_policy.as_ref().unwrap().num_retries, 3);
    assert_eq!(forward.timeout, None);
    assert_eq!(route.idle_timeout(), Some(std::time::Duration::ZERO));
    assert_eq!(forward.priority, outrigger_upstream::Priority::High);
    assert_eq!(forward.cluster_not_found_response_code, 404);
    assert_eq!(route.request_body_buffer_limit, Some(9));
    let route = found("/b").route;
    let Action::Forward(forward) = &route.action else {
        panic!("not forwarding");
    };
    assert_eq!(forward.retry_policy.as_ref().unwrap().num_retries, 7);
    assert_eq!(forward.timeout, Some(std::time::Duration::from_secs(15)));
    assert_eq!(route.idle_timeout(), None);
    assert_eq!(forward.cluster_not_found_response_code, 503);
    assert_eq!(route.request_body_buffer_limit, Some(5));
    assert!(
        matches!(forward.cluster(&get("/b", &[])), ClusterChoice::Slot(slot) if &**slot.name() == "c")
    );
    assert!(matches!(found("/c").route.action, Action::NonForwarding));
}

#[test]
fn clusters_by_header_and_by_weight() {
    let table = routes(&[
        "{match: {prefix: /h}, route: {cluster_header: X-C}}",
        "{match: {prefix: /w}, route: {metadata_match: {filter_metadata: {envoy.lb: {a: r, b: r}}}, weighted_clusters: {header_name: x-rnd, clusters: [\
         {name: one, weight: 10}, {name: two, weight: 0}, {name: three, weight: 5, metadata_match: {filter_metadata: {envoy.lb: {b: w}}}}]}}}",
    ]);
    let choice = |path: &str, more: &[(&str, &str)], stream: u64| {
        let headers = get(path, more);
        let found = table.find(&headers, &info(stream)).unwrap();
        let Action::Forward(forward) = &found.route.action else {
            panic!("not forwarding");
        };
        match forward.cluster(&headers) {
            ClusterChoice::Slot(slot) => slot.name().to_string(),
            ClusterChoice::Named(name) => String::from_utf8(name.to_vec()).unwrap(),
            ClusterChoice::Missing => "-".into(),
        }
    };
    assert_eq!(choice("/h", &[], 0), "-");
    assert_eq!(choice("/h", &[("x-c", "a"), ("x-c", "b")], 0), "a");
    for (stream, expected) in [
        (0, "one"),
        (9, "one"),
        (10, "three"),
        (14, "three"),
        (15, "one"),
        (u64::MAX, "one"),
    ] {
        assert_eq!(choice("/w", &[], stream), expected, "{stream}");
        // The header decides where it holds one number; otherwise the stream does.
        assert_eq!(
            choice("/w", &[("x-rnd", &stream.to_string())], 10),
            expected
        );
        assert_eq!(choice("/w", &[("x-rnd", "+10")], stream), "three");
        for other in ["x", "-1", "10a", "18446744073709551616"] {
            assert_eq!(
                choice("/w", &[("x-rnd", other)], stream),
                expected,
                "{other}"
            );
        }
        assert_eq!(
            choice("/w", &[("x-rnd", "10"), ("x-rnd", "10")], stream),
            expected
        );
    }
    let metadata = |stream| match &table
        .find(&get("/w", &[]), &info(stream))
        .unwrap()
        .route
        .action
    {
        Action::Forward(forward) => forward.metadata_match.clone(),
        _ => Default::default(),
    };
    let text = |stream, key: &str| match metadata(stream)
        .get("envoy.lb", &[key])
        .and_then(|v| v.kind.clone())
    {
        Some(prost_types::value::Kind::StringValue(text)) => text,
        _ => String::new(),
    };
    assert_eq!((text(0, "a"), text(0, "b")), ("r".into(), "r".into()));
    assert_eq!((text(10, "a"), text(10, "b")), ("r".into(), "w".into()));
}
