//! Formats against a stream whose values were printed by Envoy 1.40.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::{
    fixture::{headers, object, proxied, string},
    *,
};

mod streams;
mod syntax;

fn with_proxied<T>(f: impl FnOnce(&FormatContext<'_>) -> T) -> T {
    let info = proxied();
    let request = headers(&[
        (":method", b"GET"),
        (":path", b"/p/a?a=1&b=2&q=%25zz"),
        (":authority", b"ex.com"),
        ("x-bin", b"a\xffb\"\t\x80c"),
    ]);
    let response = headers(&[(":status", b"200"), ("x-up", b"u\"p")]);
    f(&FormatContext {
        request: Some(&request),
        response: Some(&response),
        log_type: AccessLogType::DownstreamEnd,
        ..FormatContext::new(&info)
    })
}

fn text(format: &str, cx: &FormatContext<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    Formatter::compile(format)
        .unwrap_or_else(|e| panic!("{format}: {e}"))
        .render(cx, &mut out);
    out
}

fn json(format: &str, cx: &FormatContext<'_>) -> String {
    let mut out = Vec::new();
    let format = object([("f", string(format))]);
    JsonFormatter::compile(&format, &Commands::default(), false)
        .unwrap()
        .render(cx, &mut out);
    String::from_utf8(out).unwrap()
}

/// Format, its text, and its JSON value.
const PROXIED: &[(&str, &str, &str)] = &[
    ("%ACCESS_LOG_TYPE%", "DownstreamEnd", "\"DownstreamEnd\""),
    ("%BYTES_RECEIVED%", "0", "0"),
    ("%BYTES_SENT%", "2", "2"),
    ("%CONNECTION_ID%", "7", "7"),
    ("%CONNECTION_TERMINATION_DETAILS%", "-", "null"),
    ("%CUSTOM_FLAGS%", "", "\"\""),
    ("%DOWNSTREAM_DETECTED_CLOSE_TYPE%", "Normal", "\"Normal\""),
    ("%DOWNSTREAM_HANDSHAKE_DURATION%", "-", "null"),
    (
        "%DOWNSTREAM_LOCAL_ADDRESS%",
        "127.0.0.1:28131",
        "\"127.0.0.1:28131\"",
    ),
    ("%DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID%", "", "\"\""),
    ("%DOWNSTREAM_DIRECT_REMOTE_PORT%", "44482", "44482"),
    (
        "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "127.0.0.1",
        "\"127.0.0.1\"",
    ),
    (
        "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(16)%",
        "127.0.0.0/16",
        "\"127.0.0.0/16\"",
    ),
    (
        "%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT(8)%",
        "127.0.0.0/8",
        "\"127.0.0.0/8\"",
    ),
    (
        "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(0)%",
        "0.0.0.0/0",
        "\"0.0.0.0/0\"",
    ),
    ("%DOWNSTREAM_PEER_URI_SAN%", "-", "null"),
    ("%DOWNSTREAM_PEER_CERT_V_START%", "-", "null"),
    ("%DOWNSTREAM_TLS_VERSION%", "-", "null"),
    ("%DURATION%", "1", "1"),
    ("%FILTER_CHAIN_NAME%", "fc", "\"fc\""),
    ("%GRPC_STATUS%", "-", "null"),
    ("%GRPC_STATUS_NUMBER%", "-", "null"),
    ("%LISTENER_NAME%", "lis", "\"lis\""),
    ("%LOCAL_REPLY_BODY%", "", "\"\""),
    ("%PROTOCOL%", "HTTP/1.1", "\"HTTP/1.1\""),
    ("%REQUESTED_SERVER_NAME%", "-", "null"),
    ("%REQUESTED_SERVER_NAME(SNI_FIRST)%", "ex.com", "\"ex.com\""),
    ("%REQUESTED_SERVER_NAME(HOST_FIRST:ORIG)%", "-", "null"),
    ("%REQUEST_DURATION%", "0", "0"),
    ("%RESPONSE_DURATION%", "1", "1"),
    ("%RESPONSE_TX_DURATION%", "0", "0"),
    ("%RESPONSE_CODE%", "200", "200"),
    (
        "%RESPONSE_CODE_DETAILS%",
        "via_upstream",
        "\"via_upstream\"",
    ),
    ("%RESPONSE_FLAGS%", "-", "\"-\""),
    ("%RESPONSE_TRAILERS_BYTES%", "0", "0"),
    ("%ROUTE_NAME%", "r1", "\"r1\""),
    ("%ROUTE_RESOLUTION_TIME_US%", "6", "6"),
    (
        "%START_TIME%",
        "2026-11-21T12:12:13.687Z",
        "\"2026-11-21T12:12:13.687Z\"",
    ),
    ("%START_TIME(%s)%", "1795263133", "\"1795263133\""),
    ("%STREAM_INFO_REQ(x)%", "-", "null"),
    ("%UPSTREAM_CLUSTER%", "upalt", "\"upalt\""),
    ("%UPSTREAM_CLUSTER_RAW%", "up", "\"up\""),
    ("%UPSTREAM_CONNECTION_IDS_ATTEMPTED%", "0,1", "\"0,1\""),
    ("%UPSTREAM_HOST%", "127.0.0.1:28132", "\"127.0.0.1:28132\""),
    (
        "%UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT%",
        "127.0.0.1,127.0.0.1",
        "\"127.0.0.1,127.0.0.1\"",
    ),
    ("%UPSTREAM_HOST_NAME%", "hn", "\"hn\""),
    ("%UPSTREAM_PROTOCOL%", "HTTP/2", "\"HTTP/2\""),
    ("%UPSTREAM_REMOTE_PORT%", "28132", "28132"),
    ("%UPSTREAM_TRANSPORT_FAILURE_REASON%", "-", "null"),
    ("%VIRTUAL_CLUSTER_NAME%", "-", "null"),
    ("%COMMON_DURATION(DS_RX_BEG:US_RX_BEG:us)%", "1194", "1194"),
    (
        "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:ns)%",
        "1968197",
        "1968197",
    ),
    ("%COMMON_DURATION(DS_RX_BEG:DS_TX_END)%", "1", "1"),
    ("%COMMON_DURATION(US_TX_BEG:foo:us)%", "-", "null"),
    ("%COMMON_DURATION(DS_TX_END:DS_RX_BEG:us)%", "-", "null"),
    ("%COMMON_DURATION(US_CX_BEG:US_CX_END:us)%", "16", "16"),
    ("%REQ(X-NOPE?USER-AGENT)%", "-", "null"),
    ("%REQ(X-NOPE?:path):2%", "/p", "\"/p\""),
    (
        "%REQ(:path?)%",
        "/p/a?a=1&b=2&q=%25zz",
        "\"/p/a?a=1&b=2&q=%25zz\"",
    ),
    ("%REQ(?:METHOD)%", "GET", "\"GET\""),
    ("%RESP(x-up)%", "u\"p", "\"u\\\"p\""),
    ("%TRAILER(t)%", "-", "null"),
    ("%PATH%", "/p/a?a=1&b=2&q=%25zz", "\"/p/a?a=1&b=2&q=%25zz\""),
    ("%PATH(NQ)%", "/p/a", "\"/p/a\""),
    ("%PATH(NQ:ORIG)%", "-", "null"),
    ("%PATH(NQ):2%", "/p", "\"/p\""),
    ("%QUERY_PARAM(a)%", "1", "\"1\""),
    ("%QUERY_PARAM(q)%", "%zz", "\"%zz\""),
    ("%QUERY_PARAM(q):1%", "%", "\"%\""),
    ("%QUERY_PARAM(q:ORIG)%", "-", "null"),
    ("%QUERY_PARAMS%", "a=1&b=2&q=%25zz", "\"a=1&b=2&q=%25zz\""),
    (
        "%QUERY_PARAMS(DECODED)%",
        "a=1&b=2&q=%zz",
        "\"a=1&b=2&q=%zz\"",
    ),
    ("%QUERY_PARAMS(DECODED):2%", "a=", "\"a=\""),
    ("%QUERY_PARAMS:4%", "a=1&", "\"a=1&\""),
    ("%ENVIRONMENT(NO_SUCH_VARIABLE)%", "-", "\"-\""),
    (
        "%METADATA(ROUTE:ns:s)%",
        "{\"a\":{\"deep\":2},\"z\":\"q\\\"\"}",
        "{\"a\":{\"deep\":2},\"z\":\"q\\\"\"}",
    ),
    ("%METADATA(ROUTE:ns:n)%", "1.5", "1.5"),
    ("%METADATA(ROUTE:ns:i)%", "3", "3"),
    ("%METADATA(ROUTE:ns:b)%", "true", "true"),
    ("%METADATA(ROUTE:ns:nul)%", "-", "null"),
    ("%METADATA(ROUTE:ns:l)%", "[1,\"x\"]", "[1,\"x\"]"),
    ("%METADATA(ROUTE:ns:s:a:deep)%", "2", "2"),
    ("%METADATA(ROUTE:ns:str2)%", "a\"b", "\"a\\\"b\""),
    ("%METADATA(ROUTE:ns:str2):2%", "a\"", "\"a\\\"\""),
    ("%METADATA(ROUTE:nope)%", "-", "null"),
    ("%METADATA(ROUTE)%", "-", "null"),
    ("%METADATA(CLUSTER:ns:k)%", "v", "\"v\""),
    ("%METADATA(LISTENER:ns:k)%", "v", "\"v\""),
    ("%METADATA(VIRTUAL_HOST:ns:k)%", "v", "\"v\""),
    ("%METADATA(UPSTREAM_HOST:ns:k)%", "v", "\"v\""),
    ("%METADATA(LISTENER_FILTER_CHAIN:ns:k)%", "-", "null"),
    (
        "%DYNAMIC_METADATA(ns:s):4%",
        "{\"a\"",
        "{\"a\":{\"deep\":2},\"z\":\"q\\\"\"}",
    ),
    ("%DYNAMIC_METADATA(ns:l):3%", "[1,", "[1,\"x\"]"),
    ("%UPSTREAM_METADATA(ns:k)%", "v", "\"v\""),
    ("%CLUSTER_METADATA(ns:n)%", "1.5", "1.5"),
    ("%FILTER_STATE(k)%", "\"fsv \\\"GET\"", "\"fsv \\\"GET\""),
    ("%FILTER_STATE(k:PLAIN)%", "fsv \"GET", "\"fsv \\\"GET\""),
    ("%FILTER_STATE(k):3%", "\"fs", "\"fsv \\\"GET\""),
    ("%FILTER_STATE(k:PLAIN):3%", "fsv", "\"fsv\""),
    ("%FILTER_STATE(k:FIELD:x)%", "-", "null"),
    ("%FILTER_STATE(nope)%", "-", "null"),
    ("%UPSTREAM_FILTER_STATE(k)%", "-", "null"),
    (
        "%COALESCE({\"operators\":[{\"command\":\"REQ\",\"param\":\"nope\"},{\"command\":\"REQ\",\"param\":\":method\",\"max_length\":2}]})%",
        "GE",
        "\"GE\"",
    ),
    (
        "%COALESCE({\"operators\":[\"PROTOCOL\"]}):4%",
        "HTTP",
        "\"HTTP\"",
    ),
    (
        "%COALESCE({\"operators\":[\"RESPONSE_CODE\"]})%",
        "200",
        "200",
    ),
    (
        "%COALESCE({\"operators\":[{\"command\":\"REQ\",\"param\":\"nope\"}]})%",
        "-",
        "null",
    ),
    ("a%RESPONSE_CODE%", "a200", "\"a200\""),
    ("%REQ(nope)%%REQ(nope)%", "--", "\"--\""),
    ("100%%", "100%", "\"100%\""),
    ("", "", "\"\""),
];

#[test]
fn operators_print_as_envoys() {
    with_proxied(|cx| {
        for (format, expected, expected_json) in PROXIED {
            assert_eq!(
                String::from_utf8_lossy(&text(format, cx)),
                *expected,
                "{format}"
            );
            assert_eq!(
                json(format, cx),
                format!("{{\"f\":{expected_json}}}\n"),
                "{format}"
            );
        }
    });
}

#[test]
fn bytes_that_are_no_text_pass_through_and_are_escaped_in_json() {
    with_proxied(|cx| {
        assert_eq!(text("%REQ(x-bin)%", cx), b"a\xffb\"\t\x80c");
        assert_eq!(
            json("%REQ(x-bin)%", cx),
            "{\"f\":\"a\\u00ffb\\u0022\\u0009\\u0080c\"}\n"
        );
    });
}

#[test]
fn no_value_begins_a_line_of_the_log() {
    let info = proxied();
    let request = headers(&[("x", b"a\r\n\x1b[0m\tb\xff\0")]);
    let render = |log_type| {
        let cx = FormatContext {
            request: Some(&request),
            log_type,
            ..FormatContext::new(&info)
        };
        text("%REQ(x)%\n", &cx)
    };
    let escaped = b"a\\r\\n\\x1b[0m\tb\xff\\x00\n";
    assert_eq!(render(AccessLogType::DownstreamEnd), escaped);
    assert_eq!(render(AccessLogType::NotSet), b"a\r\n\x1b[0m\tb\xff\0\n");
}
