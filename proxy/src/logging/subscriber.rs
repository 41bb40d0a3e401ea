//! Brings what the code traces to the logger of its component.

use super::{Loggers, Place};
use crate::cli::{COMPONENTS, LogLevel};
use std::{
    fmt::{self, Write},
    sync::Arc,
};
use tracing::{
    Event, Level, Metadata,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span,
    subscriber::Interest,
};

pub(super) struct Subscriber {
    loggers: Arc<Loggers>,
}

impl Subscriber {
    pub(super) fn new(loggers: Arc<Loggers>) -> Self {
        Self { loggers }
    }
}

impl tracing::Subscriber for Subscriber {
    /// The verdict is kept at the place that traces until a level changes, so that a line which is not wanted costs one
    /// atomic load.
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && self
                .loggers
                .enabled(component(metadata.target()), level(*metadata.level()))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let lowest = self.loggers.levels().map(|(_, level)| level).min();
        Some(match lowest {
            Some(LogLevel::Trace) => LevelFilter::TRACE,
            Some(LogLevel::Debug) => LevelFilter::DEBUG,
            Some(LogLevel::Info) => LevelFilter::INFO,
            Some(LogLevel::Warning) => LevelFilter::WARN,
            Some(LogLevel::Error) => LevelFilter::ERROR,
            _ => LevelFilter::OFF,
        })
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut message = Message::default();
        event.record(&mut message);
        self.loggers.write(
            level(*metadata.level()),
            component(metadata.target()),
            &(message.text + &message.fields),
            Place {
                file: metadata.file().unwrap_or_default(),
                module: metadata.module_path().unwrap_or_default(),
                line: metadata.line().unwrap_or_default(),
            },
        );
    }

    // Spans are not used.
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

fn level(level: Level) -> LogLevel {
    match level {
        Level::TRACE => LogLevel::Trace,
        Level::DEBUG => LogLevel::Debug,
        Level::INFO => LogLevel::Info,
        Level::WARN => LogLevel::Warning,
        Level::ERROR => LogLevel::Error,
    }
}

/// Which logger a target belongs to: the one of its name, or Envoy's for what the module does.
fn component(target: &str) -> &'static str {
    if let Some(name) = COMPONENTS.iter().find(|name| **name == target) {
        return name;
    }
    const MODULES: [(&str, &str); 9] = [
        ("outrigger_http::router", "router"),
        ("outrigger_http", "http"),
        ("outrigger_upstream::pool", "pool"),
        ("outrigger_upstream", "upstream"),
        ("outrigger_listener", "conn_handler"),
        ("outrigger_network", "filter"),
        ("outrigger_transport", "connection"),
        ("outrigger_core::access_log", "file"),
        ("hickory", "dns"),
    ];
    let found = MODULES
        .iter()
        .find(|(module, _)| target.starts_with(module));
    found.map_or("misc", |(_, component)| component)
}

/// The message, and the other fields as ` name=value` behind it.
#[derive(Default)]
struct Message {
    text: String,
    fields: String,
}

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.text, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_has_a_logger_that_exists() {
        for (target, expected) in [
            ("config", "config"),
            ("outrigger_listener::accept", "conn_handler"),
            ("outrigger_upstream::pool::http1", "pool"),
            ("outrigger_upstream::manager", "upstream"),
            ("somebody_else", "misc"),
        ] {
            assert_eq!(component(target), expected);
            assert!(COMPONENTS.contains(&expected));
        }
    }
}
