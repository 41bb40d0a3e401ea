//! Envoy's command line: the same flags, defaults, errors and exit codes.

mod flags;
mod help;
mod json;
mod log_level;

pub use help::build_version;
pub use log_level::{COMPONENTS, LogLevel};

use flags::{Flag, Kind};
use std::{ffi::OsString, time::Duration};

/// What the process is asked to do.
#[derive(Debug)]
pub enum Command {
    Run(Box<Options>),
    /// Text for standard output; the process then exits with 0.
    Print(String),
    /// The same for standard error, which is where Envoy writes its hot restart version.
    Tell(String),
}

/// A command line that Envoy would refuse; the text goes to standard error, the exit code is 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

/// `--mode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Serve,
    /// Checks the configuration and exits.
    Validate,
    /// Starts as if to serve, binds included, and exits before anything is served.
    InitOnly,
}

/// `--drain-strategy`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DrainStrategy {
    #[default]
    Gradual,
    Immediate,
}

/// `--local-address-ip-version`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IpVersion {
    #[default]
    V4,
    V6,
}

/// Every option, with Envoy's defaults.
#[derive(Debug, Clone)]
pub struct Options {
    pub config_path: String,
    pub config_yaml: String,
    pub mode: Mode,
    pub allow_unknown_static_fields: bool,
    /// `--allow-unknown-fields` was used, the old name.
    pub deprecated_flag: bool,
    pub reject_unknown_dynamic_fields: bool,
    pub ignore_unknown_dynamic_fields: bool,
    pub skip_deprecated_logs: bool,
    pub service_node: String,
    pub service_cluster: String,
    pub service_zone: String,
    /// Number of workers.
    pub concurrency: usize,
    pub cpuset_threads: bool,
    pub log_level: LogLevel,
    pub component_log_level: Vec<(String, LogLevel)>,
    pub component_log_level_text: String,
    pub log_format: Option<String>,
    pub log_format_escaped: bool,
    pub log_path: String,
    pub fine_grain_logging: bool,
    pub drain_time: Duration,
    pub drain_strategy: DrainStrategy,
    pub parent_shutdown_time: Duration,
    pub file_flush_interval: Duration,
    /// KiB; 0 is Envoy's default of 64.
    pub file_flush_min_size_kb: u32,
    pub local_address_ip_version: IpVersion,
    pub admin_address_path: String,
    pub stats_tags: Vec<(String, String)>,
    pub disabled_extensions: Vec<String>,
    pub base_id: u32,
    pub restart_epoch: u32,
    pub disable_hot_restart: bool,
    /// `--admin-allow-host`.
    pub admin_allow_hosts: Vec<String>,
    /// SIGTERM ends the process gracefully.
    pub drain_on_sigterm: bool,
    /// What only `/server_info` repeats.
    pub shown: Shown,
}

/// Options of what this proxy does not have: hot restart, mutex tracing, stack traces. They change nothing.
#[derive(Debug, Clone)]
pub struct Shown {
    pub use_dynamic_base_id: bool,
    pub base_id_path: String,
    pub skip_hot_restart_on_no_parent: bool,
    pub skip_hot_restart_parent_stats: bool,
    pub socket_path: String,
    pub enable_mutex_tracing: bool,
    pub log_stacktrace_single_entry: bool,
}

/// The format of a log line unless `--log-format` says otherwise, in spdlog's notation.
pub const DEFAULT_LOG_FORMAT: &str = "[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v";

