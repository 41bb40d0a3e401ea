//! `COMMON_DURATION(start:end:precision)`: the time between two points of a stream.

use super::{FormatContext, parse::Command};
use crate::ConfigError;
use std::time::Duration;

/// Whole milliseconds, cut and not rounded, as Envoy prints durations.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CommonDuration {
    start: Point,
    end: Point,
    precision: Precision,
}

/// A point in time of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    DownstreamRxBegin,
    DownstreamRxEnd,
    UpstreamConnectBegin,
    UpstreamConnectEnd,
    UpstreamHandshakeEnd,
    UpstreamTxBegin,
    UpstreamTxEnd,
    UpstreamRxBegin,
    UpstreamRxEnd,
    DownstreamTxBegin,
    DownstreamTxEnd,
    /// A name that extensions may give a value to; none of ours does.
    Custom,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Precision {
    Millis,
    Micros,
    Nanos,
}

impl CommonDuration {
    pub fn compile(command: &Command<'_>) -> Result<Self, ConfigError> {
        let text = command.argument;
        let mut parts = text.split(':');
        let (start, end) = (parts.next(), parts.next());
        let (precision, rest) = (parts.next(), parts.next());
        let (Some(start), Some(end), None) = (start, end, rest) else {
            return Err(ConfigError::new(format!(
                "Invalid common duration configuration: {text}."
            )));
        };
        let precision = match precision {
            None | Some("ms") => Precision::Millis,
            Some("us") => Precision::Micros,
            Some("ns") => Precision::Nanos,
            Some(other) => {
                return Err(ConfigError::new(format!(
                    "Invalid common duration precision: {other}."
                )));
            }
        };
        Ok(Self {
            start: Point::named(start),
            end: Point::named(end),
            precision,
        })
    }

    pub fn get(&self, cx: &FormatContext<'_>) -> Option<u64> {
        // An end before its start has no duration.
        let between = self.end.of(cx)?.checked_sub(self.start.of(cx)?)?;
        let number = match self.precision {
            Precision::Millis => between.as_millis(),
            Precision::Micros => between.as_micros(),
            Precision::Nanos => between.as_nanos(),
        };
        u64::try_from(number).ok()
    }
}

impl Point {
    fn named(name: &str) -> Self {
        match name {
            "DS_RX_BEG" => Self::DownstreamRxBegin,
            "DS_RX_END" => Self::DownstreamRxEnd,
            "US_CX_BEG" => Self::UpstreamConnectBegin,
            "US_CX_END" => Self::UpstreamConnectEnd,
            "US_HS_END" => Self::UpstreamHandshakeEnd,
            "US_TX_BEG" => Self::UpstreamTxBegin,
            "US_TX_END" => Self::UpstreamTxEnd,
            "US_RX_BEG" => Self::UpstreamRxBegin,
            "US_RX_END" => Self::UpstreamRxEnd,
            "DS_TX_BEG" => Self::DownstreamTxBegin,
            "DS_TX_END" => Self::DownstreamTxEnd,
            _ => Self::Custom,
        }
    }

    fn of(self, cx: &FormatContext<'_>) -> Option<Duration> {
        let timing = &cx.info.timing;
        match self {
            Self::DownstreamRxBegin => Some(Duration::ZERO),
            Self::DownstreamRxEnd => timing.downstream_rx_end,
            Self::UpstreamConnectBegin => timing.upstream_connect_begin,
            Self::UpstreamConnectEnd => timing.upstream_connect_end,
            Self::UpstreamHandshakeEnd => timing.upstream_handshake_end,
            Self::UpstreamTxBegin => timing.upstream_tx_begin,
            Self::UpstreamTxEnd => timing.upstream_tx_end,
            Self::UpstreamRxBegin => timing.upstream_rx_begin,
            Self::UpstreamRxEnd => timing.upstream_rx_end,
            Self::DownstreamTxBegin => timing.downstream_tx_begin,
            Self::DownstreamTxEnd => timing.downstream_tx_end,
            Self::Custom => None,
        }
    }
}
