//! Response splitting and poisoned pools: what an origin that is hostile, or has been misled, answers.

use super::origin::Origin;
use super::strict;
use outrigger_tests::bytes::{Names, expand, raw, show};
use outrigger_tests::case::{Mark, Until};
use outrigger_tests::http1::Kind;
use outrigger_tests::process::Role;
use outrigger_tests::running::Running;
use outrigger_tests::socket::Connection;
use std::io::{Read, Write};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);
/// A response that answers nobody.
const POISON: &str = "HTTP/1.1 200 OK\r\nx-poison: 1\r\ncontent-length: 6\r\n\r\npoison";
const CONFIG: &str = "listeners: {main: {http: {delayed_close_timeout: 0.02s}}}";

/// What a client sees of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// 502, or 503 where the answer came before it was asked for.
    Refused,
    /// A response with this status, whole.
    Passes(&'static str),
    /// The head of a response and not the end of it.
    Cut,
}
use Fate::{Cut, Passes, Refused};

/// Asks for `target`, then for `/clean` on the same connection where it stays open, and on another.
fn ask(port: u16, target: &str, fate: Fate) -> Result<(), String> {
    let to_get = Kind::Response { to_head: false };
    let mut client = Connection::connect(([127, 0, 0, 1], port).into(), None).unwrap();
    client.send(format!("GET {target} HTTP/1.1\r\nhost: a.test\r\n\r\n").as_bytes());
    client.read_until(&Until::Named(Mark::Response), to_get, LIMIT, &|| false);
    client.send(b"GET /clean HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n");
    client.read_until(&Until::Named(Mark::Close), to_get, LIMIT, &|| false);
    let says = |error| format!("{error}: {}", show(&client.received));
    let mut got = strict::responses(&client.received).map_err(says)?;
    got.retain(|response| !response.status().starts_with('1'));
    let statuses: Vec<(&str, bool)> = got.iter().map(|r| (r.status(), r.complete)).collect();
    let first = statuses.first().copied();
    let holds = match fate {
        Refused => matches!(first, Some(("502" | "503", true))),
        Passes(status) => first == Some((status, true)),
        Cut => first == Some(("200", false)),
    };
    let second_is_clean = match (got.get(1), fate) {
        (None, Cut) => true,
        (None, _) => false,
        (Some(second), _) => second.body == b"ok",
    };
    let poisoned = got
        .iter()
        .any(|response| !response.values("x-poison").is_empty());
    let mut other = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = b"GET /clean HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";
    other.write_all(request).unwrap();
    let mut answer = Vec::new();
    other.read_to_end(&mut answer).unwrap();
    let answer = strict::responses(&answer)?;
    let other_is_clean = answer.len() == 1 && answer[0].body == b"ok";
    if holds && second_is_clean && !poisoned && other_is_clean {
        Ok(())
    } else {
        Err(format!(
            "{statuses:?}: {} ... {answer:?}",
            show(&client.received)
        ))
    }
}

/// Name, answer (`{{poison}}` is a response) and fate. Answers that are refused or cut have to leave the connection behind
/// them unusable.
type Answer = (&'static str, &'static str, Fate);

