//! Compiles `Http2ProtocolOptions`, which a connection manager and a cluster share.

use super::common::duration;
use envoy_api::pb::envoy::config::core::v3::{Http2ProtocolOptions, KeepaliveSettings};
use outrigger_core::{ConfigError, error::ConfigResult};
use std::time::Duration;

/// `connection_keepalive`: a PING whenever the connection has lived for so long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keepalive {
    /// `None`: no regular PING.
    pub interval: Option<Duration>,
    /// How long an answer may take before the connection is closed.
    pub timeout: Duration,
    /// Up to this share of the interval is added at random; percent, 15 unless set.
    pub jitter: f64,
}

impl Keepalive {
    /// The wait before the next PING, with its jitter.
    pub fn next_interval(&self) -> Option<Duration> {
        let jitter = self.jitter / 100.0;
        self.interval
            .map(|interval| interval.mul_f64(1.0 + jitter * fastrand::f64()))
    }
}

/// What an HTTP/2 connection of either side goes by, with Envoy's defaults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Http2Options {
    /// Bytes of the table with which the peer may compress; 4096 unless set.
    pub hpack_table_size: u32,
    /// Streams that the peer may have open; 1024 unless set. To an upstream: streams on one connection.
    pub max_concurrent_streams: u32,
    /// Bytes; 16 MiB unless set.
    pub initial_stream_window_size: u32,
    /// Bytes; 24 MiB unless set.
    pub initial_connection_window_size: u32,
    /// Extended CONNECT (RFC 8441).
    pub allow_connect: bool,
    /// A malformed message costs its stream alone; `None` leaves it to the connection manager.
    pub stream_error_on_invalid_http_message: Option<bool>,
    pub keepalive: Option<Keepalive>,
    pub frames: FrameLimits,
}

/// How much a peer may make a connection do before it ends, with Envoy's defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// `max_outbound_frames`.
    pub outbound: u32,
    /// `max_outbound_control_frames`.
    pub outbound_control: u32,
    /// `max_consecutive_inbound_frames_with_empty_payload`.
    pub empty: u32,
    /// `max_inbound_priority_frames_per_stream`.
    pub priority: u32,
    /// `max_inbound_window_update_frames_per_data_frame_sent`.
    pub window_update: u32,
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self {
            outbound: 10_000,
            outbound_control: 1_000,
            empty: 1,
            priority: 100,
            window_update: 10,
        }
    }
}

impl FrameLimits {
    fn compile(proto: &Http2ProtocolOptions) -> Result<Self, ConfigError> {
        let default = Self::default();
        let positive = |field: Option<u32>, default: u32, name: &str| match field {
            None => Ok(default),
            Some(0) => Err(ConfigError::new("value must be greater than or equal to 1").at(name)),
            Some(limit) => Ok(limit),
        };
        Ok(Self {
            outbound: positive(
                proto.max_outbound_frames,
                default.outbound,
                "max_outbound_frames",
            )?,
            outbound_control: positive(
                proto.max_outbound_control_frames,
                default.outbound_control,
                "max_outbound_control_frames",
            )?,
            empty: proto
                .max_consecutive_inbound_frames_with_empty_payload
                .unwrap_or(default.empty),
            priority: proto
                .max_inbound_priority_frames_per_stream
                .unwrap_or(default.priority),
            window_update: positive(
                proto.max_inbound_window_update_frames_per_data_frame_sent,
                default.window_update,
                "max_inbound_window_update_frames_per_data_frame_sent",
            )?,
        })
    }
}

impl Default for Http2Options {
    fn default() -> Self {
        Self {
            hpack_table_size: 4096,
            max_concurrent_streams: 1024,
            initial_stream_window_size: 16 << 20,
            initial_connection_window_size: 24 << 20,
            allow_connect: false,
            stream_error_on_invalid_http_message: None,
            keepalive: None,
            frames: FrameLimits::default(),
        }
    }
}

