//! The panic hook: whatever panics is reported as Envoy reports a crash. A connection then ends alone, anything else takes the
//! process along.

use crate::logging::Loggers;
use outrigger_core::panics;
use std::{backtrace::Backtrace, panic::PanicHookInfo, sync::Arc};

/// Traces for as many connections: whoever finds a way to make them panic finds it again and again, and a trace is dear.
const TRACES: u64 = 10;

/// Installs it. A thread that panics outside of a connection leaves behind what nobody knows the state of: as in Envoy, the
/// process ends.
pub fn install(loggers: &Arc<Loggers>) {
    let loggers = loggers.clone();
    panics::hook(move |panic, contained| report(&loggers, panic, contained));
}

fn report(loggers: &Loggers, panic: &PanicHookInfo<'_>, contained: bool) {
    if contained && panics::count() > TRACES {
        let line = format!("{panic}\nthe connection ends");
        return loggers.critical("backtrace", &line);
    }
    let trace = Backtrace::force_capture();
    if contained {
        let lines = format!("{panic}\nthe connection ends\n{trace}");
        return loggers.critical("backtrace", &lines);
    }
    loggers.critical("backtrace", &format!("{panic}\n{trace}"));
    std::process::abort();
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::{
        cli::{DEFAULT_LOG_FORMAT, LogLevel},
        logging::Settings,
    };
    use std::process::Command;

    /// Panics as the environment says; the test below runs it in a process of its own.
    #[test]
    #[ignore = "may end its process"]
    fn a_process_that_panics() {
        let loggers = Loggers::new(&Settings {
            level: LogLevel::Info,
            components: &[],
            format: DEFAULT_LOG_FORMAT,
            escape: false,
            path: "",
        });
        install(&loggers.unwrap().install());
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.build().unwrap();
        let contained = std::env::var("OUTRIGGER_PANIC").unwrap() == "in a connection";
        for _ in 0..TRACES + 2 {
            let broken = async { panic!("a panic of a test") };
            let task = match contained {
                true => runtime.spawn(panics::contained(broken)),
                false => runtime.spawn(broken),
            };
            assert!(runtime.block_on(task).unwrap_err().is_panic());
        }
        println!("it goes on after {}", panics::count());
    }

    #[test]
    fn a_connection_ends_alone_and_anything_else_takes_the_process_along() {
        for (place, ends) in [("in a connection", false), ("elsewhere", true)] {
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "server::panics::tests::a_process_that_panics"])
                .args(["--ignored", "--nocapture"])
                .env("OUTRIGGER_PANIC", place)
                .output()
                .unwrap();
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            let reports = said.matches("a panic of a test").count() as u64;
            assert_eq!(output.status.success(), !ends, "{place}: {said}");
            assert_eq!(reports, if ends { 1 } else { TRACES + 2 }, "{said}");
            assert!(said.contains("[critical]"), "{place}: {said}");
            let goes_on = format!("it goes on after {}", TRACES + 2);
            assert_eq!(said.contains(&goes_on), !ends, "{place}: {said}");
        }
    }
}
