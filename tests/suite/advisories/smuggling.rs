//! Request smuggling over HTTP/1: how an attack is played, and heads that two readers take differently.

use super::origin::Origin;
use super::strict;
use outrigger_tests::bytes::{Names, expand, raw, show};
use outrigger_tests::case::{Mark, Until};
use outrigger_tests::http1::Kind;
use outrigger_tests::process::Role;
use outrigger_tests::running::Running;
use outrigger_tests::socket::{Connection, End};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);
/// What a smuggler wants the origin to take for a request. 40 bytes.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: b.test\r\n\r\n";
const CANARY: &[u8] = b"GET /canary HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";

/// What becomes of an attack.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// The client gets an error and the end of the connection; the origin gets nothing.
    Refused,
    /// The same, but the head was good: the origin has seen it, never the end of its body.
    Cut,
    /// The origin gets requests with exactly these targets, and the connection goes on.
    Passes(&'static [&'static str]),
    /// The same, and the connection ends.
    Last(&'static [&'static str]),
}
use Fate::{Last, Passes, Refused};

/// Name, bytes (`{{smuggled}}` stands for a request; characters are bytes) and fate.
pub type Attack = (&'static str, &'static str, Fate);

/// Plays every attack on a connection of its own. Whatever becomes of it: the origin never sees anything ambiguous, never
/// the smuggled request, and a further request on the connection gets its own answer.
pub fn play(config: &str, attacks: &[Attack]) {
    let origin = Origin::start();
    let proxy = Running::start(Role::Subject, config, &[("up", origin.port)]).unwrap();
    let port = proxy.port("main").unwrap();
    let mut wrong = Vec::new();
    for (name, text, fate) in attacks {
        let names = Names::from([("smuggled".to_owned(), SMUGGLED.to_owned())]);
        let bytes = raw(&expand(text, &names));
        if let Err(error) = attack(port, &origin, &bytes, *fate) {
            wrong.push(format!("{name}: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn attack(port: u16, origin: &Origin, bytes: &[u8], fate: Fate) -> Result<(), String> {
    let mut client = Connection::connect(([127, 0, 0, 1], port).into(), None).unwrap();
    client.send(bytes);
    let answers = match fate {
        Passes(targets) => targets.len(),
        Last(_) | Refused | Fate::Cut => 0,
    };
    let to_get = Kind::Response { to_head: false };
    for _ in 0..answers {
        client.read_until(&Until::Named(Mark::Response), to_get, LIMIT, &|| false);
    }
    if answers > 0 {
        client.send(CANARY);
    }
    client.read_until(&Until::Named(Mark::Close), to_get, LIMIT, &|| false);
    let got = strict::responses(&client.received)?;
    let mut statuses: Vec<&str> = got.iter().map(|response| response.status()).collect();
    statuses.retain(|status| *status != "100");
    let seen = origin.fresh()?;
    let targets: Vec<(&str, bool)> = seen.iter().map(|r| (r.target(), r.complete)).collect();
    let says = || {
        format!(
            "the client got {statuses:?}, the origin {targets:?}; {}",
            show(&client.received)
        )
    };
    if client.end == End::Open {
        return Err(format!("the connection stays open; {}", says()));
    }
    let errors = statuses.iter().all(|status| *status >= "400");
    let whole = |wanted: &[&str], canary: bool| {
        let wanted = wanted.iter().copied().chain(canary.then_some("/canary"));
        let wanted: Vec<(&str, bool)> = wanted.map(|target| (target, true)).collect();
        targets == wanted
    };
    let holds = match fate {
        Refused => errors && !statuses.is_empty() && targets.is_empty(),
        Fate::Cut => {
            errors
                && targets
                    .iter()
                    .all(|(target, whole)| *target == "/" && !whole)
        }
        Passes(wanted) => whole(wanted, true) && statuses.len() == wanted.len() + 1,
        Last(wanted) => whole(wanted, false),
    };
    if holds { Ok(()) } else { Err(says()) }
}

/// Errors end connections at once: this is not about the patience with clients that still send.
pub const PLAIN: &str = "listeners: {main: {http: {delayed_close_timeout: 0.02s}}}";

/// CL.TE, TE.CL and TE.TE: lines 11 and 20 (HAProxy CVE-2019-18277, pingora CVE-2026-2835).
#[test]
fn two_framings_in_one_head() {
    const ATTACKS: &[Attack] = &[
        (
            "CL.TE",
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 45\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "TE.CL",
            "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n28\r\n{{smuggled}}\r\n0\r\n\r\n",
            Refused,
        ),
        (
            "a length of zero and chunks",
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "both on a GET",
            "GET / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 40\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "an upper-case coding",
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 45\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "two codings, the last unknown",
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 45\r\ntransfer-encoding: chunked\r\ntransfer-encoding: x\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "two codings, the first unknown",
            "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "chunked twice",
            "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "chunked, identity",
            "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "identity, chunked",
            "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: identity, chunked\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "identity and a length",
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 5\r\ntransfer-encoding: identity\r\n\r\nhello{{smuggled}}",
            Refused,
        ),
        (
            "gzip, chunked",
            "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "xchunked",
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 5\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "a parameter",
            "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked;q=1\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "quotes",
            "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "an empty coding",
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 5\r\ntransfer-encoding:\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "a comma before",
            "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: ,chunked\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "chunks of HTTP/1.0",
            "POST / HTTP/1.0\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        ("HTTP/0.9", "GET /\r\n\r\n{{smuggled}}", Refused),
        (
            "chunks alone are fine",
            "POST /a HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n28\r\n{{smuggled}}\r\n0\r\n\r\n",
            Passes(&["/a"]),
        ),
        (
            "a length alone is fine",
            "POST /a HTTP/1.1\r\nhost: a.test\r\ncontent-length: 40\r\n\r\n{{smuggled}}",
            Passes(&["/a"]),
        ),
    ];
    play(PLAIN, ATTACKS);
}

/// Names and values that hide a `transfer-encoding` from one of two readers: lines 12, 13, 14, 18, 19, 27 and 28 (HAProxy
/// CVE-2023-25725, Go CVE-2025-22871).
#[test]
fn a_framing_that_one_reader_does_not_see() {
    const ATTACKS: &[Attack] = &[
        (
            "a space before the colon",
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 45\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "a tab before the colon",
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 45\r\ntransfer-encoding\t: chunked\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "a vertical tab before the colon",
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 45\r\ntransfer-encoding\u{b}: chunked\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "NUL before the colon",
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 45\r\ntransfer-encoding\0: chunked\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "NUL before the name",
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 45\r\n\0transfer-encoding: chunked\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "a line end before the colon",
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 45\r\ntransfer-encoding\r\n: chunked\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "an obs-text byte in the name",
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 45\r\n\u{ff}transfer-encoding: chunked\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "a vertical tab in the value",
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 45\r\ntransfer-encoding: \u{b}chunked\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "a form feed in the value",
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 45\r\ntransfer-encoding: chunked\u{c}\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "NUL in the value",
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 45\r\ntransfer-encoding: chunked\0\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "an underscore is another name",
            "POST /a HTTP/1.1\r\nhost: a.test\r\ncontent-length: 45\r\ntransfer_encoding: chunked\r\n\r\n0\r\n\r\n{{smuggled}}",
            Passes(&["/a"]),
        ),
        (
            "a first line that is folded",
            "POST / HTTP/1.1\r\n transfer-encoding: chunked\r\nhost: a.test\r\ncontent-length: 45\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "a folded line",
            "POST /a HTTP/1.1\r\nhost: a.test\r\ncontent-length: 45\r\nx: y\r\n transfer-encoding: chunked\r\n\r\n0\r\n\r\n{{smuggled}}",
            Passes(&["/a"]),
        ),
        (
            "a coding on a folded line",
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 45\r\ntransfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "a coding and a folded line",
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 45\r\ntransfer-encoding: chunked\r\n , identity\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "a length on a folded line",
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 4\r\n 5\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "a bare CR in a value",
            "POST /a HTTP/1.1\r\nhost: a.test\r\ncontent-length: 45\r\nx: y\rtransfer-encoding: chunked\r\n\r\n0\r\n\r\n{{smuggled}}",
            Passes(&["/a"]),
        ),
        (
            "a bare LF in a value",
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 45\r\nx: y\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "a bare CR in the request line",
            "GET /a\rx HTTP/1.1\r\nhost: a.test\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "no name",
            "POST / HTTP/1.1\r\nhost: a.test\r\n: x\r\ncontent-length: 40\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "no colon",
            "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding\r\ncontent-length: 40\r\n\r\n{{smuggled}}",
            Refused,
        ),
        (
            "a pseudo header",
            "GET / HTTP/1.1\r\nhost: a.test\r\n:path: /smuggled\r\n\r\n",
            Refused,
        ),
        (
            "a pseudo header with a space",
            "GET / HTTP/1.1\r\nhost: a.test\r\n :method: PUT\r\n\r\n",
            Refused,
        ),
        (
            "NUL in a value",
            "GET / HTTP/1.1\r\nhost: a.test\r\nx: a\0b\r\n\r\n",
            Refused,
        ),
        (
            "two hosts",
            "GET / HTTP/1.1\r\nhost: a.test\r\nhost: b.test\r\n\r\n",
            Refused,
        ),
        (
            "one host twice",
            "GET / HTTP/1.1\r\nhost: a.test\r\nhost: a.test\r\n\r\n",
            Refused,
        ),
        (
            "a second host on a folded line",
            "GET / HTTP/1.1\r\nhost: a.test\r\nHOST:\r\n b.test\r\n\r\n",
            Refused,
        ),
        (
            "a second host behind a bare LF",
            "GET / HTTP/1.1\r\nhost: a.test\nhost: b.test\r\n\r\n",
            Refused,
        ),
        (
            "a second host beside the absolute form",
            "GET http://c.test/ HTTP/1.1\r\nhost: a.test\r\nhost: b.test\r\n\r\n",
            Refused,
        ),
        (
            "a host and its pseudo header",
            "GET / HTTP/1.1\r\nhost: a.test\r\n:authority: b.test\r\n\r\n",
            Refused,
        ),
        (
            "a request in the target",
            "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n HTTP/1.1\r\nhost: a.test\r\n\r\n",
            Last(&["/"]),
        ),
    ];
    play(PLAIN, ATTACKS);
}

/// Lengths that are no lengths: line 15 (hyper RUSTSEC-2021-0078, HAProxy CVE-2023-40225 and CVE-2021-40346).
#[test]
fn a_length_that_is_no_length() {
    const VALUES: &[&str] = &[
        "+40",
        "-40",
        "40, 40",
        "40,40",
        "5,40",
        "0x28",
        "40.0",
        "4_0",
        "4 0",
        "",
        " ",
        "\t",
        "40;",
        "40\u{b}",
        "40\0",
        "\"40\"",
        "\u{b2}",
        "1e1",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "18446744073709551656",
        "99999999999999999999999999999999999999",
        "00000000000000000000000000000018446744073709551656",
    ];
    let lines = |values: &[&str]| {
        let lines = values.iter().map(|v| format!("content-length: {v}\r\n"));
        format!(
            "POST / HTTP/1.1\r\nhost: a.test\r\n{}\r\n{{{{smuggled}}}}",
            lines.collect::<String>()
        )
    };
    let mut attacks: Vec<Attack> = Vec::new();
    for value in VALUES {
        attacks.push((value, lines(&[value]).leak(), Refused));
    }
    for (name, values) in [
        ("equal lengths", ["40", "40"]),
        ("different lengths", ["40", "0"]),
        ("a length and none", ["40", ""]),
        ("a length and nonsense", ["40", "x"]),
    ] {
        attacks.push((name, lines(&values).leak(), Refused));
    }
    attacks.push(("leading zeros", lines(&["0040"]).leak(), Passes(&["/"])));
    attacks.push(("blanks around", lines(&[" \t40 \t"]).leak(), Passes(&["/"])));
    play(PLAIN, &attacks);
}
