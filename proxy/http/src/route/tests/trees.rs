use super::*;

const INPUT: &str =
    "'@type': type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput, header_name";
const ROUTE: &str = "'@type': type.googleapis.com/envoy.config.route.v3.Route";

fn input(header: &str) -> String {
    format!("input: {{name: i, typed_config: {{{INPUT}: '{header}'}}}}")
}

fn leaf(prefix: &str, text: &str) -> String {
    format!(
        "{{action: {{name: route, typed_config: {{{ROUTE}, match: {{prefix: {prefix}}}, \
         direct_response: {{status: 200, body: {{inline_string: {text}}}}}}}}}}}"
    )
}

fn when(header: &str, value: &str) -> String {
    format!(
        "single_predicate: {{{}, value_match: {{{value}}}}}",
        input(header)
    )
}

fn yaml(matcher: &str) -> String {
    format!("name: rc\nvirtual_hosts: [{{name: v, domains: ['*'], matcher: {{{matcher}}}}}]\n")
}

#[test]
fn a_list_takes_the_first_leaf() {
    let list = "'@type': type.googleapis.com/envoy.config.route.v3.RouteList, routes: [\
         {match: {prefix: /l1}, direct_response: {status: 200, body: {inline_string: l1}}}, \
         {match: {prefix: /l2}, direct_response: {status: 200, body: {inline_string: l2}}}]";
    let table = compile(&yaml(&format!(
        "matcher_list: {{matchers: [\
         {{predicate: {{{}}}, on_match: {}}}, \
         {{predicate: {{{}}}, on_match: {}}}, \
         {{predicate: {{{}}}, on_match: {}}}, \
         {{predicate: {{or_matcher: {{predicate: [{{{}}}, {{{}}}]}}}}, on_match: {}}}, \
         {{predicate: {{and_matcher: {{predicate: [{{{}}}, {{{}}}]}}}}, on_match: {}}}, \
         {{predicate: {{not_matcher: {{{}}}}}, on_match: {{action: {{name: route, typed_config: {{{list}}}}}}}}}]}}, \
         on_no_match: {}",
        when("x-a", "exact: '1'"),
        leaf("/", "one"),
        when("x-a", "prefix: '2'"),
        leaf("/only", "two"),
        when("x-a", "prefix: '2'"),
        leaf("/", "hidden"),
        when("x-b", "exact: ''"),
        when("x-c", "safe_regex: {regex: c+}"),
        leaf("/", "or"),
        when("x-e", "exact: E, ignore_case: true"),
        when("x-f", "suffix: f"),
        leaf("/", "and"),
        when("x-d", "exact: d"),
        leaf("/", "none"),
    )));
    for (path, headers, expected) in [
        ("/", &[][..], "-"),
        ("/", &[("x-a", "1")], "one"),
        ("/x", &[("x-a", "2")], "-"),
        ("/only", &[("x-a", "2")], "two"),
        ("/", &[("x-b", "")], "or"),
        ("/", &[("x-c", "ccc")], "or"),
        ("/", &[("x-e", "e"), ("x-f", "of")], "and"),
        ("/", &[("x-e", "e"), ("x-d", "d")], "none"),
        ("/", &[("x-d", "d")], "none"),
        ("/l1", &[], "l1"),
        ("/l2", &[], "l2"),
        ("/", &[("x-a", "1"), ("x-a", "2")], "-"),
    ] {
        assert_eq!(
            answer(&table, &get(path, headers)),
            expected,
            "{path} {headers:?}"
        );
    }
}

#[test]
fn an_exact_map_compares_the_whole_value() {
    let table = compile(&yaml(&format!(
        "matcher_tree: {{{}, exact_match_map: {{map: {{/e: {}, /n: {{matcher: {{matcher_tree: {{{}, exact_match_map: {{map: {{'1': {}}}}}}}}}}}}}}}}}, \
         on_no_match: {}",
        input(":path"),
        leaf("/", "e"),
        input("x-a"),
        leaf("/", "n1"),
        leaf("/", "none"),
    )));
    for (path, headers, expected) in [
        ("/e", &[][..], "e"),
        ("/e?x", &[], "none"),
        ("/n", &[], "none"),
        ("/n", &[("x-a", "1")], "n1"),
        ("/other", &[], "none"),
    ] {
        assert_eq!(
            answer(&table, &get(path, headers)),
            expected,
            "{path} {headers:?}"
        );
    }
}

#[test]
fn a_prefix_map_prefers_the_longest_that_leads_somewhere() {
    let table = compile(&yaml(&format!(
        "matcher_tree: {{{}, prefix_match_map: {{map: {{'1': {}, '12': {}, '13': {{matcher: {{matcher_tree: {{{}, exact_match_map: {{map: {{q: {}}}}}}}}}}}}}}}}}, \
         on_no_match: {}",
        input("x-a"),
        leaf("/zz", "p1"),
        leaf("/", "p12"),
        input("x-b"),
        leaf("/", "q"),
        leaf("/", "none"),
    )));
    for (path, headers, expected) in [
        ("/", &[][..], "none"),
        ("/", &[("x-a", "2")], "none"),
        ("/", &[("x-a", "1")], "-"),
        ("/zz", &[("x-a", "1")], "p1"),
        ("/", &[("x-a", "123")], "p12"),
        ("/", &[("x-a", "13"), ("x-b", "q")], "q"),
        // The nested matcher leads nowhere: the shorter prefix does, but its route does not match.
        ("/", &[("x-a", "13")], "-"),
        ("/zz", &[("x-a", "13")], "p1"),
        // Several lines are one value, joined with a comma.
        ("/zz", &[("x-a", "1"), ("x-a", "2")], "p1"),
    ] {
        assert_eq!(
            answer(&table, &get(path, headers)),
            expected,
            "{path} {headers:?}"
        );
    }
}

#[test]
fn what_a_tree_may_not_hold() {
    let error = |matcher: &str| compile_with(&yaml(matcher), true).unwrap_err().to_string();
    let violation = "requirement violation while creating route match tree: INVALID_ARGUMENT:";
    let response_input = "type.googleapis.com/envoy.type.matcher.v3.HttpResponseHeaderMatchInput";
    assert_eq!(
        error(&format!(
            "matcher_tree: {{input: {{name: i, typed_config: {{'@type': {response_input}, header_name: x}}}}, exact_match_map: {{map: {{a: {}}}}}}}",
            leaf("/", "e")
        )),
        format!(
            "virtual_hosts[0].matcher.matcher_tree.input: {violation} Route table can only match on request headers, saw {response_input}"
        )
    );
    let kept = leaf("/", "e").replacen('{', "{keep_matching: true, ", 1);
    assert_eq!(
        error(&format!("on_no_match: {kept}")),
        format!(
            "virtual_hosts[0].matcher.on_no_match: {violation} keep_matching is not supported in this context"
        )
    );
    assert!(
        error("on_no_match: {action: {name: route, typed_config: {'@type': type.googleapis.com/envoy.config.route.v3.Decorator, operation: x}}}")
            .ends_with("Didn't find a registered implementation for 'route' with type URL: 'envoy.config.route.v3.Decorator'")
    );
    // Clusters of routes in a tree are not looked for.
    assert!(compile_with(&yaml(&format!("on_no_match: {{action: {{name: route, typed_config: {{{ROUTE}, match: {{prefix: /}}, route: {{cluster: nope}}}}}}}}")), true).is_ok());
}
