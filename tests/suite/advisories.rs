//! The advisories against proxies of the last years, each as an attack on this one.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "advisories/bystander.rs"]
mod bystander;
#[path = "advisories/downgrade.rs"]
mod downgrade;
#[path = "advisories/exhaustion.rs"]
mod exhaustion;
#[path = "advisories/floods.rs"]
mod floods;
#[path = "advisories/injection.rs"]
mod injection;
#[path = "advisories/leftovers.rs"]
mod leftovers;
#[path = "advisories/origin.rs"]
mod origin;
#[path = "advisories/paths.rs"]
mod paths;
#[path = "advisories/process.rs"]
mod process;
#[path = "advisories/service.rs"]
mod service;
#[path = "advisories/slow.rs"]
mod slow;
#[path = "advisories/smuggling.rs"]
mod smuggling;
#[path = "advisories/splitting.rs"]
mod splitting;
#[path = "advisories/strict.rs"]
mod strict;
#[path = "advisories/unread.rs"]
mod unread;

/// Whatever `docs/advisories.md` calls a proof exists.
#[test]
fn the_table_of_advisories_names_tests_that_exist() {
    let root = outrigger_tests::process::workspace();
    let table = std::fs::read_to_string(root.join("docs/advisories.md")).unwrap();
    let mut known = 0;
    let proofs = table.split('`').skip(1).step_by(2);
    for name in proofs {
        if let Some((module, test)) = name.split_once("::") {
            let path = format!("tests/suite/advisories/{module}.rs");
            let source = std::fs::read_to_string(root.join(&path)).unwrap();
            assert!(source.contains(&format!("fn {test}()")), "{name}");
        } else if let Some((area, group)) = name.split_once('/')
            && !name.contains(['.', ' ', ':'])
            && !["tests", "xds-client", "proxy"].contains(&area)
        {
            let path = format!("tests/differential/{area}/{group}.yaml");
            assert!(root.join(&path).exists(), "{name}");
        } else {
            continue;
        }
        known += 1;
    }
    assert!(known > 60, "only {known} proofs are named");
}

/// And every attack is named there.
#[test]
fn the_table_of_advisories_names_every_test() {
    let root = outrigger_tests::process::workspace();
    let table = std::fs::read_to_string(root.join("docs/advisories.md")).unwrap();
    let mut tests = 0;
    for entry in std::fs::read_dir(root.join("tests/suite/advisories")).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap();
        let source = std::fs::read_to_string(&path).unwrap();
        for rest in source.split("#[test]").skip(1) {
            let (_, rest) = rest.split_once("fn ").unwrap();
            let (name, _) = rest.split_once('(').unwrap();
            assert!(
                table.contains(&format!("`{module}::{name}`")),
                "{module}::{name}"
            );
            tests += 1;
        }
    }
    assert!(tests > 40, "only {tests} attacks are found");
}
