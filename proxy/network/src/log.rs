//! The access log of a TCP proxy: which lines a connection gets, and when.

use crate::timer::Ticks;
use envoy_api::pb::envoy::{
    data::accesslog::v3::AccessLogType,
    extensions::filters::network::tcp_proxy::v3::{TcpProxy as Proto, tcp_proxy},
};
use outrigger_core::{
    ConfigError, StreamInfo,
    access_log::{AccessLogs, LogServices},
    error::ConfigResult,
    formatter::FormatContext,
};
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
    time::Duration,
};
use tokio::time::sleep_until;

/// `access_log` with its options.
#[derive(Debug, Default)]
pub(crate) struct Log {
    logs: AccessLogs,
    on_start: bool,
    on_connected: bool,
    interval: Option<Duration>,
}

impl Log {
    pub fn compile(proto: &Proto, services: &LogServices) -> Result<Self, ConfigError> {
        let options = options(proto)?;
        let interval = match &options.access_log_flush_interval {
            Some(interval) => Some(
                crate::config::at_least_1ms(interval)
                    .at("access_log_flush_interval")
                    .at("access_log_options")?,
            ),
            None => None,
        };
        Ok(Self {
            logs: AccessLogs::compile(&proto.access_log, services).at("access_log")?,
            on_start: options.flush_access_log_on_start,
            on_connected: options.flush_access_log_on_connected,
            interval,
        })
    }

    /// The connection was accepted.
    pub fn start(&self, info: &StreamInfo) {
        if self.on_start {
            self.line(info, AccessLogType::TcpConnectionStart);
        }
    }

    /// The upstream connection is there.
    pub fn connected(&self, info: &StreamInfo) {
        if self.on_connected {
            self.line(info, AccessLogType::TcpUpstreamConnected);
        }
    }

    /// The connection goes on.
    pub fn periodic(&self, info: &StreamInfo) {
        self.line(info, AccessLogType::TcpPeriodic);
    }

    /// The connection is over.
    pub fn end(&self, info: &StreamInfo) {
        self.line(info, AccessLogType::TcpConnectionEnd);
    }

    pub fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// When the periodic lines of a connection that begins now are due; `None` if there are none.
    pub fn ticks(&self) -> Option<Ticks> {
        self.interval
            .filter(|_| !self.logs.is_empty())
            .map(Ticks::new)
    }

    /// Waits for `future`, writing the lines that are due meanwhile. It is borrowed, not to be held a second time.
    pub async fn during<F: Future>(
        &self,
        mut future: Pin<&mut F>,
        ticks: &mut Option<Ticks>,
        info: &StreamInfo,
    ) -> F::Output {
        let Some(ticks) = ticks else {
            return future.await;
        };
        // Few connections have such lines; the others do not pay for the timer's size.
        let mut sleep = Box::pin(sleep_until(ticks.next()));
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(output) = future.as_mut().poll(cx) {
                    return Poll::Ready(output);
                }
                if sleep.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.periodic(info);
                ticks.advance();
                sleep.as_mut().reset(ticks.next());
            }
        })
        .await
    }

    fn line(&self, info: &StreamInfo, log_type: AccessLogType) {
        self.logs.log(&FormatContext {
            log_type,
            ..FormatContext::new(info)
        });
    }
}

