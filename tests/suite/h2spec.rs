//! h2spec, the conformance suite for HTTP/2 servers, against a listener that proxies to HTTP/1.
//!
//! `OUTRIGGER_H2SPEC` names its binary, else it is `target/h2spec` (`make h2spec` builds it). Envoy passes 133 of its 145
//! cases; here every one must.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use outrigger_tests::bytes::Names;
use outrigger_tests::case::{Mark, Plan, Until, UpstreamStep};
use outrigger_tests::process::{Role, workspace};
use outrigger_tests::running::Running;
use outrigger_tests::upstream::Upstream;
use std::path::PathBuf;
use std::process::Command;

/// Whoever breaks the protocol would be waited for.
const BOOTSTRAP: &str = "
listeners:
  main:
    http: {codec_type: HTTP2, delayed_close_timeout: 0.02s}
";
/// Long enough to be sent in pieces as windows open.
const RESPONSE: &str = "HTTP/1.1 200 OK\ncontent-length: 32\n\n0123456789abcdef0123456789abcdef";
/// More than h2spec sends on one connection.
const REQUESTS: usize = 2000;
const CASES: usize = 145;

fn h2spec() -> PathBuf {
    let named = std::env::var_os("OUTRIGGER_H2SPEC").map(PathBuf::from);
    let path = named.unwrap_or_else(|| workspace().join("target/h2spec"));
    let missing = "does not exist: `make h2spec` builds it";
    assert!(path.exists(), "{} {missing}", path.display());
    path
}

/// Every request is answered once it is there to its end.
fn upstream() -> Upstream {
    let upstream = Upstream::start().unwrap();
    let turn = [
        UpstreamStep::Read(Until::Named(Mark::Request)),
        UpstreamStep::Respond(RESPONSE.to_owned()),
    ];
    let script = turn.iter().cloned().cycle().take(2 * REQUESTS).collect();
    upstream.begin(Plan::Scripts(vec![script]), Names::new());
    upstream
}

/// What the report says of the cases that failed.
fn failures(report: &str) -> &str {
    report.find("Failures:").map_or("", |at| &report[at..])
}

#[test]
fn every_case_passes() {
    let upstream = upstream();
    let proxy = Running::start(Role::Subject, BOOTSTRAP, &[("up", upstream.port)]).unwrap();
    let port = proxy.port("main").unwrap().to_string();
    let output = Command::new(h2spec())
        .args(["--port", &port, "--timeout", "10"])
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    let verdict = format!("{CASES} tests, {CASES} passed, 0 skipped, 0 failed");
    assert!(
        report.contains(&verdict),
        "{}\n{}",
        report.lines().last().unwrap_or_default(),
        failures(&report)
    );
}
