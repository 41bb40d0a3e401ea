//! The differential suite: the same bootstrap and the same bytes through real Envoy and through Outrigger.
//!
//! One test per area, so that `cargo test -p outrigger-tests --test differential http1` runs one of them.
//! * `OUTRIGGER_ENVOY`: the oracle's binary, else `target/oracle/bin/envoy` (`make oracle`)
//! * `OUTRIGGER_BIN`: Outrigger's binary, else `target/release/outrigger`, else `target/debug/outrigger`
//! * `OUTRIGGER_SUBJECT=envoy`: compares Envoy with itself, which must give no difference
//! * `OUTRIGGER_CASE=text`: only cases whose `area/group/name` contains the text
//! * `OUTRIGGER_SHOW=1`: prints what Envoy showed

use outrigger_tests::{group, validation};

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
    http1,
    local_reply,
    routing,
    tcp,
    timeouts
);

#[test]
fn bootstraps_get_the_same_verdict() {
    if let Err(error) = validation::run() {
        panic!("{error:#}");
    }
}
