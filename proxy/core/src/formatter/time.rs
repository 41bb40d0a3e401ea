//! `START_TIME`, `EMIT_TIME`, their `_LOCAL` forms and certificate dates: a strftime format compiled once.
//!
//! A format becomes a list of parts that are printed from a broken-down time. Only the default format, which every log
//! line begins with, keeps the text of the second that was printed last.

use super::FormatContext;
use crate::{
    ConfigError,
    tls_info::{CertificateInfo, TlsInfo},
};
use parts::{Part, compile};
use std::{
    cell::RefCell,
    time::{SystemTime, UNIX_EPOCH},
};

mod civil;
mod parts;

pub(crate) use civil::Civil;

/// Which point in time is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeSource {
    Start,
    Emit,
    DownstreamCertificate(Validity),
    UpstreamCertificate(Validity),
}

/// An end of a certificate's validity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Validity {
    From,
    To,
}

/// A point in time and its format.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TimeOperator {
    source: TimeSource,
    format: TimeFormat,
}

/// The format of `%START_TIME%` without an argument.
const DEFAULT: &str = "%Y-%m-%dT%H:%M:%S.%3fZ";

impl TimeOperator {
    pub fn compile(source: TimeSource, format: &str, local: bool) -> Result<Self, ConfigError> {
        let format = match (format, source) {
            ("", TimeSource::Start | TimeSource::Emit) if local => "%Y-%m-%dT%H:%M:%E3S%z",
            ("", _) => DEFAULT,
            (format, _) => format,
        };
        Ok(Self {
            source,
            format: TimeFormat::compile(format, local)?,
        })
    }

    pub fn text(&self, cx: &FormatContext<'_>, out: &mut Vec<u8>) -> Option<()> {
        let time = match self.source {
            TimeSource::Start => cx.info.start_time,
            TimeSource::Emit => SystemTime::now(),
            TimeSource::DownstreamCertificate(end) => {
                validity(cx.info.connection.tls.as_deref(), end)?
            }
            TimeSource::UpstreamCertificate(end) => validity(cx.info.upstream.tls.as_deref(), end)?,
        };
        self.format.render(time, out);
        Some(())
    }
}

fn validity(tls: Option<&TlsInfo>, end: Validity) -> Option<SystemTime> {
    let peer: &CertificateInfo = tls?.peer.as_deref()?;
    match end {
        Validity::From => peer.valid_from,
        Validity::To => peer.valid_to,
    }
}

/// A compiled strftime format in UTC or in the zone of the process.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeFormat {
    parts: Box<[Part]>,
    local: bool,
    /// It is [`DEFAULT`] in UTC.
    default: bool,
}

thread_local! {
    /// The second that was printed last in the default format, and its text with the fraction 000.
    static LAST: RefCell<(u64, Vec<u8>)> = const { RefCell::new((0, Vec::new())) };
}

impl TimeFormat {
    /// Compiles the subset of strftime that Envoy (through absl) documents, with fractions of a second `%f`, `%1f`…`%9f`
    /// and `%E3S`. An unknown directive is printed as it is written.
    pub fn compile(format: &str, local: bool) -> Result<Self, ConfigError> {
        Ok(Self {
            parts: compile(format)?.into(),
            local,
            default: format == DEFAULT && !local,
        })
    }

    /// Appends the text for a point in time.
    pub fn render(&self, time: SystemTime, out: &mut Vec<u8>) {
        match time.duration_since(UNIX_EPOCH) {
            Ok(since) if self.default => LAST.with_borrow_mut(|(second, text)| {
                if *second != since.as_secs() || text.is_empty() {
                    *second = since.as_secs();
                    text.clear();
                    let whole = time
                        .checked_sub(std::time::Duration::from_nanos(since.subsec_nanos().into()));
                    self.print(whole.unwrap_or(time), text);
                }
                out.extend_from_slice(text);
                let millis = since.subsec_millis();
                if let Some([a, b, c, b'Z']) = out.last_chunk_mut() {
                    *a = b'0' + (millis / 100) as u8;
                    *b = b'0' + (millis / 10 % 10) as u8;
                    *c = b'0' + (millis % 10) as u8;
                }
            }),
            _ => self.print(time, out),
        }
    }

    fn print(&self, time: SystemTime, out: &mut Vec<u8>) {
        let civil = Civil::new(time, self.local);
        for part in &self.parts {
            part.put(&civil, out);
        }
    }
}
