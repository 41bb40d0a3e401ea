//! HTTP/2 in, HTTP/1 out: what a binary protocol can carry and a protocol of lines must not.

use super::origin::Origin;
use outrigger_tests::bytes::show;
use outrigger_tests::case::{Mark, Until};
use outrigger_tests::http1::Kind;
use outrigger_tests::http2::frame::head;
use outrigger_tests::process::Role;
use outrigger_tests::running::Running;
use outrigger_tests::socket::Connection;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);
const CONFIG: &str = "listeners: {main: {http: {delayed_close_timeout: 0.02s}}}";

type Field = (&'static str, &'static str);

const GOOD: [Field; 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":authority", "a.test"),
    (":path", "/"),
];

/// What the origin is to get.
enum Fate {
    Nothing,
    /// One request with this `host` and no other header but the proxy's own.
    Clean(&'static str),
}
use Fate::{Clean, Nothing};

/// Sends one head (with a body, if there is one) and then a good request on another connection.
fn attack(port: u16, origin: &Origin, fields: &[Field], fate: &Fate) -> Result<(), String> {
    let mut client = Connection::connect(([127, 0, 0, 1], port).into(), None).unwrap();
    client.start_http2(false, None);
    let mut bytes = Vec::new();
    head(&mut bytes, 1, fields, true);
    client.send(&bytes);
    let response = Kind::Response { to_head: false };
    client.read_until(&Until::Named(Mark::Response), response, LIMIT, &|| false);
    let transcript = client.http2.as_ref().unwrap().transcript(&client.received);
    let seen = origin.fresh()?;
    let holds = match fate {
        Nothing => {
            let answered = transcript.iter().any(|line| line.starts_with(":status: 2"));
            seen.is_empty() && !answered
        }
        Clean(host) => {
            let known = [
                "host",
                "x-forwarded-proto",
                "x-request-id",
                "x-envoy-expected-rq-timeout-ms",
            ];
            seen.len() == 1
                && seen[0].complete
                && seen[0].values("host") == [*host]
                && seen[0]
                    .fields
                    .iter()
                    .all(|(name, _)| known.contains(&name.as_str()))
        }
    };
    if holds {
        Ok(())
    } else {
        Err(format!(
            "{transcript:?}, the origin got {seen:?}; {}",
            show(&bytes)
        ))
    }
}

fn play(attacks: &[(String, Vec<Field>, Fate)]) {
    let origin = Origin::start();
    let proxy = Running::start(Role::Subject, CONFIG, &[("up", origin.port)]).unwrap();
    let port = proxy.port("main").unwrap();
    let mut wrong = Vec::new();
    for (name, fields, fate) in attacks {
        if let Err(error) = attack(port, &origin, fields, fate) {
            wrong.push(format!("{name}: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The good head with `value` in place of the one of `name`.
fn with(name: &'static str, value: &'static str) -> Vec<Field> {
    let mut fields = GOOD.to_vec();
    match fields.iter_mut().find(|(known, _)| *known == name) {
        Some(field) => field.1 = value,
        None => fields.push((name, value)),
    }
    fields
}

fn and(more: &[Field]) -> Vec<Field> {
    [&GOOD, more].concat()
}

/// Line 31 (CVE-2023-27491, PyPI h2 CVE-2025-57804): CR, LF, NUL and blanks wherever a head may hold them.
#[test]
fn line_ends_in_a_binary_head() {
    let mut attacks = Vec::new();
    for evil in [
        "x\r\nx-injected: 1",
        "x\nx-injected: 1",
        "x\rx-injected: 1",
        "x\0",
        "x\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: b.test\r\n\r\n",
        "x HTTP/1.1\r\nx-injected: 1\r\nx: x",
        "\r\n",
        "\n",
    ] {
        for name in [
            ":method",
            ":scheme",
            ":authority",
            ":path",
            "x",
            "cookie",
            "host",
            "te",
            "referer",
            "content-length",
        ] {
            let evil = if name == ":path" {
                format!("/{evil}")
            } else {
                evil.to_owned()
            };
            let evil: &'static str = evil.leak();
            attacks.push((format!("{name}: {evil:?}"), with(name, evil), Nothing));
        }
        attacks.push((format!("the name {evil:?}"), and(&[(evil, "x")]), Nothing));
    }
    for (name, evil) in [
        (":method", "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\nGET"),
        (":method", "GET /x"),
        (":method", ""),
        (":path", "/ HTTP/1.1"),
        (":path", "/a b"),
        (":path", "/\u{ff}"),
        (":authority", "a b"),
        (":authority", "a\tb"),
        ("x y", "z"),
        ("x:", "z"),
        ("x\t", "z"),
        ("", "z"),
        ("x\u{ff}", "z"),
    ] {
        attacks.push((format!("{name:?}: {evil:?}"), with(name, evil), Nothing));
    }
    play(&attacks);
}

/// Line 32: headers that are about a connection of HTTP/1.
#[test]
fn headers_of_a_connection_in_a_binary_head() {
    let mut attacks = Vec::new();
    for (name, value) in [
        ("connection", "close"),
        ("connection", "x-a"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
        ("Transfer-Encoding", "chunked"),
        ("X-A", "1"),
        ("content-length", "5"),
        ("content-length", "+0"),
        ("content-length", "0, 0"),
        ("content-length", "x"),
    ] {
        attacks.push((format!("{name}: {value}"), and(&[(name, value)]), Nothing));
    }
    play(&attacks);
}

/// Lines 33 and 34, and line 49 for what lacks a path: pseudo headers that are twice there, missing, late or unknown, and a
/// `host` beside `:authority`.
#[test]
fn pseudo_headers_that_contradict() {
    let mut attacks = Vec::new();
    for name in [":method", ":scheme", ":authority", ":path"] {
        let value = GOOD.iter().find(|good| good.0 == name).unwrap().1;
        let twice = [&[(name, value)], &GOOD[..]].concat();
        attacks.push((format!("{name} twice"), twice, Nothing));
        let late = [&without(name)[..], &[("x", "y"), (name, value)]].concat();
        attacks.push((format!("{name} late"), late, Nothing));
        attacks.push((format!("{name} empty"), with(name, ""), Nothing));
    }
    for name in [":method", ":scheme", ":authority", ":path"] {
        attacks.push((format!("no {name}"), without(name), Nothing));
    }
    for (name, value) in [
        (":status", "200"),
        (":x", "y"),
        (":protocol", "websocket"),
        (":", "x"),
        (":PATH", "/"),
    ] {
        let fields = [&[(name, value)], &GOOD[..]].concat();
        attacks.push((format!("{name}: {value}"), fields, Nothing));
    }
    attacks.push((
        "a host that differs".to_owned(),
        and(&[("host", "b.test")]),
        Clean("a.test"),
    ));
    attacks.push((
        "a host that agrees".to_owned(),
        and(&[("host", "a.test")]),
        Clean("a.test"),
    ));
    let hosts = and(&[("host", "b.test"), ("host", "c.test")]);
    attacks.push(("two hosts that differ".to_owned(), hosts, Nothing));
    let alone = [&without(":authority")[..], &[("host", "b.test")]].concat();
    attacks.push(("a host alone".to_owned(), alone, Clean("b.test")));
    let connect = vec![(":method", "CONNECT"), (":authority", "a.test:80")];
    attacks.push(("CONNECT".to_owned(), connect, Nothing));
    attacks.push((
        "CONNECT with a path".to_owned(),
        with(":method", "CONNECT"),
        Nothing,
    ));
    let user = with(":authority", "user@a.test");
    attacks.push(("user info".to_owned(), user, Nothing));
    play(&attacks);
}

fn without(name: &str) -> Vec<Field> {
    let mut fields = GOOD.to_vec();
    fields.retain(|(known, _)| *known != name);
    fields
}
