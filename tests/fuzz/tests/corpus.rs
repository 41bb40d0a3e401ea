//! What the fuzzer has found before holds: every input of the corpus goes through its target.

use outrigger_core::base64;
use outrigger_fuzz::TARGETS;
use std::{fs, path::PathBuf};

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The inputs of a target: written by hand, a file for each, and found, a line for each.
fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut inputs = Vec::new();
    let seeds =
        fs::read_dir(corpus().join(target)).unwrap_or_else(|e| panic!("corpus/{target}: {e}"));
    for file in seeds {
        let path = file
            .unwrap_or_else(|e| panic!("corpus/{target}: {e}"))
            .path();
        let bytes = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        inputs.push((path.display().to_string(), bytes));
    }
    assert!(!inputs.is_empty(), "corpus/{target} is empty");
    let found = format!("{target}.base64");
    let lines =
        fs::read_to_string(corpus().join(&found)).unwrap_or_else(|e| panic!("corpus/{found}: {e}"));
    for line in lines.lines() {
        let bytes =
            base64::decode(line.as_bytes()).unwrap_or_else(|| panic!("corpus/{found}: {line}"));
        inputs.push((format!("{found}: {line}"), bytes));
    }
    inputs
}

#[test]
fn every_input_of_the_corpus_holds() {
    for (name, target) in TARGETS {
        for (input, bytes) in inputs(name) {
            // Shown if the target does not hold.
            println!("{input}");
            target(&bytes);
        }
    }
}

#[test]
fn the_corpus_is_of_targets_that_there_are() {
    for entry in fs::read_dir(corpus()).unwrap_or_else(|e| panic!("corpus: {e}")) {
        let path = entry.unwrap_or_else(|e| panic!("corpus: {e}")).path();
        let name = path.file_stem().unwrap_or_default();
        assert!(
            TARGETS.iter().any(|(known, _)| name == *known),
            "{}",
            path.display()
        );
    }
}