fn play(answers: &[Answer], target: &str) {
    let origin = Origin::start();
    let proxy = Running::start(Role::Subject, CONFIG, &[("up", origin.port)]).unwrap();
    let port = proxy.port("main").unwrap();
    let names = Names::from([("poison".to_owned(), POISON.to_owned())]);
    let mut wrong = Vec::new();
    for (name, text, fate) in answers {
        origin.set_hostile(raw(&expand(text, &names)));
        if let Err(error) = ask(port, target, *fate) {
            wrong.push(format!("{name}: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Section 2.9, and CVE-2023-27491 in the other direction.
#[test]
fn a_response_that_two_readers_take_differently() {
    const ANSWERS: &[Answer] = &[
        (
            "a length and chunks",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{{poison}}",
            Refused,
        ),
        (
            "two lengths",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok{{poison}}",
            Refused,
        ),
        (
            "a list of lengths",
            "HTTP/1.1 200 OK\r\ncontent-length: 2, 3\r\n\r\nok{{poison}}",
            Refused,
        ),
        (
            "a negative length",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{{poison}}",
            Refused,
        ),
        (
            "a length with a sign",
            "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok{{poison}}",
            Refused,
        ),
        (
            "a length of 2^64",
            "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551616\r\n\r\n{{poison}}",
            Refused,
        ),
        (
            "a length of 2^63",
            "HTTP/1.1 200 OK\r\ncontent-length: 9223372036854775808\r\n\r\n{{poison}}",
            Refused,
        ),
        (
            "another coding",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n{{poison}}",
            Refused,
        ),
        (
            "another coding before chunked",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n{{poison}}",
            Refused,
        ),
        (
            "chunked twice",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{{poison}}",
            Refused,
        ),
        (
            "a space before the colon",
            "HTTP/1.1 200 OK\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n{{poison}}",
            Refused,
        ),
        (
            "no name",
            "HTTP/1.1 200 OK\r\n: x\r\ncontent-length: 2\r\n\r\nok{{poison}}",
            Refused,
        ),
        (
            "no colon",
            "HTTP/1.1 200 OK\r\nx\r\ncontent-length: 2\r\n\r\nok{{poison}}",
            Refused,
        ),
        (
            "NUL in a value",
            "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 2\r\n\r\nok{{poison}}",
            Refused,
        ),
        (
            "a pseudo header",
            "HTTP/1.1 200 OK\r\n:status: 500\r\ncontent-length: 2\r\n\r\nok{{poison}}",
            Refused,
        ),
        (
            "a status below 100",
            "HTTP/1.1 99 OK\r\ncontent-length: 2\r\n\r\nok{{poison}}",
            Refused,
        ),
        (
            "a status of four digits",
            "HTTP/1.1 1000 OK\r\ncontent-length: 2\r\n\r\nok{{poison}}",
            Refused,
        ),
        (
            "a 204 with a body",
            "HTTP/1.1 204 No Content\r\ncontent-length: 6\r\n\r\npoison",
            Refused,
        ),
        (
            "a 204 with chunks",
            "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{{poison}}",
            Refused,
        ),
        (
            "an interim response with chunks",
            "HTTP/1.1 103 Early Hints\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{{poison}}",
            Refused,
        ),
        ("garbage", "poison\r\n\r\n{{poison}}", Refused),
        (
            "too many headers",
            "HTTP/1.1 200 OK\r\n{{repeat a: b\r\n 200}}content-length: 2\r\n\r\nok{{poison}}",
            Refused,
        ),
        (
            "a head that is too large",
            "HTTP/1.1 200 OK\r\na: {{repeat x 200000}}\r\ncontent-length: 2\r\n\r\nok{{poison}}",
            Refused,
        ),
        (
            "a bad chunk",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\nx\r\n\r\n{{poison}}",
            Cut,
        ),
        (
            "more than a chunk",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nok\r\n0\r\n\r\n{{poison}}",
            Cut,
        ),
        (
            "an extension that ends in LF",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;\nok\r\n0\r\n\r\n{{poison}}",
            Cut,
        ),
        (
            "a trailer with NUL",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx: \0\r\n\r\n{{poison}}",
            Cut,
        ),
        (
            "a bare CR in a value",
            "HTTP/1.1 200 OK\r\nx: a\rset-cookie: b\r\ncontent-length: 2\r\n\r\nok",
            Passes("200"),
        ),
        (
            "a folded line",
            "HTTP/1.1 200 OK\r\nx: a\r\n content-length: 9\r\ncontent-length: 2\r\n\r\nok",
            Passes("200"),
        ),
        (
            "a bare CR in the reason",
            "HTTP/1.1 200 O\rK\r\ncontent-length: 2\r\n\r\nok",
            Passes("200"),
        ),
        (
            "NUL in the reason",
            "HTTP/1.1 200 O\0K\r\ncontent-length: 2\r\n\r\nok{{poison}}",
            Refused,
        ),
        (
            "trailers that belong into a head",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\ncontent-length: 9\r\nset-cookie: a\r\n\r\n",
            Passes("200"),
        ),
    ];
    play(ANSWERS, "/attack");
}

/// Pool poisoning of section 2.9: what comes behind a response is the answer to nobody.
#[test]
fn more_responses_than_requests() {
    const ANSWERS: &[Answer] = &[
        (
            "a second response",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok{{poison}}",
            Passes("200"),
        ),
        (
            "a second response behind chunks",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{{poison}}",
            Passes("200"),
        ),
        (
            "a response behind a 204",
            "HTTP/1.1 204 No Content\r\n\r\n{{poison}}",
            Passes("204"),
        ),
        (
            "a body behind a 304",
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 57\r\n\r\n{{poison}}",
            Passes("304"),
        ),
        (
            "more body than its length",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and poison",
            Passes("200"),
        ),
        (
            "interim responses without end",
            "{{repeat HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n 2000}}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            Passes("200"),
        ),
    ];
    play(ANSWERS, "/attack");
}

/// Section 2.9: a body that is not all there is never passed off as whole.
#[test]
fn a_response_that_breaks_off() {
    const ANSWERS: &[Answer] = &[
        (
            "within the body",
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok",
            Cut,
        ),
        (
            "within a chunk",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nok",
            Cut,
        ),
        (
            "before the last chunk",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
            Cut,
        ),
        (
            "within the head",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n",
            Refused,
        ),
        ("before anything", "", Refused),
    ];
    play(ANSWERS, "/attack/close");
}
