//! The closed list of commands, what is refused, and that nothing panics.

use super::{super::fixture::bare, *};

#[test]
fn config_errors_are_worded_as_envoys() {
    for (format, error) in [
        ("%BAD%", "Not supported field in StreamInfo: BAD"),
        (
            "%REQ_WITHOUT_QUERY(a)%",
            "Not supported field in StreamInfo: REQ_WITHOUT_QUERY",
        ),
        (
            "%REQ(%",
            "Incorrect configuration: %REQ(%. Couldn't find valid command at position 0",
        ),
        (
            "%%%",
            "Incorrect configuration: %%%. Couldn't find valid command at position 2",
        ),
        (
            "abc %REQ(a)% %",
            "Incorrect configuration: abc %REQ(a)% %. Couldn't find valid command at position 13",
        ),
        (
            "%REQ(a):x%",
            "Incorrect configuration: %REQ(a):x%. Couldn't find valid command at position 0",
        ),
        (
            "%REQ(a\nb)%",
            "Incorrect configuration: %REQ(a\nb)%. Couldn't find valid command at position 0",
        ),
        (
            "%REQ(a?b?c)%",
            "More than 1 alternative header specified in token: a?b?c",
        ),
        (
            "%REQ(b c)%",
            "Invalid header configuration. Format string contains invalid characters.",
        ),
        (
            "%REQ(a)b)%",
            "Invalid header configuration. Format string contains invalid characters.",
        ),
        (
            "%START_TIME(%n)%",
            "Invalid header configuration. Format string contains newline.",
        ),
        (
            "%DURATION(x)%",
            "DURATION does not take any parameters or length",
        ),
        (
            "%DURATION:3%",
            "DURATION does not take any parameters or length",
        ),
        (
            "%START_TIME:3%",
            "START_TIME does not allow length to be specified.",
        ),
        ("%REQ%", "REQ requires parameters"),
        ("%REQ()%", "REQ requires parameters"),
        (
            "%UPSTREAM_METADATA(x):3%",
            "UPSTREAM_METADATA does not allow length to be specified.",
        ),
        (
            "%UPSTREAM_METADATA:3%",
            "UPSTREAM_METADATA requires parameters",
        ),
        (
            "%COMMON_DURATION(x)%",
            "Invalid common duration configuration: x.",
        ),
        (
            "%COMMON_DURATION(a:b:s)%",
            "Invalid common duration precision: s.",
        ),
        (
            "%COMMON_DURATION(a:b:ms:c)%",
            "Invalid common duration configuration: a:b:ms:c.",
        ),
        (
            "%FILTER_STATE%",
            "Invalid filter state configuration, key cannot be empty.",
        ),
        (
            "%FILTER_STATE(k:BAD)%",
            "Invalid filter state serialize type, only support PLAIN/TYPED/FIELD.",
        ),
        (
            "%FILTER_STATE(k:FIELD)%",
            "Invalid filter state serialize type, FIELD should be used with the field name.",
        ),
        (
            "%GRPC_STATUS(x)%",
            "GrpcStatusFormatter only supports CAMEL_STRING, SNAKE_STRING or NUMBER. Got: x",
        ),
        ("%METADATA(x)%", "x is not supported type of metadata"),
        (
            "%PATH(x)%",
            "Invalid PATH option: 'x', only 'WQ'/'NQ' are allowed",
        ),
        (
            "%PATH(NQ:X)%",
            "Invalid PATH option: 'X', only 'ORIG'/'PATH'/'ORIG_OR_PATH' are allowed",
        ),
        (
            "%QUERY_PARAMS(x)%",
            "Invalid QUERY_PARAMS option: 'x', only 'ORIG'/'DECODED' are allowed",
        ),
        (
            "%REQUESTED_SERVER_NAME(x)%",
            "Invalid REQUESTED_SERVER_NAME option: 'x', only 'SNI_ONLY'/'SNI_FIRST'/'HOST_FIRST' are allowed",
        ),
        (
            "%COALESCE({})%",
            "COALESCE: JSON configuration must contain 'operators' array",
        ),
        (
            "%COALESCE({\"operators\":[]})%",
            "COALESCE: 'operators' array must not be empty",
        ),
        (
            "%COALESCE({\"operators\":[\"BAD\"]})%",
            "COALESCE: failed to parse operator at index 0: unknown command: 'BAD'",
        ),
        (
            "%COALESCE({\"operators\":[{\"command\":\"REQ\"}]})%",
            "COALESCE: failed to parse operator at index 0: REQ requires parameters",
        ),
        (
            "%COALESCE({\"operators\":[{\"command\":\"REQ\",\"param\":\"a\",\"max_length\":-1}]})%",
            "COALESCE: failed to parse operator at index 0: 'max_length' must be a positive integer",
        ),
    ] {
        let found = Formatter::compile(format).map(|_| ()).unwrap_err();
        assert_eq!(found.reason(), error, "{format}");
    }
}

