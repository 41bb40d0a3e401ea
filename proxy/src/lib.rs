//! Outrigger's proxy process: what stands above the data path. The binary is a thin shell around this.

pub mod admin;
mod bootstrap;
mod cli;
mod lifecycle;
mod logging;
mod server;
mod worker;

use std::{ffi::OsString, process::ExitCode};

/// Does what the command line says; the program's name comes first.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match cli::parse(args) {
        Ok(cli::Command::Run(options)) => server::run(&options),
        Ok(cli::Command::Print(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Ok(cli::Command::Tell(text)) => {
            eprint!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