/// The options, be they in `access_log_options` or in the fields that it has replaced.
#[allow(deprecated)] // Envoy still honours the old fields.
fn options(proto: &Proto) -> Result<tcp_proxy::TcpAccessLogOptions, ConfigError> {
    let Some(options) = &proto.access_log_options else {
        return Ok(tcp_proxy::TcpAccessLogOptions {
            access_log_flush_interval: proto.access_log_flush_interval,
            flush_access_log_on_connected: proto.flush_access_log_on_connected,
            ..Default::default()
        });
    };
    let replaced = [
        (
            proto.access_log_flush_interval.is_some(),
            "access_log_flush_interval",
        ),
        (
            proto.flush_access_log_on_connected,
            "flush_access_log_on_connected",
        ),
    ];
    match replaced.iter().find(|(set, _)| *set) {
        Some((_, field)) => Err(ConfigError::new(format!(
            "Only one of {field} or access_log_options can be specified."
        ))),
        None => Ok(*options),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::{
        pack,
        pb::envoy::{
            config::{
                accesslog::v3::{AccessLog, access_log::ConfigType},
                core::v3::{
                    DataSource, SubstitutionFormatString, data_source::Specifier,
                    substitution_format_string::Format,
                },
            },
            extensions::access_loggers::file::v3::{
                FileAccessLog, file_access_log::AccessLogFormat,
            },
        },
        prost_types,
    };
    use outrigger_core::{Address, ConnectionInfo};
    use std::{pin::pin, sync::Arc, time::SystemTime};
    use tokio::time::{Instant, sleep};

    const SECOND: prost_types::Duration = prost_types::Duration {
        seconds: 1,
        nanos: 0,
    };

    fn info() -> StreamInfo {
        let address = Address::Ip("127.0.0.1:1".parse().unwrap());
        let (start_time, start) = (SystemTime::now(), Instant::now());
        let connection = ConnectionInfo::new(1, address.clone(), address);
        StreamInfo::new(Arc::new(connection), start_time, start, 1)
    }

    fn to_file(path: &str) -> AccessLog {
        let source = DataSource {
            specifier: Some(Specifier::InlineString("%ACCESS_LOG_TYPE%\n".into())),
            ..Default::default()
        };
        let format = SubstitutionFormatString {
            format: Some(Format::TextFormatSource(source)),
            ..Default::default()
        };
        AccessLog {
            config_type: Some(ConfigType::TypedConfig(pack(&FileAccessLog {
                path: path.into(),
                access_log_format: Some(AccessLogFormat::LogFormat(format)),
            }))),
            ..Default::default()
        }
    }

    fn compile(proto: &Proto) -> Result<Log, String> {
        Log::compile(proto, &LogServices::default()).map_err(|error| error.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn each_line_is_written_when_it_is_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let services = LogServices::default();
        let lines = |options: Option<tcp_proxy::TcpAccessLogOptions>| {
            let proto = Proto {
                access_log: vec![to_file(path.to_str().unwrap())],
                access_log_options: options,
                ..Default::default()
            };
            let log = Log::compile(&proto, &services).unwrap();
            let (services, path) = (services.clone(), path.clone());
            async move {
                let info = info();
                log.start(&info);
                let mut ticks = log.ticks();
                let connecting = pin!(sleep(Duration::from_millis(2500)));
                log.during(connecting, &mut ticks, &info).await;
                log.connected(&info);
                log.end(&info);
                services.manager.flush();
                let text = std::fs::read_to_string(&path).unwrap();
                text.lines().map(str::to_owned).collect::<Vec<_>>()
            }
        };
        assert_eq!(lines(None).await, ["TcpConnectionEnd"]);
        let all = tcp_proxy::TcpAccessLogOptions {
            access_log_flush_interval: Some(SECOND),
            flush_access_log_on_connected: true,
            flush_access_log_on_start: true,
        };
        assert_eq!(
            lines(Some(all)).await[1..],
            [
                "TcpConnectionStart",
                "TcpPeriodic",
                "TcpPeriodic",
                "TcpUpstreamConnected",
                "TcpConnectionEnd"
            ]
        );
    }

    #[test]
    #[allow(deprecated)]
    fn the_old_fields_count_alone() {
        let old = Proto {
            access_log_flush_interval: Some(SECOND),
            flush_access_log_on_connected: true,
            ..Default::default()
        };
        let log = compile(&old).unwrap();
        assert_eq!(log.interval, Some(Duration::from_secs(1)));
        assert!(log.on_connected && !log.on_start);
        let both = Proto {
            access_log_options: Some(Default::default()),
            ..old
        };
        assert_eq!(
            compile(&both).unwrap_err(),
            "Only one of access_log_flush_interval or access_log_options can be specified."
        );
    }

    #[test]
    fn an_interval_of_nothing_is_refused() {
        let proto = Proto {
            access_log_options: Some(tcp_proxy::TcpAccessLogOptions {
                access_log_flush_interval: Some(Default::default()),
                ..Default::default()
            }),
            ..Default::default()
        };
        assert_eq!(
            compile(&proto).unwrap_err(),
            "access_log_options.access_log_flush_interval: value must be greater than or equal to 1ms"
        );
    }
}