impl Options {
    fn new() -> Self {
        Self {
            config_path: String::new(),
            config_yaml: String::new(),
            mode: Mode::Serve,
            allow_unknown_static_fields: false,
            deprecated_flag: false,
            reject_unknown_dynamic_fields: false,
            ignore_unknown_dynamic_fields: false,
            skip_deprecated_logs: false,
            service_node: String::new(),
            service_cluster: String::new(),
            service_zone: String::new(),
            concurrency: std::thread::available_parallelism().map_or(1, usize::from),
            cpuset_threads: false,
            log_level: LogLevel::Info,
            component_log_level: Vec::new(),
            component_log_level_text: String::new(),
            log_format: None,
            log_format_escaped: false,
            log_path: String::new(),
            fine_grain_logging: false,
            drain_time: Duration::from_secs(600),
            drain_strategy: DrainStrategy::Gradual,
            parent_shutdown_time: Duration::from_secs(900),
            file_flush_interval: Duration::from_millis(10_000),
            file_flush_min_size_kb: 0,
            local_address_ip_version: IpVersion::V4,
            admin_address_path: String::new(),
            stats_tags: Vec::new(),
            disabled_extensions: Vec::new(),
            base_id: 0,
            restart_epoch: 0,
            disable_hot_restart: false,
            admin_allow_hosts: Vec::new(),
            drain_on_sigterm: false,
            shown: Shown {
                use_dynamic_base_id: false,
                base_id_path: String::new(),
                skip_hot_restart_on_no_parent: false,
                skip_hot_restart_parent_stats: false,
                socket_path: "@envoy_domain_socket".to_owned(),
                enable_mutex_tracing: false,
                log_stacktrace_single_entry: false,
            },
        }
    }
}

/// Reads the command line, the program's name first.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, Error> {
    let mut args = args.into_iter().map(|a| a.to_string_lossy().into_owned());
    let program = args.next().unwrap_or_else(|| "outrigger".to_owned());
    let mut options = Options::new();
    let mut seen: Vec<&'static str> = Vec::new();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--" | "--ignore_rest" => break,
            "-h" | "--help" => return Ok(Command::Print(help::text(&program))),
            "--version" => return Ok(Command::Print(help::version(&program))),
            _ => {}
        }
        let flag = flags::find(&arg)
            .ok_or_else(|| parse_error(&program, &arg, "Couldn't find match for argument"))?;
        if seen.contains(&flag.name) && !flag.repeats {
            return Err(parse_error(
                &program,
                &flag.shown(),
                "Argument already set!",
            ));
        }
        seen.push(flag.name);
        let value = match flag.kind {
            Kind::Switch => String::new(),
            _ => args.next().ok_or_else(|| {
                parse_error(
                    &program,
                    &flag.shown(),
                    "Missing a value for this argument!",
                )
            })?,
        };
        match flag.name {
            "hot-restart-version" => return Ok(Command::Tell("disabled".to_owned())),
            _ => options.set(flag, value, &program)?,
        }
    }
    let components = &options.component_log_level_text;
    if !components.is_empty() {
        if options.fine_grain_logging {
            let reason = "--component-log-level will not work with --enable-fine-grain-logging";
            return Err(Error(format!("error: {reason}")));
        }
        options.component_log_level = log_level::components(components).map_err(Error)?;
    }
    if !options.admin_address_path.is_empty() && options.admin_address_path.contains('\0') {
        return Err(Error("error: invalid admin address path".to_owned()));
    }
    options.check_epoch()?;
    Ok(Command::Run(Box::new(options)))
}

fn parse_error(program: &str, argument: &str, reason: &str) -> Error {
    Error(format!(
        "PARSE ERROR: Argument: {argument}\n             {reason}\n\nBrief USAGE: \n{}\nFor complete USAGE and HELP type: \n   {program} --help\n\n{argument} -- {reason}",
        help::brief(program)
    ))
}

