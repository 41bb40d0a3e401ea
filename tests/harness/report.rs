//! What a run of one area found, and whether that lets the test pass.

use crate::compare::{self, Difference};
use crate::known::Tracker;
use anyhow::{Result, bail};

#[derive(Default)]
pub struct Report {
    cases: usize,
    /// Cases with a difference that nobody explained.
    failed: Vec<String>,
    /// Cases whose first run differed and whose second, more patient one did not.
    steadied: Vec<String>,
    text: String,
}

impl Report {
    /// One case has been played; `found` is what nobody explains.
    pub fn add(&mut self, name: String, found: &[Difference]) {
        self.cases += 1;
        if !found.is_empty() {
            self.text.push_str(&format!("  {name}\n"));
            self.text.extend(found.iter().map(compare::show));
            self.failed.push(name);
        }
    }

    /// The second run of a case showed no difference any more.
    pub fn steadied(&mut self, name: &str) {
        self.steadied.push(name.to_owned());
    }

    /// The cases of a group whose proxy did not start.
    pub fn not_started(&mut self, names: Vec<String>, why: &str) {
        self.cases += names.len();
        self.text
            .push_str(&format!("  the subject did not start: {why}\n"));
        self.failed.extend(
            names
                .into_iter()
                .map(|name| format!("{name} (not started)")),
        );
    }

    /// Prints everything with a closing count; an error when anything differs, an entry is stale or nothing ran.
    pub fn finish(mut self, area: &str, known: &Tracker) -> Result<()> {
        let all = std::env::var_os("OUTRIGGER_CASE").is_none();
        let stale = if all { known.stale() } else { Vec::new() };
        print!("{}", self.text);
        for name in &self.steadied {
            println!("  equal on the second run only: {name}");
        }
        let (cases, differ, second) = (self.cases, self.failed.len(), self.steadied.len());
        println!(
            "{area}: {cases} cases, {differ} differ, {second} needed a second run, {} stale",
            stale.len()
        );
        if all && cases == 0 {
            bail!("{area}: no cases");
        }
        self.failed.extend(stale);
        if !self.failed.is_empty() {
            bail!(
                "{area}: {differ} of {cases} cases differ:\n  {}",
                self.failed.join("\n  ")
            );
        }
        Ok(())
    }
}
