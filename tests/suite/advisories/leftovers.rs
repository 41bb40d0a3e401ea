//! Request smuggling over HTTP/1: bodies that two readers cut differently, and what stands behind a request.

use super::smuggling::{
    Attack,
    Fate::{Cut, Last, Passes, Refused},
    PLAIN, play,
};

/// Chunks that two readers cut differently: lines 14, 16 and 17 (Go CVE-2025-22871, Netty CVE-2025-58056, CVE-2023-39326).
#[test]
fn chunks_that_end_somewhere_else() {
    const HEAD: &str = "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n";
    const BODIES: &[(&str, &str, bool)] = &[
        (
            "an extension that ends in LF",
            "5;\nhello\r\n0\r\n\r\n{{smuggled}}",
            false,
        ),
        (
            "an extension with CR",
            "5;a\rb\r\nhello\r\n0\r\n\r\n{{smuggled}}",
            false,
        ),
        (
            "an extension with NUL",
            "5;a\0\r\nhello\r\n0\r\n\r\n{{smuggled}}",
            false,
        ),
        (
            "a line end in quotes",
            "5;a=\"\r\nhello\r\n\"0\r\n\r\n{{smuggled}}",
            false,
        ),
        (
            "a long extension",
            "5;{{repeat x 20000}}\r\nhello\r\n0\r\n\r\n{{smuggled}}",
            false,
        ),
        (
            "a size that ends in LF",
            "5\nhello\r\n0\r\n\r\n{{smuggled}}",
            false,
        ),
        (
            "a size that ends in CR",
            "5\rhello\r\n0\r\n\r\n{{smuggled}}",
            false,
        ),
        (
            "a size with NUL",
            "5\0\r\nhello\r\n0\r\n\r\n{{smuggled}}",
            false,
        ),
        (
            "a size with a sign",
            "+5\r\nhello\r\n0\r\n\r\n{{smuggled}}",
            false,
        ),
        (
            "a negative size",
            "-5\r\nhello\r\n0\r\n\r\n{{smuggled}}",
            false,
        ),
        (
            "a size with a prefix",
            "0x5\r\nhello\r\n0\r\n\r\n{{smuggled}}",
            false,
        ),
        (
            "a size with an underscore",
            "0_5\r\nhello\r\n0\r\n\r\n{{smuggled}}",
            false,
        ),
        (
            "a size after a blank",
            " 5\r\nhello\r\n0\r\n\r\n{{smuggled}}",
            false,
        ),
        ("no size", "\r\nhello\r\n0\r\n\r\n{{smuggled}}", false),
        (
            "a size of 64 bits and more",
            "10000000000000005\r\nhello\r\n0\r\n\r\n{{smuggled}}",
            false,
        ),
        (
            "more data than its size",
            "3\r\nhello\r\n0\r\n\r\n{{smuggled}}",
            false,
        ),
        (
            "less line end than due",
            "5\r\nhello\n0\r\n\r\n{{smuggled}}",
            false,
        ),
        (
            "no line end behind the data",
            "5\r\nhello0\r\n\r\n{{smuggled}}",
            false,
        ),
        (
            "CR alone behind the data",
            "5\r\nhello\r0\r\n\r\n{{smuggled}}",
            false,
        ),
        (
            "a trailer with a bad name",
            "5\r\nhello\r\n0\r\nx y: z\r\n\r\n{{smuggled}}",
            false,
        ),
        (
            "a trailer with NUL",
            "5\r\nhello\r\n0\r\nx: a\0\r\n\r\n{{smuggled}}",
            false,
        ),
        (
            "an extension",
            "28;a=b;c=\"d\"\r\n{{smuggled}}\r\n0;x\r\n\r\n",
            true,
        ),
        (
            "trailers that belong into a head",
            "28\r\n{{smuggled}}\r\n0\r\ncontent-length: 5\r\ntransfer-encoding: x\r\nhost: b.test\r\n\r\n",
            true,
        ),
    ];
    let attacks: Vec<Attack> = BODIES
        .iter()
        .map(|(name, body, passes)| {
            let fate = if *passes { Passes(&["/"]) } else { Cut };
            (*name, &*format!("{HEAD}{body}").leak(), fate)
        })
        .collect();
    play(PLAIN, &attacks);
    // Where trailers are passed on, none of them may become a part of the head.
    let trailers = "
listeners: {main: {http: {delayed_close_timeout: 0.02s, http_protocol_options: {enable_trailers: true}}}}
clusters:
  up:
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http_protocol_options: {enable_trailers: true}}
";
    play(trailers, &attacks);
}

