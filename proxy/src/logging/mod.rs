//! Envoy's application log: a logger for each component, with a level that can change at any time. It must never be on
//! the way of a request: a line below its logger's level costs one atomic load.

mod pattern;
mod sink;
mod subscriber;

pub use pattern::{Line, Pattern};

use crate::cli::{COMPONENTS, LogLevel};
use sink::Sink;
use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
};

/// All loggers of the process, and where their lines go.
#[derive(Debug)]
pub struct Loggers {
    /// [`LogLevel`]s by index in [`COMPONENTS`].
    levels: [AtomicU8; COMPONENTS.len()],
    pattern: arc_swap::ArcSwap<Pattern>,
    escape: bool,
    sink: Sink,
}

/// How the loggers start.
#[derive(Debug)]
pub struct Settings<'a> {
    pub level: LogLevel,
    pub components: &'a [(String, LogLevel)],
    pub format: &'a str,
    /// `--log-format-escaped`: C-style escapes in every message.
    pub escape: bool,
    /// `--log-path`; standard error if empty.
    pub path: &'a str,
}

impl Loggers {
    pub fn new(settings: &Settings<'_>) -> io::Result<Self> {
        let loggers = Self {
            levels: std::array::from_fn(|_| AtomicU8::new(settings.level as u8)),
            pattern: arc_swap::ArcSwap::from_pointee(Pattern::compile(settings.format)),
            escape: settings.escape,
            sink: match settings.path {
                "" => Sink::stderr(),
                path => Sink::file(Path::new(path))?,
            },
        };
        for (name, level) in settings.components {
            loggers.store(name, *level);
        }
        Ok(loggers)
    }

    /// Makes these the loggers of the process: everything that is traced from now on goes through them.
    pub fn install(self) -> Arc<Self> {
        let loggers = Arc::new(self);
        // Fails only where a test has installed its own before.
        let _ =
            tracing::subscriber::set_global_default(subscriber::Subscriber::new(loggers.clone()));
        loggers
    }

    /// Name and level of each logger, in Envoy's order.
    pub fn levels(&self) -> impl Iterator<Item = (&'static str, LogLevel)> {
        COMPONENTS
            .iter()
            .zip(&self.levels)
            .map(|(name, level)| (*name, LogLevel::from_u8(level.load(Relaxed))))
    }

    /// Sets one logger; false if there is none of this name.
    pub fn set(&self, component: &str, level: LogLevel) -> bool {
        let known = self.store(component, level);
        tracing::callsite::rebuild_interest_cache();
        known
    }

    pub fn set_all(&self, level: LogLevel) {
        for (name, _) in self.levels() {
            self.store(name, level);
        }
        tracing::callsite::rebuild_interest_cache();
    }

    /// Another layout of the lines: `application_log_config.log_format`.
    pub fn set_format(&self, pattern: &str) {
        self.pattern.store(Arc::new(Pattern::compile(pattern)));
    }

    /// Opens the file of `--log-path` anew.
    pub fn reopen(&self) -> io::Result<()> {
        self.sink.reopen()
    }

    /// What `tracing` has no level for: the process cannot go on.
    #[track_caller]
    pub fn critical(&self, component: &'static str, message: &str) {
        let caller = std::panic::Location::caller();
        self.write(
            LogLevel::Critical,
            component,
            message,
            Place {
                file: caller.file(),
                module: "",
                line: caller.line(),
            },
        );
    }

    fn store(&self, component: &str, level: LogLevel) -> bool {
        let found = COMPONENTS
            .iter()
            .zip(&self.levels)
            .find(|(name, _)| **name == component);
        if let Some((_, slot)) = found {
            slot.store(level as u8, Relaxed);
        }
        found.is_some()
    }

    fn enabled(&self, component: &str, level: LogLevel) -> bool {
        let mut loggers = COMPONENTS.iter().zip(&self.levels);
        let logger = loggers.find(|(name, _)| **name == component);
        logger.is_some_and(|(_, at)| level as u8 >= at.load(Relaxed))
    }

    fn write(&self, level: LogLevel, component: &str, message: &str, place: Place<'_>) {
        if !self.enabled(component, level) {
            return;
        }
        let escaped;
        let message = if self.escape {
            escaped = message.escape_debug().to_string();
            &escaped
        } else {
            message
        };
        let line = Line {
            time: jiff::Zoned::now(),
            level,
            component,
            message,
            file: place.file,
            module: place.module,
            line: place.line,
            thread: thread_id(),
        };
        let mut text = String::with_capacity(128 + message.len());
        self.pattern.load().render(&line, &mut text);
        self.sink.write(&text);
    }
}

/// Where in the code a line comes from.
#[derive(Clone, Copy, Debug, Default)]
struct Place<'a> {
    file: &'a str,
    module: &'a str,
    line: u32,
}

/// The kernel's number of this thread.
fn thread_id() -> u32 {
    rustix::thread::gettid()
        .as_raw_nonzero()
        .get()
        .unsigned_abs()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_level_of_its_own_and_one_for_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let components = [("http".to_owned(), LogLevel::Debug)];
        let loggers = Loggers::new(&Settings {
            level: LogLevel::Warning,
            components: &components,
            format: "[%l][%n] %v",
            escape: false,
            path: path.to_str().unwrap(),
        })
        .unwrap();
        let read = || std::fs::read_to_string(&path).unwrap();
        let say = |level, component| loggers.write(level, component, "x", Place::default());
        say(LogLevel::Debug, "http");
        say(LogLevel::Info, "main");
        say(LogLevel::Error, "main");
        assert_eq!(read(), "[debug][http] x\n[error][main] x\n");
        loggers.set_all(LogLevel::Off);
        loggers.critical("main", "y");
        assert_eq!(read(), "[debug][http] x\n[error][main] x\n");
        assert!(loggers.set("main", LogLevel::Critical));
        assert!(!loggers.set("nobody", LogLevel::Critical));
        loggers.critical("main", "y");
        assert!(read().ends_with("[critical][main] y\n"));
        assert_eq!(loggers.levels().count(), COMPONENTS.len());
    }

    #[test]
    fn a_reopened_file_is_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let loggers = Loggers::new(&Settings {
            level: LogLevel::Info,
            components: &[],
            format: "%v",
            escape: true,
            path: path.to_str().unwrap(),
        })
        .unwrap();
        loggers.write(LogLevel::Info, "main", "a\nb", Place::default());
        let old = dir.path().join("old");
        std::fs::rename(&path, &old).unwrap();
        loggers.reopen().unwrap();
        loggers.write(LogLevel::Info, "main", "c", Place::default());
        assert_eq!(std::fs::read_to_string(old).unwrap(), "a\\nb\n");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "c\n");
    }
}
