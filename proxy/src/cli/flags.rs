//! The table of Envoy's flags, in the order in which `--help` prints them.

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Switch,
    Text,
    Number,
}

/// One flag.
#[derive(Debug)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    pub(super) short: Option<char>,
    pub(super) kind: Kind,
    /// It may be given more than once.
    pub(super) repeats: bool,
    pub(super) help: &'static str,
}

impl Flag {
    /// As error messages name it: `-c (--config-path)` or `(--concurrency)`.
    pub(super) fn shown(&self) -> String {
        match self.short {
            Some(short) => format!("-{short} (--{})", self.name),
            None => format!("(--{})", self.name),
        }
    }

    /// What stands for the value in the usage, with a space before it.
    pub(super) fn value(&self) -> &'static str {
        match self.kind {
            Kind::Switch => "",
            Kind::Text => " <string>",
            Kind::Number => " <uint32_t>",
        }
    }

    fn is(&self, argument: &str) -> bool {
        match argument.strip_prefix("--") {
            Some(name) => name == self.name,
            None => {
                let mut chars = argument.chars();
                chars.next() == Some('-')
                    && self.short.is_some()
                    && chars.next() == self.short
                    && chars.next().is_none()
            }
        }
    }
}

/// The flag that an argument names. Envoy takes values only as the next argument, never behind `=`.
pub(super) fn find(argument: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.is(argument))
}

const fn flag(name: &'static str, kind: Kind, help: &'static str) -> Flag {
    Flag {
        name,
        short: None,
        kind,
        repeats: false,
        help,
    }
}

const fn short(short: char, name: &'static str, kind: Kind, help: &'static str) -> Flag {
    Flag {
        short: Some(short),
        ..flag(name, kind, help)
    }
}

use Kind::{Number, Switch, Text};

/// Every flag, ours first and then Envoy's. The texts name what differs from Envoy.
pub(super) const FLAGS: &[Flag] = &[
    // These two are ours.
    flag(
        "drain-on-sigterm",
        Switch,
        "On SIGTERM, stop accepting, ask clients to go elsewhere, finish what is in flight within --drain-time-s and exit; \
         a second SIGTERM exits at once, as the first does without this flag",
    ),
    Flag {
        repeats: true,
        ..flag(
            "admin-allow-host",
            Text,
            "A name under which browsers may reach the admin interface, besides addresses, local names and the machine's \
             own: a name, ``*.suffix`` or ``*``. May be repeated.",
        )
    },
    Flag {
        repeats: true,
        ..flag(
            "stats-tag",
            Text,
            "A tag for all stats, as ``tag:value``. The name of a tag is alphanumeric; its value has no '.' (dot). May be \
             repeated.",
        )
    },
    flag(
        "enable-core-dump",
        Switch,
        "Enable core dumps (the system's limit decides)",
    ),
    flag(
        "socket-mode",
        Text,
        "Permissions of the hot restart socket (not used)",
    ),
    flag(
        "socket-path",
        Text,
        "Path of the hot restart socket (not used)",
    ),
    flag(
        "disable-extensions",
        Text,
        "Comma-separated list of extensions to disable",
    ),
    flag(
        "cpuset-threads",
        Switch,
        "Get the default # of worker threads from cpuset size (always so)",
    ),
    flag(
        "enable-mutex-tracing",
        Switch,
        "Enable mutex contention tracing (not used)",
    ),
    flag(
        "disable-hot-restart",
        Switch,
        "Disable hot restart functionality (always so)",
    ),
    flag(
        "mode",
        Text,
        "One of 'serve' (default; validate configs and then serve traffic normally), 'validate' (validate configs and \
         exit), or 'init_only' (start without serving traffic and exit).",
    ),
    flag(
        "parent-shutdown-time-s",
        Number,
        "Hot restart parent shutdown time in seconds (not used)",
    ),
    flag(
        "drain-strategy",
        Text,
        "How connections are asked to close while draining, one of 'gradual' (default) or 'immediate'.",
    ),
    flag("drain-time-s", Number, "Drain time of listeners in seconds"),
    flag(
        "file-flush-min-size-kb",
        Number,
        "Minimum size in KB for log flushing",
    ),
    flag(
        "file-flush-interval-msec",
        Number,
        "Interval for log flushing in msec",
    ),
    flag("service-zone", Text, "Zone name"),
    flag("service-node", Text, "Node name"),
    flag("service-cluster", Text, "Cluster name"),
    flag(
        "hot-restart-version",
        Switch,
        "Hot restart compatibility version",
    ),
    flag("restart-epoch", Number, "Hot restart epoch # (only 0)"),
    flag("log-path", Text, "Path to logfile"),
    flag(
        "enable-fine-grain-logging",
        Switch,
        "Logger mode: log control by file (not used; by component)",
    ),
    flag(
        "log-format-escaped",
        Switch,
        "Escape c-style escape sequences in the application logs",
    ),
    flag(
        "log-format",
        Text,
        "Log message format in spdlog syntax (see https://github.com/gabime/spdlog/wiki/3.-Custom-formatting)\nDefault \
         is \"[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v\"",
    ),
    flag(
        "component-log-level",
        Text,
        "Comma-separated list of component log levels. For example upstream:debug,config:trace",
    ),
    short(
        'l',
        "log-level",
        Text,
        "Log levels: [trace][debug][info][warning|warn][error][critical][off]\nDefault is [info]",
    ),
    flag(
        "local-address-ip-version",
        Text,
        "The local IP address version (v4 or v6).",
    ),
    flag("admin-address-path", Text, "Admin address path"),
    flag(
        "log-stacktrace-single-entry",
        Switch,
        "Emit the entire stack trace in a single log entry (always so)",
    ),
    flag(
        "skip-deprecated-logs",
        Switch,
        "Skips the logging of deprecated field warnings (there are none)",
    ),
    flag(
        "ignore-unknown-dynamic-fields",
        Switch,
        "Ignore unknown fields in dynamic configuration",
    ),
    flag(
        "reject-unknown-dynamic-fields",
        Switch,
        "Reject unknown fields in dynamic configuration",
    ),
    flag(
        "allow-unknown-static-fields",
        Switch,
        "Allow unknown fields in static configuration",
    ),
    flag(
        "allow-unknown-fields",
        Switch,
        "Allow unknown fields in static configuration (DEPRECATED)",
    ),
    flag(
        "config-yaml",
        Text,
        "Inline YAML configuration, merges with the contents of --config-path",
    ),
    short('c', "config-path", Text, "Path to configuration file"),
    flag("concurrency", Number, "# of worker threads to run"),
    flag(
        "base-id-path",
        Text,
        "Path to which the base ID is written (not used)",
    ),
    flag(
        "skip-hot-restart-parent-stats",
        Switch,
        "Do not take over the stats of a parent (always so)",
    ),
    flag(
        "skip-hot-restart-on-no-parent",
        Switch,
        "Start even if there is no parent to take over from (always so)",
    ),
    flag(
        "use-dynamic-base-id",
        Switch,
        "Choose a base ID for hot restart (not used)",
    ),
    flag(
        "base-id",
        Number,
        "Base ID of hot restart (not used: many can run on one host)",
    ),
];

/// The flags that every program of this kind has; they end the list.
pub(super) const VERSION: Flag = flag("version", Switch, "Displays version information and exits.");
pub(super) const HELP: Flag = short('h', "help", Switch, "Displays usage information and exits.");
