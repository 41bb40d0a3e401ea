//! Streams of all kinds: barely started, failed, gRPC, over TLS.

use super::{
    super::fixture::{address, bare, headers, proxied},
    *,
};
use crate::{
    ResponseFlag,
    metadata::Metadata,
    stream_info::HostInfo,
    tls_info::{CertificateDigest, CertificateInfo, TlsInfo},
};
use std::{sync::Arc, time::Duration};

#[test]
fn a_stream_of_which_nothing_is_known_prints_missing_values() {
    let mut info = bare();
    info.timing.complete = Some(Duration::ZERO);
    let cx = FormatContext::new(&info);
    for (format, expected) in [
        ("%ACCESS_LOG_TYPE%", "NotSet"),
        ("%RESPONSE_CODE%", "0"),
        ("%RESPONSE_CODE_DETAILS%", "-"),
        ("%REQUEST_HEADERS_BYTES%", "0"),
        ("%REQ(:path)%", "-"),
        ("%PATH%", "-"),
        ("%QUERY_PARAMS%", "-"),
        ("%PROTOCOL%", "-"),
        ("%REQUEST_DURATION%", "-"),
        ("%ROUTE_RESOLUTION_COUNT%", "0"),
        ("%ROUTE_RESOLUTION_TIME_US%", "-"),
        ("%ROUTE_NAME%", "-"),
        ("%UPSTREAM_CLUSTER%", "-"),
        ("%UPSTREAM_CONNECTION_ID%", "0"),
        ("%UPSTREAM_CONNECTION_POOL_READY_DURATION%", "-"),
        ("%UPSTREAM_DETECTED_CLOSE_TYPE%", "-"),
        ("%UPSTREAM_HOST%", "-"),
        ("%UPSTREAM_HOSTS_ATTEMPTED%", "-"),
        ("%UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID%", "-"),
        ("%UPSTREAM_REMOTE_PORT%", "-"),
        ("%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "0"),
        ("%UPSTREAM_WIRE_BYTES_SENT%", "0"),
        ("%DURATION%", "0"),
    ] {
        assert_eq!(
            String::from_utf8_lossy(&text(format, &cx)),
            expected,
            "{format}"
        );
    }
}

#[test]
fn response_flags_and_details() {
    let mut info = proxied();
    info.set_flag(ResponseFlag::UpstreamConnectionFailure);
    info.set_flag(ResponseFlag::UpstreamRetryLimitExceeded);
    info.details = "a b\tc".into();
    let cx = FormatContext::new(&info);
    assert_eq!(
        text("%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%", &cx),
        b"UF,URX UpstreamConnectionFailure,UpstreamRetryLimitExceeded"
    );
    assert_eq!(
        text(
            "%RESPONSE_CODE_DETAILS% %RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%",
            &cx
        ),
        b"a_b_c a b\tc"
    );
}

#[test]
fn a_host_without_a_name_is_named_by_its_address() {
    let mut info = proxied();
    info.upstream.host = Some(Arc::new(HostInfo {
        address: address("[::1]:80"),
        hostname: "".into(),
        metadata: Metadata::default(),
        canary: false,
    }));
    let cx = FormatContext::new(&info);
    assert_eq!(
        text(
            "%UPSTREAM_HOST% %UPSTREAM_HOST_NAME% %UPSTREAM_HOST_NAME_WITHOUT_PORT%",
            &cx
        ),
        b"[::1]:80 [::1]:80 ::1"
    );
}

#[test]
fn a_header_value_leaves_out_what_is_missing() {
    with_proxied(|cx| {
        for (format, expected) in [
            ("%REQ(nope)%", ""),
            ("a%REQ(nope)%b", "ab"),
            ("%RESPONSE_FLAGS%", "-"),
            ("%METADATA(ROUTE:nope)%", ""),
        ] {
            let mut out = Vec::new();
            Formatter::compile_header(format)
                .unwrap()
                .render(cx, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected, "{format}");
        }
    });
    assert_eq!(
        Formatter::compile_header("a%%b").unwrap().literal(),
        Some(&b"a%b"[..])
    );
    assert!(!Formatter::compile("%DURATION%").unwrap().is_literal());
}

#[test]
fn query_parameters_are_found_by_their_decoded_names() {
    let info = bare();
    let request = headers(&[(":path", b"/p?a=1&a=2&e=&n&p=a+b%20c%2&k%20k=enc&x=a=b")]);
    let cx = FormatContext {
        request: Some(&request),
        ..FormatContext::new(&info)
    };
    for (key, expected) in [
        ("a", "1"),
        ("e", ""),
        ("n", ""),
        ("p", "a+b c%2"),
        ("k k", "enc"),
        ("x", "a=b"),
        ("k", "-"),
    ] {
        let found = text(&format!("%QUERY_PARAM({key})%"), &cx);
        assert_eq!(String::from_utf8_lossy(&found), expected, "{key}");
    }
}

#[test]
fn grpc_status_in_all_forms() {
    let mut info = bare();
    info.response_code = 200;
    let request = headers(&[("content-type", b"application/grpc+proto")]);
    let trailers = headers(&[("grpc-status", b"5")]);
    let odd = headers(&[("grpc-status", b"99")]);
    let none = FormatContext {
        request: Some(&request),
        ..FormatContext::new(&info)
    };
    let with = |trailers| FormatContext {
        trailers: Some(trailers),
        ..none
    };
    const ALL: &str = "%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS_NUMBER%";
    assert_eq!(text(ALL, &with(&trailers)), b"NotFound NOT_FOUND 5");
    assert_eq!(text(ALL, &with(&odd)), b"99 99 99");
    assert_eq!(text(ALL, &none), b"Unknown UNKNOWN 2");
    assert_eq!(json("%GRPC_STATUS(NUMBER)%", &none), "{\"f\":2}\n");
    let plain = FormatContext {
        request: None,
        ..with(&trailers)
    };
    assert_eq!(text(ALL, &plain), b"- - -");
}

#[test]
fn what_a_handshake_established() {
    let digest = |n: &str| CertificateDigest {
        serial: format!("s{n}"),
        sha1: format!("f{n}"),
        sha256: format!("g{n}"),
    };
    let peer = CertificateInfo {
        subject: "CN=peer".into(),
        issuer: "CN=ca".into(),
        dns_sans: vec!["a".into(), "b".into()],
        uri_sans: vec!["spiffe://td/ns/n/sa/s".into()],
        digest: digest("1"),
        valid_from: Some(std::time::UNIX_EPOCH),
        valid_to: Some(std::time::UNIX_EPOCH + Duration::from_secs(86_400)),
        ..CertificateInfo::default()
    };
    let tls = Arc::new(TlsInfo {
        version: "TLSv1.3",
        cipher: "TLS_AES_128_GCM_SHA256",
        server_name: Some("sni".into()),
        handshake: Some(Duration::from_micros(2_500)),
        peer: Some(Arc::new(peer)),
        peer_chain: vec![digest("1"), digest("2")],
        ..TlsInfo::default()
    });
    let mut info = bare();
    let mut connection = (*info.connection).clone();
    connection.tls = Some(tls.clone());
    info.connection = Arc::new(connection);
    info.upstream.tls = Some(tls);
    let cx = FormatContext::new(&info);
    for (format, expected) in [
        (
            "%DOWNSTREAM_TLS_VERSION% %UPSTREAM_TLS_CIPHER%",
            "TLSv1.3 TLS_AES_128_GCM_SHA256",
        ),
        (
            "%DOWNSTREAM_TLS_SESSION_ID% %UPSTREAM_SERVER_NAME%",
            "- sni",
        ),
        ("%DOWNSTREAM_HANDSHAKE_DURATION%", "2"),
        (
            "%DOWNSTREAM_PEER_SUBJECT% %UPSTREAM_PEER_ISSUER%",
            "CN=peer CN=ca",
        ),
        (
            "%DOWNSTREAM_PEER_DNS_SAN% %DOWNSTREAM_PEER_EMAIL_SAN%",
            "a,b -",
        ),
        ("%UPSTREAM_PEER_URI_SAN%", "spiffe://td/ns/n/sa/s"),
        ("%DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256%", "g1,g2"),
        (
            "%DOWNSTREAM_PEER_SERIAL% %DOWNSTREAM_PEER_CHAIN_SERIALS%",
            "s1 s1,s2",
        ),
        ("%DOWNSTREAM_LOCAL_SUBJECT%", "-"),
        ("%DOWNSTREAM_PEER_CERT_V_START%", "1970-01-01T00:00:00.000Z"),
        ("%UPSTREAM_PEER_CERT_V_END(%Y-%m-%d)%", "1970-01-02"),
    ] {
        assert_eq!(
            String::from_utf8_lossy(&text(format, &cx)),
            expected,
            "{format}"
        );
    }
}
