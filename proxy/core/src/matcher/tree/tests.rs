//! Trees whose actions are the names of their extensions.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::{HeaderId, HeaderMap, StreamInfo, formatter::fixture::proxied};
use envoy_api::{Format, MessageDescriptor, load, to_typed};

struct Names {
    scope: Scope,
    stats: Store,
}

impl Compiler for Names {
    type Action = String;

    fn input(&self, proto: &TypedExtensionConfig) -> Result<MatchInput, ConfigError> {
        MatchInput::compile(proto, self.scope)
    }

    fn action(&self, proto: &TypedExtensionConfig) -> Result<String, ConfigError> {
        Ok(proto.name.clone())
    }

    fn stats(&self) -> &Store {
        &self.stats
    }
}

fn compile_in(scope: Scope, yaml: &str) -> Result<(MatchTree<String>, Names), ConfigError> {
    let descriptor = MessageDescriptor::named("xds.type.matcher.v3.Matcher").unwrap();
    let (message, _) = load(&descriptor, Format::Yaml, yaml.as_bytes()).unwrap();
    let names = Names {
        scope,
        stats: Store::default(),
    };
    let tree = MatchTree::compile(&to_typed(&message).unwrap(), &names)?;
    Ok((tree, names))
}

fn compile(yaml: &str) -> MatchTree<String> {
    compile_in(Scope::Response, yaml).unwrap().0
}

const HEADER: &str = "input: {name: i, typed_config: {'@type': \
    type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput, header_name: x-a}}";

fn leaf(name: &str) -> String {
    format!(
        "{{action: {{name: {name}, typed_config: {{'@type': type.googleapis.com/google.protobuf.Empty}}}}}}"
    )
}

fn network(kind: &str) -> String {
    format!(
        "input: {{name: i, typed_config: {{'@type': \
         type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.{kind}}}}}"
    )
}

fn request(lines: &[&str]) -> HeaderMap {
    let mut head = HeaderMap::new();
    for line in lines {
        head.append_raw(b"x-a", line.as_bytes());
    }
    head
}

fn find<'a>(tree: &'a MatchTree<String>, lines: &[&str], info: &StreamInfo) -> Option<&'a str> {
    let request = request(lines);
    let data = MatchData {
        request: Some(&request),
        response: None,
        info,
    };
    tree.find(&data).map(String::as_str)
}

#[test]
fn keys_and_prefixes() {
    let info = proxied();
    let exact = compile(&format!(
        "{{matcher_tree: {{{HEADER}, exact_match_map: {{map: {{a: {}, 'b,c': {}}}}}}}, on_no_match: {}}}",
        leaf("one"),
        leaf("two"),
        leaf("other")
    ));
    for (lines, found) in [
        (&["a"][..], "one"),
        (&["b", "c"], "two"),
        (&["ab"], "other"),
        (&[], "other"),
    ] {
        assert_eq!(find(&exact, lines, &info), Some(found), "{lines:?}");
    }
    let prefix = compile(&format!(
        "{{matcher_tree: {{{HEADER}, prefix_match_map: {{map: {{a: {}, abc: {}}}}}}}}}",
        leaf("short"),
        leaf("long")
    ));
    for (line, found) in [("abcd", Some("long")), ("ab", Some("short")), ("b", None)] {
        assert_eq!(find(&prefix, &[line], &info), found, "{line}");
    }
}

#[test]
fn a_leaf_that_is_not_reached_leaves_it_to_the_next() {
    let inner = format!(
        "{{matcher: {{matcher_tree: {{{HEADER}, exact_match_map: {{map: {{ab: {}}}}}}}}}}}",
        leaf("inner")
    );
    let tree = compile(&format!(
        "{{matcher_list: {{matchers: [\
         {{predicate: {{single_predicate: {{{HEADER}, value_match: {{prefix: a}}}}}}, on_match: {inner}}}, \
         {{predicate: {{not_matcher: {{single_predicate: {{{HEADER}, value_match: {{exact: x}}}}}}}}, on_match: {}}}]}}}}",
        leaf("not")
    ));
    let info = proxied();
    assert_eq!(find(&tree, &["ab"], &info), Some("inner"));
    assert_eq!(find(&tree, &["ac"], &info), Some("not"));
    assert_eq!(find(&tree, &[], &info), Some("not"));
    assert_eq!(find(&tree, &["x"], &info), None);
}

