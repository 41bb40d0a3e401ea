//! One binary for all targets: `OUTRIGGER_FUZZ` names the one to run, everything else is libFuzzer's command line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrigger_fuzz::{TARGETS, Target};
use std::sync::OnceLock;

static CHOSEN: OnceLock<Target> = OnceLock::new();

fuzz_target!(
    init: {
        let name = std::env::var("OUTRIGGER_FUZZ").unwrap_or_default();
        let Some((_, target)) = TARGETS.iter().find(|(known, _)| *known == name) else {
            let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
            eprintln!("OUTRIGGER_FUZZ is to be one of {}", names.join(", "));
            std::process::exit(2);
        };
        CHOSEN.get_or_init(|| *target);
    },
    |data: &[u8]| {
        if let Some(target) = CHOSEN.get() {
            target(data);
        }
    }
);