impl Http2Options {
    /// A missing message means the defaults. The ranges are those that Envoy's validation asks for.
    // The older name of the override is still honoured, as by Envoy.
    #[allow(deprecated)]
    pub fn compile(proto: Option<&Http2ProtocolOptions>) -> Result<Self, ConfigError> {
        let default = Self::default();
        let Some(proto) = proto else {
            return Ok(default);
        };
        let window = |field: Option<u32>, default: u32, name: &str| match field {
            None => Ok(default),
            Some(bytes @ 65_535..=0x7fff_ffff) => Ok(bytes),
            Some(_) => {
                Err(ConfigError::new("value must be inside range [65535, 2147483647]").at(name))
            }
        };
        let older = proto.stream_error_on_invalid_http_messaging.then_some(true);
        Ok(Self {
            hpack_table_size: proto.hpack_table_size.unwrap_or(default.hpack_table_size),
            max_concurrent_streams: match proto.max_concurrent_streams {
                None => default.max_concurrent_streams,
                Some(streams @ 1..=0x7fff_ffff) => streams,
                Some(_) => {
                    return Err(
                        ConfigError::new("value must be inside range [1, 2147483647]")
                            .at("max_concurrent_streams"),
                    );
                }
            },
            initial_stream_window_size: window(
                proto.initial_stream_window_size,
                default.initial_stream_window_size,
                "initial_stream_window_size",
            )?,
            initial_connection_window_size: window(
                proto.initial_connection_window_size,
                default.initial_connection_window_size,
                "initial_connection_window_size",
            )?,
            allow_connect: proto.allow_connect,
            stream_error_on_invalid_http_message: proto
                .override_stream_error_on_invalid_http_message
                .or(older),
            keepalive: keepalive(proto.connection_keepalive.as_ref()).at("connection_keepalive")?,
            frames: FrameLimits::compile(proto)?,
        })
    }
}

fn keepalive(proto: Option<&KeepaliveSettings>) -> Result<Option<Keepalive>, ConfigError> {
    let Some(proto) = proto else {
        return Ok(None);
    };
    let timeout = duration(&proto.timeout)
        .at("timeout")?
        .ok_or_else(|| ConfigError::new("value is required").at("timeout"))?;
    Ok(Some(Keepalive {
        interval: duration(&proto.interval).at("interval")?,
        timeout,
        jitter: proto.interval_jitter.map_or(15.0, |percent| percent.value),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use envoy_api::prost_types;

    #[test]
    fn defaults_are_those_of_envoy() {
        let empty = Http2ProtocolOptions::default();
        let compiled = Http2Options::compile(Some(&empty)).unwrap();
        assert_eq!(compiled, Http2Options::default());
        assert_eq!(
            (
                compiled.initial_stream_window_size,
                compiled.initial_connection_window_size
            ),
            (16_777_216, 25_165_824)
        );
    }

    #[test]
    fn windows_and_streams_have_their_ranges() {
        let small = Http2ProtocolOptions {
            initial_stream_window_size: Some(65_534),
            ..Default::default()
        };
        let error = Http2Options::compile(Some(&small)).unwrap_err();
        assert_eq!(error.path(), "initial_stream_window_size");
        let none = Http2ProtocolOptions {
            max_concurrent_streams: Some(0),
            ..Default::default()
        };
        assert!(Http2Options::compile(Some(&none)).is_err());
    }

    #[test]
    fn the_interval_grows_by_its_jitter_at_most() {
        let proto = Http2ProtocolOptions {
            connection_keepalive: Some(KeepaliveSettings {
                interval: Some(prost_types::Duration {
                    seconds: 10,
                    nanos: 0,
                }),
                timeout: Some(prost_types::Duration {
                    seconds: 1,
                    nanos: 0,
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let keepalive = Http2Options::compile(Some(&proto))
            .unwrap()
            .keepalive
            .unwrap();
        let interval = keepalive.next_interval().unwrap();
        assert!((10.0..=11.5).contains(&interval.as_secs_f64()));
    }
}