#[test]
fn ranges_of_addresses() {
    let (tree, names) = compile_in(
        Scope::Request,
        &format!(
            "{{matcher_list: {{matchers: [{{predicate: {{single_predicate: {{{HEADER}, custom_match: {{name: ip, \
             typed_config: {{'@type': type.googleapis.com/envoy.extensions.matching.input_matchers.ip.v3.Ip, \
             stat_prefix: ips, cidr_ranges: [{{address_prefix: 10.0.0.0, prefix_len: 8}}]}}}}}}}}, on_match: {}}}]}}}}",
            leaf("in")
        ),
    )
    .unwrap();
    let info = proxied();
    let failed = names.stats.counter("ips.ip_parsing_failed");
    for (line, found) in [("10.1.2.3", Some("in")), ("11.1.2.3", None), ("", None)] {
        assert_eq!(find(&tree, &[line], &info), found, "{line}");
    }
    assert_eq!(failed.get(), 0);
    assert_eq!(find(&tree, &["ten"], &info), None);
    assert_eq!(failed.get(), 1);
}

#[test]
fn what_a_response_says() {
    let tree = compile(&format!(
        "{{matcher_tree: {{input: {{name: i, typed_config: {{'@type': \
         type.googleapis.com/envoy.type.matcher.v3.HttpResponseStatusCodeClassMatchInput}}}}, exact_match_map: {{map: \
         {{4xx: {}}}}}}}}}",
        leaf("four")
    ));
    let info = proxied();
    for (status, found) in [("404", true), ("499", true), ("504", false), ("4", false)] {
        let mut response = HeaderMap::new();
        response.set(HeaderId::Status, status.as_bytes());
        let data = MatchData {
            request: None,
            response: Some(&response),
            info: &info,
        };
        assert_eq!(tree.find(&data).is_some(), found, "{status}");
    }
}

#[test]
fn a_scope_has_its_inputs() {
    let tree = |input: &str| {
        let leaf = leaf("x");
        format!("{{matcher_tree: {{{input}, exact_match_map: {{map: {{x: {leaf}}}}}}}}}")
    };
    let status = "input: {name: i, typed_config: {'@type': \
        type.googleapis.com/envoy.type.matcher.v3.HttpResponseStatusCodeMatchInput}}";
    let compiles = |scope, input: &str| compile_in(scope, &tree(input)).is_ok();
    assert!(compiles(Scope::Response, status));
    assert!(!compiles(Scope::Request, status));
    assert!(compiles(Scope::Request, HEADER));
    assert!(!compiles(Scope::Connection, HEADER));
    for scope in [Scope::Connection, Scope::Request, Scope::Response] {
        assert!(compiles(scope, &network("SourceIPInput")));
    }
    let compiled = compile_in(Scope::Request, &tree(&network("TransportProtocolInput")));
    assert_eq!(
        compiled.map(|_| ()).unwrap_err().to_string(),
        "matcher_tree.input: Didn't find a registered implementation for 'i' with type URL: \
         'envoy.extensions.matching.common_inputs.network.v3.TransportProtocolInput'"
    );
}

#[test]
fn addresses_of_the_connection() {
    let info = proxied();
    let connection = &info.connection;
    let ip = |address: &crate::Address| address.ip().unwrap().ip().to_string();
    let port = |address: &crate::Address| address.ip().unwrap().port().to_string();
    for (input, value) in [
        ("DestinationIPInput", ip(&connection.local_address)),
        ("DestinationPortInput", port(&connection.local_address)),
        ("SourceIPInput", ip(info.remote_address())),
        ("SourcePortInput", port(info.remote_address())),
        ("DirectSourceIPInput", ip(&connection.direct_remote_address)),
    ] {
        let tree = compile(&format!(
            "{{matcher_tree: {{{}, exact_match_map: {{map: {{'{value}': {}}}}}}}}}",
            network(input),
            leaf("found")
        ));
        assert_eq!(find(&tree, &[], &info), Some("found"), "{input}");
    }
}