/// Line 21 where upgrades are allowed (pingora CVE-2026-2833, Envoy CVE-2026-73548): an origin that does not agree gets none of
/// the bytes behind the request, and its connection serves nobody else.
#[test]
fn bytes_behind_an_upgrade_that_is_refused() {
    const UPGRADES: &str = "
listeners:
  main:
    http: {delayed_close_timeout: 0.02s, upgrade_configs: [{upgrade_type: websocket}, {upgrade_type: x}]}
";
    const ATTACKS: &[Attack] = &[
        (
            "a websocket",
            "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\r\n{{smuggled}}",
            Last(&["/"]),
        ),
        (
            "another protocol",
            "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n{{smuggled}}",
            Last(&["/"]),
        ),
        (
            "a protocol that is not allowed",
            "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: y\r\n\r\n{{smuggled}}",
            Refused,
        ),
    ];
    play(UPGRADES, ATTACKS);
}

/// What stands behind a request whose end the two sides see differently: lines 20 to 26, 29 and 49 (pingora CVE-2026-2833 and
/// CVE-2026-105299, Envoy CVE-2026-73548 and CVE-2024-23326).
#[test]
fn bytes_behind_a_request() {
    const ATTACKS: &[Attack] = &[
        (
            "behind a refused request",
            "GET / HTTP/1.1\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "behind a request that closes",
            "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n{{smuggled}}",
            Last(&["/"]),
        ),
        (
            "behind a request that closes by a list",
            "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: x, Close\r\n\r\n{{smuggled}}",
            Last(&["/"]),
        ),
        (
            "behind an upgrade to h2c",
            "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
            Passes(&["/"]),
        ),
        (
            "behind an upgrade to a websocket",
            "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "behind another upgrade",
            "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: smuggle\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "behind CONNECT",
            "CONNECT a.test:80 HTTP/1.1\r\nhost: a.test:80\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "in the body of a GET",
            "GET / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 40\r\n\r\n{{smuggled}}",
            Passes(&["/"]),
        ),
        (
            "in the body of a DELETE",
            "DELETE / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 40\r\n\r\n{{smuggled}}",
            Passes(&["/"]),
        ),
        (
            "in a body that expects 100",
            "POST / HTTP/1.1\r\nhost: a.test\r\nexpect: 100-continue\r\ncontent-length: 40\r\n\r\n{{smuggled}}",
            Passes(&["/"]),
        ),
        (
            "in a body that expects something else",
            "POST / HTTP/1.1\r\nhost: a.test\r\nexpect: x 100-continue\r\ncontent-length: 40\r\n\r\n{{smuggled}}",
            Passes(&["/"]),
        ),
        (
            "in a GET that expects 100",
            "GET / HTTP/1.1\r\nhost: a.test\r\nexpect: 100-continue\r\ncontent-length: 40\r\n\r\n{{smuggled}}",
            Passes(&["/"]),
        ),
        (
            "a connection header that names the length",
            "POST / HTTP/1.1\r\nhost: a.test\r\nconnection: content-length\r\ncontent-length: 40\r\n\r\n{{smuggled}}",
            Passes(&["/"]),
        ),
        (
            "a connection header that names the coding",
            "POST / HTTP/1.1\r\nhost: a.test\r\nconnection: transfer-encoding\r\ntransfer-encoding: chunked\r\n\r\n28\r\n{{smuggled}}\r\n0\r\n\r\n",
            Passes(&["/"]),
        ),
        (
            "a connection header that names the host",
            "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: host\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "a connection header that names who it was forwarded for",
            "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: x-forwarded-for\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "a connection header that names the path",
            "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: :path\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "the absolute form with a request in its authority",
            "GET http://a.test\r\nx:y/ HTTP/1.1\r\nhost: a.test\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "the absolute form with another host",
            "GET http://b.test/x HTTP/1.1\r\nhost: a.test\r\n\r\n",
            Passes(&["/x"]),
        ),
        (
            "garbage in front of a request",
            "GARBAGE\r\n{{smuggled}}",
            Refused,
        ),
    ];
    play(PLAIN, ATTACKS);
}
