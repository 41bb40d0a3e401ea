//! The command line.

use crate::{scenario::Scenario, subject::Subject};
use anyhow::{Context, Result, anyhow, bail};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

pub const HELP: &str = "\
Compares proxies under the same load.

usage: load [options]
       load copy LISTEN UPSTREAM      the bare TCP copy that the others are compared with

  --scenario A,B      only these: http1 http1-rate mesh http2 http2-to-http2 grpc tcp-echo tcp-connect tcp-bulk
                      body-down-1m body-down-100m body-up-1m body-up-100m idle; `body`, `body-up` and `tcp` stand
                      for all that begin so
  --subjects A,B      only these: outrigger envoy nginx haproxy copy
  --rounds N          rounds per scenario (default 5)
  --seconds S         length of a measured window (default 3)
  --json FILE         writes the raw figures
  --markdown FILE     writes the tables between the markers of this file
  --smoke             one round of 0.3 s windows: that everything answers, not how fast

OUTRIGGER_BIN and OUTRIGGER_ENVOY name the binaries; else target/release/outrigger and target/oracle/bin/envoy.
";

#[derive(Debug)]
pub enum Command {
    Help,
    Compare(Options),
    Copy {
        listen: SocketAddr,
        upstream: SocketAddr,
    },
}

#[derive(Debug)]
pub struct Options {
    pub scenarios: Vec<Scenario>,
    pub subjects: Vec<Subject>,
    pub rounds: usize,
    /// Length of one measured window.
    pub window: Duration,
    pub json: Option<PathBuf>,
    pub markdown: Option<PathBuf>,
    pub smoke: bool,
}

pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Command> {
    let mut arguments = arguments;
    let mut options = Options {
        scenarios: Scenario::ALL.to_vec(),
        subjects: Subject::ALL.to_vec(),
        rounds: 5,
        window: Duration::from_secs(3),
        json: None,
        markdown: None,
        smoke: false,
    };
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .with_context(|| format!("{argument} needs a value"))
        };
        match argument.as_str() {
            "copy" => {
                return Ok(Command::Copy {
                    listen: value()?.parse()?,
                    upstream: value()?.parse()?,
                });
            }
            "--help" | "-h" => return Ok(Command::Help),
            "--scenario" => options.scenarios = scenarios(&value()?)?,
            "--subjects" => options.subjects = subjects(&value()?)?,
            "--rounds" => options.rounds = value()?.parse().context("--rounds")?,
            "--seconds" => {
                let seconds: f64 = value()?.parse().context("--seconds")?;
                options.window = Duration::try_from_secs_f64(seconds).context("--seconds")?;
            }
            "--json" => options.json = Some(value()?.into()),
            "--markdown" => options.markdown = Some(value()?.into()),
            "--smoke" => options.smoke = true,
            other => bail!("unknown argument {other}; see --help"),
        }
    }
    if options.smoke {
        options.rounds = 1;
        options.window = Duration::from_millis(300);
    }
    if options.rounds == 0 || options.window.is_zero() {
        bail!("--rounds and --seconds must be above 0");
    }
    Ok(Command::Compare(options))
}

/// Scenarios in the order of [`Scenario::ALL`]. A word that is no name stands for all names that it begins.
fn scenarios(list: &str) -> Result<Vec<Scenario>> {
    let mut chosen = Vec::new();
    for word in list.split(',') {
        let exact: Vec<_> = all_scenarios(|name| name == word);
        let found = if exact.is_empty() {
            all_scenarios(|name| name.starts_with(word))
        } else {
            exact
        };
        if found.is_empty() {
            bail!("no scenario {word}; see --help");
        }
        chosen.extend(found);
    }
    Ok(all_scenarios(|name| {
        chosen.iter().any(|chosen| chosen.name() == name)
    }))
}

fn all_scenarios(wanted: impl Fn(&str) -> bool) -> Vec<Scenario> {
    Scenario::ALL
        .into_iter()
        .filter(|scenario| wanted(scenario.name()))
        .collect()
}

fn subjects(list: &str) -> Result<Vec<Subject>> {
    list.split(',')
        .map(|word| {
            Subject::ALL
                .into_iter()
                .find(|subject| subject.name() == word)
                .ok_or_else(|| anyhow!("no subject {word}; see --help"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn compare(line: &str) -> Result<Options> {
        match parse(line.split_whitespace().map(str::to_owned))? {
            Command::Compare(options) => Ok(options),
            other => bail!("{other:?}"),
        }
    }

    #[test]
    fn a_name_means_itself_and_a_beginning_means_all() {
        let names = |line| -> Vec<_> {
            let options = compare(line).unwrap();
            options.scenarios.iter().map(|s| s.name()).collect()
        };
        assert_eq!(names("--scenario http1"), ["http1"]);
        assert_eq!(
            names("--scenario idle,tcp"),
            ["tcp-echo", "tcp-connect", "tcp-bulk", "idle"]
        );
        assert_eq!(names("--scenario body-up"), ["body-up-1m", "body-up-100m"]);
        assert!(compare("--scenario nothing").is_err());
    }

    #[test]
    fn smoke_is_short() {
        let options = compare("--rounds 7 --smoke").unwrap();
        assert_eq!(options.rounds, 1);
        assert!(options.window < Duration::from_secs(1));
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        for line in [
            "--rounds 0",
            "--seconds 0",
            "--seconds -1",
            "--rounds",
            "--fast",
            "--subjects squid",
        ] {
            assert!(compare(line).is_err(), "{line}");
        }
    }
}