/// Every command that Envoy 1.40 knows, with an argument if it needs one; `{a,b}` stands for each.
const COMMANDS: &str = "ACCESS_LOG_TYPE BYTES_RECEIVED BYTES_RETRANSMITTED BYTES_SENT CONNECTION_ID \
    CONNECTION_TERMINATION_DETAILS CUSTOM_FLAGS DURATION FILTER_CHAIN_NAME GRPC_STATUS \
    GRPC_STATUS_NUMBER HOSTNAME LISTENER_NAME LOCAL_REPLY_BODY PACKETS_RETRANSMITTED PATH PROTOCOL QUERY_PARAMS \
    REQUESTED_SERVER_NAME REQUEST_DURATION REQUEST_HEADERS_BYTES REQUEST_TX_DURATION \
    RESPONSE_CODE RESPONSE_CODE_DETAILS RESPONSE_DURATION RESPONSE_FLAGS RESPONSE_FLAGS_LONG \
    RESPONSE_HEADERS_BYTES RESPONSE_TRAILERS_BYTES RESPONSE_TX_DURATION ROUTE_NAME \
    ROUNDTRIP_DURATION ROUTE_RESOLUTION_COUNT ROUTE_RESOLUTION_TIME_US SPAN_ID STREAM_ID TLS_JA3_FINGERPRINT \
    TLS_JA4_FINGERPRINT TRACE_ID UNIQUE_ID VIRTUAL_CLUSTER_NAME START_TIME START_TIME_LOCAL \
    EMIT_TIME EMIT_TIME_LOCAL DOWNSTREAM_CX_RTT DOWNSTREAM_LOCAL_{SUBJECT,EMAIL_SAN,OTHERNAME_SAN} \
    {DOWNSTREAM,UPSTREAM}_{,DECOMPRESSED_}HEADER_BYTES_{RECEIVED,SENT} \
    {DOWNSTREAM,UPSTREAM}_WIRE_BYTES_{RECEIVED,SENT} \
    {DOWNSTREAM,UPSTREAM}_{DETECTED_CLOSE_TYPE,LOCAL_CLOSE_REASON,TRANSPORT_FAILURE_REASON} \
    {DOWNSTREAM,DOWNSTREAM_DIRECT,UPSTREAM}_{LOCAL,REMOTE}_{ADDRESS,ADDRESS_WITHOUT_PORT,PORT} \
    DOWNSTREAM_{,DIRECT_}LOCAL_ADDRESS_ENDPOINT_ID UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID \
    DOWNSTREAM_HANDSHAKE_DURATION {DOWNSTREAM,UPSTREAM}_{LOCAL,PEER}_{DNS_SAN,IP_SAN,URI_SAN} \
    {DOWNSTREAM,UPSTREAM}_PEER_{CERT,CERT_V_START,CERT_V_END,ISSUER,SUBJECT} \
    DOWNSTREAM_PEER_{CHAIN_FINGERPRINTS_1,CHAIN_FINGERPRINTS_256,CHAIN_SERIALS,FINGERPRINT_1} \
    DOWNSTREAM_PEER_{FINGERPRINT_256,ISSUER_FINGERPRINT_256,ISSUER_SERIAL,SERIAL,EMAIL_SAN} \
    DOWNSTREAM_PEER_OTHERNAME_SAN {DOWNSTREAM,UPSTREAM}_TLS_{CIPHER,GROUP,SESSION_ID,VERSION} \
    UPSTREAM_{CLUSTER,CLUSTER_RAW,CONNECTION_ID,CONNECTION_IDS_ATTEMPTED,PROTOCOL,SERVER_NAME} \
    UPSTREAM_{CONNECTION_POOL_READY_DURATION,REQUEST_ATTEMPT_COUNT,HOST,HOST_NAME} \
    UPSTREAM_{HOSTS_ATTEMPTED,HOST_NAMES_ATTEMPTED}{,_WITHOUT_PORT} UPSTREAM_HOST_NAME_WITHOUT_PORT \
    {REQ,REQUEST_HEADER,RESP,RESPONSE_HEADER,TRAILER,RESPONSE_TRAILER}(x) \
    {QUERY_PARAM,ENVIRONMENT,STREAM_INFO_REQ,FILTER_STATE,UPSTREAM_FILTER_STATE}(x) \
    {DYNAMIC,CLUSTER,UPSTREAM}_METADATA(x) METADATA(ROUTE:x) COMMON_DURATION(a:b:ms)";

