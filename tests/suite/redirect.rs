//! The listener filter `original_dst` behind a real `iptables` REDIRECT, which no address on loopback can stand for.
//!
//! The test runs itself again within a network namespace of its own, where it may write rules. It needs root, or a
//! kernel that gives everybody user namespaces, and `iptables` (`tools/debian-packages`); without them it fails.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use outrigger_tests::process::Role;
use outrigger_tests::running::Running;
use std::io::Read as _;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;
use std::time::Duration;

/// Set within the namespace.
const INSIDE: &str = "OUTRIGGER_TEST_NAMESPACE";

const BOOTSTRAP: &str = r#"
definitions:
  original_dst: &filters [{name: o, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst}}]
listeners:
  main:
    listener_filters: *filters
    filter_chains:
      - filter_chain_match: {destination_port: 80, prefix_ranges: [{address_prefix: 127.0.0.9, prefix_len: 32}]}
        filters: [{name: d, typed_config: {"@type": &reply type.googleapis.com/envoy.extensions.filters.network.direct_response.v3.Config, response: {inline_string: chain}}}]
      - filters: [{name: d, typed_config: {"@type": *reply, response: {inline_string: no redirect}}}]
  six:
    address: {socket_address: {address: "::1", port_value: "{{six}}"}}
    listener_filters: *filters
    filter_chains:
      - filter_chain_match: {destination_port: 82}
        filters: [{name: d, typed_config: {"@type": *reply, response: {inline_string: six}}}]
      - filters: [{name: d, typed_config: {"@type": *reply, response: {inline_string: no redirect}}}]
  handing_over:
    use_original_dst: true
    filter_chains:
      - filters: [{name: d, typed_config: {"@type": *reply, response: {inline_string: kept}}}]
  virtual:
    address: {socket_address: {address: 127.0.0.9, port_value: 81}}
    bind_to_port: false
    filter_chains:
      - filters: [{name: d, typed_config: {"@type": *reply, response: {inline_string: virtual}}}]
"#;

/// Runs a command and demands that it works.
fn must(command: &str) {
    let mut words = command.split(' ');
    let output = Command::new(words.next().unwrap())
        .args(words)
        .output()
        .unwrap_or_else(|error| {
            panic!("`{command}`: {error} (tools/debian-packages installs iptables)")
        });
    assert!(
        output.status.success(),
        "`{command}` failed in the namespace: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What whoever answers at an address says before it closes.
fn said(address: &str, port: u16) -> String {
    let mut stream = TcpStream::connect((address, port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn inside() {
    must("ip link set lo up");
    for role in [Role::Oracle, Role::Subject] {
        let proxy = Running::start(role, BOOTSTRAP, &[]).unwrap();
        let port = |name| proxy.port(name).unwrap();
        for (family, to, at, listener) in [
            ("iptables", "127.0.0.9", 80, "main"),
            ("iptables", "127.0.0.9", 81, "handing_over"),
            ("iptables", "127.0.0.9", 83, "handing_over"),
            ("ip6tables", "::1", 82, "six"),
        ] {
            let rule = format!("{family} -t nat -A OUTPUT -p tcp -d {to} --dport {at}");
            must(&format!("{rule} -j REDIRECT --to-ports {}", port(listener)));
        }
        let answers = [
            said("127.0.0.9", 80),
            said("127.0.0.1", port("main")),
            said("127.0.0.9", 81),
            said("127.0.0.9", 83),
            said("127.0.0.1", port("handing_over")),
            said("::1", 82),
            said("::1", port("six")),
        ];
        let expected = [
            "chain",
            "no redirect",
            "virtual",
            "kept",
            "kept",
            "six",
            "no redirect",
        ];
        assert_eq!(answers, expected, "{role:?}");
        must("iptables -t nat -F OUTPUT");
        must("ip6tables -t nat -F OUTPUT");
    }
}

#[test]
fn a_redirected_connection_is_taken_for_what_it_was() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let itself = std::env::current_exe().unwrap();
    let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let unshared: &[&str] = if root {
        &["--net", "--"]
    } else {
        &["--net", "--map-root-user", "--"]
    };
    // Where Debian keeps `ip` and `iptables`, which not every user's path has.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new("unshare")
        .env("PATH", path)
        .args(unshared)
        .arg(itself)
        .args(["--exact", "--nocapture"])
        .arg("a_redirected_connection_is_taken_for_what_it_was")
        .env(INSIDE, "1")
        .output()
        .expect("`unshare` is there (util-linux)");
    let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "`unshare {}` (needs root or user namespaces):\n{}{}",
        unshared.join(" "),
        told(&output.stdout),
        told(&output.stderr)
    );
}
