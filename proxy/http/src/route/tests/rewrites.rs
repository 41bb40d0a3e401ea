use super::*;

#[test]
fn paths() {
    let table = routes(&[
        "{match: {prefix: /p1}, route: {cluster: c, prefix_rewrite: /new}}",
        "{match: {prefix: /P2, case_sensitive: false}, route: {cluster: c, prefix_rewrite: /new}}",
        "{match: {path: /e1}, route: {cluster: c, prefix_rewrite: /new}}",
        "{match: {path_separated_prefix: /sep}, route: {cluster: c, prefix_rewrite: /}}",
        "{match: {safe_regex: {regex: '/r.*'}}, route: {cluster: c, prefix_rewrite: /new}}",
        "{match: {prefix: /n}, route: {cluster: c, regex_rewrite: {pattern: {regex: '([0-9]+)'}, substitution: '<\\1>'}}}",
        "{match: {prefix: /q4}, route: {cluster: c, regex_rewrite: {pattern: {regex: zzz}, substitution: ''}}}",
        "{match: {prefix: /q5}, route: {cluster: c, regex_rewrite: {pattern: {regex: /q5}, substitution: ''}}}",
        "{match: {prefix: /b}, route: {cluster: c, prefix_rewrite: nope}}",
        "{match: {prefix: /f}, route: {cluster: c, path_rewrite: '/x?y=1'}}",
        "{match: {prefix: /}, route: {cluster: c}}",
    ]);
    for (path, expected) in [
        ("/p1/x?q", Some("/new/x?q")),
        ("/p1", Some("/new")),
        ("/p1x", Some("/newx")),
        ("/p2/X", Some("/new/X")),
        ("/e1?q", Some("/new?q")),
        ("/sep", Some("/")),
        ("/sep/x", Some("//x")),
        ("/rx/y?q", Some("/new?q")),
        ("/n/12/3?n=4", Some("/n/<12>/<3>?n=4")),
        ("/q4", Some("/q4")),
        ("/q5?x", None),
        ("/b", Some("nope")),
        ("/f?z", Some("/x?y=1?z")),
        ("/other", None),
    ] {
        let (_, new, lines) = finalized(&table, get(path, &[("x-envoy-original-path", "old")]));
        match expected {
            Some(expected) => {
                assert_eq!(new, expected, "{path}");
                assert_eq!(lines, [format!("x-envoy-original-path: {path}")]);
            }
            None => {
                assert_eq!(new, path);
                assert_eq!(lines, ["x-envoy-original-path: old"]);
            }
        }
    }
}

#[test]
fn hosts() {
    let table = routes(&[
        "{match: {prefix: /1}, route: {cluster: c, host_rewrite_literal: lit}}",
        "{match: {prefix: /2}, route: {cluster: c, host_rewrite_header: x-h}}",
        "{match: {prefix: /3}, route: {cluster: c, host_rewrite_path_regex: {pattern: {regex: '^/3/(.+)$'}, substitution: '\\1.x'}}}",
        "{match: {prefix: /4}, route: {cluster: c, append_x_forwarded_host: true}}",
    ]);
    let host = |path, more: &[(&str, &str)]| finalized(&table, get(path, more)).0;
    assert_eq!(host("/1", &[]), "lit");
    assert_eq!(host("/2", &[]), "h");
    assert_eq!(host("/2", &[("x-h", "hh")]), "hh");
    assert_eq!(host("/2", &[("x-h", "")]), "h");
    assert_eq!(host("/2", &[("x-h", "a"), ("x-h", "b")]), "a");
    assert_eq!(host("/3/abc?q", &[]), "abc.x");
    assert_eq!(host("/3", &[]), "/3");
    assert_eq!(finalized(&table, get("/4", &[])).2, Vec::<String>::new());
    let (_, _, lines) = finalized(&table, get("/1", &[("x-envoy-original-host", "old")]));
    assert_eq!(lines, ["x-envoy-original-host: h"]);
}

#[test]
fn formats() {
    let table = routes(&[
        "{match: {prefix: /1}, route: {cluster: c, path_rewrite: '/f/%REQ(x-a)%'}}",
        "{match: {prefix: /2}, route: {cluster: c, path_rewrite: '%REQ(x-a)%'}}",
        "{match: {prefix: /3}, route: {cluster: c, host_rewrite: '%REQ(x-a)%'}}",
        "{match: {prefix: /4}, route: {cluster: c, host_rewrite: ''}}",
    ]);
    let rewritten = |path, more: &[(&str, &str)]| {
        let (host, path, _) = finalized(&table, get(path, more));
        format!("{host}{path}")
    };
    let a: &[(&str, &str)] = &[("x-a", "v")];
    assert_eq!(rewritten("/1/1?q=1", a), "h/f/v?q=1");
    assert_eq!(rewritten("/1/1?q=1", &[]), "h/f/?q=1");
    assert_eq!(rewritten("/2/1?q", a), "hv?q");
    assert_eq!(rewritten("/2/1?q", &[]), "h/2/1?q");
    assert_eq!(rewritten("/3", a), "v/3");
    assert_eq!(rewritten("/3", &[]), "-/3");
    assert_eq!(rewritten("/4", &[]), "h/4");
}