impl Options {
    fn set(&mut self, flag: &'static Flag, value: String, program: &str) -> Result<(), Error> {
        let number = || -> Result<u32, Error> {
            unsigned(&value).ok_or_else(|| {
                let reason = format!("Couldn't read argument value from string '{value}'");
                parse_error(program, &format!("(--{})", flag.name), &reason)
            })
        };
        if flag.kind == Kind::Number && value.is_empty() {
            // Envoy reads nothing from it and keeps the default.
            return Ok(());
        }
        match flag.name {
            "config-path" => self.config_path = value,
            "config-yaml" => self.config_yaml = value,
            "mode" => self.mode = mode(&value)?,
            "allow-unknown-static-fields" => self.allow_unknown_static_fields = true,
            "allow-unknown-fields" => {
                self.allow_unknown_static_fields = true;
                self.deprecated_flag = true;
            }

            "reject-unknown-dynamic-fields" => self.reject_unknown_dynamic_fields = true,
            "ignore-unknown-dynamic-fields" => self.ignore_unknown_dynamic_fields = true,
            "skip-deprecated-logs" => self.skip_deprecated_logs = true,
            "service-node" => self.service_node = value,
            "service-cluster" => self.service_cluster = value,
            "service-zone" => self.service_zone = value,
            "concurrency" => self.concurrency = number()?.max(1) as usize,
            "cpuset-threads" => self.cpuset_threads = true,
            "log-level" => {
                self.log_level = LogLevel::parse(&value).ok_or_else(|| {
                    Error(format!("error: invalid log level specified '{value}'"))
                })?;
            }
            "component-log-level" => {
                self.component_log_level_text = value;
            }
            "log-format" => self.log_format = Some(value),
            "log-format-escaped" => self.log_format_escaped = true,
            "log-path" => self.log_path = value,
            "enable-fine-grain-logging" => self.fine_grain_logging = true,
            "drain-time-s" => self.drain_time = Duration::from_secs(number()?.into()),
            "drain-strategy" => self.drain_strategy = drain_strategy(&value)?,
            "parent-shutdown-time-s" => {
                self.parent_shutdown_time = Duration::from_secs(number()?.into())
            }
            "file-flush-interval-msec" => {
                self.file_flush_interval = Duration::from_millis(number()?.into())
            }
            "file-flush-min-size-kb" => self.file_flush_min_size_kb = number()?,
            "local-address-ip-version" => self.local_address_ip_version = ip_version(&value)?,
            "admin-address-path" => self.admin_address_path = value,
            "stats-tag" => self.stats_tags.push(stats_tag(&value)?),
            "disable-extensions" => {
                self.disabled_extensions = match value.is_empty() {
                    true => Vec::new(),
                    false => value.split(',').map(str::to_owned).collect(),
                };
            }
            "base-id" => self.base_id = number()?,
            "restart-epoch" => self.restart_epoch = number()?,
            "disable-hot-restart" => self.disable_hot_restart = true,
            "admin-allow-host" => self.admin_allow_hosts.push(value),
            "drain-on-sigterm" => self.drain_on_sigterm = true,
            "use-dynamic-base-id" => self.shown.use_dynamic_base_id = true,
            "base-id-path" => self.shown.base_id_path = value,
            "skip-hot-restart-on-no-parent" => self.shown.skip_hot_restart_on_no_parent = true,
            "skip-hot-restart-parent-stats" => self.shown.skip_hot_restart_parent_stats = true,
            "socket-path" => self.shown.socket_path = value,
            "enable-mutex-tracing" => self.shown.enable_mutex_tracing = true,
            "log-stacktrace-single-entry" => self.shown.log_stacktrace_single_entry = true,
            // `--enable-core-dump` and `--socket-mode` are read, so that a command line written for Envoy works; not even
            // Envoy's `/server_info` repeats them.
            _ => {}
        }
        Ok(())
    }
}

impl Options {
    /// A later epoch takes over from a parent process, which this proxy cannot do. To start beside it and say nothing would
    /// be worse than to refuse.
    fn check_epoch(&self) -> Result<(), Error> {
        let takes_over = self.restart_epoch > 0
            && !self.disable_hot_restart
            && !self.shown.skip_hot_restart_on_no_parent
            && self.mode != Mode::Validate;
        if !takes_over {
            return Ok(());
        }
        Err(Error(format!(
            "error: --restart-epoch {} takes over from a running process, and hot restart is not supported; \
             --disable-hot-restart starts on its own",
            self.restart_epoch
        )))
    }
}

