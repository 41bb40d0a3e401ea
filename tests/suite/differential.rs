//! The differential suite: the same bootstrap and the same bytes through real Envoy and through Outrigger.
//!
//! One test per area, so that `cargo test -p outrigger-tests --test differential http1` runs one of them.
//! * `OUTRIGGER_ENVOY`: the oracle's binary, else `target/oracle/bin/envoy` (`make oracle`)
//! * `OUTRIGGER_BIN`: Outrigger's binary, else `target/release/outrigger`, else `target/debug/outrigger`
//! * `OUTRIGGER_SUBJECT=envoy`: compares Envoy with itself, which must give no difference
//! * `OUTRIGGER_CASE=text`: only cases whose `area/group/name` contains the text
//! * `OUTRIGGER_SHOW=1`: prints what Envoy showed

#![allow(clippy::unwrap_used, clippy::expect_used)]

use outrigger_tests::case::Group;
use outrigger_tests::process::Role;
use outrigger_tests::side::{Observation, Side};
use outrigger_tests::{compare, group, validation, yaml};

fn area(name: &str) {
    if let Err(error) = group::run_area(name) {
        panic!("{error:#}");
    }
}

macro_rules! areas {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                area(stringify!($name));
            }
        )*
    };
}

areas!(
    access_log,
    admin,
    hcm,
    header_mutation,
    http_filters,
    http1,
    http2,
    listener_filters,
    local_reply,
    network_filters,
    overload,
    routing,
    tcp,
    timeouts,
    upgrades
);

#[test]
fn bootstraps_get_the_same_verdict() {
    if let Err(error) = validation::run() {
        panic!("{error:#}");
    }
}

/// What a group of one request shows on Envoy with `status` as its direct response.
fn reply_of(status: u16, dir: &std::path::Path) -> Observation {
    let text = format!(
        "about: one direct response\n\
         listeners: {{main: {{http: {{}}, routes: [{{match: {{prefix: /}}, direct_response: {{status: {status}}}}}]}}}}\n\
         cases: [{{name: one, get: /}}]"
    );
    let group: Group = serde_json::from_value(yaml::load(&text).expect("YAML")).expect("a group");
    let mut side = Side::start(Role::Oracle, &group, dir).expect("Envoy starts");
    side.play(&group.cases[0], 1).expect("the case plays")
}

/// The suite can fail: two configurations that answer differently differ in all that they touch.
#[test]
fn a_difference_is_seen() {
    let dir = tempfile::tempdir().expect("a directory");
    let (a, b) = (
        reply_of(200, &dir.path().join("a")),
        reply_of(404, &dir.path().join("b")),
    );
    let facets: Vec<String> = compare::compare(&a, &b)
        .into_iter()
        .map(|difference| difference.facet)
        .collect();
    for facet in [
        "client",
        "log",
        "stat http.main.downstream_rq_2xx",
        "stat http.main.downstream_rq_4xx",
    ] {
        assert!(
            facets.iter().any(|found| found == facet),
            "{facet} is not among {facets:?}"
        );
    }
    assert!(
        !facets.iter().any(|found| found == "fate"),
        "both connections stay open"
    );
}