#[test]
fn forwarded_host_is_appended_once() {
    let table = routes(&[
        "{match: {prefix: /}, route: {cluster: c, host_rewrite_literal: lit, append_x_forwarded_host: true}}",
    ]);
    for (before, after) in [
        (None, "h"),
        (Some("a"), "a,h"),
        (Some("h"), "h"),
        (Some("h, b"), "h, b,h"),
        (Some("b,h"), "b,h"),
        (Some("b, h"), "b, h,h"),
        (Some("h,"), "h,"),
    ] {
        let more: Vec<_> = before
            .map(|b| ("x-forwarded-host", b))
            .into_iter()
            .collect();
        let (_, _, lines) = finalized(&table, get("/", &more));
        assert!(
            lines.contains(&format!("x-forwarded-host: {after}")),
            "{lines:?}"
        );
        assert!(
            lines.contains(&"x-envoy-original-host: h".into()),
            "{lines:?}"
        );
    }
}

#[test]
fn order_of_the_lines_and_of_the_rewrites() {
    let table = routes(&[
        "{match: {prefix: /w1}, route: {host_rewrite_literal: route, append_x_forwarded_host: true, prefix_rewrite: /W, \
         weighted_clusters: {clusters: [{name: c, weight: 1, host_rewrite_literal: wc}]}}}",
        "{match: {prefix: /w2}, route: {append_x_forwarded_host: true, weighted_clusters: {clusters: [{name: c, weight: 1, host_rewrite_literal: wc}]}}}",
        "{match: {prefix: /auto}, route: {cluster: c, auto_host_rewrite: true, append_x_forwarded_host: true, prefix_rewrite: /z}}",
    ]);
    let (host, path, lines) = finalized(&table, get("/w1/x", &[]));
    assert_eq!((host.as_str(), path.as_str()), ("route", "/W/x"));
    assert_eq!(
        lines,
        [
            "x-envoy-original-host: wc",
            "x-forwarded-host: wc",
            "x-envoy-original-path: /w1/x"
        ]
    );
    let (host, _, lines) = finalized(&table, get("/w2", &[]));
    assert_eq!(host, "wc");
    assert!(lines.is_empty());

    let mut headers = get("/auto", &[]);
    let found = table.find(&headers, &info(0)).unwrap();
    found.finalize_request_headers(&mut headers, &info(0), true);
    let Action::Forward(forward) = &found.route.action else {
        panic!("not forwarding");
    };
    forward.rewrite_host_to_upstream(&mut headers, b"", true);
    assert_eq!(headers.get(HeaderId::Authority), Some(&b"h"[..]));
    forward.rewrite_host_to_upstream(&mut headers, b"ep.host", true);
    assert_eq!(headers.get(HeaderId::Authority), Some(&b"ep.host"[..]));
    assert_eq!(
        super::lines(&headers),
        [
            "x-envoy-original-path: /auto",
            "x-envoy-original-host: h",
            "x-forwarded-host: h"
        ]
    );
}

#[test]
fn originals_are_left_out_on_request() {
    let table = routes(&[
        "{match: {prefix: /a}, route: {cluster: c, prefix_rewrite: /b, host_rewrite_literal: lit}}",
    ]);
    let mut headers = get("/a", &[]);
    let found = table.find(&headers, &info(0)).unwrap();
    found.finalize_request_headers(&mut headers, &info(0), false);
    assert!(lines(&headers).is_empty());
    assert_eq!(headers.get(HeaderId::Path), Some(&b"/b"[..]));
}

/// A filter behind the match may have changed the path: then there is no prefix to replace.
#[test]
fn a_changed_path_is_not_rewritten() {
    let table = routes(&["{match: {prefix: /a}, route: {cluster: c, prefix_rewrite: /b}}"]);
    let found = table.find(&get("/a", &[]), &info(0)).unwrap();
    let mut headers = get("/c", &[]);
    found.finalize_request_headers(&mut headers, &info(0), true);
    assert_eq!(headers.get(HeaderId::Path), Some(&b"/c"[..]));
}
