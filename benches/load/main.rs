//! Load comparison: Outrigger, Envoy, nginx, HAProxy and a bare TCP copy under the same load, interleaved.
//!
//! The generator and the backend run in this process on one core, the subject in its own process on another; see
//! `benches/README.md` for the method. Figures are printed and stored, never judged.

mod backend;
mod client;
mod copy;
mod cores;
mod h2;
mod idle;
mod machine;
mod measure;
mod metric;
mod options;
mod process;
mod rate;
mod report;
mod runner;
mod scenario;
mod side;
mod subject;
mod traffic;

use anyhow::Result;
use options::Command;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    match options::parse(std::env::args().skip(1))? {
        Command::Help => {
            print!("{}", options::HELP);
            Ok(())
        }
        Command::Copy { listen, upstream } => copy::run(listen, upstream),
        Command::Compare(options) => runner::run(&options),
    }
}
