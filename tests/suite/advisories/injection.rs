//! Header injection through mutations: every place where a value that the client chose gets into a head, a log line or a
//! body that the proxy writes.

use super::origin::Origin;
use super::strict;
use outrigger_tests::bytes::show;
use outrigger_tests::process::Role;
use outrigger_tests::running::Running;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The only way by which a client gets any byte it likes into the proxy's hands: base64, decoded into metadata as `evil`.
/// Each route puts it (or something from the path) somewhere else.
const CONFIG: &str = r#"
listeners:
  main:
    http:
      delayed_close_timeout: 0.02s
      normalize_path: true
      path_with_escaped_slashes_action: UNESCAPE_AND_FORWARD
      http_filters:
        - name: metadata
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.http.header_to_metadata.v3.Config
            request_rules: [{header: x-evil, on_header_present: {metadata_namespace: own, key: evil, encode: BASE64}, remove: true}]
        - name: mutation
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation
            mutations:
              request_mutations: [{append: {header: {key: x-filter, value: "%DYNAMIC_METADATA(own:evil)%"}}}]
              query_parameter_mutations: [{append: {record: {key: q, value: "%DYNAMIC_METADATA(own:evil)%"}}}]
    log: "%REQ(:PATH)% %DYNAMIC_METADATA(own:evil)% %RESPONSE_CODE%\n"
    routes:
      - {match: {prefix: /request/}, route: {cluster: up}, request_headers_to_add: [{header: {key: x-in, value: "%DYNAMIC_METADATA(own:evil)%"}}]}
      - {match: {prefix: /response/}, route: {cluster: up}, response_headers_to_add: [{header: {key: x-in, value: "%DYNAMIC_METADATA(own:evil)%"}}]}
      - {match: {prefix: /direct/}, direct_response: {status: 200}, response_headers_to_add: [{header: {key: x-in, value: "%DYNAMIC_METADATA(own:evil)%"}}]}
      - {match: {prefix: /length/}, route: {cluster: up, timeout: 0.3s}, request_headers_to_add: [{header: {key: content-length, value: "%REQ(x-length)%"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]}
      - {match: {prefix: /length-of-response/}, route: {cluster: up}, response_headers_to_add: [{header: {key: content-length, value: "%REQ(x-length)%"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]}
      - {match: {prefix: /coding/}, route: {cluster: up}, request_headers_to_add: [{header: {key: transfer-encoding, value: chunked}}], response_headers_to_add: [{header: {key: transfer-encoding, value: chunked}}]}
      - {match: {prefix: /path/}, route: {cluster: up, path_rewrite: "/rewritten/%DYNAMIC_METADATA(own:evil)%"}}
      - {match: {prefix: /host/}, route: {cluster: up, host_rewrite: "%DYNAMIC_METADATA(own:evil)%"}}
      - {match: {prefix: /host-of-path/}, route: {cluster: up, host_rewrite_path_regex: {pattern: {regex: "^/host-of-path/(.*)$"}, substitution: "\\1"}}}
      - {match: {prefix: /host-of-header/}, route: {cluster: up, host_rewrite_header: x-host}}
      - {match: {prefix: /regex/}, route: {cluster: up, regex_rewrite: {pattern: {regex: "^/regex/(.*)$"}, substitution: "/\\1"}}}
      - {match: {prefix: /prefix/}, route: {cluster: up, prefix_rewrite: /}}
      - {match: {prefix: /redirect/}, redirect: {prefix_rewrite: /}}
      - {match: {prefix: /redirect-regex/}, redirect: {regex_rewrite: {pattern: {regex: "^/redirect-regex/(.*)$"}, substitution: "/\\1"}}}
      - {match: {prefix: /}, route: {cluster: up}}
"#;

const ROUTES: &[&str] = &[
    "request",
    "response",
    "direct",
    "length",
    "coding",
    "path",
    "host",
    "host-of-path",
    "host-of-header",
    "regex",
    "prefix",
    "redirect",
    "redirect-regex",
    "other",
];

/// What is decoded from base64, with its base64.
const DECODED: &[(&str, &str)] = &[
    ("a\r\nx-injected: 1", "YQ0KeC1pbmplY3RlZDogMQ=="),
    ("a\nx-injected: 1", "YQp4LWluamVjdGVkOiAx"),
    ("a\rx-injected: 1", "YQ14LWluamVjdGVkOiAx"),
    ("a\0", "YQA="),
    (
        "\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: b\r\n\r\n",
        "DQoNCkdFVCAvc211Z2dsZWQgSFRUUC8xLjENCmhvc3Q6IGINCg0K",
    ),
    (
        " HTTP/1.1\r\nx-injected: 1\r\nx: ",
        "IEhUVFAvMS4xDQp4LWluamVjdGVkOiAxDQp4OiA=",
    ),
    ("a b", "YSBi"),
];

/// What follows the name of the route.
const PATHS: &[&str] = &[
    "x",
    "%0d%0ax-injected:%201",
    "%0a%0a",
    "%00",
    "%E5%98%8A%E5%98%8Dx-injected:1",
    "x%20HTTP/1.1%0d%0ax-injected:%201",
    "?q=%0d%0ax-injected:%201",
    "?q=%20HTTP/1.1",
    "%2f%2fevil.test/%0d%0a",
    "%5c%5cevil.test",
    "@evil.test",
];

/// More lines of the request.
const LINES: &[&str] = &[
    "x-length: 5\r\n",
    "x-length: 0, 5\r\n",
    "x-length: -1\r\n",
    "x-host: b.test HTTP/1.1\r\n",
    "x-host: b.test, c.test\r\n",
    "x-forwarded-proto: http://evil.test/\r\n",
    "origin: %0d%0ax-injected: 1\r\n",
];

/// Lines 31 and 81, and CVE-2023-27491 from within: whatever a mutation makes of it, heads on both sides stay what the
/// configuration says.
#[test]
fn a_value_of_the_client_in_every_mutation() {
    let origin = Origin::start();
    let proxy = Running::start(Role::Subject, CONFIG, &[("up", origin.port)]).unwrap();
    let port = proxy.port("main").unwrap();
    let mut wrong = Vec::new();
    let mut sent = 0;
    for route in ROUTES {
        let mut attacks = Vec::new();
        for (_, encoded) in DECODED {
            attacks.push(format!(
                "GET /{route}/x HTTP/1.1\r\nhost: a.test\r\nx-evil: {encoded}\r\n"
            ));
        }
        for path in PATHS {
            attacks.push(format!("GET /{route}/{path} HTTP/1.1\r\nhost: a.test\r\n"));
        }
        for line in LINES {
            attacks.push(format!("GET /{route}/x HTTP/1.1\r\nhost: a.test\r\n{line}"));
        }
        for attack in attacks {
            sent += 1;
            if let Err(error) = ask(port, &origin, &attack) {
                wrong.push(format!("{attack:?}: {error}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // A line of the log is a request.
    let deadline = Instant::now() + Duration::from_secs(10);
    let lines = || {
        let log = std::fs::read(proxy.log()).unwrap_or_default();
        String::from_utf8_lossy(&log).lines().count()
    };
    while lines() < sent && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(lines(), sent, "lines of the access log");
}

fn ask(port: u16, origin: &Origin, head: &str) -> Result<(), String> {
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let request = format!("{head}connection: close\r\n\r\n");
    client.write_all(request.as_bytes()).unwrap();
    let mut got = Vec::new();
    client.read_to_end(&mut got).map_err(|e| e.to_string())?;
    let answers = strict::responses(&got).map_err(|e| format!("{e}: {}", show(&got)))?;
    let requests = origin.fresh()?;
    let all = answers.iter().chain(&requests);
    let injected = all
        .flat_map(|m| &m.fields)
        .any(|(name, _)| name == "x-injected");
    let statuses: Vec<&str> = answers.iter().map(|a| a.status()).collect();
    let targets: Vec<&str> = requests.iter().map(|r| r.target()).collect();
    // Nothing at all is said where the answer cannot be written.
    if injected || statuses.len() > 1 || targets.len() > 1 || targets.contains(&"/smuggled") {
        return Err(format!("{statuses:?}, {targets:?}: {}", show(&got)));
    }
    Ok(())
}

#[test]
fn the_encoded_values_are_what_they_stand_for() {
    // A value that is wrong would attack nothing.
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (plain, encoded) in DECODED {
        let mut text = String::new();
        for piece in plain.as_bytes().chunks(3) {
            let bytes = [0, 1, 2].map(|at| u32::from(piece.get(at).copied().unwrap_or(0)));
            let word = bytes[0] << 16 | bytes[1] << 8 | bytes[2];
            for digit in 0..=piece.len() {
                let at = (word >> (18 - 6 * digit)) & 63;
                text.push(char::from(alphabet[at as usize]));
            }
        }
        assert_eq!(text, encoded.trim_end_matches('='), "{plain:?}");
    }
}

/// A mutation of `content-length` by what the client says: the length and the body still agree, or the connection ends
/// (line 35, CVE-2026-90678).
#[test]
fn a_length_that_a_mutation_changes() {
    const CLOSE: &str = "connection: close\r\n";
    let origin = Origin::start();
    let proxy = Running::start(Role::Subject, CONFIG, &[("up", origin.port)]).unwrap();
    let port = proxy.port("main").unwrap();
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: b\r\n\r\n";
    let length = smuggled.len();
    let body = format!("content-length: {length}\r\n\r\n{smuggled}");
    let chunks = format!("transfer-encoding: chunked\r\n\r\n{length:x}\r\n{smuggled}\r\n0\r\n\r\n");
    for said in ["0", "2", "33", "34", "35", "90"] {
        for rest in ["\r\n", body.as_str(), chunks.as_str()] {
            for route in ["length", "length-of-response"] {
                let canary = format!("GET /canary HTTP/1.1\r\nhost: a.test\r\n{CLOSE}\r\n");
                let ask = |target: &str, more: &str, behind: &str| {
                    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
                    client
                        .set_read_timeout(Some(Duration::from_secs(10)))
                        .unwrap();
                    let text = format!("POST {target} HTTP/1.1\r\nhost: a.test\r\n{more}");
                    client.write_all(text.as_bytes()).unwrap();
                    // It has perhaps gone.
                    let _ = client.write_all(behind.as_bytes());
                    let mut got = Vec::new();
                    client.read_to_end(&mut got).map(|_| got)
                };
                let first = ask(
                    &format!("/{route}/x"),
                    &format!("x-length: {said}\r\n{rest}"),
                    &canary,
                );
                let last = format!("{CLOSE}content-length: 0\r\n\r\n");
                let next = ask("/clean", &last, "").unwrap();
                let seen = origin.fresh().unwrap();
                let targets: Vec<&str> = seen.iter().map(|request| request.target()).collect();
                let says = format!("{route}, {said}, {rest:?}: {targets:?}, {first:?}");
                let next = strict::responses(&next).unwrap();
                assert!(next.len() == 1 && next[0].body == b"ok", "{says}");
                assert!(!targets.contains(&"/smuggled"), "{says}");
                // Less than promised is not whole, and nothing else follows it.
                let first = strict::responses(&first.unwrap()).expect(&says);
                let whole = first.iter().filter(|response| response.complete);
                assert!(
                    whole
                        .clone()
                        .all(|r| r.status() != "200" || r.body.len() <= 2),
                    "{says}"
                );
                assert!(whole.count() <= 2, "{says}");
            }
        }
    }
}
