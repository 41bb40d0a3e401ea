//! Envoy's debug log of connections and streams, in its words. A line that nobody wants costs one relaxed load and a
//! branch; nothing is formatted for it, and the code that would is kept out of the way.

use crate::{ConnectionInfo, HeaderMap, StreamInfo};
use std::fmt;

#[doc(hidden)]
pub use tracing;

/// `[Tags: "ConnectionId":"1","StreamId":"2"] `: whom a line is about.
#[derive(Clone, Copy, Debug)]
pub struct Tags {
    connection: u64,
    stream: Option<u64>,
}

impl Tags {
    /// Those of a connection.
    pub const fn connection(id: u64) -> Self {
        Self {
            connection: id,
            stream: None,
        }
    }

    /// Those of a stream.
    pub fn stream(info: &StreamInfo) -> Self {
        Self {
            connection: info.connection.id,
            stream: Some(info.stream_id),
        }
    }
}

impl From<&ConnectionInfo> for Tags {
    fn from(info: &ConnectionInfo) -> Self {
        Self::connection(info.id)
    }
}

impl From<&StreamInfo> for Tags {
    fn from(info: &StreamInfo) -> Self {
        Self::stream(info)
    }
}

impl fmt::Display for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[Tags: \"ConnectionId\":\"{}\"", self.connection)?;
        if let Some(stream) = self.stream {
            write!(f, ",\"StreamId\":\"{stream}\"")?;
        }
        f.write_str("] ")
    }
}

/// A header block as Envoy logs it: one line for each header, `'name', 'value'`, pseudo headers first.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a>(pub &'a HeaderMap);

impl fmt::Display for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for pseudo in [true, false] {
            for (name, value) in self.0.iter() {
                if name.starts_with(b":") == pseudo {
                    let name = String::from_utf8_lossy(name);
                    let value = String::from_utf8_lossy(value);
                    writeln!(f, "'{name}', '{value}'")?;
                }
            }
        }
        Ok(())
    }
}

/// Keeps the writing of a line out of the code that it is about.
#[doc(hidden)]
#[cold]
#[inline(never)]
pub fn cold(write: impl FnOnce()) {
    write();
}

/// A debug line of a logger, of a connection or stream where there is one: `log_debug!("http", tags => "new stream")`.
#[macro_export]
macro_rules! log_debug {
    ($logger:literal, $tags:expr => $($message:tt)+) => {
        if $crate::log::tracing::level_filters::LevelFilter::current()
            >= $crate::log::tracing::Level::DEBUG
        {
            $crate::log::cold(|| $crate::log::tracing::debug!(
                target: $logger,
                "{}{}",
                $crate::log::Tags::from($tags),
                format_args!($($message)+),
            ));
        }
    };
    ($logger:literal, $($message:tt)+) => {
        if $crate::log::tracing::level_filters::LevelFilter::current()
            >= $crate::log::tracing::Level::DEBUG
        {
            $crate::log::cold(|| $crate::log::tracing::debug!(target: $logger, $($message)+));
        }
    };
}

/// A trace line, as [`log_debug!`](crate::log_debug) writes debug lines.
#[macro_export]
macro_rules! log_trace {
    ($logger:literal, $($message:tt)+) => {
        if $crate::log::tracing::level_filters::LevelFilter::current()
            >= $crate::log::tracing::Level::TRACE
        {
            $crate::log::cold(|| $crate::log::tracing::trace!(target: $logger, $($message)+));
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_headers_read_as_envoys_do() {
        assert_eq!(
            Tags::connection(7).to_string(),
            "[Tags: \"ConnectionId\":\"7\"] "
        );
        let tags = Tags {
            connection: 7,
            stream: Some(9),
        };
        assert_eq!(
            tags.to_string(),
            "[Tags: \"ConnectionId\":\"7\",\"StreamId\":\"9\"] "
        );
        let mut headers = HeaderMap::new();
        headers.append_raw(b"b", b"1");
        headers.append_raw(b":path", b"/");
        assert_eq!(Headers(&headers).to_string(), "':path', '/'\n'b', '1'\n");
    }

    #[test]
    fn a_line_that_nobody_wants_is_not_made() {
        struct Never;
        impl fmt::Display for Never {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                Err(fmt::Error)
            }
        }
        let mut asked = false;
        let mut tags = || {
            asked = true;
            Tags::connection(1)
        };
        log_debug!("http", tags() => "{}", Never);
        assert!(!asked);
    }
}
