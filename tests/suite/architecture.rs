//! The floors hold: a crate depends only on crates of lower floors, and no file grows beyond what one can read.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use outrigger_tests::process::workspace;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each crate with its floor. Crates of one floor do not know one another.
const FLOORS: [(&str, u8); 13] = [
    ("envoy-api", 0),
    ("outrigger-certs", 1),
    ("outrigger-xds", 1),
    ("outrigger-core", 2),
    ("outrigger-transport", 3),
    ("outrigger-upstream", 4),
    ("outrigger-http", 5),
    ("outrigger-network", 5),
    ("outrigger-listener", 6),
    ("outrigger", 7),
    ("outrigger-fuzz", 8),
    ("outrigger-tests", 8),
    ("outrigger-benches", 9),
];

/// Lines that a Rust file may have at most.
const LONGEST_FILE: usize = 600;

fn floor(name: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, floor)| *floor)
}

fn packages() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

#[test]
fn arrows_point_down() {
    let mut upward = Vec::new();
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        let own = floor(name).unwrap_or_else(|| panic!("{name} has no floor here"));
        for dependency in package["dependencies"].as_array().unwrap() {
            let dependency = dependency["name"].as_str().unwrap();
            if floor(dependency).is_some_and(|floor| floor >= own) {
                upward.push(format!("{name} -> {dependency}"));
            }
        }
    }
    assert!(upward.is_empty(), "upward arrows: {upward:?}");
}

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() {
            if !hidden && !path.ends_with("target") {
                rust_files(&path, out);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
}

#[test]
fn files_are_short() {
    let mut files = Vec::new();
    rust_files(&workspace(), &mut files);
    assert!(files.len() > 100, "only {} files found", files.len());
    let long: Vec<String> = files
        .iter()
        .map(|path| (path, std::fs::read_to_string(path).unwrap().lines().count()))
        .filter(|(_, lines)| *lines > LONGEST_FILE)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(
        long.is_empty(),
        "longer than {LONGEST_FILE} lines:\n{}",
        long.join("\n")
    );
}