/// The words that a pattern with `{a,b}` stands for.
fn expand(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else {
        return vec![pattern.to_owned()];
    };
    let (choices, after) = rest.split_once('}').unwrap();
    choices
        .split(',')
        .flat_map(|choice| expand(&format!("{before}{choice}{after}")))
        .collect()
}

#[test]
fn every_command_of_envoy_is_known() {
    let info = bare();
    let cx = FormatContext::new(&info);
    let commands: Vec<_> = COMMANDS.split_whitespace().flat_map(expand).collect();
    // The rest of Envoy's 166: COALESCE, CEL, TYPED_CEL, and three that need an extension.
    assert_eq!(commands.len(), 160);
    for command in commands {
        text(&format!("%{command}%"), &cx);
    }
    for refused in ["CEL(request.path)", "TYPED_CEL(request.size)"] {
        let error = Formatter::compile(&format!("%{refused}%"))
            .map(|_| ())
            .unwrap_err();
        assert!(error.reason().contains("is not supported"), "{error}");
    }
}

proptest::proptest! {
    /// Whatever a format is, compiling it gives an answer, and what compiles renders.
    #[test]
    fn no_format_panics(
        parts in proptest::collection::vec(proptest::prop_oneof![
            "\\PC{0,8}",
            "%[A-Z_]{1,12}(\\(\\PC{0,12}\\))?(:[0-9]{1,3})?%",
            "%START_TIME\\([%a-zA-Z0-9*:]{0,10}\\)%",
            "%(REQ|PATH|QUERY_PARAM|METADATA|FILTER_STATE|COMMON_DURATION|COALESCE)\\([A-Za-z:?{}\"\\[\\]]{0,12}\\)%",
        ], 0..6)
    ) {
        let format = parts.concat();
        with_proxied(|cx| {
            if let Ok(formatter) = Formatter::compile(&format) {
                formatter.render(cx, &mut Vec::new());
            }
            let object = object([("k", string(&format))]);
            if let Ok(formatter) = JsonFormatter::compile(&object, &Commands::default(), true) {
                let mut out = Vec::new();
                formatter.render(cx, &mut out);
                proptest::prop_assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
            }
            Ok(())
        })?;
    }
}