/// A number as a C++ stream reads it, which is what Envoy does: white space and a sign may lead, and a negative number
/// counts from the other end.
fn unsigned(text: &str) -> Option<u32> {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let number: u32 = digits.parse().ok()?;
    Some(if negative {
        number.wrapping_neg()
    } else {
        number
    })
}

fn mode(value: &str) -> Result<Mode, Error> {
    match value {
        "serve" => Ok(Mode::Serve),
        "validate" => Ok(Mode::Validate),
        "init_only" => Ok(Mode::InitOnly),
        _ => Err(Error(format!("error: unknown mode '{value}'"))),
    }
}

fn drain_strategy(value: &str) -> Result<DrainStrategy, Error> {
    match value {
        "gradual" => Ok(DrainStrategy::Gradual),
        "immediate" => Ok(DrainStrategy::Immediate),
        _ => Err(Error(format!("error: unknown drain-strategy '{value}'"))),
    }
}

fn ip_version(value: &str) -> Result<IpVersion, Error> {
    match value {
        "v4" => Ok(IpVersion::V4),
        "v6" => Ok(IpVersion::V6),
        _ => Err(Error(format!(
            "error: unknown IP address version '{value}'"
        ))),
    }
}

fn stats_tag(value: &str) -> Result<(String, String), Error> {
    let wrong = |reason: &str| Error(format!("error: misformatted stats-tag '{value}'{reason}"));
    let (name, tag) = value.split_once(':').ok_or_else(|| wrong(""))?;
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(wrong(&format!(" contains invalid char in '{name}'")));
    }
    if tag.is_empty() || tag.contains('.') {
        return Err(wrong(&format!(" contains invalid char in '{tag}'")));
    }
    Ok((name.to_owned(), tag.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn options(args: &[&str]) -> Result<Options, String> {
        let args = ["outrigger"].iter().chain(args).map(OsString::from);
        match parse(args) {
            Ok(Command::Run(options)) => Ok(*options),
            Ok(Command::Print(text) | Command::Tell(text)) => panic!("{text}"),
            Err(e) => Err(e.to_string()),
        }
    }

    #[test]
    fn the_agents_command_line_is_read() {
        let o = options(&[
            "-c",
            "etc/istio/proxy/envoy-rev.json",
            "--drain-time-s",
            "45",
            "--drain-strategy",
            "immediate",
            "--local-address-ip-version",
            "v4",
            "--file-flush-interval-msec",
            "1000",
            "--disable-hot-restart",
            "--allow-unknown-static-fields",
            "-l",
            "warning",
            "--component-log-level",
            "misc:error",
            "--config-yaml",
            "{}",
            "--concurrency",
            "2",
        ])
        .unwrap();
        assert_eq!(o.config_path, "etc/istio/proxy/envoy-rev.json");
        assert_eq!(o.drain_time.as_secs(), 45);
        assert_eq!(o.drain_strategy, DrainStrategy::Immediate);
        assert_eq!(o.file_flush_interval.as_millis(), 1000);
        assert_eq!(o.log_level, LogLevel::Warning);
        assert_eq!(
            o.component_log_level,
            [("misc".to_owned(), LogLevel::Error)]
        );
        assert_eq!(o.concurrency, 2);
    }

    #[test]
    fn errors_read_as_envoys_do() {
        for (args, start) in [
            (
                &["--bogus"][..],
                "PARSE ERROR: Argument: --bogus\n             Couldn't find match for argument",
            ),
            (
                &["-c", "a", "-c", "b"],
                "PARSE ERROR: Argument: -c (--config-path)\n             Argument already set!",
            ),
            (
                &["--concurrency", "x"],
                "PARSE ERROR: Argument: (--concurrency)\n             Couldn't read argument value from string 'x'",
            ),
            (
                &["--drain-time-s"],
                "PARSE ERROR: Argument: (--drain-time-s)\n             Missing a value",
            ),
            (&["--mode", "foo"], "error: unknown mode 'foo'"),
            (
                &["--restart-epoch", "1"],
                "error: --restart-epoch 1 takes over from a running process, and hot restart is not supported; --disable-hot-restart starts on its own",
            ),
            (&["-l", "foo"], "error: invalid log level specified 'foo'"),
            (
                &[
                    "--enable-fine-grain-logging",
                    "--component-log-level",
                    "foo:info",
                ],
                "error: --component-log-level will not work with --enable-fine-grain-logging",
            ),
            (
                &["--component-log-level", "foo:info"],
                "error: invalid component specified 'foo'",
            ),
            (
                &["--component-log-level", "foo"],
                "error: component log level not correctly specified 'foo'",
            ),
            (
                &["--local-address-ip-version", "v5"],
                "error: unknown IP address version 'v5'",
            ),
        ] {
            let error = options(args).unwrap_err();
            assert!(error.starts_with(start), "{args:?}: {error}");
        }
    }

    #[test]
    fn numbers_are_those_of_a_stream() {
        for (text, number) in [
            ("3", Some(3)),
            ("+3", Some(3)),
            (" 3", Some(3)),
            ("-1", Some(u32::MAX)),
            ("-0", Some(0)),
            ("3 ", None),
            ("-", None),
            ("+-3", None),
            ("0x10", None),
            ("4294967296", None),
            ("-99999999999", None),
        ] {
            assert_eq!(unsigned(text), number, "{text}");
        }
        let parent = options(&["--parent-shutdown-time-s", ""]).unwrap();
        assert_eq!(parent.parent_shutdown_time.as_secs(), 900);
        let drain = options(&["--drain-time-s", "-1"]).unwrap().drain_time;
        assert_eq!(drain, Duration::from_secs(u32::MAX.into()));
    }

    #[test]
    fn what_is_not_used_is_repeated() {
        let o = options(&[
            "--use-dynamic-base-id",
            "--base-id-path",
            "/id",
            "--skip-hot-restart-on-no-parent",
            "--skip-hot-restart-parent-stats",
            "--socket-path",
            "@x",
            "--enable-mutex-tracing",
            "--log-stacktrace-single-entry",
            "--enable-core-dump",
            "--socket-mode",
            "640",
            "--mode",
            "init_only",
            "--disable-extensions",
            "a,,b",
            "--stats-tag",
            "a:b",
            "--stats-tag",
            "a:c",
        ]);
        let shown = o.unwrap().to_json();
        for (key, value) in [
            ("use_dynamic_base_id", serde_json::json!(true)),
            ("base_id_path", "/id".into()),
            ("skip_hot_restart_on_no_parent", true.into()),
            ("skip_hot_restart_parent_stats", true.into()),
            ("socket_path", "@x".into()),
            ("enable_mutex_tracing", true.into()),
            ("log_stacktrace_single_entry", true.into()),
            ("enable_core_dump", false.into()),
            ("socket_mode", 0.into()),
            ("mode", "InitOnly".into()),
            ("disabled_extensions", serde_json::json!(["a", "", "b"])),
            ("stats_tag", serde_json::json!(["a:b", "a:c"])),
        ] {
            assert_eq!(shown[key], value, "{key}");
        }
    }

    #[test]
    fn the_hot_restart_version_goes_to_standard_error() {
        let args = ["outrigger", "--hot-restart-version"].map(OsString::from);
        assert!(matches!(parse(args), Ok(Command::Tell(text)) if text == "disabled"));
    }

    #[test]
    fn a_value_is_the_next_argument_whatever_it_looks_like() {
        assert_eq!(options(&["--concurrency", "0"]).unwrap().concurrency, 1);
        assert_eq!(options(&["-c", "--mode"]).unwrap().config_path, "--mode");
        let error = options(&["--concurrency=3"]).unwrap_err();
        assert!(
            error.ends_with("--concurrency=3 -- Couldn't find match for argument"),
            "{error}"
        );
        assert!(options(&["--", "--bogus"]).is_ok());
    }
}
