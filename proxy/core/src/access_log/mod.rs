//! Envoy's access logs: who writes a line (loggers), for which streams (filters), and where it goes (sinks).
//!
//! A stream that ends renders its line into a buffer of its thread and appends it to the pending lines of the file; it
//! never waits for a disk, a pipe or a reader.

mod fields;
mod file;
mod filter;
mod manager;

pub use fields::FIELDS;
pub use file::LogFile;
pub use filter::LogFilter;
pub use manager::{FilesystemStats, Manager, ManagerSettings, Sink};

use crate::{
    ConfigError,
    error::{ConfigResult, required},
    formatter::{Commands, FormatContext, Formatter, JsonFormatter, SubstitutionFormat},
    runtime::Runtime,
};
use envoy_api::{
    pb::envoy::{
        config::accesslog::v3::{AccessLog as Proto, access_log::ConfigType},
        config::core::v3::SubstitutionFormatString,
        extensions::access_loggers::{
            file::v3::{FileAccessLog, file_access_log::AccessLogFormat},
            stream::v3::{StderrAccessLog, StdoutAccessLog, stderr_access_log, stdout_access_log},
        },
    },
    prost_types::Any,
    type_name, unpack,
};
use std::{cell::Cell, sync::Arc};

/// What is logged when a logger has no format of its own.
pub const DEFAULT_FORMAT: &str = concat!(
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" ",
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ",
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" ",
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n",
);

/// What loggers need of the process.
#[derive(Clone, Debug, Default)]
pub struct LogServices {
    pub manager: Arc<Manager>,
    pub runtime: Arc<Runtime>,
}

/// One logger: a filter, a format and a sink.
#[derive(Debug)]
pub struct AccessLog {
    filter: Option<LogFilter>,
    format: SubstitutionFormat,
    file: Arc<LogFile>,
}

/// The loggers of a listener, connection manager or proxy, in their order.
#[derive(Clone, Debug, Default)]
pub struct AccessLogs(Arc<[AccessLog]>);

impl AccessLogs {
    /// Compiles a repeated field `access_log`; errors carry the index only, the caller names the field.
    pub fn compile(protos: &[Proto], services: &LogServices) -> Result<Self, ConfigError> {
        protos
            .iter()
            .enumerate()
            .map(|(i, proto)| AccessLog::compile(proto, services).map_err(|e| e.index(i)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Logs a stream to every logger whose filter lets it pass.
    pub fn log(&self, cx: &FormatContext<'_>) {
        for log in self.0.iter() {
            log.log(cx);
        }
    }
}

impl AccessLog {
    pub fn compile(proto: &Proto, services: &LogServices) -> Result<Self, ConfigError> {
        let filter = proto
            .filter
            .as_ref()
            .map(|filter| LogFilter::compile(filter, &services.runtime))
            .transpose()
            .at("filter")?;
        let ConfigType::TypedConfig(config) = required(proto.config_type.as_ref(), "typed_config")?;
        let (sink, format) = logger(config).at("typed_config")?;
        let file = services
            .manager
            .open(sink)
            .map_err(ConfigError::new)
            .at("typed_config")?;
        Ok(Self {
            filter,
            format,
            file,
        })
    }

    /// Logs a stream if the filter lets it pass.
    pub fn log(&self, cx: &FormatContext<'_>) {
        if self
            .filter
            .as_ref()
            .is_some_and(|filter| !filter.is_match(cx))
        {
            return;
        }
        // The buffer is taken out while it is used, so that no borrow can be open when a line is rendered.
        thread_local! {
            static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
        }
        let mut line = LINE.take();
        line.clear();
        self.format.render(cx, &mut line);
        self.file.append(&line);
        LINE.set(line);
    }
}

/// The sink and the format of a logger extension.
fn logger(config: &Any) -> Result<(Sink, SubstitutionFormat), ConfigError> {
    match type_name(&config.type_url) {
        "envoy.extensions.access_loggers.file.v3.FileAccessLog" => {
            let proto: FileAccessLog = unpacked(config)?;
            let format = file_format(&proto)?;
            Ok((Sink::of_path(&proto.path), format))
        }
        "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog" => {
            let proto: StdoutAccessLog = unpacked(config)?;
            let format = proto
                .access_log_format
                .map(|stdout_access_log::AccessLogFormat::LogFormat(format)| format);
            Ok((Sink::Stdout, stream_format(format)?))
        }
        "envoy.extensions.access_loggers.stream.v3.StderrAccessLog" => {
            let proto: StderrAccessLog = unpacked(config)?;
            let format = proto
                .access_log_format
                .map(|stderr_access_log::AccessLogFormat::LogFormat(format)| format);
            Ok((Sink::Stderr, stream_format(format)?))
        }
        other => Err(ConfigError::new(format!(
            "access logger {other} is not supported"
        ))),
    }
}

fn unpacked<T: envoy_api::Message + envoy_api::Name + Default>(
    config: &Any,
) -> Result<T, ConfigError> {
    unpack(config).map_err(|error| ConfigError::new(error.to_string()))
}

fn default_format() -> Result<SubstitutionFormat, ConfigError> {
    Ok(SubstitutionFormat::Text(Formatter::compile(
        DEFAULT_FORMAT,
    )?))
}

#[allow(deprecated)]
fn file_format(proto: &FileAccessLog) -> Result<SubstitutionFormat, ConfigError> {
    if proto.path.is_empty() {
        return Err(ConfigError::new("value length must be at least 1 characters").at("path"));
    }
    match &proto.access_log_format {
        None => default_format(),
        Some(AccessLogFormat::Format(text)) if text.is_empty() => default_format(),
        Some(AccessLogFormat::Format(text)) => Ok(SubstitutionFormat::Text(
            Formatter::compile(text).at("format")?,
        )),
        Some(AccessLogFormat::JsonFormat(format) | AccessLogFormat::TypedJsonFormat(format)) => {
            let json = JsonFormatter::compile(format, &Commands::default(), false);
            Ok(SubstitutionFormat::Json(json.at("json_format")?))
        }
        Some(AccessLogFormat::LogFormat(format)) => {
            SubstitutionFormat::compile(format).at("log_format")
        }
    }
}

fn stream_format(
    format: Option<SubstitutionFormatString>,
) -> Result<SubstitutionFormat, ConfigError> {
    match format {
        None => default_format(),
        Some(format) => SubstitutionFormat::compile(&format).at("log_format"),
    }
}

#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod tests;
